"""An event of a run as one line for people. Never prints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from autopack.app.ports import Recorded
from autopack.core import event as ev


def line(recorded: Recorded) -> str:
    """What happened, with the phase it happened to."""
    happened = recorded.happened.event
    words = WORDS[type(happened)](happened)
    phase_id = getattr(happened, "phase_id", "")
    return f"{phase_id}: {words}" if phase_id else words


def _created(e: ev.RunCreated) -> str:
    return f"run {e.spec.run_id} on {e.spec.base_ref} ({e.spec.base_commit[:12]})"


def _checked(e: ev.CandidateChecked) -> str:
    found = "; ".join(f"{each.path} {each.message}".strip() for each in e.findings[:3])
    return f"gate {e.verdict.value}" + (f": {found}" if found else "")


def _audited(e: ev.AuditEnded) -> str:
    return f"auditor says {e.recommendation.value}" + (f": {e.notes}" if e.notes else "")


def _tested(e: ev.CandidateTested) -> str:
    cached = ", cached" if e.cached else ""
    return f"CI {e.verdict.value} ({e.tests_run} tests{cached}){_why(e)}"


def _why(e: ev.AttemptEnded | ev.CandidateTested | ev.ReapplyConflicted) -> str:
    return f": {e.evidence.summary}" if e.evidence else ""


WORDS: Final[dict[type[ev.Event], Callable[[Any], str]]] = {
    ev.RunCreated: _created,
    ev.BasePrepared: lambda _: "base is ready",
    ev.EnvironmentPrepared: lambda _: "environment is ready",
    ev.AttemptEnded: lambda e: f"attempt {e.attempt} {e.outcome.value}{_why(e)}",
    ev.Unparked: lambda e: f"goes on after {e.waited_seconds:.0f} s at a usage limit",
    ev.CandidateChecked: _checked,
    ev.AuditEnded: _audited,
    ev.CandidateTested: _tested,
    ev.CandidateReapplied: lambda e: f"made again on the branch as {e.candidate.commit[:12]}",
    ev.ReapplyConflicted: lambda e: f"conflicts with the branch{_why(e)}",
    ev.SnapshotLanded: lambda e: f"landed at {e.commit[:12]}",
    ev.Delivered: lambda e: f"delivered at {e.tip[:12]}",
    ev.DeliveryRefused: lambda e: f"delivery refused: {e.reason}",
    ev.DeliveryRequested: lambda e: f"delivery asked for by {e.by}",
    ev.CommandFailed: lambda e: f"the environment refused: {e.reason}",
    ev.CancelRequested: lambda e: f"cancelled by {e.by}",
    ev.DurationSpent: lambda _: "the run's minutes are spent",
}
