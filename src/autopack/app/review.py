"""One run reviewed: its numbers, its tiers, and what each phase cost, attempt by attempt.

Only reads. Texts of agents and plans pass through unescaped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from autopack.app.findings import CheckView, check_views
from autopack.app.metrics import RunMetrics, TierMetrics, run_metrics, tier_metrics, utilization
from autopack.app.ports import Store
from autopack.app.report import log_of
from autopack.app.sentences import attempts_max
from autopack.app.series import newest
from autopack.core import issue
from autopack.core.cost import PhaseCost, Try, costs
from autopack.core.errors import EnvironmentFault
from autopack.core.limit import limit_of
from autopack.core.run import Phase, Run


@dataclass(frozen=True)
class PhaseReview:
    phase_id: str
    tier_id: str
    name: str
    task_category: str
    complexity: str
    builder_mode: str
    state: str
    builder_attempts: int
    max_builder_attempts: int
    """With those that were granted."""
    auditor_attempts: int
    max_auditor_attempts: int
    ci_runs_used: int
    tokens_used: int
    incident_token_cap: int
    tokens_wasted: int
    """Of attempts that did not land, and of what came to nothing by itself."""
    active_minutes: float
    parked_minutes: float
    minor_issues_count: int
    major_issues_count: int
    limit: str
    """What ended it; empty unless it failed."""
    failure_reason: str
    checks: tuple[CheckView, ...]
    """What the gate said of its last candidate."""
    tries: tuple[Try, ...]


@dataclass(frozen=True)
class IssueNumbers:
    minor_count: int
    major_count: int
    max_minor_total: int | None
    distinct_issues: int


@dataclass(frozen=True)
class RunReview:
    run: RunMetrics
    limit: str
    """What ended the run; empty unless it failed."""
    issues: IssueNumbers
    tokens_landed: int
    tokens_planned: int
    """Of the draft that became the plan."""
    tokens_wasted: int
    waste_share: float
    """Of the run's tokens."""
    tiers: tuple[TierMetrics, ...]
    draft: PhaseReview | None
    """Of the plan, once it is there; None: somebody wrote it."""
    phases: tuple[PhaseReview, ...]


def run_review(store: Store, run: Run) -> RunReview:
    """The review of a run; EnvironmentFault when its log cannot be followed."""
    try:
        found = costs(recorded.happened for recorded in log_of(store, run.run_id))
    except ValueError as fault:
        raise EnvironmentFault(
            f"the log of run {run.run_id} cannot be followed: {fault}",
            f"run `autopack events verify {run.run_id}`, then restore a backup",
        ) from fault
    later = newest(store, run).spec.rest_tiers  # what has begun is not to come
    to_come = tuple(tier.tier_id for tier in later)
    return reviewed(run, found, replace(run_metrics(run, store), tiers_to_come=to_come))


def reviewed(run: Run, found: Iterable[PhaseCost], metrics: RunMetrics) -> RunReview:
    """The review of a run whose costs and numbers are known."""
    by_id = {cost.phase_id: cost for cost in found}
    wasted = sum(cost.tokens_wasted for cost in by_id.values())
    return RunReview(
        run=metrics,
        limit=limit_of(run.failure).value if run.failure else "",
        issues=IssueNumbers(
            metrics.minor_issues_count,
            metrics.major_issues_count,
            metrics.max_minor_issues_total,
            len({each.issue_key for phase in run.phases for each in phase.issues}),
        ),
        tokens_landed=sum(cost.tokens_landed for cost in by_id.values()),
        tokens_planned=sum(cost.tokens_planned for cost in by_id.values()),
        tokens_wasted=wasted,
        waste_share=utilization(wasted, run.tokens_spent),
        tiers=tier_metrics(run),
        draft=_phase(run.draft, by_id[run.draft.phase_id]) if run.draft else None,
        phases=tuple(_phase(phase, by_id[phase.phase_id]) for phase in run.phases),
    )


def _phase(phase: Phase, cost: PhaseCost) -> PhaseReview:
    spec, failure = phase.spec, phase.failure
    minor, major = issue.counts(phase.issues)
    return PhaseReview(
        phase_id=spec.phase_id,
        tier_id=spec.tier_id,
        name=spec.name,
        task_category=spec.task_category,
        complexity=spec.complexity.value,
        builder_mode=spec.builder_mode,
        state=phase.state.value,
        builder_attempts=phase.attempts_used,
        max_builder_attempts=attempts_max(phase),
        auditor_attempts=phase.auditor_attempts_used,
        max_auditor_attempts=spec.auditor_attempts_max,
        ci_runs_used=phase.ci_runs_used,
        tokens_used=phase.tokens_spent,
        incident_token_cap=spec.incident_token_cap,
        tokens_wasted=cost.tokens_wasted,
        active_minutes=round(cost.active_seconds / 60, 2),
        parked_minutes=round(cost.parked_seconds / 60, 2),
        minor_issues_count=minor,
        major_issues_count=major,
        limit=limit_of(failure).value if failure else "",
        failure_reason=failure.reason if failure else "",
        checks=check_views(phase.checks),
        tries=cost.tries,
    )
