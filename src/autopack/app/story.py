"""An event in words: our own sentence, apart from what agents and tools wrote in it.

Never cuts or escapes the texts of others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from autopack.app.sentences import count
from autopack.core.blame import Blamed, Exoneration
from autopack.core.event import (
    AttemptEnded,
    AuditEnded,
    BasePrepared,
    CancelRequested,
    CandidateChecked,
    CandidateReapplied,
    CandidateTested,
    CiVerdict,
    CommandFailed,
    Delivered,
    DeliveryRefused,
    DeliveryRequested,
    DurationSpent,
    EnvironmentPrepared,
    Event,
    IssueRecorded,
    Outcome,
    PlanDrafted,
    PlanRejected,
    Promoted,
    PromotionRefused,
    PromotionRequested,
    PromotionsFull,
    ReapplyConflicted,
    RoomAwaited,
    RunCreated,
    SnapshotLanded,
    Unparked,
)
from autopack.core.issue import IssueReport
from autopack.core.run import Candidate, CheckVerdict, Evidence, Finding
from autopack.core.series import parts_of, whole

AHEAD = "ahead of the branch: it counts only if that work lands"
SHORT = 12
"""Digits of a commit that people are shown."""


@dataclass(frozen=True)
class Told:
    """`what` is ours; `detail` and `findings` may hold any text. `phase_id` empty: the run's."""

    what: str
    phase_id: str = ""
    detail: str = ""
    findings: tuple[Finding, ...] = ()


class Teller:
    """Tells a run's events in their order, and where a verdict was on work ahead of the branch.

    Such a red verdict counts only when the branch comes to stand there (docs/adr/0011). Who begins
    in the middle of a run is told less, and nothing wrong.
    """

    def __init__(self) -> None:
        self._current: dict[str, Candidate] = {}
        """The last candidate of each phase that has not landed or been judged red."""

    def told(self, event: Event) -> Told:
        """As `told`, for the next event."""
        said = told(event)
        match event:
            case CandidateTested() if event.verdict is not CiVerdict.PASS:
                if self._ahead(event.phase_id):
                    return replace(said, what=f"{said.what}, {AHEAD}")
                self._current.pop(event.phase_id, None)
            case AttemptEnded() | AuditEnded() | CandidateReapplied() if event.candidate:
                self._current[event.phase_id] = event.candidate
            case SnapshotLanded():
                self._current.pop(event.phase_id, None)
            case _:
                pass
        return said

    def _ahead(self, phase_id: str) -> bool:
        mine = self._current.get(phase_id)
        others = (each for key, each in self._current.items() if key != phase_id)
        return mine is not None and any(each.commit == mine.parent for each in others)


def told(event: Event) -> Told:
    """What happened, to which phase, and what was said about it."""
    match event:
        case AttemptEnded() | Unparked() | CandidateChecked() | AuditEnded():
            return _judged(event)
        case PlanDrafted() | PlanRejected():
            return _compiled(event)
        case CandidateTested() | CandidateReapplied() | ReapplyConflicted() | SnapshotLanded():
            return _tested(event)
        case RunCreated() | BasePrepared() | EnvironmentPrepared():
            return _begun(event)
        case (
            Promoted()
            | PromotionRefused()
            | PromotionRequested()
            | PromotionsFull()
            | RoomAwaited()
        ):
            return _promoted(event)
        case Delivered():
            return Told(f"delivered at {event.tip[:SHORT]}")
        case DeliveryRefused():
            return Told(f"delivery of {event.tip[:SHORT]} refused", detail=event.reason)
        case CommandFailed():
            return Told("the environment refused a command", detail=event.reason)
        case CancelRequested():
            return Told("cancelled", detail=f"by {event.by}")
        case DeliveryRequested():
            return Told("delivery asked for", detail=f"by {event.by}")
        case IssueRecorded():
            what = f"issue {event.report.issue_key} recorded"
            return Told(what, event.phase_id, f"by {event.by}\n{event.report.description}".strip())
        case DurationSpent():
            return Told("the run's minutes are spent")
        case _:
            assert_never(event)


def _begun(event: RunCreated | BasePrepared | EnvironmentPrepared) -> Told:
    match event:
        case RunCreated():
            return Told(f"run created from {event.spec.base_commit[:SHORT]}")
        case BasePrepared():
            return Told("base is ready")
        case EnvironmentPrepared():
            return Told("environment is ready")
        case _:
            assert_never(event)


def _judged(event: AttemptEnded | Unparked | CandidateChecked | AuditEnded) -> Told:
    match event:
        case AttemptEnded():
            detail, findings = _evidence(event.evidence)
            what = f"attempt {event.attempt} {_OUTCOMES[event.outcome]}, {event.tokens:,} tokens"
            if event.candidate:
                what += f", candidate {event.candidate.commit[:SHORT]}"
            what += _reported(event.issues)
            detail = "\n".join(text for text in (detail, event.note) if text)
            return Told(what, event.phase_id, detail, findings)
        case Unparked():
            what = f"goes on after {event.waited_seconds:.0f} s at the usage limit"
            return Told(what, event.phase_id)
        case CandidateChecked():
            return _checked(event)
        case AuditEnded():
            what = f"auditor: {event.recommendation.value}, {event.tokens:,} tokens"
            what += _reported(event.issues)
            asked = f"asked because: {event.reason}" if event.reason else ""
            return Told(what, event.phase_id, "\n".join(filter(None, (asked, event.notes))))
        case _:
            assert_never(event)


