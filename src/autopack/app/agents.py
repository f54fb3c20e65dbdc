"""The ports of coding agents: builders, auditors, and the records that cross them.

Never an implementation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from autopack.app.ports import Cancel, Clone
from autopack.core.event import Outcome, Recommendation
from autopack.core.issue import IssueReport, KnownIssue
from autopack.core.patch import Change
from autopack.core.run import Evidence
from autopack.core.spec import PhaseSpec


@dataclass(frozen=True)
class Attempt:
    """What a builder is given."""

    run_id: str
    phase: PhaseSpec
    number: int
    tokens_max: int
    evidence: Evidence | None
    log_folder: Path
    known_issues: tuple[KnownIssue, ...] = ()
    """Of its scope: from the backlog and from phases of this run."""


@dataclass(frozen=True)
class Built:
    """What a builder says and leaves: a patch, or (None) its clone's work tree.

    `outcome` SUBMITTED is a claim; git decides whether there is a change. `error` set: the
    environment did not let the agent begin. What fails after that is told in `note`: the agent's
    work and its tokens stand.
    """

    outcome: Outcome
    tokens: int = 0
    note: str = ""
    patch: bytes | None = None
    parked_until: float = 0.0
    error: str = ""
    issues: tuple[IssueReport, ...] = ()


class Builder(Protocol):
    """A coding agent that does one attempt of a phase in a clone."""

    def build(self, attempt: Attempt, clone: Clone, cancel: Cancel) -> Built: ...

    def spent(self, log_folder: Path, tokens_max: int) -> int:
        """Tokens that the last try with this log folder reported; it died without an answer.

        0 when it reported none, the `tokens_max` that it had when its report cannot be read.
        """
        ...


@dataclass(frozen=True)
class AuditTask:
    run_id: str
    phase: PhaseSpec
    number: int
    candidate: str
    reason: str
    tokens_max: int
    log_folder: Path
    evidence: Evidence | None = None
    """What the gate or CI found, or how the last attempt ended."""
    changes: tuple[Change, ...] = ()
    """Of the candidate against its parent; a bounded number of them."""
    changes_more: int = 0
    """Changed files that are not among them."""
    known_issues: tuple[KnownIssue, ...] = ()
    """Of the phase itself, then of its scope."""


@dataclass(frozen=True)
class Audited:
    recommendation: Recommendation
    tokens: int = 0
    notes: str = ""
    patch: bytes | None = None
    error: str = ""
    issues: tuple[IssueReport, ...] = ()


class Auditor(Protocol):
    """A second agent that reads a candidate and gives a verdict."""

    def audit(self, task: AuditTask, clone: Clone, cancel: Cancel) -> Audited: ...

    def spent(self, log_folder: Path, tokens_max: int) -> int:
        """As a builder's."""
        ...


class Starts(Protocol):
    """Notes of agents' starts, by log folder and command number; they outlive the process."""

    def noted(self, log_folder: Path, command: int) -> tuple[int, ...]:
        """For each start so far the tokens that the try before it had used."""
        ...

    def note(self, log_folder: Path, command: int, tokens: int) -> None:
        """Note one more start; durable on return."""
        ...


@dataclass(frozen=True)
class Agents:
    """The agents that are configured, by name."""

    builders: Mapping[str, Builder]
    auditors: Mapping[str, Auditor]
