"""Issue intake: what events say is wrong becomes issues of their phases. Called by the machine.

An issue is taken with the severity that was reported, else with its category's; upgrades of the
ruleset and age in the backlog make its effective severity major. Never ends a phase or run.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from autopack.core import draft, gate, issue
from autopack.core.blame import Blamed
from autopack.core.event import (
    AttemptEnded,
    AuditEnded,
    CandidateChecked,
    CandidateTested,
    CommandFailed,
    IssueRecorded,
    SnapshotLanded,
)
from autopack.core.issue import Issue, IssueReport, IssueSeverity, IssueSource
from autopack.core.run import Cause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autopack.core.blame import Exoneration
    from autopack.core.event import Event
    from autopack.core.run import Evidence, Finding, Phase, Run

CATEGORY = "test_failure"
"""Of the issues that a phase leaves whose tests stayed red."""
EXONERATED = {Blamed.FLAKY: issue.FLAKY_TEST, Blamed.PRE_EXISTING: issue.PRE_EXISTING}
"""Of the issues of red tests that were not a candidate's doing."""


def problem(run: Run, event: IssueRecorded) -> str:
    """Why a recording cannot be taken; empty when it can."""
    phase = next((p for p in run.phases if p.phase_id == event.phase_id), None)
    if phase is None or phase.phase_id == draft.PHASE:
        return f"run {run.run_id} has no phase {event.phase_id} that may have issues"
    if event.recording and event.recording in run.recordings:
        return f"recording {event.recording} was made already"
    if why := issue.problem_of(event.report):
        return why
    if event.recording and len(run.recordings) >= issue.RECORDINGS_MAX:
        return f"run {run.run_id} has {issue.RECORDINGS_MAX:,} recordings, the most that it takes"
    known = any(each.issue_key == event.report.issue_key for each in phase.issues)
    if not known and len(phase.issues) >= issue.PHASE_ISSUES_MAX:
        return f"phase {phase.phase_id} has {issue.PHASE_ISSUES_MAX} issues, the most that it takes"
    return ""


def recorded(run: Run, event: IssueRecorded, _asked: object) -> Run:
    """The row of the machine's table: the issue is taken below, with all others."""
    if not event.recording:
        return run
    return replace(run, recordings=(*run.recordings, event.recording))


def take(run: Run, event: Event, asked: str = "") -> Run:
    """The run after the event's issues were taken; `asked`: whose command it answers."""
    if draft.PHASE in (asked, getattr(event, "phase_id", "")):
        return run  # a draft changes nothing that could have an issue
    for report in (*_reports(event), *_exonerated(run, event)):
        unsolved = tuple(key for key in run.resolved if key != report.issue_key)
        run = replace(run, resolved=unsolved)  # also when it is one too many to be kept
        run = _put(run, _taken(run, run.phase(getattr(event, "phase_id", asked)), report))
    if isinstance(event, CandidateTested):
        run = _put(run, replace(run.phase(event.phase_id), passed=event.passed))
    if isinstance(event, SnapshotLanded):
        run = _put(run, _cleanup_ended(run, run.phase(event.phase_id)))
        run = _resolved(run, run.phase(event.phase_id))
    return run


def _reports(event: Event) -> Iterator[IssueReport]:
    if isinstance(event, IssueRecorded):
        yield event.report
    if isinstance(event, AttemptEnded | AuditEnded | CommandFailed):
        yield from (report for report in event.issues if not issue.problem_of(report))
    if isinstance(event, CandidateChecked):
        yield from map(_red_before, gate.red_before(event.checks))


def _red_before(finding: Finding) -> IssueReport:
    """A static check that is red without the candidate, too: the project's own debt."""
    what = finding.message.partition("\n")[0]
    digest = hashlib.sha256(what.encode()).hexdigest()[:16]
    return IssueReport(
        f"static_check__{digest}",
        IssueSource.STATIC_CHECK,
        "static_check",
        description=finding.message[: issue.DESCRIPTION_CHARACTERS_MAX],
    )


def _exonerated(run: Run, event: Event) -> Iterator[IssueReport]:
    """Red tests that were not the candidate's doing: each failure counts once in a run."""
    if not isinstance(event, CandidateTested):
        return
    seen = {found.issue_key for phase in run.phases for found in phase.issues}
    for each in event.exonerated:
        if each.issue_key not in seen and each.kind in EXONERATED:
            seen.add(each.issue_key)
            yield _of_exonerated(each)


def _of_exonerated(each: Exoneration) -> IssueReport:
    """A green run shows that a failure of before is gone; of a flaky test it shows nothing."""
    kind = issue.FLAKY if each.kind is Blamed.FLAKY else issue.TEST
    said = f"{each.reason} ({', '.join(each.attempts)})\n{each.message}".strip()
    return IssueReport(
        each.issue_key,
        IssueSource.CI,
        EXONERATED[each.kind],
        IssueSeverity.MINOR,
        evidence_refs=_refs(kind, each.test, each.path, each.line),
        description=said[: issue.DESCRIPTION_CHARACTERS_MAX],
    )


