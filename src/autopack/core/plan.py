"""The plan compiler: a draft becomes tiers and phases with their budgets, or all its problems.

Also says in which order the phases can run and what the plan may cost at worst. Never reads a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autopack.core.builtin import BUILT_IN
from autopack.core.plan_check import problems_of
from autopack.core.plan_draft import PhaseDraft, PlanDraft, PlanProblem, TierDraft, suggestion
from autopack.core.ruleset import ANYTHING_ELSE, Ruleset
from autopack.core.series import Part, split
from autopack.core.spec import (
    Complexity,
    PhaseSpec,
    RunScope,
    SafetyProfile,
    TierSpec,
)
from autopack.core.strategy import (
    agents_of,
    budgets_of,
    canonical_category,
    category_rule,
    default_mode,
    tier_minor_issues_max,
    tier_token_cap,
)


@dataclass(frozen=True)
class PlanOptions:
    """What a plan is compiled for; the caps are those of each run."""

    safety_profile: SafetyProfile = SafetyProfile.NORMAL
    phases_max: int = BUILT_IN.run_max_phases
    token_cap: int = BUILT_IN.run_token_cap
    auditor: bool = True
    """Whether the run has one: without it nothing is audited, and costs nothing."""
    ruleset: Ruleset = BUILT_IN
    run_scope: RunScope = RunScope.MULTI_TIER


@dataclass(frozen=True)
class CriticalPath:
    """The longest chain of phases that wait for each other, tiers being barriers."""

    phase_ids: tuple[str, ...]
    tokens: int
    """The sum of their incident caps."""


@dataclass(frozen=True)
class WorstCase:
    """The most a plan may spend; re-tests after conflicts of parallel phases are not in it."""

    tokens: int
    """Incident caps of all phases; of each run at most its cap."""
    incident_tokens: int
    """The same before the runs' caps."""
    builder_attempts: int
    auditor_attempts: int
    ci_runs: int
    """A candidate for each builder attempt, and one more for each audit (`revise` or a patch)."""


@dataclass(frozen=True)
class CompiledPlan:
    """A plan that can run. `order`: phase ids as they start one at a time."""

    tiers: tuple[TierSpec, ...]
    phases: tuple[PhaseSpec, ...]
    order: tuple[str, ...]
    waves: tuple[tuple[str, ...], ...]
    """Phases that could start together, were there no limit on how many."""
    critical_path: CriticalPath
    worst_case: WorstCase
    audited: tuple[str, ...]
    """Phases that land only with an auditor's approval."""
    parts: tuple[tuple[str, ...], ...] = ()
    """The tiers of each run that carries it out, one after another."""
    warnings: tuple[PlanProblem, ...] = ()


@dataclass(frozen=True)
class PlanRefused:
    """A plan that cannot run: everything that is wrong with it, by line."""

    problems: tuple[PlanProblem, ...]

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


def compile_plan(
    draft: PlanDraft, options: PlanOptions | None = None
) -> CompiledPlan | PlanRefused:
    """The plan that can run, or all its problems at once."""
    options = options or PlanOptions()
    problems = list(draft.problems)
    if draft.readable:
        problems += problems_of(draft, options.phases_max)
    if problems:
        return PlanRefused(tuple(sorted(problems, key=lambda problem: problem.line)))
    phases = _phase_specs(draft.tiers, options)
    tiers = tuple(
        _tier_spec(tier, index, [p for p in phases if p.tier_id == tier.id], options)
        for index, tier in enumerate(draft.tiers, 1)
    )
    order = start_order(phases)
    parts = split(tiers, phases, options.run_scope, options.phases_max)
    return CompiledPlan(
        tiers=tiers,
        phases=phases,
        order=order,
        waves=_waves(phases, order),
        critical_path=_critical_path(tiers, phases, order),
        worst_case=_worst_case(parts, options),
        audited=tuple(phase.phase_id for phase in phases if not phase.auto_apply),
        parts=tuple(part.tier_ids for part in parts),
        warnings=_warnings(draft, options.ruleset),
    )


