"""MemoryOutbox and FakeTarget: the ports of notifications, for tests of what stands on them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from autopack.app.notify import ROUND, Told
from autopack.app.ports import Cancel, Transaction
from autopack.core.notice import Owed


class MemoryOutbox:
    """What is owed, in a dictionary; gone with its process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owed: dict[int, Owed] = {}
        self._made = 0
        self.settled: list[Owed] = []
        """Delivered or given up, as it was then."""

    def owe(self, owed: Sequence[Owed], within: Transaction) -> None:
        """Note notices once the write commits."""
        within.on_commit(lambda: self._take(owed))

    def _take(self, owed: Sequence[Owed]) -> None:
        with self._lock:
            for each in owed:
                self._made += 1
                self._owed[self._made] = replace(each, number=self._made)

    def owed(self, target: str, *, after: int = 0, limit: int = ROUND) -> list[Owed]:
        """What a target has not had yet, oldest first, behind the place `after`."""
        with self._lock:
            mine = [o for o in self._owed.values() if o.target == target and o.number > after]
        return mine[:limit]

    def delivered(self, owed: Owed) -> None:
        """It was told: never owed again."""
        with self._lock:
            self.settled.append(self._owed.pop(owed.number))

    def failed(self, owed: Owed, said: str, *, given_up: bool) -> None:
        """Count an attempt; `given_up`: it was the last."""
        with self._lock:
            now = replace(self._owed[owed.number], attempts=owed.attempts + 1, said=said)
            self._owed[owed.number] = now
            if given_up:
                self.settled.append(self._owed.pop(owed.number))


@dataclass
class FakeTarget:
    """Says what a test tells it to; `heard` is what it was told, in order."""

    answers: list[Told] = field(default_factory=list)
    """Taken from the front; delivered when there is none."""
    heard: list[tuple[str, str]] = field(default_factory=list)

    def tell(self, notice_id: str, body: str, cancel: Cancel) -> Told:
        """One attempt."""
        if cancel.is_set():
            return Told(delivered=False, said="cut off", heard=False)
        self.heard.append((notice_id, body))
        return self.answers.pop(0) if self.answers else Told(True, "it listens", heard=True)

    def check(self) -> None:
        """Nothing can be wrong with it."""
