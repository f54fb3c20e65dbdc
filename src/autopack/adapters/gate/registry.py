"""From a project's `[gate]` to checks: the factories that entry points of `autopack.checks` name.

A factory is `factory(context)` and returns a Check. Nothing of a candidate is looked at here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from autopack.adapters.plugins import CHECKS, load
from autopack.app.checks import Check, NamedCheck
from autopack.app.ports import Verifier
from autopack.core import gate
from autopack.core.errors import OperatorFault
from autopack.core.project import Project


@dataclass(frozen=True)
class CheckContext:
    """What a factory may use.

    `project`: the project part of the base's `autopack.toml`. `verifier`: the CI of a project with
    other commands, in the same fence and environment; None where no program may run. `scratch`,
    `logs`: clones go below the one, by run and phase, and what programs print below the other.
    """

    project: Project
    verifier: Callable[[Project], Verifier] | None = None
    scratch: Path = Path()
    logs: Path = Path()


def load_checks(context: CheckContext) -> tuple[NamedCheck, ...]:
    """The gate's checks in their order; OperatorFault for a name that nobody has registered.

    Where a project has no commands, nothing is told of the check that would run them.
    """
    named = context.project.gate
    asked = (name for name in named.checks if name != "commands" or named.commands)
    names = gate.arranged(asked)
    return tuple(NamedCheck(name, _check(name, context)) for name in names)


def _check(name: str, context: CheckContext) -> Check:
    made: Check = load(CHECKS, name, "gate.checks")(context)
    if not callable(made):
        what = f"gate.checks: what {name!r} names makes no check"
        raise OperatorFault(what, "report it to who made it; leave it out until then")
    return made
