"""Bugs on purpose: doubles that break one promise each, to show that the simulator sees it."""

from __future__ import annotations

import random
from collections.abc import Callable

from autopack.app.ports import Transaction
from autopack.core.event import Happened
from autopack.core.run import Run
from autopack.testing import MemoryRepository, MemoryStore
from autopack.testing.repository import MemoryCommit, MemoryTag
from tests.simulation.world import Doubles

SELDOM = 0.02
"""How often per write: a power cut that hits just then."""


class EventLost(MemoryStore):
    """State and event are two writes, and a crash between them loses the event."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng

    def save(
        self,
        run: Run,
        happened: Happened,
        *,
        expected_version: int,
        within: Callable[[Transaction], None],
    ) -> bool:
        saved = super().save(run, happened, expected_version=expected_version, within=within)
        if saved and self._rng.random() < SELDOM:
            self._events[run.run_id].pop()
        return saved


class WriteLost(MemoryStore):
    """A write is acknowledged before it is durable: event and state are gone after a crash."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng

    def save(
        self,
        run: Run,
        happened: Happened,
        *,
        expected_version: int,
        within: Callable[[Transaction], None],
    ) -> bool:
        if self.load(run.run_id).version == expected_version and self._rng.random() < SELDOM:
            return True
        return super().save(run, happened, expected_version=expected_version, within=within)


class CommitTwice(MemoryRepository):
    """Commits without looking whether the name is taken, and has forgotten what it kept."""

    def resolve(self, ref: str) -> str | None:
        return None if ref.startswith("refs/autopack/") else super().resolve(ref)

    def commit(self, tree: str, parent: str, message: str, at: int, ref: str) -> str:
        self.refs.pop(ref, None)
        return super().commit(tree, parent, message, at, ref)


class LandTwice(MemoryRepository):
    """Makes a new commit at each landing, also when it is done again."""

    def land(self, branch: str, commit: str, expected: str, tag: str, message: str, at: int) -> str:
        there = self.refs[f"refs/heads/{branch}"]
        if there != expected:
            again = MemoryCommit(self.tree(commit), there, message, at)
            self.refs[f"refs/heads/{branch}"] = self.objects.add_commit(again)
            self.tags[f"refs/tags/{tag}"] = MemoryTag(commit, message, at)
            return commit
        return super().land(branch, commit, expected, tag, message, at)


PLANTED: dict[str, Doubles] = {
    "event-lost": Doubles(store=EventLost),
    "write-lost": Doubles(store=WriteLost),
    "commit-twice": Doubles(repository=lambda users: CommitTwice(users, checkouts=False)),
    "land-twice": Doubles(repository=lambda users: LandTwice(users, checkouts=False)),
}
