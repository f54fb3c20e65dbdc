"""Which limits ended runs and phases, and what kinds of work met them. Only reads."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from autopack.app.metrics import utilization
from autopack.core import issue
from autopack.core.limit import BUDGETS, Limit, limit_of
from autopack.core.run import Phase, Run, Step


@dataclass(frozen=True)
class LimitCount:
    """How often a limit ended a run, and how often a phase."""

    limit: str
    runs: int
    phases: int


@dataclass(frozen=True)
class BudgetFailure:
    """A run that a budget ended; `limit` by the name of its setting."""

    run_id: str
    project_id: str
    state: str
    limit: str
    phase_id: str
    reason: str
    tokens_used: int
    token_cap: int
    token_utilization: float
    phase_count: int
    max_phases: int
    minor_issues_count: int
    max_minor_issues_total: int | None
    tiers_responsible: tuple[str, ...]
    auditor_helped: bool
    """A phase landed after an auditor had been asked."""


@dataclass(frozen=True)
class Slice:
    """What one kind of work took; `share`: of all tokens."""

    task_category: str
    complexity: str
    phases: int
    landed: int
    failed: int
    tokens: int
    attempts: int
    share: float
    limits: dict[str, int]
    """How many of its phases each limit ended."""


@dataclass(frozen=True)
class BudgetAnalysis:
    runs_looked_at: int
    total_budget_failures: int
    average_token_utilization: float
    """Of all runs looked at."""
    limits: tuple[LimitCount, ...]
    failures: tuple[BudgetFailure, ...]
    slices: tuple[Slice, ...]


def budget_analysis(runs: Sequence[Run]) -> BudgetAnalysis:
    """What budgets did to runs, in the order of the runs; slices by tokens, most first."""
    failures = tuple(found for run in runs if (found := _failure(run)))
    used = [utilization(run.tokens_spent, run.spec.token_cap) for run in runs]
    return BudgetAnalysis(
        runs_looked_at=len(runs),
        total_budget_failures=len(failures),
        average_token_utilization=round(sum(used) / len(used), 4) if used else 0.0,
        limits=_limits(runs),
        failures=failures,
        slices=_slices([phase for run in runs for phase in run.phases]),
    )


def _limits(runs: Sequence[Run]) -> tuple[LimitCount, ...]:
    of_runs = Counter(limit_of(run.failure) for run in runs if run.failure)
    of_phases = Counter(
        limit_of(phase.failure) for run in runs for phase in run.phases if phase.failure
    )
    met = (limit for limit in Limit if of_runs[limit] or of_phases[limit])
    return tuple(LimitCount(limit.value, of_runs[limit], of_phases[limit]) for limit in met)


def _failure(run: Run) -> BudgetFailure | None:
    if run.failure is None or limit_of(run.failure) not in BUDGETS:
        return None
    minor, _ = issue.counts(found for phase in run.phases for found in phase.issues)
    return BudgetFailure(
        run_id=run.run_id,
        project_id=run.spec.project_id,
        state=run.state.value,
        limit=limit_of(run.failure).value,
        phase_id=run.failure.phase_id,
        reason=run.failure.reason,
        tokens_used=run.tokens_spent,
        token_cap=run.spec.token_cap,
        token_utilization=utilization(run.tokens_spent, run.spec.token_cap),
        phase_count=len(run.phases),
        max_phases=run.spec.phases_max,
        minor_issues_count=minor,
        max_minor_issues_total=run.spec.minor_issues_max,
        tiers_responsible=_responsible(run),
        auditor_helped=any(p.step is Step.COMPLETE and p.auditor_attempts_used for p in run.phases),
    )


def _responsible(run: Run) -> tuple[str, ...]:
    """Tiers that passed a cap or have a phase that a budget ended, in order."""
    spent = {
        phase.spec.tier_id
        for phase in run.phases
        if phase.failure and limit_of(phase.failure) in BUDGETS
    }
    order = sorted(run.spec.tiers, key=lambda tier: tier.tier_index)
    return tuple(t.tier_id for t in order if t.tier_id in spent | set(run.tier_caps_hit))


def _slices(phases: Sequence[Phase]) -> tuple[Slice, ...]:
    kinds: dict[tuple[str, str], list[Phase]] = defaultdict(list)
    for phase in phases:
        kinds[phase.spec.task_category, phase.spec.complexity.value].append(phase)
    total = sum(phase.tokens_spent for phase in phases)
    slices = [_slice(kind, mine, total) for kind, mine in kinds.items()]
    return tuple(sorted(slices, key=lambda s: (-s.tokens, s.task_category, s.complexity)))


def _slice(kind: tuple[str, str], phases: list[Phase], total: int) -> Slice:
    ended = Counter(limit_of(phase.failure).value for phase in phases if phase.failure)
    tokens = sum(phase.tokens_spent for phase in phases)
    return Slice(
        *kind,
        phases=len(phases),
        landed=sum(phase.step is Step.COMPLETE for phase in phases),
        failed=sum(phase.step is Step.FAILED for phase in phases),
        tokens=tokens,
        attempts=sum(phase.attempts_used for phase in phases),
        share=utilization(tokens, total),
        limits=dict(sorted(ended.items())),
    )
