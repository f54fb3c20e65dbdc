"""From configuration to a verifier: the factory that an entry point of `autopack.verifiers` names.

A factory is `factory(context)` and returns a Verifier. Nothing is started here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autopack.adapters.ci.environment import Environments
from autopack.adapters.ci.forge import ChecksLimits, ForgeVerifier
from autopack.adapters.ci.local import LocalVerifier
from autopack.adapters.plugins import VERIFIERS, load
from autopack.app.apply import project_of_base
from autopack.app.greens import GreenResults
from autopack.app.ports import Cancel, Clock, Repository, Verifier
from autopack.core.errors import OperatorFault
from autopack.core.project import Project
from autopack.core.spec import (
    RunSpec,
)
from autopack.process.workbench import Workbench


@dataclass(frozen=True)
class VerifierContext:
    """What a factory may use.

    `cache`: the folder of built environments. `prepare_env`: what building them may see of the
    supervisor's environment, such as a proxy's address. `in_use`: digests that open runs need.
    `project`: says how to test, instead of each run's base. `forge_of`: where a run's branches are
    tested, when not here; `clock` and `checks`: how long that may take.
    """

    repository_of: Callable[[RunSpec], Repository]
    greens: GreenResults
    workbench: Workbench
    cache: Path
    prepare_env: Mapping[str, str] = field(default_factory=dict)
    in_use: Callable[[], Collection[str]] = frozenset
    project: Project | None = None
    forge_of: Callable[[RunSpec, Cancel], object] | None = None
    clock: Clock | None = None
    checks: ChecksLimits = field(default_factory=ChecksLimits)


def load_verifier(kind: str, context: VerifierContext) -> Verifier:
    """The verifier of a type, `local` unless configured; OperatorFault when unknown."""
    verifier: Verifier = load(VERIFIERS, kind, "verifier")(context)
    return verifier


def local(context: VerifierContext) -> LocalVerifier:
    """The factory of `local`."""
    environments = Environments(
        context.cache, context.workbench, context.prepare_env, context.in_use
    )
    return LocalVerifier(
        context.repository_of, context.greens, context.workbench, environments,
        project=context.project,
    )  # fmt: skip


def github(context: VerifierContext) -> ForgeVerifier:
    """The factory of `github`."""
    if context.forge_of is None or context.clock is None:
        what = 'verifier = "github" judges candidates of runs only'
        raise OperatorFault(what, 'use verifier = "local" for this')

    def project_of(run: RunSpec) -> Project:
        return context.project or project_of_base(context.repository_of(run), run)

    return ForgeVerifier(
        local(context), context.repository_of, project_of, context.forge_of, context.greens,
        context.clock, context.checks,
    )  # fmt: skip
