"""The budgets of a run as people are shown them. Never decides what may be spent."""

from __future__ import annotations

from dataclasses import dataclass

from autopack.core.run import Run


@dataclass(frozen=True)
class BudgetView:
    """One budget: what is used of how much, in its unit."""

    name: str
    used: float
    limit: float
    unit: str


def budgets(run: Run) -> tuple[BudgetView, ...]:
    """The run's; infra retries are allowed to it and to each phase apart."""
    spec = run.spec
    retries = [("infra retries", run.infra_retries_used)]
    retries += [
        (f"infra retries of {phase.phase_id}", phase.infra_retries_used)
        for phase in run.phases
        if phase.infra_retries_used
    ]
    return (
        BudgetView("tokens", run.tokens_spent, spec.token_cap, "tokens"),
        BudgetView("phases", len(run.phases), spec.phases_max, "phases"),
        BudgetView("duration", run.active_seconds, spec.duration_seconds_max, "seconds"),
        BudgetView("parked", run.parked_seconds, spec.parked_seconds_max, "seconds"),
        *(BudgetView(name, used, spec.infra_retries_max, "retries") for name, used in retries),
    )
