"""The error tree: every error names its culprit, and each culprit has its exit code.

Fault
├── OperatorFault      usage, plan, configuration: the person at the keyboard can mend it (2)
├── AgentFault         a coding agent or its patch broke a rule (1)
├── EnvironmentFault   sandbox, disk, git, database, missing tool (3)
│   └── StoreAway      the database's server does not answer: it may come back
└── OwnFault           a defect of Autopack itself (70, sysexits' EX_SOFTWARE)

An agent's misbehaviour during a run is an event, never one of these: they end commands, not runs.
"""

from __future__ import annotations

from typing import ClassVar


class Fault(Exception):
    """Something went wrong: what happened and where, and what to do about it."""

    exit_code: ClassVar[int] = 70
    code: ClassVar[str] = "fault"

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}\n  hint: {self.hint}" if self.hint else self.what


class OperatorFault(Fault):
    """Usage or configuration is wrong; nothing was started."""

    exit_code = 2
    code = "operator"


class AgentFault(Fault):
    """An agent's result cannot be accepted."""

    exit_code = 1
    code = "agent"


class EnvironmentFault(Fault):
    """The machine, git, the disk or the database refused."""

    exit_code = 3
    code = "environment"


class StoreAway(EnvironmentFault):
    """The store's server cannot be reached now; it may come back."""


def refusal(fault: OSError, place: object) -> EnvironmentFault:
    """What the system said of the file it names, else of `place`, and what to do."""
    where = fault.filename or place
    hint = "see that its disk has space and this user may write there; `autopack doctor` looks too"
    return EnvironmentFault(f"{where}: {fault.strerror or fault}", hint)


class OwnFault(Fault):
    """An invariant of Autopack does not hold: please report it."""

    exit_code = 70
    code = "own"
