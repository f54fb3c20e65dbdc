"""One run in words: how it ended, or the whole of it. Never reads a store and never prints."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from autopack.app.issues_view import counted, debt
from autopack.app.sentences import count
from autopack.cli import render
from autopack.cli.following import next_step
from autopack.cli.promoting import promotion_lines
from autopack.cli.proving import proof_lines
from autopack.core.issue import IssueSeverity
from autopack.core.tier import Cleanliness

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autopack.app.findings import FindingView
    from autopack.app.outcome import Places
    from autopack.app.report import PhaseView, RunView

FINDINGS_TOLD: Final = 3
"""In a summary; `run view` shows all of them."""
QUOTED_HEAD_LINES: Final = 8
QUOTED_LINES_MAX: Final = 30
"""Of what a test, tool or agent said: its head and, where errors are told, its end."""
CELL_CHARS_MAX: Final = 80
ISSUES_TOLD: Final = 20
NOTES_TOLD: Final = 20


def summary(run: RunView, places: Places | None) -> list[str]:
    """How a run ended, why, where to look and what to do next."""
    said = list(_head(run))
    if phase := _culprit(run):
        said += [f"    {_finding(each)}" for each in _findings(phase)[:FINDINGS_TOLD]]
    if run.failure and places:
        said.append(f"  look: {places.incident}")
    said += _came_of(run, places)
    return [
        *said,
        *_delivery(run),
        *promotion_lines(run),
        f"  next: {next_step(run, plan=_plan(places))}",
    ]


def lines(
    run: RunView,
    places: Places | None,
    stands: str | None = None,
    cell_chars_max: int = CELL_CHARS_MAX,
) -> list[str]:
    """The whole run as text; `stands` as `branch_now` tells."""
    duration, at_a_time = run.budget("duration"), count(run.parallel_max, "phase")
    shown = [
        *_head(run),
        *_came_of(run, places),
        *_delivery(run, stands),
        *promotion_lines(run, whole=True),
        f"  next: {next_step(run, viewed=True, stands=stands, plan=_plan(places))}",
        "",
        f"repository {run.repository}, base {run.base_ref} ({run.base_commit[:12]})",
        f"builder {run.builder}, auditor {run.auditor or 'none'}, sandbox {run.sandbox}",
        f"{duration.used / 60:.1f} of {duration.limit / 60:.0f} minutes, {at_a_time} at a time",
    ]
    if run.draft:
        shown += ["", "the plan", *_phases(run, (run.draft,), cell_chars_max)]
    for tier in run.tiers:
        mark = "" if tier.cleanliness == Cleanliness.CLEAN.value else ", not clean"
        mark += f", {found}" if (found := counted(tier.minor_issues, tier.major_issues)) else ""
        shown += ["", f"{tier.tier_id} {tier.name}: {tier.state}{mark}"]
        shown += _phases(run, tier.phases, cell_chars_max)
    for phase in run.phases:
        shown += _story(run, phase, cell_chars_max)
    shown += proof_lines(run)
    shown += _waived(run)
    shown += _drafted(run)
    shown += _noted(run)
    shown += _issues(run)
    return [*shown, *_where(run, places)]


def _phases(run: RunView, phases: Sequence[PhaseView], cell_chars_max: int) -> list[str]:
    rows = [
        (
            f"  {phase.phase_id}",
            phase.state,
            f"attempt {phase.attempt}" if phase.attempt else count(phase.attempts_used, "attempt"),
            f"{phase.tokens_spent:,} tokens",
            _cell(_reason(run, phase), cell_chars_max),
        )
        for phase in phases
    ]
    return render.table(("",) * 5, rows)[1:]


def _reason(run: RunView, phase: PhaseView) -> str:
    """Why a phase did not land; what the run's own reason says already is named as above."""
    if phase.failure is None:
        return phase.skipped_because
    told = run.failure.reason if run.failure else ""
    return phase.failure.reason.replace(told, "as above") if told else phase.failure.reason


