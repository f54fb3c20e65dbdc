"""Commands: what the machine asks of the world, each with a number in its run.

A command is performed at least once and answered exactly once; names derive from (run, number),
phase and attempt, so that performing it again does nothing twice. Never performs anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from autopack.core.run import (
    Candidate,
    Evidence,
    Failure,
)
from autopack.core.spec import (
    CiProfile,
)


@dataclass(frozen=True)
class PrepareBase:
    """Bring the base commit into the supervisor's repository and start the integration branch."""

    waited: bool = False
    """There was room for its promotion: it is not looked for again."""
    kind: Literal["prepare_base"] = "prepare_base"


@dataclass(frozen=True)
class PrepareEnvironment:
    """Build what CI needs (`[environment]` of the base commit), or find it built."""

    kind: Literal["prepare_environment"] = "prepare_environment"


@dataclass(frozen=True)
class Build:
    """Let the builder do one attempt of a phase on `parent`; capture what it leaves."""

    phase_id: str
    attempt: int
    parent: str
    tokens_max: int
    evidence: Evidence | None = None
    kind: Literal["build"] = "build"


@dataclass(frozen=True)
class Wait:
    """Wait at a provider's usage limit until `until` (Unix seconds), then say so."""

    phase_id: str
    until: float
    kind: Literal["wait"] = "wait"


@dataclass(frozen=True)
class Check:
    """Run the gate's checks on a candidate; `commands`: programs of the project are among them."""

    phase_id: str
    candidate: Candidate
    commands: bool = False
    kind: Literal["check"] = "check"


@dataclass(frozen=True)
class CompilePlan:
    """Compile the plan that a drafting attempt left in its candidate."""

    phase_id: str
    candidate: Candidate
    kind: Literal["compile_plan"] = "compile_plan"


@dataclass(frozen=True)
class Audit:
    """Ask the auditor about a candidate; `attempt` counts audits of this phase."""

    phase_id: str
    attempt: int
    candidate: Candidate
    reason: str
    tokens_max: int
    evidence: Evidence | None = None
    """What the gate or CI found, or how the last attempt ended."""
    instead_of: Failure | None = None
    """Set: its attempts are spent, and this is how the phase ends unless the auditor helps."""
    stalled: bool = False
    """Attempts end alike; others are left, and go on without the auditor's help."""
    kind: Literal["audit"] = "audit"


@dataclass(frozen=True)
class Test:
    """Run a CI profile on a candidate."""

    __test__ = False  # its name begins like a test class; pytest must not collect it

    phase_id: str
    candidate: Candidate
    profile: CiProfile
    kind: Literal["test"] = "test"


@dataclass(frozen=True)
class Reapply:
    """Make the candidate again on top of a branch that has moved, under the name `name`."""

    phase_id: str
    candidate: Candidate
    onto: str
    name: str
    kind: Literal["reapply"] = "reapply"


@dataclass(frozen=True)
class Land:
    """Fast-forward the integration branch from `expected` to the candidate, with its tag."""

    phase_id: str
    candidate: Candidate
    expected: str
    tag: str
    kind: Literal["land"] = "land"


@dataclass(frozen=True)
class Deliver:
    """Push branch and snapshot tags, with a lease, into the user's repository."""

    tip: str
    kind: Literal["deliver"] = "deliver"
    asked: bool = False
    """Somebody asks for it: a branch that they deleted or moved back there comes again."""


@dataclass(frozen=True)
class AwaitRoom:
    """Wait until fewer than `most` promotion pull requests of the repository are open."""

    most: int
    kind: Literal["await_room"] = "await_room"


@dataclass(frozen=True)
class Promote:
    """Make the work up to `tip` one pull request: summaries, push, page and statuses.

    `dated`: Unix seconds of its first try, 0: this one is it.
    """

    tip: str
    dated: int = 0
    kind: Literal["promote"] = "promote"


Command = (
    PrepareBase
    | PrepareEnvironment
    | Build
    | Wait
    | Check
    | CompilePlan
    | Audit
    | Test
    | Reapply
    | Land
    | Deliver
    | AwaitRoom
    | Promote
)
INLINE: tuple[type, ...] = (Check, CompilePlan, Reapply, Land)
"""Short and local: performed by whoever made the transition, not queued."""
INTERRUPTIBLE: tuple[type, ...] = (
    PrepareBase,
    PrepareEnvironment,
    Build,
    Wait,
    Audit,
    Test,
    Deliver,
    AwaitRoom,
)
"""Told to end early when the run stops; they still answer. What is left is delivered at its end."""


def is_inline(command: Command) -> bool:
    """Whether it is short: a gate that runs the project's programs is not."""
    return isinstance(command, INLINE) and not runs_commands(command)


def is_interruptible(command: Command) -> bool:
    """Whether it is told to end early."""
    return isinstance(command, INTERRUPTIBLE) or runs_commands(command)


def runs_commands(command: Command) -> bool:
    """Whether it is a look of the gate for which programs of the project run."""
    return isinstance(command, Check) and command.commands


@dataclass(frozen=True)
class Pending:
    """A command that is issued and not answered; `retry` counts environment failures before."""

    number: int
    command: Command
    retry: int = 0
    issued_at: int = 0
    """Unix seconds of the event that first issued it: the date of commits and tags it makes."""


def command_id(run_id: str, number: int) -> str:
    """The engine's id of a command: the same command never runs as two."""
    return f"{run_id}:{number}"


def split_command_id(value: str) -> tuple[str, int]:
    """Run id and number of an engine id."""
    run_id, _, number = value.rpartition(":")
    return run_id, int(number)
