"""An issue that somebody records by hand: what is asked of the supervisor, as JSON and as an event.

Never records anything itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from autopack.app.ports import Request, Store
from autopack.core import intake
from autopack.core.errors import OperatorFault
from autopack.core.event import IssueRecorded
from autopack.core.issue import IssueReport, IssueSeverity, IssueSource
from autopack.core.reported import made_plain, problem_of
from autopack.core.run import Run

KIND: Final = "record_issue"
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
"""Of a recording."""
UNNAMED: Final = "#0"
"""Stands for the number that a request without a key will have."""


def body_of(run: Run, phase_id: str, report: IssueReport, recording: str) -> str:
    """The body of a request to record; OperatorFault when it could not be taken.

    `recording` names it, so that it counts once however often it is asked; empty: each counts.
    """
    if recording and not NAME.fullmatch(recording):
        what = "the recording's key: 1 to 128 of A-Z a-z 0-9 . _ : -, beginning with no sign"
        raise OperatorFault(what, "nothing was recorded")
    report = made_plain(report)
    asked = IssueRecorded(phase_id, report, "", recording or UNNAMED)
    if why := problem_of(report) or intake.problem(run, asked):
        raise OperatorFault(why, "nothing was recorded")
    return json.dumps({
        "phase_id": phase_id,
        "recording": recording,
        "issue_key": report.issue_key,
        "source": report.source.value,
        "category": report.category,
        "severity": report.severity.value if report.severity else "",
        "expected_fail": report.expected_fail,
        "evidence_refs": list(report.evidence_refs),
        "description": report.description,
    })  # fmt: skip


def again(store: Store, run: Run, phase_id: str, report: IssueReport, recording: str) -> bool:
    """Whether this very recording was made before; OperatorFault when its key names another."""
    if recording not in run.recordings:
        return False
    made = next(each for each in _recorded(store, run.run_id) if each.recording == recording)
    if (made.phase_id, made.report) == (phase_id, made_plain(report)):
        return True
    what = (
        f"the key {recording} names another recording: {made.report.issue_key} of {made.phase_id}"
    )
    raise OperatorFault(what, "nothing was recorded; give each recording a key of its own")


def confirm(store: Store, run_id: str, body: str, number: int) -> Run:
    """The run after a request was carried out; OperatorFault when it was not taken."""
    run, asked = store.load(run_id), event_of(Request(number, run_id, KIND, "", body))
    if asked.recording not in run.recordings:
        why = intake.problem(run, asked) or "the supervisor did not take it"
        raise OperatorFault(why, "nothing was recorded")
    again(store, run, asked.phase_id, asked.report, asked.recording)
    return run


def _recorded(store: Store, run_id: str) -> Iterator[IssueRecorded]:
    after = 0
    while page := store.events(run_id, after=after):
        for entry in page:
            if isinstance(entry.happened.event, IssueRecorded):
                yield entry.happened.event
        after = page[-1].sequence


def event_of(request: Request) -> IssueRecorded:
    """The event that a request asks for; ValueError when its body is none of ours.

    One without a key of its own is named by its number: it counts once, also when the supervisor
    died between carrying it out and dropping it.
    """
    try:
        told: Mapping[str, Any] = json.loads(request.body)
        severity = IssueSeverity(told["severity"]) if told["severity"] else None
        report = IssueReport(
            issue_key=str(told["issue_key"]),
            source=IssueSource(told["source"]),
            category=str(told["category"]),
            severity=severity,
            expected_fail=bool(told["expected_fail"]),
            evidence_refs=tuple(map(str, told["evidence_refs"])),
            description=str(told["description"]),
        )
        phase_id, recording = str(told["phase_id"]), str(told["recording"])
    except (KeyError, TypeError) as fault:
        raise ValueError(f"request {request.number} is no recording: {fault!r}") from fault
    return IssueRecorded(phase_id, report, request.by, recording or f"#{request.number}")
