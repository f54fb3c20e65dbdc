"""Begin a run: facts of a repository, a plan and wishes become a frozen spec, or all that is wrong.

Writes nothing, so that a refusal leaves nothing behind; `supervise.create_run` records what comes
out.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from autopack.app.draft import drafting, goal_problems
from autopack.app.naming import free_id, name_problems
from autopack.app.planning import Ground, Machine, agent_problems, plan_run
from autopack.app.rulesets import BUILT_IN_CURRENT, Current, built_in
from autopack.app.settle import safety_of, scope_of, settled
from autopack.app.surveyor import surveyed
from autopack.core import backlog, series
from autopack.core.draft import Draft
from autopack.core.errors import OperatorFault, OwnFault
from autopack.core.plan import CompiledPlan, PlanRefused, compile_plan
from autopack.core.plan_draft import PhaseDraft, PlanDraft, TierDraft
from autopack.core.project import (
    Project,
    RunSettings,
    parse_project,
)
from autopack.core.reader import (
    FILE_NAME,
)
from autopack.core.spec import (
    OnPhaseFailure,
    PromoteMode,
    RunSpec,
    SafetyProfile,
)
from autopack.core.strategy import aging_of

PROMOTIONS_OPEN_MAX: Final = 5
"""Promotion pull requests of a repository that may be open when a run begins."""


class Facts(Protocol):
    """How a repository stands."""

    @property
    def head_branch(self) -> str:
        """The branch that is checked out; empty when detached."""
        ...

    @property
    def default_branch(self) -> str: ...

    @property
    def empty(self) -> bool: ...

    @property
    def shallow(self) -> bool: ...

    @property
    def partial(self) -> bool: ...

    @property
    def dirty(self) -> bool: ...

    @property
    def object_format(self) -> str: ...

    def in_the_way(self, run_id: str) -> tuple[str, ...]:
        """Refs that a delivery of this run would meet."""
        ...


class Source(Protocol):
    """The user's repository as it is found."""

    @property
    def top(self) -> Path: ...

    @property
    def facts(self) -> Facts: ...

    def commit(self, ref: str) -> str:
        """The commit of a ref; empty when there is none."""
        ...

    def read(self, commit: str, path: str) -> str | None: ...

    def listed(self, commit: str) -> Mapping[str, int]:
        """The plain files of a commit: path and bytes."""
        ...

    def has(self, commit: str, path: str) -> bool:
        """Whether a commit has a plain file of that path."""
        ...

    def is_ancestor(self, old: str, new: str) -> bool: ...


@dataclass(frozen=True)
class Wish:
    """What was asked for; None and empty mean: not said."""

    name: str
    """The run is called `<name>-<n>` when no `run_id` is given."""
    base: str = ""
    run_id: str = ""
    safety_profile: SafetyProfile | None = None
    on_phase_failure: OnPhaseFailure | None = None
    parallel_max: int | None = None
    token_cap: int | None = None
    phases_max: int | None = None
    duration_minutes_max: int | None = None
    promote: PromoteMode | None = None

    @property
    def settings(self) -> RunSettings:
        """What of it a project may say, too."""
        return RunSettings(
            safety_profile=self.safety_profile,
            on_phase_failure=self.on_phase_failure,
            parallel_max=self.parallel_max,
            token_cap=self.token_cap,
            phases_max=self.phases_max,
            duration_minutes_max=self.duration_minutes_max,
            promote=self.promote,
        )


@dataclass(frozen=True)
class Ready:
    """A run that may be recorded, with what its owner should know first."""

    spec: RunSpec
    plan: CompiledPlan
    warnings: tuple[str, ...]
    ruleset: Current = BUILT_IN_CURRENT


@dataclass(frozen=True)
class ReadyDraft:
    """The same of a run whose plan an agent drafts first."""

    spec: RunSpec
    warnings: tuple[str, ...]
    ruleset: Current


def nothing_known(_project_id: str, _repository: str) -> backlog.Facts:
    """What is remembered where no run was seen yet."""
    return backlog.Facts()


