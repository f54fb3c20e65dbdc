"""The port of the gate's checks: what one looks at, and the ones that need nothing but policy.

A check is `check(subject, cancel)` and gives findings; one that cannot do its work raises a Fault.
It sees the change and cannot alter it. Never decides what findings come to (that is `core.gate`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from autopack.app.ports import Blob, Cancel, Repository
from autopack.core import gate, policy
from autopack.core.patch import ABSENT, GITLINK, TreeDiff
from autopack.core.policy import Rules
from autopack.core.run import Candidate, Finding
from autopack.core.spec import PhaseSpec, RunSpec

FILE_BYTES_MAX: Final = 4 << 20
"""Of one file that checks read; a larger one is told without its content."""
CONTENT_BYTES_MAX: Final = 64 << 20
"""Of all files that checks read, the old ones and the new ones each."""


@dataclass(frozen=True)
class Line:
    """A line of a new file: its number from 1, its text without the line's end."""

    number: int
    text: str


@dataclass(frozen=True)
class Subject:
    """A candidate's change as checks see it; paths are git's bytes, contents are bounded."""

    run: RunSpec
    phase: PhaseSpec
    rules: Rules
    candidate: Candidate
    diff: TreeDiff
    repository: Repository = field(repr=False)
    _read: dict[str, Mapping[bytes, Blob]] = field(default_factory=dict, repr=False, compare=False)

    def old(self, path: bytes) -> Blob | None:
        """A changed file as the parent has it; None when it has no such file."""
        return self._side(self.candidate.parent, old=True).get(path)

    def new(self, path: bytes) -> Blob | None:
        """A changed file as the candidate has it; None when it has no such file."""
        return self._side(self.candidate.tree, old=False).get(path)

    def added(self, path: bytes) -> tuple[Line, ...] | None:
        """Lines that the candidate's file has and the parent's has not, or less often.

        A line that only moved is not among them. None when either file is too large to read.
        """
        old, new = self.old(path), self.new(path)
        if (old and old.data is None) or (new and new.data is None):
            return None
        before = Counter(_lines(old.data if old and old.data else b""))
        found = []
        for number, line in enumerate(_lines(new.data if new and new.data else b""), 1):
            if before[line] > 0:
                before[line] -= 1
            else:
                found.append(Line(number, line))
        return tuple(found)

    def _side(self, tree: str, *, old: bool) -> Mapping[bytes, Blob]:
        """One side of all changed files, read at the first question."""
        if tree not in self._read:
            changes = self.diff.changes
            paths = [c.path for c in changes if _is_file(c.old_mode if old else c.new_mode)]
            self._read[tree] = self.repository.blobs(tree, paths, FILE_BYTES_MAX, CONTENT_BYTES_MAX)
        return self._read[tree]


class Check(Protocol):
    """One check of the gate."""

    def __call__(self, subject: Subject, cancel: Cancel) -> Iterable[Finding]:
        """What is wrong with the change; nothing is a pass.

        `cancel`: told to end early, an EnvironmentFault then. A Fault, or any other error, is the
        environment's failure and never a pass.
        """
        ...


@dataclass(frozen=True)
class NamedCheck:
    """A check under the name that a project knows it by."""

    name: str
    check: Check

    @property
    def cheap(self) -> bool:
        """Whether it is looked at whatever the others say."""
        return self.name in gate.CHEAP


def structure(subject: Subject, cancel: Cancel) -> Iterable[Finding]:
    """Sizes, modes, links and names of what is added."""
    del cancel
    return policy.structure(subject.diff, subject.rules)


def scope(subject: Subject, cancel: Cancel) -> Iterable[Finding]:
    """Paths that the phase may not touch."""
    del cancel
    return policy.scope(subject.diff, subject.rules)


def protected(subject: Subject, cancel: Cancel) -> Iterable[Finding]:
    """Paths that judge or instruct."""
    del cancel
    return policy.protected(subject.diff, subject.rules)


def deliverables(subject: Subject, cancel: Cancel) -> Iterable[Finding]:
    """What the phase must show."""
    del cancel
    return policy.deliverables(subject.diff, subject.rules)


POLICY: Final[Sequence[NamedCheck]] = (
    NamedCheck("structure", structure),
    NamedCheck("scope", scope),
    NamedCheck("protected", protected),
    NamedCheck("deliverables", deliverables),
)
"""What needs no adapter, in order."""


def _is_file(mode: str) -> bool:
    return mode not in {ABSENT, GITLINK}


def _lines(data: bytes) -> Iterator[str]:
    """The lines of a file, whatever it is encoded in."""
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    yield from data.decode("utf-16" if wide else "utf-8", "replace").splitlines()
