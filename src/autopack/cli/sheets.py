"""Each report as a sheet: what people read of it. The numbers are made elsewhere.

Never reads a store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from autopack.app.backlog_summary import BacklogSummary, DebtIssue
from autopack.app.issues_view import debt
from autopack.app.metrics import RunMetrics, TierMetrics
from autopack.app.overruns import BudgetAnalysis
from autopack.app.review import PhaseReview, RunReview
from autopack.app.sentences import count
from autopack.cli.sheet import Grid, Sheet
from autopack.core.forecast import Basis, Forecast, SliceForecast, Spread


def runs_sheet(runs: Sequence[RunMetrics], whose: str) -> Sheet:
    """`report runs`; `whose`: of which projects."""
    header = ("run", "project", "state", "tokens", "of cap", "minutes", "at most", "phases",
              "CI runs", "issues", "debt")  # fmt: skip
    rows = [
        (run.run_id, run.project_id, run.state, f"{run.tokens_used:,}",
         _percent(run.token_utilization), f"{run.active_minutes:.1f}",
         f"{run.max_duration_minutes:g}", _states(run.phase_states),
         str(run.ci_runs_used), _issues(run.minor_issues_count, run.major_issues_count),
         debt(run.debt_status, run.excess_issues))
        for run in runs
    ]  # fmt: skip
    return Sheet(
        f"{whose}: {count(len(runs), 'run')}", grids=(Grid("", header, rows, "no such run"),)
    )


def tiers_sheet(run_id: str, tiers: Sequence[TierMetrics]) -> Sheet:
    """`report tiers`."""
    return Sheet(f"run {run_id}: {count(len(tiers), 'tier')}", grids=(_tiers(tiers),))


def _tiers(tiers: Sequence[TierMetrics]) -> Grid:
    header = ("tier", "name", "state", "phases", "tokens", "token cap", "CI runs", "CI run cap",
              "minor", "minor tolerated", "major", "major tolerated", "cleanliness",
              "passed limits")  # fmt: skip
    rows = [
        (t.tier_id, t.name, t.state, _states(t.phase_states), f"{t.tokens_used:,}",
         f"{t.token_cap:,}", str(t.ci_runs_used), str(t.ci_run_cap), str(t.minor_issues_count),
         _limit(t.max_minor_issues_tolerated), str(t.major_issues_count),
         str(t.max_major_issues_tolerated), t.cleanliness, ", ".join(t.budget_flags) or "-")
        for t in tiers
    ]  # fmt: skip
    return Grid("Tiers", header, rows, "it has none")


def backlog_sheet(backlog: BacklogSummary) -> Sheet:
    """`report backlog`."""
    return Sheet(
        f"backlog of project {backlog.project_id}: {count(backlog.total_issues, 'issue')}",
        (
            ("not resolved", str(backlog.open_count + backlog.needs_cleanup_count)),
            ("of these open", str(backlog.open_count)),
            ("of these in need of cleanup, counting as major", str(backlog.needs_cleanup_count)),
            ("resolved", str(backlog.resolved_count)),
            ("came back after they were resolved", str(backlog.reopened_count)),
        ),
        (
            _debts("Oldest", backlog.top_aging_issues),
            _debts("Seen most often", backlog.top_recurring_issues),
            _debts("Need cleanup", backlog.needs_cleanup),
        ),
    )


def _debts(title: str, issues: Sequence[DebtIssue]) -> Grid:
    flaky = any(each.quarantined_until for each in issues)
    header = ("issue", "status", "severity", "counts as", "runs", "tiers", "seen", "first run",
              "last run", *["strict tolerates it until"] * flaky)  # fmt: skip
    rows = [
        (i.issue_key, i.status, i.base_severity, i.effective_severity, str(i.age_in_runs),
         str(i.age_in_tiers), str(i.occurrence_count), i.first_seen_run_id, i.last_seen_run_id,
         *[_when(i.quarantined_until) or "-"] * flaky)
        for i in issues
    ]  # fmt: skip
    return Grid(title, header, rows)


def budget_sheet(budget: BudgetAnalysis, whose: str) -> Sheet:
    """`report budget`; `whose`: of which projects."""
    limits = [(each.limit, str(each.runs), str(each.phases)) for each in budget.limits]
    failures = [
        (f.run_id, f.project_id, f.limit, f.phase_id or "-", f"{f.tokens_used:,}",
         _percent(f.token_utilization), " ".join(f.tiers_responsible) or "-",
         "yes" if f.auditor_helped else "no", f.reason)
        for f in budget.failures
    ]  # fmt: skip
    slices = [
        (s.task_category, s.complexity, str(s.phases), str(s.landed), str(s.failed),
         str(s.attempts), f"{s.tokens:,}", _percent(s.share), _counted(s.limits))
        for s in budget.slices
    ]  # fmt: skip
    return Sheet(
        f"{whose}: budgets of {count(budget.runs_looked_at, 'run')}",
        (
            ("runs that a budget ended", str(budget.total_budget_failures)),
            ("tokens used of the runs' caps, on average",
             _percent(budget.average_token_utilization)),
        ),
        (
            Grid("What ended runs and phases", ("limit", "runs", "phases"), limits, "nothing"),
            Grid("Runs that a budget ended",
                 ("run", "project", "limit", "phase", "tokens", "of cap", "tiers",
                  "auditor helped", "why"),
                 failures),
            Grid("By kind of work",
                 ("category", "complexity", "phases", "landed", "failed", "attempts", "tokens",
                  "share", "ended by"), slices),
        ),
    )  # fmt: skip


def run_sheet(review: RunReview) -> Sheet:
    """`report run`."""
    run, issues = review.run, review.issues
    phases = (*filter(None, [review.draft]), *review.phases)
    most = _limit(issues.max_minor_total)
    facts = [
        ("state", run.state),
        ("project", run.project_id),
        ("safety profile", run.safety_profile),
        ("run scope", run.run_scope),
        ("series", f"part {run.part} of {run.parts} of {run.series}" if run.series else ""),
        ("continues", run.predecessor),
        ("tiers to come", " ".join(run.tiers_to_come)),
        ("started", _when(run.started_at)),
        ("ended", _when(run.completed_at)),
        ("tokens", f"{run.tokens_used:,} of {run.token_cap:,} ({_percent(run.token_utilization)})"),
        ("of which for the plan", f"{review.tokens_planned:,}" if review.draft else ""),
        ("of which landed", f"{review.tokens_landed:,}"),
        ("of which wasted", f"{review.tokens_wasted:,} ({_percent(review.waste_share)})"),
        ("minutes", f"{run.active_minutes:.1f} of {run.max_duration_minutes:g}"),
        ("parked minutes", f"{run.parked_minutes:.1f}"),
        ("CI runs", str(run.ci_runs_used)),
        ("issues", f"{_issues(issues.minor_count, issues.major_count)} (minor: at most {most})"),
        ("debt", debt(run.debt_status, run.excess_issues)),
        ("ended by", review.limit),
        ("because", run.failure_reason),
    ]
    return Sheet(
        f"run {run.run_id}",
        [(name, value) for name, value in facts if value],
        (_tiers(review.tiers), _phases(phases), _checks(phases), _tries(phases)),
    )


def _phases(phases: Sequence[PhaseReview]) -> Grid:
    header = ("phase", "name", "category", "complexity", "state", "attempts", "audits", "CI runs",
              "tokens", "token cap", "wasted", "minutes", "issues", "ended by")  # fmt: skip
    rows = [
        (p.phase_id, p.name, p.task_category, p.complexity, p.state,
         f"{p.builder_attempts} of {p.max_builder_attempts}",
         f"{p.auditor_attempts} of {p.max_auditor_attempts}", str(p.ci_runs_used),
         f"{p.tokens_used:,}", f"{p.incident_token_cap:,}", f"{p.tokens_wasted:,}",
         f"{p.active_minutes:.1f}", _issues(p.minor_issues_count, p.major_issues_count),
         p.limit or "-")
        for p in phases
    ]  # fmt: skip
    return Grid("Phases", header, rows)


def _checks(phases: Sequence[PhaseReview]) -> Grid:
    header = ("phase", "check", "verdict", "findings", "waived because")
    rows = [
        (p.phase_id, each.check, each.verdict.replace("_", " "), str(len(each.findings)),
         each.reason or "-")
        for p in phases
        for each in p.checks
        if each.findings or each.verdict != "pass"
    ]  # fmt: skip
    return Grid("What the gate found in the last candidates", header, rows, "nothing")


def _tries(phases: Sequence[PhaseReview]) -> Grid:
    header = ("phase", "attempt", "by", "result", "tokens", "came to")
    rows = [
        (p.phase_id, str(t.attempt), "builder" if t.kind == "build" else "auditor",
         t.result.replace("_", " "), f"{t.tokens:,}", t.use.value)
        for p in phases
        for t in p.tries
    ]  # fmt: skip
    return Grid("What each attempt cost", header, rows, "nothing was tried yet")


def forecast_sheet(name: str, forecast: Forecast) -> Sheet:
    """`report forecast`, and the end of a dry run."""
    known = forecast.phases - len(forecast.phases_without_data)
    rows = [
        (s.category, s.complexity, s.mode, str(len(s.phases)), s.basis.value, str(s.samples),
         *_spread(s.tokens, s), *_spread(s.minutes, s, digits=1))
        for s in forecast.slices
    ]  # fmt: skip
    header = ("category", "complexity", "mode", "phases", "told from", "samples", "tokens",
              "tokens p90", "minutes", "minutes p90")  # fmt: skip
    notes = []
    if forecast.tokens:
        of = "" if not forecast.phases_without_data else f" of {known} of {forecast.phases} phases"
        notes.append(_total("tokens", forecast.tokens, of))
    if forecast.minutes:
        notes.append(_total("minutes one after another", forecast.minutes, ""))
    if forecast.phases_without_data:
        notes.append(f"no data: {' '.join(forecast.phases_without_data)}")
    if forecast.runs_unread:
        notes.append(f"the logs of {count(forecast.runs_unread, 'run')} cannot be followed")
    title = f"forecast for {name} from {count(forecast.runs_read, 'past run')} of this project"
    return Sheet(title, grids=(Grid("", header, rows),), notes=notes)


def _total(what: str, spread: Spread, of: str) -> str:
    return f"{what}{of}: {spread.median:,.0f} by the medians, {spread.p90:,.0f} by the p90s"


def _spread(spread: Spread | None, told: SliceForecast, digits: int = 0) -> tuple[str, str]:
    if spread is None:
        none = Basis.NONE.value if told.basis is Basis.NONE else "-"
        return none, none
    return f"{spread.median:,.{digits}f}", f"{spread.p90:,.{digits}f}"


def _states(states: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {state}" for state, number in states.items()) or "-"


def _counted(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({number})" for name, number in numbers.items()) or "-"


def _issues(minor: int, major: int) -> str:
    return f"{minor} minor, {major} major" if minor or major else "none"


def _limit(most: int | None) -> str:
    return "-" if most is None else str(most)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _when(at: int | None) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at else ""