def _phase_specs(tiers: Sequence[TierDraft], options: PlanOptions) -> tuple[PhaseSpec, ...]:
    pairs = [(tier, phase) for tier in tiers for phase in tier.phases]
    return tuple(
        _phase_spec(tier, phase, index, options) for index, (tier, phase) in enumerate(pairs, 1)
    )


def _phase_spec(tier: TierDraft, phase: PhaseDraft, index: int, options: PlanOptions) -> PhaseSpec:
    ruleset = options.ruleset
    category = phase.category or ruleset.default_category
    given, rule = phase.complexity, category_rule(category, ruleset)
    complexity = Complexity(given) if given else rule.complexity
    mode = phase.mode or default_mode(category, complexity, ruleset)
    budgets = budgets_of(
        category, complexity, mode, options.safety_profile, ruleset, cleanup=bool(phase.cleans)
    )
    agents = agents_of(category, ruleset)
    return PhaseSpec(
        phase_id=phase.id,
        tier_id=tier.id,
        phase_index=index,
        name=phase.name.strip() or phase.id,
        task=phase.task,
        task_category=canonical_category(category, ruleset),
        complexity=complexity,
        builder_mode=mode,
        scope=_once(phase.scope),
        needs=_once(phase.needs),
        packs=_once(phase.packs),
        deliver=_once(phase.deliver),
        ci_profile=budgets.ci_profile,
        auto_apply=budgets.auto_apply,
        new_tests=rule.new_tests,
        auditor_profile=budgets.auditor_profile,
        builder_attempts_max=budgets.builder_attempts_max,
        auditor_attempts_max=budgets.auditor_attempts_max,
        incident_token_cap=budgets.incident_token_cap,
        files_max=budgets.files_max,
        changed_lines_max=budgets.changed_lines_max,
        high_risk=budgets.high_risk,
        single_tier_preferred=budgets.single_tier_preferred,
        issue_severity=rule.severity,
        cleans=phase.cleans,
        builder=agents.builder,
        auditor=agents.auditor,
    )


