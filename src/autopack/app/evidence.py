"""What speaks for each commit of a run: gate, auditor, CI and tests, told from its events.

Never judges and never escapes the texts of others.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from autopack.app.sentences import count
from autopack.core.blame import Exoneration
from autopack.core.event import (
    AttemptEnded,
    AuditEnded,
    CandidateChecked,
    CandidateTested,
    CiVerdict,
    Event,
    GateVerdict,
    SnapshotLanded,
)
from autopack.core.idset import PROVED_MAX
from autopack.core.run import CheckResult, CheckVerdict, Finding, Phase, Run, Severity


@dataclass(frozen=True)
class AuditProof:
    """What an auditor said of it, in its words; `attempt`: of which of the phase's attempts."""

    recommendation: str
    notes: str
    attempt: int = 0


@dataclass(frozen=True)
class LandedProof:
    """One landed commit and what it was let in on; texts are as others wrote them."""

    phase_id: str
    name: str
    commit: str
    tag: str
    attempts: int
    tokens: int
    ci_runs: int
    gate: str = ""
    checks: tuple[CheckResult, ...] = ()
    """Each check of the gate, with what an auditor waived and why; empty in an older log."""
    asked: tuple[Finding, ...] = ()
    """What the gate wanted an auditor for, who let it in."""
    audits: tuple[AuditProof, ...] = ()
    audits_before: tuple[AuditProof, ...] = ()
    """Of the attempts before the one that landed."""
    ci_profile: str = ""
    tests_run: int = 0
    weak: bool = False
    """CI judged by exit code alone."""
    proved: tuple[str, ...] = ()
    """Ids of tests that were red without the change and are green with it, at most PROVED_MAX."""
    exonerated: tuple[Exoneration, ...] = ()
    """Red tests that were not the change's doing."""
    beside: tuple[Finding, ...] = ()
    """What its tests say beside those of its parent; what asked is among the checks as well."""

    @property
    def ci(self) -> str:
        """What CI said, in a few words."""
        told = count(self.tests_run, "test") if self.tests_run or not self.weak else "not counted"
        red = len(self.exonerated)
        green = f", {red} red and exonerated, the others green" if red else " green"
        weak = ", by exit code alone" if self.weak else ""
        return f"{self.ci_profile}: {told}{green}{weak}"

    @property
    def proof(self) -> str:
        """How many tests the change turned green, in a few words."""
        if not self.proved:
            return "no test is known to be red without it"
        least = "at least " if len(self.proved) >= PROVED_MAX else ""
        return f"{least}{count(len(self.proved), 'test')} red without it, green with it"


@dataclass
class _Trail:
    """What was said of a phase's candidate since its last attempt ended, which is `attempt`."""

    attempt: int = 0
    before: tuple[AuditProof, ...] = ()
    gate: CandidateChecked | None = None
    asked: tuple[Finding, ...] = ()
    audits: list[AuditEnded] = field(default_factory=list)
    green: CandidateTested | None = None


class Proofs:
    """What speaks for each snapshot of a run; its events are given in their order."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._trails: dict[str, _Trail] = {}
        self._landed: list[LandedProof] = []

    def follow(self, event: Event) -> None:
        """The next event."""
        phase_id = getattr(event, "phase_id", "")
        trail = self._trails.setdefault(phase_id, _Trail())
        if isinstance(event, SnapshotLanded):
            self._landed.append(_proof(self._run.phase(phase_id), event, trail))
        elif isinstance(event, AttemptEnded):
            before = (*trail.before, *_audits(trail))
            self._trails[phase_id] = _Trail(event.attempt, before)
        else:
            _follow(trail, event)

    @property
    def landed(self) -> tuple[LandedProof, ...]:
        """By snapshot, in the order of landing."""
        return tuple(self._landed)


def _audits(trail: _Trail) -> tuple[AuditProof, ...]:
    return tuple(
        AuditProof(each.recommendation.value, each.notes, trail.attempt) for each in trail.audits
    )


def _follow(trail: _Trail, event: Event) -> None:
    match event:
        case CandidateChecked():
            trail.gate = event
            if event.verdict is GateVerdict.NEEDS_AUDITOR:
                asks = (f for f in event.findings if f.severity is Severity.ASK)
                trail.asked = tuple(dict.fromkeys((*trail.asked, *asks)))
        case AuditEnded():
            trail.audits.append(event)
        case CandidateTested() if event.verdict is CiVerdict.PASS:
            trail.green = event
        case _:
            pass


def _proof(phase: Phase, event: SnapshotLanded, trail: _Trail) -> LandedProof:
    proof = LandedProof(
        phase.phase_id,
        phase.spec.name,
        event.commit,
        event.tag,
        phase.attempts_used,
        phase.tokens_spent,
        phase.ci_runs_used,
        gate=_gate(trail, phase.checks),
        checks=phase.checks,
        asked=trail.asked,
        audits=_audits(trail),
        audits_before=trail.before,
        ci_profile=phase.spec.ci_profile.value,
    )
    green = trail.green
    if green is None:
        return proof
    return replace(
        proof,
        tests_run=green.tests_run,
        weak=green.weak,
        proved=green.proved,
        exonerated=green.exonerated,
        beside=green.findings,
    )


def _gate(trail: _Trail, checks: tuple[CheckResult, ...]) -> str:
    """The gate's verdict as it let it in: what it asked for, an auditor waived."""
    if trail.gate is None:
        return "not told"
    verdict = trail.gate.verdict
    waived = any(check.verdict is CheckVerdict.WAIVED for check in checks)
    if waived or verdict is GateVerdict.NEEDS_AUDITOR or (trail.asked and trail.audits):
        return "waived by the auditor"
    return verdict.value.replace("_", " ")