def new_run(
    wish: Wish,
    machine: Machine,
    source: Source,
    draft: PlanDraft,
    known: Container[str],
    rulesets: Callable[[str], Current] = built_in,
    remembered: Callable[[str, str], backlog.Facts] = nothing_known,
) -> Ready:
    """The run that may begin; `known` are the ids of the store. OperatorFault lists all problems.

    A repository without the base or its autopack.toml ends it at once: the rest follows from them;
    so does a project whose ruleset is wrong. `rulesets`: a project's, by its id. `remembered`: its
    issues, by its id and repository; aged ones get phases of their own.
    """
    bare, found = _found(wish, machine, source, rulesets)
    aging = aging_of(bare.safety_profile, found.ruleset)
    entries = backlog.backlog(remembered(bare.project_id, bare.repository), aging)
    has = partial(source.has, bare.base_commit)
    planned = plan_run(Ground(bare, found, machine, tuple(entries), has), draft)
    parts = 1 if isinstance(planned, tuple) else len(planned.plan.parts)
    run_id = wish.run_id or free_id(wish.name, source.facts, known, parts)
    problems = [*(planned if isinstance(planned, tuple) else ()),
                *name_problems(run_id, source.facts, known, parts)]  # fmt: skip
    if problems or isinstance(planned, tuple):
        raise OperatorFault("\n".join(problems), "nothing was started; correct these and try again")
    notes = (*found.warnings, *planned.notes, *_warnings(source, bare.base_ref))
    spec = series.called(planned.spec, run_id)
    spec = replace(spec, survey=surveyed(source, bare.base_commit))
    return Ready(spec, planned.plan, notes, found)


def new_draft(
    wish: Wish,
    machine: Machine,
    source: Source,
    asked: Draft,
    known: Container[str],
    rulesets: Callable[[str], Current] = built_in,
) -> ReadyDraft:
    """The run that may begin without a plan: an agent drafts it first. Else as `new_run`."""
    bare, found = _found(wish, machine, source, rulesets)
    bare = replace(bare, run_id=wish.run_id or free_id(wish.name, source.facts, known, 1))
    problems = [*goal_problems(asked.goal), *agent_problems(machine, ())]
    problems += name_problems(bare.run_id, source.facts, known)
    if problems:
        raise OperatorFault("\n".join(problems), "nothing was started; correct these and try again")
    asked = replace(asked, goal=asked.goal.strip(), fixed=tuple(sorted(machine.fixed)))
    spec = replace(drafting(bare, asked, found.ruleset), survey=surveyed(source, bare.base_commit))
    return ReadyDraft(spec, (*found.warnings, *_warnings(source, bare.base_ref)), found)


def _found(
    wish: Wish,
    machine: Machine,
    source: Source,
    rulesets: Callable[[str], Current],
) -> tuple[RunSpec, Current]:
    """The run without its plan, and its ruleset."""
    base, commit = find_base(source, wish.base)
    project = read_project(source, base, commit)
    found = rulesets(project.project_id)
    settings = settled(wish.settings, project.run, found.ruleset)
    return _bare(wish.run_id, project, source, (base, commit), machine, settings, found), found


def find_base(source: Source, wanted: str) -> tuple[str, str]:
    """The base and its commit, the default branch when none is wanted.

    OperatorFault when the repository has none, or cannot be worked from.
    """
    facts, top = source.facts, source.top
    if facts.shallow:
        what = f"{top}: a shallow clone; a run needs the whole history of its base"
        raise OperatorFault(what, "`git fetch --unshallow`")
    if facts.partial:
        raise OperatorFault(f"{top}: a partial clone, which lacks objects", "make a full clone")
    if facts.object_format != "sha1":
        what = f"{top}: its object ids are {facts.object_format}; Autopack works with sha1"
        raise OperatorFault(what, "use a sha1 repository")
    if facts.empty:
        hint = "commit something first, autopack.toml included (`autopack init` writes one)"
        raise OperatorFault(f"{top}: an empty repository, without any commit", hint)
    base = wanted or facts.default_branch
    if commit := source.commit(base) if base else "":
        return base, commit
    if not wanted and facts.head_branch:
        what = f"{top}: branch {facts.head_branch} is unborn: it has no commit yet"
        raise OperatorFault(what, "commit on it, or name another base with --base")
    what = f"{top}: the base {base} names no commit" if base else f"{top}: no default branch"
    raise OperatorFault(what, "name a branch, tag or commit that exists with --base")


