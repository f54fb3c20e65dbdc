"""What is told of a plan before it starts: order, critical path, worst case, what cannot land.

Records only; the CLI renders them. Never starts anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from autopack.core import policy
from autopack.core.plan import CompiledPlan
from autopack.core.spec import (
    PhaseSpec,
)


@dataclass(frozen=True)
class PlannedPhase:
    """A phase as it would run; caps in tokens and attempts."""

    phase_id: str
    name: str
    category: str
    complexity: str
    mode: str
    ci_profile: str
    needs: tuple[str, ...]
    scope: tuple[str, ...]
    builder_attempts_max: int
    auditor_attempts_max: int
    incident_token_cap: int
    auditor: str
    """The auditor profile that must approve; empty when the phase lands on green alone."""
    cleans: str
    """The key of the known issue that a cleanup is about."""


@dataclass(frozen=True)
class PlannedWave:
    """Phases of one tier that may run side by side."""

    tier_id: str
    tier_name: str
    phases: tuple[PlannedPhase, ...]


@dataclass(frozen=True)
class PlannedPart:
    """What one run of the plan does; `incident_tokens` of its phases, without the run's cap."""

    part: int
    tiers: tuple[str, ...]
    phases: tuple[str, ...]
    incident_tokens: int


@dataclass(frozen=True)
class DryRun:
    """A plan's course: `order` is that of one phase at a time."""

    tiers: int
    phases: int
    parts: tuple[PlannedPart, ...]
    """The runs that carry it out, one after another; the second is called `<run>-2`."""
    waves: tuple[PlannedWave, ...]
    order: tuple[str, ...]
    critical_path: tuple[str, ...]
    critical_path_tokens: int
    tokens_max: int
    incident_tokens: int
    """Worst case of all phases without the runs' caps; over `tokens_max` one may fail on its."""
    builder_attempts_max: int
    auditor_attempts_max: int
    ci_runs_max: int
    """Each attempt and audit may need one; where a tier's cap binds, no more than that."""
    ci_run_cap: int
    """What the tiers' caps add up to: beyond its own a tier is not clean."""
    needs_auditor: tuple[str, ...]
    warnings: tuple[str, ...]


def dry_run(plan: CompiledPlan) -> DryRun:
    """The course and the worst case of a compiled plan."""
    by_id = {phase.phase_id: phase for phase in plan.phases}
    names = {tier.tier_id: tier.name for tier in plan.tiers}
    waves = []
    for wave in plan.waves:
        tier_id = by_id[wave[0]].tier_id
        waves.append(
            PlannedWave(tier_id, names[tier_id], tuple(_planned(by_id[each]) for each in wave))
        )
    return DryRun(
        tiers=len(plan.tiers),
        phases=len(plan.phases),
        parts=tuple(_part(number, ids, plan) for number, ids in enumerate(plan.parts, 1)),
        waves=tuple(waves),
        order=plan.order,
        critical_path=plan.critical_path.phase_ids,
        critical_path_tokens=plan.critical_path.tokens,
        tokens_max=plan.worst_case.tokens,
        incident_tokens=plan.worst_case.incident_tokens,
        builder_attempts_max=plan.worst_case.builder_attempts,
        auditor_attempts_max=plan.worst_case.auditor_attempts,
        ci_runs_max=plan.worst_case.ci_runs,
        ci_run_cap=sum(tier.ci_run_cap for tier in plan.tiers),
        needs_auditor=plan.audited,
        warnings=tuple(str(warning) for warning in plan.warnings),
    )


def _part(number: int, tiers: tuple[str, ...], plan: CompiledPlan) -> PlannedPart:
    mine = [phase for phase in plan.phases if phase.tier_id in tiers]
    tokens = sum(phase.incident_token_cap for phase in mine)
    return PlannedPart(number, tiers, tuple(phase.phase_id for phase in mine), tokens)


def _planned(phase: PhaseSpec) -> PlannedPhase:
    return PlannedPhase(
        phase_id=phase.phase_id,
        name=phase.name,
        category=phase.task_category,
        complexity=phase.complexity.value,
        mode=phase.builder_mode,
        ci_profile=phase.ci_profile.value,
        needs=phase.needs,
        scope=phase.scope,
        builder_attempts_max=phase.builder_attempts_max,
        auditor_attempts_max=phase.auditor_attempts_max,
        incident_token_cap=phase.incident_token_cap,
        auditor="" if phase.auto_apply else phase.auditor_profile,
        cleans=phase.cleans,
    )


def unauditable(plan: CompiledPlan) -> list[str]:
    """Warnings for phases that can change nothing which lands without an auditor."""
    return [
        f"phase {phase.phase_id}: its scope ({', '.join(phase.scope)}) holds only protected files, "
        "and no auditor is configured: nothing of it can land (--auditor NAME)"
        for phase in plan.phases
        if policy.only_protected(phase.scope)
    ]