def _refs(kind: str, test: str, path: str, line: int) -> tuple[str, ...]:
    refs = [f"{kind}{test}"]
    if path:
        refs.append(f"{issue.PATH}{path}:{line}" if line else f"{issue.PATH}{path}")
    return tuple(ref[: issue.EVIDENCE_CHARACTERS_MAX] for ref in refs)


def failed(run: Run, phase: Phase) -> Phase:
    """A phase that fails, with an issue for each test that was red in its last attempt."""
    for report in _left_red(phase):
        phase = _taken(run, phase, report)
    more = evidence.more if (evidence := _last_red(phase)) else 0
    phase = replace(phase, issues_dropped=phase.issues_dropped + more)
    return _cleanup_ended(_put(run, phase), phase)


def known_occurrences(run: Run) -> dict[str, int]:
    """How often each issue that the run resolved was known to be seen; a later sighting counts."""
    known = {each.issue_key: each.occurrence_count for each in run.spec.known_issues}
    return {key: known[key] for key in run.resolved if known.get(key)}


def _cleanup_ended(run: Run, phase: Phase) -> Phase:
    """A debt phase that ended knows of all sightings until then, its own run's included.

    One that was not begun, or that a broken machine ended, tells nothing of its cleanup.
    """
    key = phase.spec.cleans
    known = next((k.occurrence_count for k in run.spec.known_issues if k.issue_key == key), 0)
    broken = phase.failure is not None and phase.failure.cause is Cause.ENVIRONMENT
    if not key or not known or not phase.attempts_used or broken:
        return phase
    own = (each for other in run.phases for each in other.issues if each.issue_key == key)
    return replace(phase, occurrences_known=known + sum(each.occurrence_count for each in own))


def settled(before: Run, run: Run) -> Run:
    """The run after an event, all of it: what it saw itself, it does not resolve."""
    if before.spec.drafting:
        return run  # the plan came: nothing was seen yet
    seen = {
        found.issue_key
        for old, new in zip(before.phases, run.phases, strict=True)
        if new.issues != old.issues
        for found in set(new.issues) - set(old.issues)
    }
    left = tuple(key for key in run.resolved if key not in seen)
    if not seen and left == before.resolved:
        return run
    return replace(run, resolved=left, issues_version=before.version + 1)


def _left_red(phase: Phase) -> Iterator[IssueReport]:
    """The tests that failed in the last attempt of a phase that failed."""
    evidence = _last_red(phase)
    for finding in evidence.findings if evidence else ():
        if finding.test:
            yield _failed_test(finding)


def _last_red(phase: Phase) -> Evidence | None:
    evidence = phase.doubt.evidence if phase.doubt else phase.evidence
    return evidence if evidence and evidence.source == "ci" else None


def _failed_test(finding: Finding) -> IssueReport:
    return IssueReport(
        test_key(finding.test),
        IssueSource.TEST,
        CATEGORY,
        evidence_refs=_refs(issue.TEST, finding.test, finding.path, finding.line),
        description=finding.message[: issue.DESCRIPTION_CHARACTERS_MAX],
    )


def test_key(test: str) -> str:
    """The issue key of a failing test: readable, and another for each test."""
    words = re.sub(r"[^A-Za-z0-9]+", "_", test).strip("_")[-80:].strip("_")
    return f"{CATEGORY}__{words or 'test'}__{hashlib.sha256(test.encode()).hexdigest()[:8]}"


def _taken(run: Run, phase: Phase, report: IssueReport) -> Phase:
    found = _issue(run, phase, report)
    known = any(each.issue_key == found.issue_key for each in phase.issues)
    if not known and len(phase.issues) >= issue.PHASE_ISSUES_MAX:
        return replace(phase, issues_dropped=phase.issues_dropped + 1)
    return replace(phase, issues=issue.add(phase.issues, found))


def _issue(run: Run, phase: Phase, report: IssueReport) -> Issue:
    spec = run.spec
    severity = report.severity or phase.spec.issue_severity
    aged = any(k.needs_cleanup for k in spec.known_issues if k.issue_key == report.issue_key)
    upgraded = any(
        rule.matches(report, phase.spec.task_category) for rule in spec.severity_upgrades
    )
    return Issue(
        issue_key=report.issue_key,
        severity=severity,
        effective_severity=IssueSeverity.MAJOR if aged or upgraded else severity,
        source=report.source,
        category=report.category,
        expected_fail=report.expected_fail,
        occurrence_count=1,
        evidence_refs=tuple(sorted(set(report.evidence_refs))),
        description=report.description,
        upgraded=upgraded,
    )


def _resolved(run: Run, phase: Phase) -> Run:
    """Known issues all of whose tests were green in what landed, and that the run never saw."""
    green = set(phase.passed)
    seen = {found.issue_key for each in run.phases for found in each.issues}
    keys = {known.issue_key for known in run.spec.known_issues if known.tests
            and green.issuperset(known.tests) and known.issue_key not in seen}  # fmt: skip
    return replace(run, resolved=tuple(sorted(keys | set(run.resolved))))


def _put(run: Run, phase: Phase) -> Run:
    phases = tuple(phase if p.phase_id == phase.phase_id else p for p in run.phases)
    return replace(run, phases=phases)
