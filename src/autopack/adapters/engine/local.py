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

COMMANDS_MAX = 1_000
"""Commands under way at once, each with a thread: some 30 kB and no CPU while it waits."""
ENDED_COMMANDS_MAX = 10_000
"""Ended commands that stay known, so that a late second enqueue of an id does nothing; some 1 MB.

A forgotten one would be performed again, which only loads its run and sees that it is answered.
"""
_log = logging.getLogger(__name__)


class LocalEngine:
    """At least once per id, first in first out, a thread for each of `commands_max` at a time.

    How many may load the machine is not its business: that is `app.turns.Slots`.
    """

    def __init__(
        self, *, commands_max: int = COMMANDS_MAX, ended_commands_max: int = ENDED_COMMANDS_MAX
    ) -> None:
        self._commands_max = commands_max
        self._ended_commands_max = ended_commands_max
        self._queued: deque[str] = deque()
        self._unended: set[str] = set()
        """Queued or under way."""
        self._ended: dict[str, bool] = {}
        """Oldest first; whether it was performed (True) or given up."""
        self._changed = threading.Condition()
        self._stopping = False
        self._perform: Callable[[str], None] | None = None
        self._threads: list[threading.Thread] = []
        self._idle = 0
        """Threads that wait for a command and are not about to get one."""

    def enqueue(self, command_ids: Sequence[str], within: Transaction) -> None:
        """Queue commands once the transaction is committed; an id that is known changes nothing."""
        within.on_commit(lambda: self._queue(command_ids))

    def start(self, perform: Callable[[str], None]) -> None:
        """Begin to call `perform(command_id)` from as many threads as there are commands."""
        with self._changed:
            if self._perform is not None:
                raise OwnFault("the engine was started twice")
            self._perform, self._stopping = perform, False
            for _ in self._queued:
                self._add_thread(perform)

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
        self._threads, self._perform, self._idle = [], None, 0

    def _queue(self, command_ids: Sequence[str]) -> None:
        with self._changed:
            for command_id in command_ids:
                if command_id not in self._unended and command_id not in self._ended:
                    self._unended.add(command_id)
                    self._queued.append(command_id)
                    if self._idle:
                        self._idle -= 1
                        self._changed.notify()
                    elif self._perform is not None and not self._stopping:
                        self._add_thread(self._perform)

    def _add_thread(self, perform: Callable[[str], None]) -> None:
        number = len(self._threads)
        if number < self._commands_max:
            # Daemons: a process that ends without `stop` is a killed one, and must not hang.
            self._threads.append(
                threading.Thread(
                    target=self._work, args=(perform,), name=f"worker-{number}", daemon=True
                )
            )
            self._threads[-1].start()

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
                self._idle += 1
                self._changed.wait()
            return None if self._stopping else self._queued.popleft()

    def _end(self, command_id: str, *, performed: bool) -> None:
        with self._changed:
            self._unended.discard(command_id)
            self._ended[command_id] = performed
            while len(self._ended) > self._ended_commands_max:
                del self._ended[next(iter(self._ended))]