def _head(run: RunView) -> Iterator[str]:
    tokens = run.budget("tokens")
    yield f"{run.run_id}: {run.state}"
    spent = f"{tokens.used:,.0f} of {tokens.limit:,.0f} tokens"
    yield f"  {run.landed}, {spent}, {count(run.ci_runs_used, 'CI run')}"
    yield from _place(run)
    if run.sandbox == "none":
        yield "  sandbox = none: agents and CI see this machine and its network"
    issues = run.issues
    if found := counted(issues.minor_issue_count, issues.major_issue_count):
        yield f"  {found}, debt: {debt(issues.debt_status, issues.excess)}"
    if issues.resolved:
        yield f"  resolved: {', '.join(issues.resolved)}"
    if run.failure:
        where = f"{run.failure.phase_id}: " if run.failure.phase_id else ""
        first, *rest = run.failure.reason.splitlines() or [""]
        yield f"  why: {where}{first}"
        yield from quoted("\n".join(rest))


def _place(run: RunView) -> Iterator[str]:
    """Where it stands in its series, and what becomes of the rest."""
    if not run.series:
        return
    after = f", continues {run.predecessor}" if run.predecessor else ""
    yield f"  {run.series.place}{after}"
    if run.series.next_run:
        yield f"  goes on in: {run.series.next_run}"
    elif run.series.to_come and run.failure:
        yield f"  not begun: {run.series.to_come}; a retry goes on with that"
    elif run.series.to_come:
        yield f"  to come: {run.series.to_come}"


def _came_of(run: RunView, places: Places | None) -> Iterator[str]:
    """What the state does not tell: failed cleanups, the plan, and whose branch has the work."""
    yield from (f"  {each.said}" for each in run.cleanup_failures)
    if run.plan_only and places:
        yield f"  plan: {places.plan}"
    if run.ended and not run.snapshots and run.work_branch:
        yield f"  branch: {run.work_branch}, which holds what landed before"


def _plan(places: Places | None) -> str:
    return places.plan if places else ""


def _delivery(run: RunView, stands: str | None = None) -> Iterator[str]:
    if run.delivery_refusal and run.undelivered:
        first, *rest = run.delivery_refusal.splitlines()
        yield f"  not delivered: {first}"
        yield from quoted("\n".join(rest))
    elif run.delivered:
        yield f"  branch: {run.branch}, delivered up to {run.delivered[:12]}"
    if stands is not None and stands != run.delivered:
        where = f"stands at {stands[:12]}" if stands else "is not there"
        yield f"  now: {run.branch} {where} in {run.repository}"


def _culprit(run: RunView) -> PhaseView | None:
    """The phase that the run failed on."""
    failed = run.failure.phase_id if run.failure else ""
    return next((phase for phase in run.phases if failed and phase.phase_id == failed), None)


def _story(run: RunView, phase: PhaseView, cell_chars_max: int) -> Iterator[str]:
    """Why a phase's last attempt did not land, in full where nothing above is; what is kept."""
    if not phase.failure and not phase.evidence:
        return
    above = run.failure.reason if run.failure else ""
    summary = phase.evidence.summary if phase.evidence else ""
    reason = _reason(run, phase) if phase.failure else ""
    if (summary and summary in reason) or _cell(reason, cell_chars_max) == reason:
        reason = ""  # told by the evidence, or by the table
    told = [line for text in (reason, summary) if text not in above for line in quoted(text)]
    told += [f"    {_finding(each)}" for each in _findings(phase)]
    if phase.entries and phase.entries[-1].what.startswith("auditor: invalid"):
        told += quoted(f"the auditor's last answer: {phase.entries[-1].detail}")
    kept = [f"    kept: {each.ref} ({each.commit[:12]})" for each in phase.kept]
    if told or kept:
        name = f"{phase.phase_id} {phase.name}"
        yield from ("", f"{name}, last evidence:" if told else f"{name}:", *told, *kept)