def _checked(event: CandidateChecked) -> Told:
    """The gate's verdict, and which check is behind it; why an auditor waived one is the detail."""
    told = [
        f"{each.check} {each.verdict.value.replace('_', ' ')}"
        for each in event.checks
        if each.verdict is not CheckVerdict.PASS
    ]
    told += [f"{check} not run" for check in event.not_run]
    what = f"gate: {event.verdict.value.replace('_', ' ')}"
    what += f" ({', '.join(told)})" if told else ""
    waived = dict.fromkeys(f"waived: {each.reason}" for each in event.checks if each.reason)
    findings = tuple(found for each in event.checks for found in each.findings)
    return Told(what, event.phase_id, "\n".join(waived), findings or event.findings)


def _compiled(event: PlanDrafted | PlanRejected) -> Told:
    if isinstance(event, PlanRejected):
        return Told("the draft is no plan", event.phase_id, findings=event.findings)
    size, runs = count(len(whole(event.spec).phases), "phase"), parts_of(event.spec)
    size += f" in {count(runs, 'run')}" if runs > 1 else ""
    return Told(f"the draft is a plan of {size}", event.phase_id, "\n".join(event.notes))


def _tested(
    event: CandidateTested | CandidateReapplied | ReapplyConflicted | SnapshotLanded,
) -> Told:
    match event:
        case CandidateTested():
            detail, findings = _evidence(event.evidence)
            counted = event.tests_run or not event.weak
            notes = [count(event.tests_run, "test") if counted else "tests not counted"]
            notes += ["cached"] if event.cached else []
            notes += ["by exit code alone"] if event.weak else []
            notes += _exonerated(event.exonerated)
            notes += [f"{len(event.proved)} red without the change"] if event.proved else []
            what = f"CI: {event.verdict.value} ({', '.join(notes)})"
            detail = "\n".join(filter(None, (detail, *map(_excused, event.exonerated))))
            return Told(what, event.phase_id, detail, (*findings, *event.findings))
        case CandidateReapplied():
            what = f"made again on what goes before it, as {event.candidate.commit[:SHORT]}"
            return Told(what, event.phase_id)
        case ReapplyConflicted():
            detail, findings = _evidence(event.evidence)
            what = "conflicts with what landed, or is to land, before it"
            return Told(what, event.phase_id, detail, findings)
        case SnapshotLanded():
            return Told(f"landed at {event.commit[:SHORT]}", event.phase_id)
        case _:
            assert_never(event)


def _promoted(
    event: Promoted | PromotionRefused | PromotionRequested | PromotionsFull | RoomAwaited,
) -> Told:
    match event:
        case Promoted():
            what = f"promoted: pull request {event.number} ({event.state}), {event.url}"
            return Told(what, detail="\n".join(event.notes))
        case PromotionRefused():
            return Told("promotion refused", detail=event.reason)
        case PromotionRequested():
            return Told("promotion asked for", detail=f"by {event.by}")
        case PromotionsFull():
            open_now = count(event.promotions_open, "promotion pull request")
            what = f"waits before it begins: {open_now} open, at most {event.most} may be"
            return Told(what)
        case RoomAwaited():
            said = "there is room for a promotion" if event.found else "no promotion was reviewed"
            return Told(f"{said}, after {event.waited_seconds:.0f} s")
        case _:
            assert_never(event)


def _exonerated(found: tuple[Exoneration, ...]) -> list[str]:
    """How many red tests are not the candidate's doing, by kind."""
    words = {Blamed.FLAKY: "flaky", Blamed.PRE_EXISTING: "red before"}
    counted = ((word, sum(each.kind is kind for each in found)) for kind, word in words.items())
    return [f"{number} {word}" for word, number in counted if number]


def _excused(each: Exoneration) -> str:
    return f"{each.test}: {each.reason} ({', '.join(each.attempts)})"


_OUTCOMES: dict[Outcome, str] = {
    Outcome.SUBMITTED: "submitted",
    Outcome.REFUSED: "left what cannot become a candidate",
    Outcome.EMPTY: "changed nothing",
    Outcome.FAILED: "failed",
    Outcome.TIMED_OUT: "timed out",
    Outcome.CANCELLED: "was cancelled",
    Outcome.PARKED: "met the provider's usage limit",
}


def _reported(issues: tuple[IssueReport, ...]) -> str:
    return f", {count(len(issues), 'issue')} reported" if issues else ""


def _evidence(evidence: Evidence | None) -> tuple[str, tuple[Finding, ...]]:
    return (evidence.summary, evidence.findings) if evidence else ("", ())
