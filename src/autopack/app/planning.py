"""A written plan on the ground of its run: the rest of the frozen spec, or all that is wrong.

The same for a plan that somebody wrote and for one that an agent drafted. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from autopack.app.plan import unauditable
from autopack.app.rulesets import Current
from autopack.app.settle import ruled, unnamed
from autopack.core import backlog, series
from autopack.core.backlog import BacklogIssue
from autopack.core.budget import never_fit
from autopack.core.debt import Limits, debt_of
from autopack.core.plan import CompiledPlan, PlanOptions, PlanRefused, compile_plan
from autopack.core.plan_check import PHASES_MAX
from autopack.core.plan_draft import PlanDraft
from autopack.core.reader import FILE_NAME
from autopack.core.ruleset import Ruleset
from autopack.core.spec import PhaseSpec, RunScope, RunSpec
from autopack.core.words import nearest, plain

TITLE_CHARACTERS_MAX: Final = 200
"""Of the name that a plan gives itself."""

SELF_AUDITS_TOLD: Final = 10
"""Phases that a warning names."""


@dataclass(frozen=True)
class Machine:
    """What this computer offers: names of agents, the chosen ones, the sandbox."""

    agents: frozenset[str]
    builder: str
    auditor: str
    sandbox: str
    verifier: str = "local"
    fixed: frozenset[str] = frozenset()
    """Roles whose agent was named for this run: a ruleset names no other for a category."""


@dataclass(frozen=True)
class Ground:
    """What a plan is compiled with."""

    spec: RunSpec
    """The run with its limits, without tiers and phases."""
    found: Current
    machine: Machine
    entries: tuple[BacklogIssue, ...]
    """The project's backlog; aged issues get phases of their own."""
    has: Callable[[str], bool]
    """Whether the base has a plain file of that path."""
    tokens_spent: int = 0
    """Of the cap of the run that does the first part, by drafting."""


@dataclass(frozen=True)
class Planned:
    """A run with its plan, the first part of it; `notes`: what its owner should know of it."""

    spec: RunSpec
    plan: CompiledPlan
    notes: tuple[str, ...]


def plan_run(ground: Ground, draft: PlanDraft) -> Planned | tuple[str, ...]:
    """The run on that plan, frozen, or all that is wrong with plan and agents."""
    spec, machine = ground.spec, ground.machine
    options = PlanOptions(
        spec.safety_profile,
        spec.phases_max,
        spec.token_cap,
        auditor=bool(machine.auditor),
        ruleset=unnamed(ground.found.ruleset, machine.fixed),
        run_scope=spec.run_scope,
    )
    debt = debt_of(ground.entries, options.ruleset, draft, ground.has, _limits(ground, draft))
    unread = _unread(spec, draft)
    plan = compile_plan(debt.added(draft), options)
    if isinstance(plan, PlanRefused):
        return (*unread, *map(str, plan.problems), *agent_problems(machine, ()))
    spent = dict.fromkeys(plan.parts[0], ground.tokens_spent)
    problems = [*unread]
    problems += never_fit(plan.phases, plan.tiers, spec.token_cap, spec.safety_profile, spent)
    problems += agent_problems(machine, plan.phases)
    if problems:
        return tuple(problems)
    title = " ".join(plain(draft.title, TITLE_CHARACTERS_MAX).split())
    frozen = replace(spec, tiers=plan.tiers, phases=plan.phases, title=title)
    frozen = ruled(frozen, ground.found)
    frozen = backlog.remembered_in(frozen, ground.entries)
    audits = (*(() if machine.auditor else unauditable(plan)), *self_audits(frozen))
    begun = series.first_part(frozen)
    crowded = tuple(filter(None, [series.crowded(begun)]))
    return Planned(begun, plan, (*debt.notes, *map(str, plan.warnings), *audits, *crowded))


def _limits(ground: Ground, draft: PlanDraft) -> Limits:
    """What there is for debt, whose tier comes last: of a single tier's runs it has its own."""
    spec = ground.spec
    single = spec.run_scope is RunScope.SINGLE_TIER
    tokens = spec.token_cap - (0 if single else ground.tokens_spent)
    room = max(0, PHASES_MAX - _size(draft))
    return Limits(min(spec.phases_max, room), tokens, bool(ground.machine.auditor))


def _unread(spec: RunSpec, draft: PlanDraft) -> tuple[str, ...]:
    """A plan that an agent drafted, and that is larger than one run: nobody may have read it."""
    size = _size(draft)
    if spec.draft is None or size <= spec.phases_max:
        return ()
    told = f"{draft.file}: {size:,} phases; a drafted plan has at most {spec.phases_max:,} in all"
    return (f"{told} (max_phases); draft fewer phases",)


def _size(draft: PlanDraft) -> int:
    return sum(len(tier.phases) for tier in draft.tiers)


def agent_problems(machine: Machine, phases: Sequence[PhaseSpec]) -> list[str]:
    """No builder, an agent that is not configured, no auditor for phases that need one."""
    known = ", ".join(sorted(machine.agents)) or "none is configured"
    problems = []
    if not machine.builder:
        problems.append(f"no builder: give --builder or set builder in {FILE_NAME} ({known})")
    named = [("builder", machine.builder, ""), ("auditor", machine.auditor, "")]
    for phase in phases:
        whose = f" (the ruleset's, for {phase.task_category})"
        named += [("builder", phase.builder, whose), ("auditor", phase.auditor, whose)]
    for role, name, whose in dict.fromkeys(named):
        if name and name not in machine.agents:
            problems.append(_no_agent(f"{role} {name!r}{whose}", name, machine.agents))
    audited = [each.phase_id for each in phases if not each.auto_apply and not each.auditor]
    if audited and not machine.auditor:
        listed = ", ".join(audited)
        problems.append(f"no auditor, which these phases need to land: {listed} (--auditor NAME)")
    return problems


def self_audits(spec: RunSpec) -> tuple[str, ...]:
    """A warning for each agent that would audit what it built, with the phases."""
    own: dict[str, list[str]] = {}
    for phase in spec.phases:
        builder = spec.builder_of(phase.phase_id)
        if builder and builder == spec.auditor_of(phase.phase_id):
            own.setdefault(builder, []).append(phase.phase_id)
    return tuple(
        f"{agent} is builder and auditor of {', '.join(phases[:SELF_AUDITS_TOLD])}"
        + (f" and {more} more" if (more := len(phases) - SELF_AUDITS_TOLD) > 0 else "")
        + ": it audits its own work; name another auditor"
        for agent, phases in own.items()
    )


def strangers(ruleset: Ruleset, agents: Collection[str]) -> tuple[str, ...]:
    """Agents that a ruleset names for a category, and that are not configured."""
    return tuple(
        _no_agent(f"agents.{category}.{role} {name!r}", name, agents)
        for category, named in ruleset.agents.items()
        for role, name in (("builder", named.builder), ("auditor", named.auditor))
        if name and name not in agents
    )


def _no_agent(who: str, name: str, agents: Collection[str]) -> str:
    meant = nearest(name, agents)
    known = ", ".join(sorted(agents)) or "none is configured"
    hint = f"did you mean {meant!r}?" if meant else f"agents: {known}"
    return f"{who}: no [agents.{name}]; {hint}"
