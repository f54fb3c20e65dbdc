"""Builds what `autopack preflight` needs, and lets it judge: a commit, or the work tree on HEAD.

As `trials`: our own repository, the fence and the environment of runs. Records no run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock

from autopack import staffing, wiring
from autopack.adapters.git import source as sources
from autopack.adapters.git.checkout import Checkout
from autopack.adapters.git.repository import BareRepository
from autopack.adapters.git.sharing import shared, trial_folder
from autopack.adapters.git.worktree import captured
from autopack.adapters.git.wrapper import Store
from autopack.app import preflight
from autopack.app.ports import Cancel, TestTask
from autopack.app.preflight import HeldGreens, Limits
from autopack.app.start import find_base, read_project, trial
from autopack.core.errors import OperatorFault
from autopack.core.preflight import Outcome, Try, outcome
from autopack.core.project import Project, parse_project
from autopack.core.reader import FILE_NAME
from autopack.core.spec import CiProfile
from autopack.process.folders import clear
from autopack.settings import Loaded


@dataclass(frozen=True)
class Wish:
    """What to judge. `revision` empty: HEAD. `base`: whose commands judge; empty: its own."""

    revision: str
    base: str
    worktree: bool
    profile: CiProfile
    limits: Limits


@dataclass(frozen=True)
class Judged:
    """What came of it; `commit` is the user's, also of a work tree that stands on it."""

    commit: str
    worktree: bool
    defined_by: str
    profile: CiProfile
    outcome: Outcome
    tries: tuple[Try, ...]


def preflight_of(
    loaded: Loaded, source: Checkout, wish: Wish, cancel: Cancel, told: Callable[[Try], None]
) -> Judged:
    """Judge it; OperatorFault when what was asked cannot be, before anything is run."""
    revision, commit = find_base(source, wish.revision or "HEAD")
    base, defining = find_base(source, wish.base) if wish.base else (revision, commit)
    project = read_project(source, base, defining)
    top = str(source.top)
    before = source.commit(f"{commit}^1")  # of a root, none
    spec = trial(project.project_id, top, base, defining if wish.base else before or commit)
    folders = loaded.folders
    folders.make()
    folders.check_room()
    with ExitStack() as stack:
        store = stack.enter_context(wiring.writing(loaded))
        stack.enter_context(shared(folders.repository(spec.project_id, spec.repository)))
        projects = wiring.projects_of(loaded, alone=False)
        ours = projects.repository(spec)
        for needed in filter(None, (commit, defining, before)):
            sources.fetch(Store(ours.git, ours.folder), top, revision, needed)
        tested, parent = commit, before
        if wish.worktree:
            tested = stack.enter_context(captured(ours, source.facts, commit))
            parent = commit
            project = project if wish.base else _own(ours, tested, source)
        logs = folders.logs / "preflight" / ours.folder.parent.name / wish.profile.value
        stack.enter_context(_alone_with(logs))
        scratch = stack.enter_context(trial_folder(folders.trials, "preflight-"))
        greens = HeldGreens(store)
        verifier = staffing.verifier_of(loaded, store, projects, project, greens)
        task = TestTask(
            spec, spec.phases[0], tested, ours.tree(tested), wish.profile, scratch, logs,
            parent=parent,
        )  # fmt: skip
        tries = preflight.judge(verifier, task, wish.limits, greens, cancel, told)
    where = "its own autopack.toml" if not wish.base else f"{FILE_NAME} of {base} ({defining[:12]})"
    return Judged(commit, wish.worktree, where, wish.profile, outcome(tries, wish.profile), tries)


def _own(repository: BareRepository, commit: str, source: Checkout) -> Project:
    """What the captured work tree says itself."""
    content = repository.read(commit, FILE_NAME)
    if content is None:
        raise OperatorFault(
            f"the work tree of {source.top} has no {FILE_NAME}", "`autopack init` writes one"
        )
    project = parse_project(content.decode(errors="replace"), source.top.name)
    if isinstance(project, tuple):
        raise OperatorFault("\n".join(map(str, project)), f"mend {FILE_NAME}")
    return project


@contextmanager
def _alone_with(logs: Path) -> Iterator[None]:
    """The log folder, emptied, and nobody else in it."""
    logs.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = filelock.FileLock(logs.with_name(f"{logs.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        what = f"another preflight of this repository ({logs.name}) is under way"
        raise OperatorFault(what, "let it end, or end it first") from None
    try:
        clear(logs)
        yield
    finally:
        lock.release()