def _once(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _tier_spec(
    tier: TierDraft, index: int, phases: Sequence[PhaseSpec], options: PlanOptions
) -> TierSpec:
    ruleset, safety = options.ruleset, options.safety_profile
    categories = [phase.task_category for phase in phases]
    return TierSpec(
        tier_id=tier.id,
        tier_index=index,
        name=tier.name.strip() or tier.id,
        token_cap=tier_token_cap(phases, ruleset),
        ci_run_cap=ruleset.tier_ci_runs_per_phase * len(phases),
        minor_issues_max=tier_minor_issues_max(categories, safety, ruleset),
        major_issues_max=ruleset.safety_profiles[safety.value].major_tolerance,
    )


def start_order(phases: Sequence[PhaseSpec]) -> tuple[str, ...]:
    """Ids in the order they start one at a time: tier by tier, the first ready one each time.

    `phases` in the order of their indexes, without cycles.
    """
    done: dict[str, None] = {}
    for tier_id in dict.fromkeys(phase.tier_id for phase in phases):
        waiting = [phase for phase in phases if phase.tier_id == tier_id]
        while waiting:
            ready = next(p for p in waiting if all(need in done for need in p.needs))
            waiting.remove(ready)
            done[ready.phase_id] = None
    return tuple(done)


def _peers(phases: Sequence[PhaseSpec]) -> dict[str, list[str]]:
    """For each phase, its needs of its own tier; the barrier sees to the others."""
    tier_of = {phase.phase_id: phase.tier_id for phase in phases}
    return {
        phase.phase_id: [need for need in phase.needs if tier_of[need] == phase.tier_id]
        for phase in phases
    }


def _waves(phases: Sequence[PhaseSpec], order: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    peers, by_id = _peers(phases), {phase.phase_id: phase for phase in phases}
    depth: dict[str, int] = {}
    waves: dict[tuple[str, int], list[PhaseSpec]] = {}
    for phase_id in order:
        depth[phase_id] = 1 + max((depth[need] for need in peers[phase_id]), default=0)
    for tier_id in dict.fromkeys(phase.tier_id for phase in phases):
        mine = [phase_id for phase_id in order if by_id[phase_id].tier_id == tier_id]
        for phase_id in sorted(mine, key=lambda each: depth[each]):
            waves.setdefault((tier_id, depth[phase_id]), []).append(by_id[phase_id])
    return tuple(
        tuple(phase.phase_id for phase in sorted(wave, key=lambda phase: phase.phase_index))
        for wave in waves.values()
    )


def _critical_path(
    tiers: Sequence[TierSpec], phases: Sequence[PhaseSpec], order: Sequence[str]
) -> CriticalPath:
    peers, by_id = _peers(phases), {phase.phase_id: phase for phase in phases}
    tops = [_Chain()]
    for tier in tiers:
        best: dict[str, _Chain] = {}
        for phase in (by_id[each] for each in order if by_id[each].tier_id == tier.tier_id):
            below = [best[need] for need in peers[phase.phase_id]]
            chains = below or [_next_tier(top, phase) for top in tops]
            best[phase.phase_id] = _with(max(chains, key=lambda each: each.length), phase)
        mine = [best[phase.phase_id] for phase in phases if phase.tier_id == tier.tier_id]
        most = max(chain.length[:2] for chain in mine)
        tops = [chain for chain in mine if chain.length[:2] == most]
    path = max(tops, key=lambda each: each.length).path
    return CriticalPath(path, sum(by_id[each].incident_token_cap for each in path))


@dataclass(frozen=True)
class _Chain:
    """A chain of phases up to one."""

    path: tuple[str, ...] = ()
    length: tuple[int, int, int] = (0, 0, 0)
    """Phases and tokens in its tier; then needs across tiers, which only decide between equals."""


def _next_tier(top: _Chain, phase: PhaseSpec) -> _Chain:
    """What a phase without needs in its own tier goes on from: a need, or a mere barrier."""
    return _Chain(top.path, (0, 0, top.length[2] + any(need in top.path for need in phase.needs)))


def _with(chain: _Chain, phase: PhaseSpec) -> _Chain:
    count, tokens, needs = chain.length
    length = (count + 1, tokens + phase.incident_token_cap, needs)
    return _Chain((*chain.path, phase.phase_id), length)


def _worst_case(parts: Sequence[Part], options: PlanOptions) -> WorstCase:
    phases = [phase for part in parts for phase in part.phases]
    tiers = [tier for part in parts for tier in part.tiers]
    tokens = [sum(phase.incident_token_cap for phase in part.phases) for part in parts]
    return WorstCase(
        tokens=sum(min(each, options.token_cap) for each in tokens),
        incident_tokens=sum(tokens),
        builder_attempts=sum(phase.builder_attempts_max for phase in phases),
        auditor_attempts=sum(_audits(phase, options) for phase in phases),
        ci_runs=sum(_ci_runs(tier, phases, options) for tier in tiers),
    )


def _audits(phase: PhaseSpec, options: PlanOptions) -> int:
    return phase.auditor_attempts_max if options.auditor else 0


def _ci_runs(tier: TierSpec, phases: Sequence[PhaseSpec], options: PlanOptions) -> int:
    runs = sum(
        phase.builder_attempts_max + _audits(phase, options)
        for phase in phases
        if phase.tier_id == tier.tier_id
    )
    bound = options.safety_profile is SafetyProfile.SAFETY_CRITICAL
    return min(runs, tier.ci_run_cap) if bound else runs


def _warnings(draft: PlanDraft, ruleset: Ruleset) -> tuple[PlanProblem, ...]:
    """Categories that look like a misspelt one: allowed, but then they get weaker rules."""
    found: list[PlanProblem] = []
    known = [*ruleset.category_defaults, *ruleset.aliases]
    known.remove(ANYTHING_ELSE)
    for phase in (phase for tier in draft.tiers for phase in tier.phases):
        hint = suggestion(phase.category, known) if phase.category not in known else ""
        if phase.category and hint:
            place, key = phase.place, "category"
            message = f"unknown category {phase.category!r} gets the ordinary rules"
            found.append(PlanProblem(draft.file, message, place.line(key), place.key(key), hint))
    return tuple(found)
