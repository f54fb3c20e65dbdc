"""LocalEngine: the Engine port for one process, with threads and a queue in memory.

Nothing of it is durable, and nothing needs to be: a run's state lists its unanswered commands, the
one supervisor of a store hands them to `recover` when it starts. So it is its own twin in tests.
Never decides what a command means, never polls, never touches the store.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

from autopack.app.ports import Transaction
from autopack.app.supervise import CutOff
from autopack.core.errors import OwnFault

ENDED_COMMANDS_MAX = 10_000
"""Ended commands that stay known, so that a late second enqueue of an id does nothing; some 1 MB.

A forgotten one would be performed again, which only loads its run and sees that it is answered.
"""
_log = logging.getLogger(__name__)


class LocalEngine:
    """At least once per id, `workers_max` at a time, first in first out."""

    def __init__(self, *, workers_max: int, ended_commands_max: int = ENDED_COMMANDS_MAX) -> None:
        self._workers_max = workers_max
        self._ended_commands_max = ended_commands_max
        self._queued: deque[str] = deque()
        self._unended: set[str] = set()
        """Queued or under way."""
        self._ended: dict[str, bool] = {}
        """Oldest first; whether it was performed (True) or given up."""
        self._changed = threading.Condition()
        self._stopping = False
        self._threads: list[threading.Thread] = []

    def enqueue(self, command_ids: Sequence[str], within: Transaction) -> None:
        """Queue commands once the transaction is committed; an id that is known changes nothing."""
        within.on_commit(lambda: self._queue(command_ids))

    def start(self, perform: Callable[[str], None]) -> None:
        """Begin to call `perform(command_id)` from `workers_max` threads."""
        if self._threads:
            raise OwnFault("the engine was started twice")
        self._stopping = False
        # Daemons: a process that ends without `stop` is a killed one, and must not hang.
        self._threads = [
            threading.Thread(target=self._work, args=(perform,), name=f"worker-{n}", daemon=True)
            for n in range(self._workers_max)
        ]
        for thread in self._threads:
            thread.start()

    def recover(self, command_ids: Sequence[str]) -> None:
        """Queue those of the commands that the engine does not know or has given up."""
        with self._changed:
            for command_id in command_ids:
                if self._ended.get(command_id) is False:
                    del self._ended[command_id]
        self._queue(command_ids)

    def stop(self) -> None:
        """Stop taking commands and wait for those under way; what is queued stays queued."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _queue(self, command_ids: Sequence[str]) -> None:
        with self._changed:
            for command_id in command_ids:
                if command_id not in self._unended and command_id not in self._ended:
                    self._unended.add(command_id)
                    self._queued.append(command_id)
                    self._changed.notify()

    def _work(self, perform: Callable[[str], None]) -> None:
        while (command_id := self._take()) is not None:
            performed = False
            try:
                perform(command_id)
                performed = True
            except CutOff:
                _log.info("command %s was cut off", command_id)
            except Exception:  # noqa: BLE001  the port says: whatever it was, it is given up
                _log.exception("command %s was not performed; it waits to be recovered", command_id)
            finally:
                self._end(command_id, performed=performed)

    def _take(self) -> str | None:
        """The oldest queued command, when there is one; None when stopping."""
        with self._changed:
            while not self._stopping and not self._queued:
                self._changed.wait()
            return None if self._stopping else self._queued.popleft()

    def _end(self, command_id: str, *, performed: bool) -> None:
        with self._changed:
            self._unended.discard(command_id)
            self._ended[command_id] = performed
            while len(self._ended) > self._ended_commands_max:
                del self._ended[next(iter(self._ended))]
