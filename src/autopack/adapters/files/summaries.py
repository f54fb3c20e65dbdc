"""The texts of a run's artefacts: Markdown made from its read model. Never writes a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from autopack.adapters.files.escape import block, file_part, inline
from autopack.adapters.files.issue_files import issue_files
from autopack.app.budget_view import BudgetView
from autopack.app.findings import CheckView, EvidenceView, FindingView
from autopack.app.issues_view import PhaseIssuesView, debt
from autopack.app.promotion_view import PromotionView
from autopack.app.report import (
    EntryView,
    FailureView,
    PhaseView,
    RunView,
    SnapshotView,
    TierView,
)
from autopack.core.draft import PHASE


def tier_file(tier: TierView) -> str:
    """Name of a tier's summary."""
    return f"tier_{tier.tier_index:02d}_{file_part(tier.name)}.md"


def phase_file(phase: PhaseView) -> str:
    """Name of a phase's summary."""
    return f"phase_{phase.phase_index:02d}_{file_part(phase.phase_id)}.md"


def run_summary(run: RunView) -> str:
    """`run_summary.md`."""
    lines = [
        f"# Run {inline(run.run_id)}",
        "",
        inline(run.summary) + ".",
        "",
        *facts(
            ("state", run.state),
            ("project", run.project_id),
            ("base", f"{run.base_ref} at {run.base_commit}"),
            *_branch(run),
            ("delivery refused", run.delivery_refusal),
            *_promotion(run.promotion),
            ("builder", run.builder),
            ("auditor", run.auditor),
            ("sandbox", _sandbox(run.sandbox)),
            ("safety profile", run.safety_profile),
            ("series", run.series.place if run.series else ""),
            ("continues", run.predecessor),
            ("tiers after it", run.series.to_come if run.series else ""),
            ("started", when(run.started_at)),
            ("last change", when(run.changed_at)),
            ("minor issues", _of(run.issues.minor_issue_count, run.issues.minor_issues_max)),
            ("major issues", str(run.issues.major_issue_count)),
            ("debt", debt(run.issues.debt_status, run.issues.excess)),
            ("resolved", ", ".join(run.issues.resolved)),
        ),
        *failure_lines(run.failure),
        *(line for each in run.cleanup_failures for line in (inline(each.said) + ".", "")),
        *section("Budgets", _budget_rows(run.budgets)),
        *section("Phases", _phase_rows(run.phases)),
        *section("Snapshots", _snapshot_rows(run.snapshots)),
        *_entries(run.entries),
    ]
    return _text(lines)


def tier_summary(tier: TierView) -> str:
    """`tiers/tier_….md`."""
    lines = [
        f"# Tier {inline(tier.tier_id)}: {inline(tier.name)}",
        "",
        *facts(
            ("state", tier.state),
            ("cleanliness", tier.cleanliness),
            ("tokens", f"{tier.tokens_spent:,} of {tier.token_cap:,}"),
            ("CI runs", f"{tier.ci_runs_used} of {tier.ci_run_cap}"),
            ("minor issues", _of(tier.minor_issues, tier.minor_issues_max)),
            ("major issues", _of(tier.major_issues, tier.major_issues_max)),
        ),
        *section("Phases", _phase_rows(tier.phases)),
    ]
    return _text(lines)


def phase_summary(phase: PhaseView) -> str:
    """`phases/phase_….md`."""
    lines = [
        f"# Phase {inline(phase.phase_id)}: {inline(phase.name)}",
        "",
        inline(phase.summary) + ".",
        "",
        *facts(
            ("state", phase.state),
            ("tier", phase.tier_id),
            ("category", phase.category),
            ("complexity", phase.complexity),
            ("mode", phase.mode),
            ("scope", ", ".join(phase.scope)),
            ("needs", ", ".join(phase.needs)),
            ("packs", ", ".join(phase.packs)),
            ("deliver", ", ".join(phase.deliver)),
            ("attempts", f"{phase.attempts_used} of {phase.attempts_max}"),
            ("audits", f"{phase.auditor_attempts_used} of {phase.auditor_attempts_max}"),
            ("CI runs", str(phase.ci_runs_used)),
            ("tokens", f"{phase.tokens_spent:,} of {phase.incident_token_cap:,}"),
            ("candidate", phase.candidate),
            ("landed as", phase.commit),
            ("tag", phase.tag),
            ("issues", phase.issues.issue_state),
        ),
        *failure_lines(phase.failure),
        *("## Task", "", block(phase.task), ""),
        *section("Gate", _check_rows(phase.checks)),
        *section("Issues", _issue_rows(phase.issues)),
        *_entries(phase.entries),
    ]
    return _text(lines)


def _promotion(promotion: PromotionView) -> Iterator[tuple[str, str]]:
    """`promotion_eligible_to_main` with every reason, and what became of it."""
    yield ("promotion_eligible_to_main", "yes" if promotion.eligible else "no")
    yield ("not eligible because", "; ".join(promotion.reasons))
    yield ("pull request", promotion.told)
    yield ("to know of it", "; ".join(promotion.notes))
    yield ("promotion refused", promotion.refusal)


