"""What lies between the supervisor and its fakes: it takes time and tells the watch.

Never changes an answer.
"""

from __future__ import annotations

from collections.abc import Callable

from autopack.app import ports
from autopack.core.event import Happened
from autopack.core.run import Run
from autopack.testing import MemoryRepository
from tests.simulation.invariants import Watch


class Slow:
    """A repository whose calls over a network take their time."""

    def __init__(self, repository: MemoryRepository, meanwhile: Callable[[], None]) -> None:
        self._repository = repository
        self._meanwhile = meanwhile

    def __getattr__(self, name: str) -> object:
        return getattr(self._repository, name)

    def prepare(
        self, source: str, base_ref: str, commit: str, branch: str, cancel: ports.Cancel
    ) -> None:
        self._meanwhile()
        self._repository.prepare(source, base_ref, commit, branch, cancel)

    def deliver(
        self,
        target: str,
        run_id: str,
        tip: str,
        expected: str,
        cancel: ports.Cancel,
        *,
        asked: bool = False,
    ) -> str:
        self._meanwhile()
        return self._repository.deliver(target, run_id, tip, expected, cancel, asked=asked)


class Watched:
    """A store that tells the watch what it acknowledged."""

    def __init__(
        self,
        store: ports.Store,
        watch: Watch,
        say: Callable[[str], None],
        moves: Callable[[Run], Run],
    ) -> None:
        self._store = store
        self._watch = watch
        self._say = say
        self._moves = moves

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def save(
        self,
        run: Run,
        happened: Happened,
        *,
        expected_version: int,
        within: Callable[[ports.Transaction], None],
    ) -> bool:
        before, run = self._store.load(run.run_id), self._moves(run)
        saved = self._store.save(run, happened, expected_version=expected_version, within=within)
        if saved:
            self._say(f"{run.run_id} {run.version}: {happened.event}")
            self._watch.saved(before, run, happened)
        return saved
