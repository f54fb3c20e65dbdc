"""From configuration to a verifier: the factory that an entry point of `autopack.verifiers` names.

A factory is `factory(context)` and returns a Verifier. Nothing is started here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autopack.adapters.ci.environment import Environments
from autopack.adapters.ci.local import LocalVerifier
from autopack.adapters.ci.records import GreenResults
from autopack.adapters.plugins import VERIFIERS, load
from autopack.app.ports import Repository, Verifier
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
    `project`: says how to test, instead of each run's base.
    """

    repository_of: Callable[[RunSpec], Repository]
    greens: GreenResults
    workbench: Workbench
    cache: Path
    prepare_env: Mapping[str, str] = field(default_factory=dict)
    in_use: Callable[[], Collection[str]] = frozenset
    project: Project | None = None


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