def read_project(source: Source, base: str, commit: str) -> Project:
    """The project part of the base; OperatorFault with the advice to commit one."""
    text = source.read(commit, FILE_NAME)
    if text is None:
        where = f"{base} ({commit[:12]}) has no {FILE_NAME}"
        here = (source.top / FILE_NAME).exists()
        hint = f"`git add {FILE_NAME}` and commit it on {base}" if here else "`autopack init`"
        raise OperatorFault(f"{where}: it says how this project is tested", hint)
    project = parse_project(text, source.top.name)
    if isinstance(project, tuple):
        what = "\n".join(str(problem) for problem in project)
        raise OperatorFault(
            what, f"correct it and commit it on {base}: only the base's file counts"
        )
    return project


def trial(project_id: str, repository: str, base: str, commit: str) -> RunSpec:
    """A run of one phase that is never recorded: for CI of the base itself."""
    phase = PhaseDraft("tests", "the base's own tests", scope=("**",), task="none")
    plan = compile_plan(PlanDraft("trial", (TierDraft("base", "base", (phase,)),)))
    if isinstance(plan, PlanRefused):
        raise OwnFault(f"the trial's plan is refused: {plan}")
    return RunSpec(
        run_id=f"trial-{commit[:12]}",
        project_id=project_id,
        repository=repository,
        base_ref=base,
        base_commit=commit,
        tiers=plan.tiers,
        phases=plan.phases,
        builder="",
        auditor="",
        sandbox="",
    )


def _warnings(source: Source, base: str) -> list[str]:
    """What surprises: the run starts from the base, not from what is checked out."""
    found = []
    head = source.facts.head_branch
    if not head:
        found.append(f"HEAD is detached; the run starts from {base}")
    elif head != base:
        found.append(f"{head} is checked out; the run starts from {base}")
    if source.facts.dirty:
        found.append("changed files are not committed; the run starts without them")
    return found


def _bare(
    run_id: str,
    project: Project,
    source: Source,
    base: tuple[str, str],
    machine: Machine,
    settings: RunSettings,
    found: Current,
) -> RunSpec:
    """A run that has its limits and no plan yet."""
    spec = RunSpec(
        run_id=run_id,
        project_id=project.project_id,
        repository=str(source.top),
        base_ref=base[0],
        base_commit=base[1],
        tiers=(),
        phases=(),
        builder=machine.builder,
        auditor=machine.auditor,
        sandbox=machine.sandbox,
        verifier=machine.verifier,
        safety_profile=safety_of(settings),
        run_scope=scope_of(settings, found.ruleset),
        gate_commands=bool(project.gate.commands),
    )
    minutes, parked = settings.duration_minutes_max, settings.parked_minutes_max
    open_max = settings.promotions_open_max
    return replace(
        spec,
        on_phase_failure=settings.on_phase_failure or spec.on_phase_failure,
        parallel_max=settings.parallel_max or spec.parallel_max,
        token_cap=settings.token_cap or spec.token_cap,
        phases_max=settings.phases_max or spec.phases_max,
        duration_seconds_max=minutes * 60 if minutes else spec.duration_seconds_max,
        parked_seconds_max=parked * 60 if parked else spec.parked_seconds_max,
        promote=settings.promote or PromoteMode.AUTO,
        promote_onto=base[0],
        promotions_open_max=PROMOTIONS_OPEN_MAX if open_max is None else open_max,
    )
