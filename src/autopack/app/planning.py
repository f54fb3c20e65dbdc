"""A written plan on the ground of its run: the rest of the frozen spec, or all that is wrong.

The same for a plan that somebody wrote and for one that an agent drafted. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from autopack.app.plan import unauditable
from autopack.app.rulesets import Current
from autopack.app.settle import ruled, unnamed
from autopack.core import backlog
from autopack.core.backlog import BacklogIssue
from autopack.core.budget import never_fit
from autopack.core.debt import debt_of
from autopack.core.plan import CompiledPlan, PlanOptions, PlanRefused, compile_plan
from autopack.core.plan_draft import PlanDraft
from autopack.core.reader import FILE_NAME
from autopack.core.spec import PhaseSpec, RunScope, RunSpec
from autopack.core.words import nearest, plain

TITLE_CHARACTERS_MAX: Final = 200
"""Of the name that a plan gives itself."""


@dataclass(frozen=True)
class Machine:
    """What this computer offers: names of agents, the chosen ones, the sandbox."""

    agents: frozenset[str]
    builder: str
    auditor: str
    sandbox: str
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
    scope_implied: bool = False
    """The run scope follows from the safety profile: nobody wrote it."""


@dataclass(frozen=True)
class Planned:
    """A run with its plan; `notes`: what its owner should know of it."""

    spec: RunSpec
    plan: CompiledPlan
    notes: tuple[str, ...]


def plan_run(ground: Ground, draft: PlanDraft) -> Planned | tuple[str, ...]:
    """The run on that plan, frozen, or all that is wrong with plan and agents."""
    spec, ruleset, machine = ground.spec, ground.found.ruleset, ground.machine
    options = PlanOptions(
        spec.safety_profile,
        spec.phases_max,
        spec.token_cap,
        auditor=bool(machine.auditor),
        ruleset=unnamed(ruleset, machine.fixed),
    )
    debt = debt_of(
        ground.entries, ruleset.debt, draft, ground.has,
        room=options.phases_max - sum(len(tier.phases) for tier in draft.tiers),
        auditor=bool(machine.auditor),
    )  # fmt: skip
    single = spec.run_scope is RunScope.SINGLE_TIER
    plan = compile_plan(debt.added(draft, single_tier=single), options)
    if isinstance(plan, PlanRefused):
        return (*map(str, plan.problems), *agent_problems(machine, ()))
    problems = _scope_problems(ground, plan)
    problems += never_fit(plan.phases, plan.tiers, options.token_cap, spec.safety_profile)
    problems += agent_problems(machine, plan.phases)
    if problems:
        return tuple(problems)
    plan = debt.marked(plan)
    title = plain(" ".join(draft.title.split()), TITLE_CHARACTERS_MAX)
    frozen = replace(spec, tiers=plan.tiers, phases=plan.phases, title=title)
    frozen = ruled(frozen, ground.found)
    frozen = replace(frozen, known_issues=backlog.known_issues(ground.entries))
    audits = () if machine.auditor else unauditable(plan)
    return Planned(frozen, plan, (*debt.notes, *map(str, plan.warnings), *audits))


def _scope_problems(ground: Ground, plan: CompiledPlan) -> list[str]:
    if ground.spec.run_scope is RunScope.MULTI_TIER or len(plan.tiers) == 1:
        return []
    hint = f'write one plan a tier, or run_scope = "multi_tier" in [run] of {FILE_NAME}'
    profile = ground.spec.safety_profile.value
    implied = f", as safety_profile {profile} implies" if ground.scope_implied else ""
    return [f"the plan has {len(plan.tiers)} tiers and run_scope is single_tier{implied}: {hint}"]


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
            meant = nearest(name, machine.agents)
            hint = f"did you mean {meant!r}?" if meant else f"agents: {known}"
            problems.append(f"{role} {name!r}{whose}: no [agents.{name}]; {hint}")
    audited = [each.phase_id for each in phases if not each.auto_apply and not each.auditor]
    if audited and not machine.auditor:
        listed = ", ".join(audited)
        problems.append(f"no auditor, which these phases need to land: {listed} (--auditor NAME)")
    return problems
