"""Every Protocol that the verbs ask of the world, and the records that cross it.

Each port has a real adapter and a fake under the same contract tests. Never an implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from autopack.core.backlog import Facts
from autopack.core.blame import Exoneration
from autopack.core.event import CiVerdict, Happened
from autopack.core.patch import TreeDiff
from autopack.core.run import Evidence, Finding, Run
from autopack.core.spec import CiProfile, PhaseSpec, RunSpec


class Cancel(Protocol):
    """Told to end early? `threading.Event` is one."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool: ...


class Clock(Protocol):
    def now(self) -> int:
        """Unix seconds; for people and commit dates, decides nothing."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; for durations."""
        ...


# --- store and engine ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Recorded:
    """An event as logged: `sequence` from 1 in its run; `digest` chains over all before it."""

    run_id: str
    sequence: int
    happened: Happened
    digest: str


@dataclass(frozen=True)
class Request:
    """What another process asks: `cancel`, `deliver`, `promote`, `record_issue`."""

    number: int
    run_id: str
    kind: str
    by: str
    body: str = ""
    """JSON, for what needs more than a name."""


class Transaction(Protocol):
    """An open write of the store."""

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Have it called once the write is durable; never when it is rolled back."""
        ...

    def create(self, run: Run, happened: Happened) -> bool:
        """Record a new run with its first event; False, and nothing written, when it is taken."""
        ...

    def facts(self, project_id: str, repository: str) -> Facts:
        """What is known of a project's issues, with what this write says of them."""
        ...


class Store(Protocol):
    """Events, projections and requests; one writer at a time, every write durable on return."""

    def create(self, run: Run, happened: Happened) -> None:
        """Record a new run with its first event; OperatorFault when the id is taken."""
        ...

    def load(self, run_id: str) -> Run:
        """The run as its last event left it; OperatorFault when unknown."""
        ...

    def save(
        self,
        run: Run,
        happened: Happened,
        *,
        expected_version: int,
        within: Callable[[Transaction], None],
    ) -> bool:
        """Append the event and replace the projections in one transaction, `within` inside it.

        False, and nothing written, when the stored version is not `expected_version`.
        """
        ...

    def runs(self, *, ended: bool | None = None, after: str = "", limit: int = 50) -> list[Run]:
        """Runs, newest first, after the run of id `after`; only (not) ended ones when asked."""
        ...

    def open_ids(self) -> list[str]:
        """Ids of the runs that have not ended, newest first; asked several times a second."""
        ...

    def continued(self, run_id: str) -> list[str]:
        """Ids of the runs whose predecessor that run is, oldest first."""
        ...

    def events(self, run_id: str, *, after: int = 0, limit: int = 1000) -> list[Recorded]: ...

    def verify(self, run_id: str) -> list[str]:
        """Problems of the run's chain and projections, rebuilt from its events; empty is sound."""
        ...

    def ask(self, run_id: str, kind: str, by: str, body: str = "") -> int:
        """Leave a request for the supervisor; its number."""
        ...

    def requests(self) -> list[Request]: ...

    def answered(self, number: int) -> None:
        """Drop a request that was carried out."""
        ...

    def green(self, key: str) -> str | None:
        """The JSON of a cached green CI result."""
        ...

    def remember_green(self, key: str, result: str) -> None: ...

    def close(self) -> None: ...


class Engine(Protocol):
    """The queue of long commands: at least once each, by id, several at a time.

    It may forget everything when its process dies: the state tells what is unanswered.
    """

    def enqueue(self, command_ids: Sequence[str], within: Transaction) -> None:
        """Queue commands when the transaction commits; an id that is known changes nothing."""
        ...

    def start(self, perform: Callable[[str], None]) -> None:
        """Begin to call `perform(command_id)`."""
        ...

    def recover(self, command_ids: Sequence[str]) -> None:
        """Queue those of the commands that the engine does not know or has given up."""
        ...

    def stop(self) -> None:
        """Stop taking commands and wait for those under way."""
        ...


# --- git ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Clone:
    """A disposable checkout: its folder, the commit it stands on, the index saved at checkout."""

    folder: Path
    commit: str
    index: Path


@dataclass(frozen=True)
class Refused:
    """Work that cannot become a tree, with the reasons."""

    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Blob:
    """A plain file of a tree: `size` in bytes, and its content unless it was too large to read."""

    size: int
    data: bytes | None


@dataclass(frozen=True)
class CommitFacts:
    """What a commit says: its tree, its first parent (empty for a root) and its message."""

    tree: str
    parent: str
    message: str


class Outlook(StrEnum):
    """How a promotion's base stands to its work."""

    UNMOVED = "unmoved"
    CLEAN = "clean"
    """It moved, and the work merges cleanly into it."""
    CONFLICTS = "conflicts"
    UNKNOWN = "unknown"
    """Its commit cannot be seen from here."""


