"""Numbers of runs and of a run's tiers, as reports tell them (chunk F). Only reads.

Names and shapes are those of the API (`/metrics/runs`, `/metrics/tiers/{run_id}`), with more fields
beside them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from autopack.app.finish import ended_at
from autopack.app.ports import Store
from autopack.core import issue, series
from autopack.core.run import Phase, Run
from autopack.core.tier import Cleanliness, Excess, Tier, debt_status, excess, tiers


@dataclass(frozen=True)
class RunMetrics:
    """One run in numbers; `token_utilization` from 0, of its cap; times in Unix seconds or None."""

    run_id: str
    project_id: str
    state: str
    safety_profile: str
    run_scope: str
    tokens_used: int
    token_cap: int
    token_utilization: float
    active_minutes: float
    parked_minutes: float
    max_duration_minutes: float
    ci_runs_used: int
    minor_issues_count: int
    major_issues_count: int
    max_minor_issues_total: int | None
    """None: a run of before issues were counted."""
    phase_count: int
    phase_states: dict[str, int]
    tier_count: int
    debt_status: str
    excess_issues: tuple[Excess, ...]
    """What is over the tolerances of its tiers and its own."""
    failure_cause: str
    failure_reason: str
    started_at: int | None
    completed_at: int | None
    """When it ended; issues and deliveries that came later are not counted."""
    predecessor: str
    series: str
    """Of a plan that is split into runs; this is `part` of `parts`."""
    part: int
    parts: int
    tiers_to_come: tuple[str, ...]
    """Of the parts after this one."""


@dataclass(frozen=True)
class TierMetrics:
    """One tier in numbers; `budget_flags`: its limits that were passed, by name."""

    tier_id: str
    tier_index: int
    name: str
    state: str
    cleanliness: str
    minor_issues_count: int
    major_issues_count: int
    max_minor_issues_tolerated: int | None
    max_major_issues_tolerated: int
    phase_count: int
    phase_states: dict[str, int]
    tokens_used: int
    token_cap: int
    ci_runs_used: int
    ci_run_cap: int
    budget_flags: tuple[str, ...]
    promotion_blocked: bool


def run_metrics(run: Run, store: Store | None = None) -> RunMetrics:
    """A run's numbers; its times, too, when there is a store to ask."""
    minor, major = issue.counts(found for phase in run.phases for found in phase.issues)
    first = store.events(run.run_id, limit=1) if store else []
    return RunMetrics(
        run_id=run.run_id,
        project_id=run.spec.project_id,
        state=run.state.value,
        safety_profile=run.spec.safety_profile.value,
        run_scope=run.spec.run_scope.value,
        tokens_used=run.tokens_spent,
        token_cap=run.spec.token_cap,
        token_utilization=utilization(run.tokens_spent, run.spec.token_cap),
        active_minutes=round(run.active_seconds / 60, 2),
        parked_minutes=round(run.parked_seconds / 60, 2),
        max_duration_minutes=round(run.spec.duration_seconds_max / 60, 2),
        ci_runs_used=run.ci_runs_used,
        minor_issues_count=minor,
        major_issues_count=major,
        max_minor_issues_total=run.spec.minor_issues_max,
        phase_count=len(run.phases),
        phase_states=states(run.phases),
        tier_count=len(run.spec.tiers),
        debt_status=debt_status(run).value,
        excess_issues=excess(run),
        failure_cause=run.failure.cause.value if run.failure else "",
        failure_reason=run.failure.reason if run.failure else "",
        started_at=first[0].happened.at if first else None,
        completed_at=ended_at(run, store) if store else None,
        predecessor=run.spec.predecessor,
        series=run.spec.series,
        part=run.spec.part,
        parts=series.parts_of(run.spec),
        tiers_to_come=tuple(tier.tier_id for tier in run.spec.rest_tiers),
    )


def tier_metrics(run: Run) -> tuple[TierMetrics, ...]:
    """Each tier's numbers, in order."""
    return tuple(_tier(tier) for tier in tiers(run))


def _tier(tier: Tier) -> TierMetrics:
    spec = tier.spec
    return TierMetrics(
        tier_id=spec.tier_id,
        tier_index=spec.tier_index,
        name=spec.name,
        state=tier.state.value,
        cleanliness=tier.cleanliness.value,
        minor_issues_count=tier.minor_issues,
        major_issues_count=tier.major_issues,
        max_minor_issues_tolerated=spec.minor_issues_max,
        max_major_issues_tolerated=spec.major_issues_max,
        phase_count=len(tier.phases),
        phase_states=states(tier.phases),
        tokens_used=sum(phase.tokens_spent for phase in tier.phases),
        token_cap=spec.token_cap,
        ci_runs_used=sum(phase.ci_runs_used for phase in tier.phases),
        ci_run_cap=spec.ci_run_cap,
        budget_flags=tuple(_flags(tier)),
        promotion_blocked=tier.cleanliness is Cleanliness.NOT_CLEAN,
    )


def _flags(tier: Tier) -> Iterable[str]:
    spec = tier.spec
    if sum(phase.tokens_spent for phase in tier.phases) > spec.token_cap:
        yield "token_cap"
    if sum(phase.ci_runs_used for phase in tier.phases) > spec.ci_run_cap:
        yield "ci_run_cap"
    if spec.minor_issues_max is not None:
        if tier.minor_issues > spec.minor_issues_max:
            yield "max_minor_issues_tolerated"
        if tier.major_issues > spec.major_issues_max:
            yield "max_major_issues_tolerated"


def states(phases: Iterable[Phase]) -> dict[str, int]:
    """How many phases are in each state, by name."""
    return dict(sorted(Counter(phase.state.value for phase in phases).items()))


def utilization(used: float, limit: float) -> float:
    """How much of a limit is used, from 0; 0 of no limit at all."""
    return round(used / limit, 4) if limit else 0.0
