"""The budgets of an incident: each with what was used and allowed, and which one ended the run.

Told from the run as it is now. Never decides which limit that was: `core.limit` says it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from autopack.core.limit import Limit, limit_of
from autopack.core.run import Phase, Run
from autopack.core.tier import Tier, tiers

HEADER = ("budget", "used", "limit", "unit", "")
ENDED = "ended the run"


@dataclass(frozen=True)
class _Row:
    """One budget; `limits`: what it is called when it is spent; `binds`: it may be the one."""

    name: str
    used: float
    most: float
    unit: str
    limits: tuple[Limit, ...]
    binds: bool = True


def budget_table(run: Run) -> list[list[str]]:
    """A header and a row for each budget of a run, its tiers and its phases."""
    ended = limit_of(run.failure) if run.failure else None
    rows = [*_run_rows(run)]
    for tier in tiers(run):
        rows += _tier_rows(run, tier)
    for phase in run.phases:
        rows += _phase_rows(run, phase)
    return [list(HEADER), *(_cells(row, ended) for row in rows)]


def _cells(row: _Row, ended: Limit | None) -> list[str]:
    mark = ENDED if row.binds and ended in row.limits else ""
    return [row.name, f"{row.used:,.0f}", f"{row.most:,.0f}", row.unit, mark]


def _run_rows(run: Run) -> Iterator[_Row]:
    spec, own = run.spec, not (run.failure and run.failure.phase_id)
    yield _Row("tokens", run.tokens_spent, spec.token_cap, "tokens", (Limit.RUN_TOKENS,))
    yield _Row("phases", len(run.phases), spec.phases_max, "phases", ())
    duration, parked = (Limit.DURATION,), (Limit.PARKED_MINUTES,)
    yield _Row("duration", run.active_seconds, spec.duration_seconds_max, "seconds", duration)
    yield _Row("parked", run.parked_seconds, spec.parked_seconds_max, "seconds", parked)
    infra, most = (Limit.INFRA_RETRIES,), spec.infra_retries_max
    yield _Row("infra retries", run.infra_retries_used, most, "retries", infra, own)


def _tier_rows(run: Run, tier: Tier) -> Iterator[_Row]:
    """A tier's; without a phase to blame, those that are passed ended the run."""
    spec = tier.spec
    blamed = run.failure.phase_id if run.failure else ""
    here = any(phase.phase_id == blamed for phase in tier.phases)
    tokens = sum(phase.tokens_spent for phase in tier.phases)
    runs = sum(phase.ci_runs_used for phase in tier.phases)
    yield _Row(
        f"tokens of tier {spec.tier_id}", tokens, spec.token_cap, "tokens",
        (Limit.TIER_TOKENS, Limit.TIER), here or tokens > spec.token_cap,
    )  # fmt: skip
    yield _Row(
        f"CI runs of tier {spec.tier_id}", runs, spec.ci_run_cap, "CI runs",
        (Limit.TIER_CI_RUNS, Limit.TIER), here or runs > spec.ci_run_cap,
    )  # fmt: skip
    if spec.minor_issues_max is None:
        return
    for kind, count, most in (
        ("minor", tier.minor_issues, spec.minor_issues_max),
        ("major", tier.major_issues, spec.major_issues_max),
    ):
        name = f"{kind} issues of tier {spec.tier_id}"
        yield _Row(name, count, most, "issues", (Limit.TIER_ISSUES,), count > most)


def _phase_rows(run: Run, phase: Phase) -> Iterator[_Row]:
    spec, name = phase.spec, phase.phase_id
    blamed = bool(run.failure and run.failure.phase_id == name)
    attempts = spec.builder_attempts_max + phase.attempts_granted
    cap, audits = spec.incident_token_cap, spec.auditor_attempts_max
    always = (
        ("attempts", phase.attempts_used, attempts, Limit.BUILDER_ATTEMPTS),
        ("tokens", phase.tokens_spent, cap, Limit.PHASE_TOKENS),
        ("audits", phase.auditor_attempts_used, audits, Limit.AUDITOR_ATTEMPTS),
    )
    seldom = (
        ("infra retries", phase.infra_retries_used, run.spec.infra_retries_max, "retries",
         Limit.INFRA_RETRIES),
        ("parks", phase.parks_used, run.spec.parks_max, "times", Limit.PARKS),
        ("re-applications", phase.reapplies_used, run.spec.reapplies_max, "times", Limit.REAPPLIES),
    )  # fmt: skip
    for what, used, most, limit in always:
        yield _Row(f"{what} of {name}", used, most, what, (limit,), blamed)
    for what, used, most, unit, limit in seldom:
        if used or blamed:
            yield _Row(f"{what} of {name}", used, most, unit, (limit,), blamed)
