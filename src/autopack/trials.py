"""What tries a repository without a run: CI of its base, and its history under a policy.

Builds like `wiring`, for `autopack doctor --tests` and `autopack backtest`. Records no run.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from autopack import staffing, wiring
from autopack.adapters.agents.replay import ReplayAgent
from autopack.adapters.gate.registry import CheckContext, load_checks
from autopack.adapters.git import history
from autopack.adapters.git.checkout import Checkout
from autopack.adapters.git.sharing import shared, trial_folder
from autopack.adapters.git.source import inspect
from autopack.app.backtest import Ground, Past, Policies, by_name
from autopack.app.checks import NamedCheck
from autopack.app.ports import Tested, TestTask
from autopack.app.start import find_base, read_project, trial
from autopack.core.project import GateSettings, Project
from autopack.core.spec import (
    CiProfile,
)
from autopack.process.folders import clear
from autopack.settings import Loaded

WORKERS_MAX: Final = 4
"""Commits replayed at a time: half of each is waiting for the disk. With CI, one."""


@dataclass(frozen=True)
class Wish:
    """What to replay: the `last` commits up to `tip` of `base`; `project`'s profile is CI."""

    base: str
    tip: str
    last: int
    project: Project
    policies: Policies
    ci: bool
    in_clones: bool
    seconds_max: int


def try_base(loaded: Loaded, source: Checkout) -> Tested:
    """Run the normal profile of the default branch as a run would, in our own repository."""
    base, commit = find_base(source, "")
    project = read_project(source, base, commit)
    spec = trial(project.project_id, str(source.top), base, commit)
    with (
        wiring.writing(loaded) as store,
        shared(loaded.folders.repository(spec.project_id, spec.repository)),
        trial_folder(loaded.folders.trials, "doctor-") as place,
    ):
        projects = wiring.projects_of(loaded, alone=False)
        repository = projects.repository(spec)
        repository.prepare(spec.repository, base, commit, spec.branch)
        verifier, never = staffing.verifier_of(loaded, store, projects), threading.Event()
        verifier.prepare(spec, never)
        tree = repository.tree(commit)
        task = TestTask(
            spec, spec.phases[0], commit, tree, CiProfile.NORMAL, place / "ci", place / "logs"
        )
        return verifier.test(task, never)


def repository(loaded: Loaded, folder: Path) -> Checkout:
    """The user's repository that holds `folder`, bare or not."""
    git = wiring.git(loaded)
    return Checkout(git, inspect(git, folder))


def _checks(project: Project) -> Sequence[NamedCheck]:
    """The gate's checks but its commands: those need the environment of each commit's own day."""
    named = tuple(name for name in project.gate.checks if name != "commands")
    return load_checks(CheckContext(replace(project, gate=GateSettings(named))))


@contextmanager
def backtesting(
    loaded: Loaded, source: Checkout, wish: Wish
) -> Iterator[tuple[list[Past], Ground]]:
    """The commits to replay and what replays them; refs, clones and lock are gone afterwards."""
    folders, project = loaded.folders, wish.project
    spec = trial(project.project_id, str(source.top), wish.base, wish.tip)
    folders.make()
    folders.check_room()
    with ExitStack() as stack:
        stack.enter_context(shared(folders.repository(spec.project_id, spec.repository)))
        projects = wiring.projects_of(loaded, alone=False)
        ours = projects.repository(spec)
        past = stack.enter_context(history.backtesting(ours, spec.repository, wish.base, wish.tip))
        scratch = stack.enter_context(trial_folder(folders.trials, "backtest-"))
        pasts = past.last(wish.tip, wish.last)
        logs = folders.logs / "backtest" / ours.folder.parent.name
        ground = Ground(
            repository=ours,
            builder=ReplayAgent(past, by_name(pasts), wish.in_clones),
            clock=wiring.clock(loaded),
            policies=wish.policies,
            project_id=project.project_id,
            origin=spec.repository,
            scratch=scratch,
            logs=logs,
            in_clones=wish.in_clones,
            seconds_max=wish.seconds_max,
            workers_max=1 if wish.ci else WORKERS_MAX,
            checks=_checks(project),
        )
        if wish.ci:
            clear(logs)  # of the last backtest
            store = stack.enter_context(wiring.writing(loaded))
            ground = replace(
                ground, verifier=staffing.verifier_of(loaded, store, projects, project)
            )
        yield pasts, ground
