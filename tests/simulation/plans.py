"""Small random runs: enough phases to meet each other, small limits so that each is met."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from autopack.core.draft import FILE
from autopack.core.series import called, first_part, whole
from autopack.core.spec import (
    CiProfile,
    OnPhaseFailure,
    PhaseSpec,
    RunScope,
    RunSpec,
    SafetyProfile,
)
from tests.core.walk import AGED, KNOWN, UPGRADE, phase_spec, run_spec, undrafted

DRAFTED = 0.3
"""How many runs begin without a plan."""


@dataclass(frozen=True)
class Drawn:
    """A run as somebody starts it."""

    spec: RunSpec
    plan: RunSpec | None = None
    """What its draft comes to; None: it begins with its plan."""
    drafts_well: float = 0.0
    """How often an attempt at the plan is one: never, now and then, always."""


def draw_run(rng: random.Random, run_id: str, base_commit: str) -> Drawn:
    """A run on that base; of some an agent drafts the plan first."""
    plan = draw_spec(rng, run_id, base_commit)
    if rng.random() >= DRAFTED:
        return Drawn(plan)
    cap, plan_only = min(rng.choice([400, 1000]), plan.token_cap), rng.random() < 0.2
    spec = undrafted(plan, rng.randint(1, 3), cap, plan_only=plan_only)
    spec = replace(spec, phases=(replace(spec.phases[0], scope=(f"/{FILE}",)),))
    if plan_only:
        plan = called(whole(plan), run_id)
    return Drawn(spec, replace(plan, draft=spec.draft), rng.choice([0.0, 0.5, 0.5, 1.0]))


def draw_spec(rng: random.Random, run_id: str, base_commit: str) -> RunSpec:
    """A run of 1 to 5 phases on that base; of a third of the plans it is only the first part."""
    phases: list[PhaseSpec] = []
    count = rng.randint(1, 5)
    first, second = sorted(rng.randint(1, count) for _ in range(2))
    for index in range(1, count + 1):
        needs = tuple(p.phase_id for p in phases if rng.random() < 0.15)
        phases.append(
            replace(
                phase_spec(f"P{index}", f"T{1 + (index > first) + (index > second)}", index),
                scope=("/work/", "/shared.txt", "/AGENTS.md"),
                needs=needs,
                auto_apply=rng.random() < 0.8,
                high_risk=index % 4 == 0,
                ci_profile=rng.choice([*CiProfile]),
                builder_attempts_max=rng.randint(1, 3),
                auditor_attempts_max=rng.randint(1, 2),
                incident_token_cap=rng.choice([400, 1000]),
            )
        )
    run = run_spec(*phases)
    critical = rng.random() < 0.3
    whole = replace(
        run,
        run_id=run_id,
        repository="user",
        base_commit=base_commit,
        auditor=rng.choice(["", "auditor"]),
        safety_profile=SafetyProfile.SAFETY_CRITICAL if critical else SafetyProfile.NORMAL,
        on_phase_failure=rng.choice([*OnPhaseFailure]),
        gate_commands=rng.random() < 0.3,
        parallel_max=rng.randint(1, 3),
        token_cap=rng.choice([1300, 2500, 10**6]),
        tiers=tuple(
            replace(
                t,
                ci_run_cap=rng.choice([2, 100]),
                token_cap=rng.choice([1000, 2500, 10**6]),
                minor_issues_max=rng.choice([None, 0, 2]),
                major_issues_max=rng.choice([0, 1]),
            )
            for t in run.tiers
        ),
        infra_retries_max=rng.choice([1, 2, 5]),
        conflicts_max=rng.randint(0, 2),
        reapplies_max=rng.choice([1, 100, 100]),
        parks_max=rng.randint(0, 3),
        known_issues=rng.choice([(), (KNOWN,), (KNOWN, AGED)]),
        severity_upgrades=rng.choice([(), (UPGRADE,)]),
        minor_issues_max=rng.choice([None, 0, 2]),
    )
    return first_part(_scoped(rng, whole)) if rng.random() < 0.35 else whole


def _scoped(rng: random.Random, spec: RunSpec) -> RunSpec:
    """A plan that takes several runs, as long as it has several tiers."""
    sizes = [sum(phase.tier_id == tier.tier_id for phase in spec.phases) for tier in spec.tiers]
    return replace(
        spec,
        run_scope=rng.choice([*RunScope]),
        phases_max=max(sizes),
        minor_issues_per_phase=rng.choice([None, 0, 1]),
    )
