"""What follows an attempt that did not land: another, an auditor's look, or the phase's end.

Called by the modules of the machine's rows alone.
"""

from __future__ import annotations

from dataclasses import replace

from autopack.core import budget, gate, moves
from autopack.core.command import Audit, Pending
from autopack.core.event import AuditEnded, Recommendation
from autopack.core.run import Cause, Evidence, Failure, Phase, Run, Step


def ask_auditor(run: Run, phase: Phase, evidence: Evidence) -> Run:
    """Send the candidate to the auditor, for what the gate found."""
    asks = ", ".join(dict.fromkeys(finding.rule for finding in evidence.findings))
    return _audit(run, phase, asks or f"{phase.spec.task_category} is not applied without approval")


def _audit(run: Run, phase: Phase, reason: str) -> Run:
    out, cause = "", Cause.REQUIRES_HUMAN_REVIEW
    if phase.auditor_attempts_used >= phase.spec.auditor_attempts_max:
        out = "the auditor's attempts are spent"
    elif phase.tokens_left <= 0:
        out, cause = moves.cap_spent(phase), Cause.BUDGET_EXHAUSTED
    if out:
        return moves.fail(run, phase, Failure(cause, f"{out}; it was asked because: {reason}"))
    attempt = phase.auditor_attempts_used + 1
    phase = replace(phase, step=Step.AUDITING, auditor_attempts_used=attempt)
    audit = Audit(phase.phase_id, attempt, moves.candidate_of(phase), reason, phase.tokens_left)
    return moves.issue(moves.put(run, phase), audit)


def audited(run: Run, event: AuditEnded, asked: Pending) -> Run:
    phase = budget.settle(run.phase(event.phase_id), event.tokens)
    reason = asked.command.reason if isinstance(asked.command, Audit) else ""
    match event.recommendation:
        case Recommendation.ESCALATE:
            why = f"the auditor escalates: {event.notes}"
            return moves.fail(run, phase, Failure(Cause.REQUIRES_HUMAN_REVIEW, why))
        case Recommendation.INVALID:
            return _audit(run, phase, reason)
        case Recommendation.APPROVE:
            phase = _waived(replace(phase, approved=True), event)
            if event.candidate:
                return moves.check(run, replace(phase, origin=event.candidate), event.candidate)
            return moves.enqueue(run, phase)
        case Recommendation.REVISE:
            if event.candidate:
                return moves.check(run, replace(phase, origin=event.candidate), event.candidate)
            phase = replace(phase, attempts_granted=phase.attempts_granted + 1)
            evidence = Evidence("auditor", event.notes or "the auditor asks for a revision")
            return again(run, phase, evidence, Cause.REQUIRES_HUMAN_REVIEW)


def _waived(phase: Phase, event: AuditEnded) -> Phase:
    """What the gate had asked about is waived, for the auditor's reason."""
    reason = event.notes or "approved, without a reason"
    given = gate.waiver(phase.checks, reason, phase.auditor_attempts_used)
    waivers = (*phase.waivers, given) if given else phase.waivers
    return replace(phase, checks=gate.approved(phase.checks, reason), waivers=waivers)


def again(run: Run, phase: Phase, evidence: Evidence, cause: Cause) -> Run:
    """Another attempt with the evidence, while attempts and tokens last.

    What was found only after it was made again on a branch that moved is not the builder's doing
    alone: that is granted an attempt, up to `conflicts_max`.
    """
    made_again = evidence.source in {"ci", "gate"} and phase.candidate != phase.origin
    moved = made_again or evidence.source == "conflict"
    phase = replace(phase, evidence=evidence)
    if moved and phase.conflicts_used < run.spec.conflicts_max:
        phase = replace(
            phase,
            conflicts_used=phase.conflicts_used + 1,
            attempts_granted=phase.attempts_granted + 1,
        )
    if phase.tokens_left <= 0:
        return moves.fail(run, phase, Failure(Cause.BUDGET_EXHAUSTED, moves.cap_spent(phase)))
    if phase.attempts_left <= 0:
        used = "1 attempt" if phase.attempts_used == 1 else f"{phase.attempts_used} attempts"
        reason = f"no attempt is left after {used}; the last: {evidence.summary}"
        return moves.fail(run, phase, Failure(cause, reason))
    return moves.start_attempt(run, phase)