def _branch(run: RunView) -> Iterator[tuple[str, str]]:
    """Where the work is, or will be; a run that ended without any has no branch."""
    if run.plan_only:
        yield ("branch", "none: plan only")
    elif run.ended and not (run.snapshots or run.delivered):
        before = f"; what landed before is on {run.work_branch}" if run.work_branch else ""
        yield ("branch", f"none: nothing landed{before}")
    else:
        yield ("branch", run.branch)
        yield ("tip", run.tip)
        yield ("delivered", run.delivered or "not yet")


def _sandbox(sandbox: str) -> str:
    return "none: agents and CI saw the machine and its network" if sandbox == "none" else sandbox


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines).rstrip("\n") + "\n"


def facts(*facts: tuple[str, str]) -> Iterator[str]:
    yield from (f"- {name}: {inline(value)}" for name, value in facts if value)
    yield ""


def section(title: str, rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table whose first row is its header; nothing when it has no other."""
    if len(rows) < 2:
        return
    yield from (f"## {title}", "", _row(rows[0]), _row(["---"] * len(rows[0])))
    yield from (_row([inline(cell) for cell in row]) for row in rows[1:])
    yield ""


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def failure_lines(failure: FailureView | None) -> Iterator[str]:
    if failure:
        where = f" in phase {inline(failure.phase_id)}" if failure.phase_id else ""
        yield from (f"## Cause: {inline(failure.cause)}{where}", "", block(failure.reason), "")


def _budget_rows(budgets: Sequence[BudgetView]) -> list[list[str]]:
    rows = [["budget", "used", "limit", "unit"]]
    return rows + [[b.name, f"{b.used:,.0f}", f"{b.limit:,.0f}", b.unit] for b in budgets]


def _phase_rows(phases: Sequence[PhaseView]) -> list[list[str]]:
    rows = [["phase", "name", "state", "attempts", "tokens", "where it stands"]]
    for phase in phases:
        attempts = f"{phase.attempts_used} of {phase.attempts_max}"
        tokens = f"{phase.tokens_spent:,}"
        rows.append([phase.phase_id, phase.name, phase.state, attempts, tokens, phase.summary])
    return rows


def _of(used: int, limit: int | None) -> str:
    return str(used) if limit is None else f"{used} of {limit} tolerated"


def _issue_rows(found: PhaseIssuesView) -> list[list[str]]:
    rows = [["issue", "severity", "counts as", "source", "seen", "what"]]
    for each in found.issues:
        seen, what = str(each.occurrence_count), each.description
        severities = [each.severity, each.effective_severity]
        rows.append([each.issue_key, *severities, each.source, seen, what])
    if found.dropped:
        rows.append([f"and {found.dropped} more at least", "", "", "", "", "not kept"])
    return rows


def _check_rows(checks: Sequence[CheckView]) -> list[list[str]]:
    """What the gate said of the last candidate; its findings are among what happened."""
    rows = [["check", "verdict", "findings", "why it was waived"]]
    for each in checks:
        rules = ", ".join(dict.fromkeys(found.rule for found in each.findings))
        rows.append([each.check, each.verdict.replace("_", " "), rules, each.reason])
    return rows


def _snapshot_rows(snapshots: Sequence[SnapshotView]) -> list[list[str]]:
    return [["phase", "commit", "tag"], *([s.phase_id, s.commit, s.tag] for s in snapshots)]


def _entries(entries: Sequence[EntryView]) -> Iterator[str]:
    if entries:
        yield from ("## What happened", "")
        yield from entry_lines(entries)


def entry_lines(entries: Sequence[EntryView]) -> Iterator[str]:
    for entry in entries:
        yield from (f"- {when(entry.at)} (event {entry.sequence}): {inline(entry.what)}", "")
        yield from (f"  {line}" for line in _findings(entry.findings))
        if entry.findings:
            yield ""
        if entry.detail:
            yield from (block(entry.detail), "")


def evidence_lines(evidence: EvidenceView) -> Iterator[str]:
    yield from (f"From {inline(evidence.source)}:", "", block(evidence.summary), "")
    yield from _findings(evidence.findings)
    if evidence.findings:
        yield ""


def _findings(findings: Sequence[FindingView]) -> Iterator[str]:
    for finding in findings:
        place = f" at {inline(finding.place)}" if finding.place else ""
        yield f"- {finding.severity}: {inline(finding.rule)}{place}: {inline(finding.message)}"


def when(at: int) -> str:
    """Unix seconds as a UTC date, empty for 0."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at else ""


def run_files(view: RunView) -> dict[tuple[str, str], str]:
    """Text of every file by folder and name; the summary comes last, when the rest is there."""
    files = {
        ("tiers", tier_file(tier)): tier_summary(tier)
        for tier in view.tiers
        if tier.tier_id != PHASE
    }  # nobody tells of it once the plan is there
    drafted = (view.draft,) if view.draft else ()
    phases = (*drafted, *view.phases)
    files |= {("phases", phase_file(phase)): phase_summary(phase) for phase in phases}
    files |= {("issues", name): text for name, text in issue_files(view).items()}
    files["", "run_summary.md"] = run_summary(view)
    return files