def _waived(run: RunView) -> Iterator[str]:
    """What the gate had asked about and an auditor let pass, and why."""
    waived = [
        (f"  {phase.phase_id}", each.check, each.reason)
        for phase in run.phases
        for each in phase.checks
        if each.reason
    ]
    if waived:
        yield from ("", "waived by an auditor")
        rows = [(phase, check, _first_line(reason)) for phase, check, reason in waived]
        yield from render.table(("",) * 3, rows[:NOTES_TOLD])[1:]
    if len(waived) > NOTES_TOLD:
        yield f"  … {len(waived) - NOTES_TOLD} more, in the run's files"


def _drafted(run: RunView) -> Iterator[str]:
    """What the owner should know of a plan that an agent drafted."""
    for entry in run.draft.entries if run.draft else ():
        if entry.what.startswith("the draft is a plan") and entry.detail:
            yield from ("", entry.what, *(f"  {note}" for note in entry.detail.splitlines()))


def _noted(run: RunView) -> Iterator[str]:
    """What is to be said of attempts that were submitted: a file of theirs that was ignored."""
    notes = [
        (f"  {phase.phase_id}", _first_line(f"{entry.what.partition(',')[0]}: {entry.detail}"))
        for phase in run.phases
        for entry in phase.entries
        if entry.detail and re.match(r"attempt \d+ submitted", entry.what)
    ]
    if notes:
        yield from ("", "notes on attempts")
        yield from render.table(("",) * 2, notes[:NOTES_TOLD])[1:]
    if len(notes) > NOTES_TOLD:
        yield f"  … {len(notes) - NOTES_TOLD} more, in the run's files"


def _issues(run: RunView) -> Iterator[str]:
    """The issues of a run, the major ones first."""
    found = sorted(
        run.issues.by_key.items(),
        key=lambda item: item[1].effective_severity != IssueSeverity.MAJOR.value,
    )
    if not found:
        return
    yield from ("", "issues")
    rows = [
        (
            f"  {key}",
            each.effective_severity,
            f"seen {count(each.occurrence_count, 'time')}",
            f"in {', '.join(each.seen_in_phases)}",
        )
        for key, each in found[:ISSUES_TOLD]
    ]
    yield from render.table(("",) * 4, rows)[1:]
    if len(found) > ISSUES_TOLD:
        yield f"  … {len(found) - ISSUES_TOLD} more, in the run's files"


def _where(run: RunView, places: Places | None) -> Iterator[str]:
    """Where everything else is told."""
    yield from ("", "where to look")
    rows = [("  events", f"autopack events list {run.run_id}")]
    if places:
        rows += [("  incident", places.incident)] if run.failure else []
        rows += [("  files", places.artefacts), ("  logs", places.logs)]
        kept = [kept for phase in run.phases for kept in phase.kept]
        if kept:
            shown = f"git --git-dir={places.repository} show {kept[-1].ref}"
            rows.append(("  attempts", shown))
    yield from render.table(("", ""), rows)[1:]


def quoted(text: str) -> list[str]:
    """What others said over several lines, so that no line of it can pass for one of ours."""
    found = [line for line in text.splitlines() if line.strip()]
    lines = [f"    | {line}" for line in found]
    left = len(found) - QUOTED_LINES_MAX
    if left <= 0:
        return lines
    cut = QUOTED_HEAD_LINES
    return [*lines[:cut], f"    … {count(left, 'line')} more", *lines[cut + left :]]


def _findings(phase: PhaseView) -> tuple[FindingView, ...]:
    return phase.evidence.findings if phase.evidence else ()


def _finding(finding: FindingView) -> str:
    place = f"{finding.place}: " if finding.place else ""
    return f"{finding.rule}: {place}{_first_line(finding.message)}"


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "")


def _cell(text: str, chars_max: int) -> str:
    line = _first_line(text)
    return line if len(line) <= chars_max else f"{line[: chars_max - 1]}…"
