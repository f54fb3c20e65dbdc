"""What speaks for each commit of a run: gate, auditor, CI and tests, told from its events.

Never judges and never escapes the texts of others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from autopack.app.ports import Recorded
from autopack.app.sentences import count
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
from autopack.core.run import CheckResult, Finding, Phase, Run, Severity


@dataclass(frozen=True)
class AuditProof:
    """What an auditor said of it, in its words."""

    recommendation: str
    notes: str


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
    ci_profile: str = ""
    tests_run: int = 0
    weak: bool = False
    """CI judged by exit code alone."""

    @property
    def ci(self) -> str:
        """What CI said, in a few words."""
        told = count(self.tests_run, "test") if self.tests_run or not self.weak else "not counted"
        return f"{self.ci_profile}: {told} green{', by exit code alone' if self.weak else ''}"


@dataclass
class _Trail:
    """What was said of a phase's candidate since its last attempt ended."""

    gate: CandidateChecked | None = None
    asked: tuple[Finding, ...] = ()
    audits: list[AuditEnded] = field(default_factory=list)
    green: CandidateTested | None = None


def landed_proofs(run: Run, log: Iterable[Recorded]) -> tuple[LandedProof, ...]:
    """What speaks for each snapshot, in the order of landing."""
    trails: dict[str, _Trail] = {}
    proofs: list[LandedProof] = []
    for recorded in log:
        event = recorded.happened.event
        phase_id = getattr(event, "phase_id", "")
        trail = trails.setdefault(phase_id, _Trail())
        if isinstance(event, SnapshotLanded):
            proofs.append(_proof(run.phase(phase_id), event, trail))
        elif isinstance(event, AttemptEnded):
            trails[phase_id] = _Trail()
        else:
            _follow(trail, event)
    return tuple(proofs)


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
        gate=_gate(trail),
        checks=phase.checks,
        asked=trail.asked,
        audits=tuple(AuditProof(each.recommendation.value, each.notes) for each in trail.audits),
        ci_profile=phase.spec.ci_profile.value,
    )
    if trail.green is None:
        return proof
    return replace(proof, tests_run=trail.green.tests_run, weak=trail.green.weak)


def _gate(trail: _Trail) -> str:
    """The gate's verdict as it let it in: what it asked for, an auditor waived."""
    if trail.gate is None:
        return "not told"
    verdict = trail.gate.verdict
    if verdict is GateVerdict.NEEDS_AUDITOR or (trail.asked and trail.audits):
        return "waived by the auditor"
    return verdict.value.replace("_", " ")
