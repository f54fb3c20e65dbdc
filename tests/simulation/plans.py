"""Small random runs: enough phases to meet each other, small limits so that each is met."""

from __future__ import annotations

import random
from dataclasses import replace

from autopack.core.spec import (
    OnPhaseFailure,
    PhaseSpec,
    RunSpec,
    SafetyProfile,
)
from tests.core.walk import AGED, KNOWN, UPGRADE, phase_spec, run_spec


def draw_spec(rng: random.Random, run_id: str, base_commit: str) -> RunSpec:
    """A run of 1 to 5 phases on that base."""
    phases: list[PhaseSpec] = []
    count = rng.randint(1, 5)
    first = rng.randint(1, count)
    for index in range(1, count + 1):
        needs = tuple(p.phase_id for p in phases if rng.random() < 0.15)
        phases.append(
            replace(
                phase_spec(f"P{index}", "T1" if index <= first else "T2", index),
                scope=("/work/", "/shared.txt", "/AGENTS.md"),
                needs=needs,
                auto_apply=rng.random() < 0.8,
                builder_attempts_max=rng.randint(1, 3),
                auditor_attempts_max=rng.randint(1, 2),
                incident_token_cap=rng.choice([400, 1000]),
            )
        )
    run = run_spec(*phases)
    critical = rng.random() < 0.3
    return replace(
        run,
        run_id=run_id,
        repository="user",
        base_commit=base_commit,
        auditor=rng.choice(["", "auditor"]),
        safety_profile=SafetyProfile.SAFETY_CRITICAL if critical else SafetyProfile.NORMAL,
        on_phase_failure=rng.choice([*OnPhaseFailure]),
        parallel_max=rng.randint(1, 3),
        token_cap=rng.choice([2500, 10**6, 10**6]),
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