class Repository(Protocol):
    """The supervisor's own bare repository of one project. Idempotent on the names it is given."""

    def prepare(
        self, source: str, base_ref: str, commit: str, branch: str, cancel: Cancel | None = None
    ) -> None:
        """Fetch the base from the user's repository to `refs/source/*`; start the branch on it.

        EnvironmentFault, and the branch left alone, when it stands elsewhere or was told to end.
        """
        ...

    def refs_of(self, run_id: str) -> Mapping[str, str]:
        """A run's branch, tags and attempts: full ref to the commit it stands for."""
        ...

    def read(self, commit: str, path: str) -> bytes | None:
        """A file of a commit; None when it is not there."""
        ...

    def paths(self, commit: str) -> list[bytes]:
        """All file paths of a commit."""
        ...

    def blobs(
        self, tree: str, paths: Sequence[bytes], file_bytes_max: int, bytes_max: int
    ) -> Mapping[bytes, Blob]:
        """Those of the paths that are plain files or links of a tree or commit, in one look.

        What is larger than `file_bytes_max`, and what would make it more than `bytes_max` in all,
        is told without its content; the paths are read in their order.
        """
        ...

    def clone(self, commit: str, folder: Path) -> Clone:
        """A checkout without remote, credentials or writable objects of anyone else."""
        ...

    def discard(self, folder: Path) -> None:
        """Remove a clone or what a crash left of one, whatever its modes; absent is fine."""
        ...

    def left(self, folder: Path) -> bool:
        """Whether a clone is there that was made to the end: an agent may have worked in it."""
        ...

    def set_aside(self, folder: Path, to: Path, patch: bytes | None) -> Path:
        """Move a clone whose work could not be captured, to keep it; where it is now.

        A place that is taken gets a number behind its name; where nothing can be moved to, the
        clone gets one in its own place. A patch goes to `<name>.patch` there. EnvironmentFault
        tells what is where; nothing is deleted.
        """
        ...

    def capture(self, clone: Clone, force: Sequence[str]) -> str | Refused:
        """The clone's work tree as a tree id; ignore rules are the base's, `force` added anyway."""
        ...

    def apply(self, parent: str, patch: bytes) -> str | Refused:
        """A unified diff on top of a commit, as a tree id, or why not."""
        ...

    def keep_patch(self, parent: str, patch: bytes) -> str:
        """A tree with the parent's files and the patch as a file, for one that does not apply."""
        ...

    def commit(self, tree: str, parent: str, message: str, at: int, ref: str) -> str:
        """Commit a tree and keep it under `ref`; a ref that exists is kept and its commit told."""
        ...

    def resolve(self, ref: str) -> str | None:
        """The commit a ref points to."""
        ...

    def tree(self, commit: str) -> str: ...

    def facts(self, commit: str) -> CommitFacts: ...

    def diff(self, parent: str, tree: str) -> TreeDiff: ...

    def reapply(self, commit: str, onto: str) -> str | Refused:
        """The commit's change on top of `onto` as a tree, or the conflicts."""
        ...

    def land(self, branch: str, commit: str, expected: str, tag: str, message: str, at: int) -> str:
        """Fast-forward the branch and make the annotated tag, both or neither.

        The branch's commit afterwards: `commit` when it landed, now or before; another otherwise.
        """
        ...

    def deliver(
        self,
        target: str,
        run_id: str,
        tip: str,
        expected: str,
        cancel: Cancel | None = None,
        *,
        asked: bool = False,
    ) -> str:
        """Push branch and tags of a run with a lease on `expected`; why not, empty when done.

        Told to end early, it may have arrived or not: another delivery finds out.

        A branch that stands at a snapshot of the run is ours, too: an answer may have been lost.
        When somebody `asked`, so is one that was delivered and is gone, or stands where nothing is
        lost by going forward.
        """
        ...

    def with_files(self, commit: str, files: Mapping[str, bytes]) -> str | Refused:
        """A commit's tree with these plain files; refused where something is in their way."""
        ...

    def outlook(
        self, source: str, branch: str, commit: str, tip: str, cancel: Cancel | None = None
    ) -> Outlook:
        """How a branch of the user's repository, seen at `commit`, would take the tip."""
        ...


# --- CI, artefacts ----------------------------------------------------------------------


@dataclass(frozen=True)
class TestTask:
    """What CI is to judge: a candidate's clone under a profile of the base's `autopack.toml`."""

    __test__ = False

    run: RunSpec
    phase: PhaseSpec
    commit: str
    tree: str
    profile: CiProfile
    folder: Path
    """Private to this test: clone and reports go below it; discarded afterwards."""
    log_folder: Path
    """What CI printed; kept."""
    watched: tuple[str, ...] = ()
    """Ids of tests of which it is asked whether they ran green."""
    parent: str = ""
    """The commit that the candidate changes; empty: nothing is blamed on or compared with it."""
    tip: str = ""
    """Where the branch stands: compared with while nothing is known of a parent ahead of it."""
    quarantined: tuple[str, ...] = ()
    """Issue keys of flakes that strict profiles tolerate."""
    seconds_left: float | None = None
    """Of the run; without them nothing runs again. None: as many as it takes."""


@dataclass(frozen=True)
class Tested:
    __test__ = False

    verdict: CiVerdict
    evidence: Evidence | None = None
    tests_run: int = 0
    weak: bool = False
    cached: bool = False
    error: str = ""
    passed: tuple[str, ...] = ()
    """Of the watched tests of a green candidate, those that ran and were never red."""
    exonerated: tuple[Exoneration, ...] = ()
    """Red tests that are not the candidate's doing."""
    proved: tuple[str, ...] = ()
    """Ids of tests that are red on the parent and green now, bounded."""
    findings: tuple[Finding, ...] = ()
    """What the tests of a green candidate say beside its parent's."""


class Verifier(Protocol):
    """CI: only it decides red or green."""

    def prepare(self, run: RunSpec, cancel: Cancel) -> str:
        """Build or find the base's environment; its digest. EnvironmentFault when it fails."""
        ...

    def test(self, task: TestTask, cancel: Cancel) -> Tested: ...


class Artefacts(Protocol):
    """The files under `.autonomous_runs/`, rendered from a run; each write is atomic."""

    def render(self, run: Run, events: Iterator[Recorded] | Sequence[Recorded]) -> None: ...
