"""MemoryEngine: the Engine port with threads and a dictionary, for tests of what stands on it.

It survives as much of a process's death as a test wants: `successor` is what a restart would find.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import cast

from autopack.app.ports import Transaction
from autopack.core.errors import OwnFault
from autopack.testing.store import MemoryTransaction


class _State(Enum):
    QUEUED = auto()
    UNDER_WAY = auto()
    DONE = auto()
    GIVEN_UP = auto()


class MemoryEngine:
    """At least once per id, `workers_max` at a time; works with MemoryStore's transactions."""

    def __init__(self, *, workers_max: int = 4) -> None:
        self._workers_max = workers_max
        self._states: dict[str, _State] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._threads: list[threading.Thread] = []

    def enqueue(self, command_ids: Sequence[str], within: Transaction) -> None:
        """Queue commands when the transaction commits; an id that is known changes nothing."""
        cast("MemoryTransaction", within).on_commit.append(lambda: self._queue(command_ids))

    def start(self, perform: Callable[[str], None]) -> None:
        """Begin to call `perform(command_id)` from `workers_max` threads."""
        if self._threads:
            raise OwnFault("the engine was started twice")
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, args=(perform,), daemon=True)
            for _ in range(self._workers_max)
        ]
        for thread in self._threads:
            thread.start()

    def recover(self, command_ids: Sequence[str]) -> None:
        """Queue those of the commands that the engine does not know or has given up."""
        self._queue(command_ids, again=True)

    def stop(self) -> None:
        """Stop taking commands and wait for those under way."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._threads = []

    def successor(self) -> MemoryEngine:
        """The engine of the next process, had this one been killed now."""
        heir = MemoryEngine(workers_max=self._workers_max)
        with self._changed:
            heir._states = {
                name: _State.QUEUED if state is _State.UNDER_WAY else state
                for name, state in self._states.items()
            }
        return heir

    def _queue(self, command_ids: Sequence[str], *, again: bool = False) -> None:
        with self._changed:
            for name in command_ids:
                if name not in self._states or (again and self._states[name] is _State.GIVEN_UP):
                    self._states[name] = _State.QUEUED
            self._changed.notify_all()

    def _take(self) -> str | None:
        """The oldest queued command, or None when stopping."""
        with self._changed:
            while not self._stopping:
                for name, state in self._states.items():
                    if state is _State.QUEUED:
                        self._states[name] = _State.UNDER_WAY
                        return name
                self._changed.wait()
        return None

    def _work(self, perform: Callable[[str], None]) -> None:
        while (name := self._take()) is not None:
            state = _State.GIVEN_UP
            try:
                perform(name)
                state = _State.DONE
            except Exception:  # noqa: BLE001, S110  the port says: it waits to be recovered
                pass
            finally:
                with self._changed:
                    self._states[name] = state
