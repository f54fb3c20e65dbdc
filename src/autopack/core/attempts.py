"""What follows an attempt that did not land: another, an auditor's look, or the phase's end.

Called by the modules of the machine's rows alone.
"""

from __future__ import annotations

from dataclasses import replace

from autopack.core import audit, budget, gate, moves
from autopack.core.command import Audit, Pending
from autopack.core.event import AuditEnded, Recommendation
from autopack.core.run import Candidate, Cause, Evidence, Failure, Phase, Run, Step

_NOTHING = Evidence("gate", "it passed the gate")


def ask_auditor(run: Run, phase: Phase, evidence: Evidence) -> Run:
    """Send the candidate to the auditor, for what the gate found or what the phase needs."""
    asks = ", ".join(dict.fromkeys(finding.rule for finding in evidence.findings))
    reason = asks or audit.wanted(run, phase) or evidence.summary
    return _approval(run, phase, reason, moves.candidate_of(phase), evidence)


def before_landing(run: Run, phase: Phase) -> Run:
    """The run with its auditor asked about a green candidate; the same when nobody need be."""
    if not (reason := audit.wanted(run, phase)):
        return run
    return _approval(run, phase, reason, moves.candidate_of(phase), _NOTHING)


def _approval(
    run: Run, phase: Phase, reason: str, candidate: Candidate, evidence: Evidence | None
) -> Run:
    """Without an approval it cannot land: who cannot give one ends the phase."""
    out, cause = "", Cause.REQUIRES_HUMAN_REVIEW
    if phase.auditor_attempts_used >= phase.spec.auditor_attempts_max:
        out = "the auditor's attempts are spent"
    elif phase.tokens_left <= 0:
        out, cause = moves.cap_spent(phase), Cause.BUDGET_EXHAUSTED
    if out:
        phase = replace(phase, evidence=evidence or phase.evidence)
        return moves.fail(run, phase, Failure(cause, f"{out}; it was asked because: {reason}"))
    return _ask(run, phase, Audit("", 0, candidate, reason, 0, evidence))


def _ask(run: Run, phase: Phase, asked: Audit) -> Run:
    attempt = phase.auditor_attempts_used + 1
    phase = replace(phase, step=Step.AUDITING, auditor_attempts_used=attempt, doubt=None)
    asked = replace(asked, phase_id=phase.phase_id, attempt=attempt, tokens_max=phase.tokens_left)
    return moves.issue(moves.put(run, phase), asked)


def audited(run: Run, event: AuditEnded, asked: Pending) -> Run:
    """The row of the machine's table: what an auditor's answer does."""
    phase = budget.settle(run.phase(event.phase_id), event.tokens)
    command = asked.command
    if not isinstance(command, Audit):
        msg = f"{event.kind} answers {command.kind}"
        raise AssertionError(msg)
    match event.recommendation:
        case Recommendation.ESCALATE:
            return _escalated(run, phase, event, command)
        case Recommendation.INVALID:
            return _unanswered(run, phase, command)
        case Recommendation.APPROVE:
            return _approved(run, phase, event, command)
        case Recommendation.REVISE:
            return _revised(run, phase, event, command)


def _waived(phase: Phase, event: AuditEnded) -> Phase:
    """What the gate had asked about is waived, for the auditor's reason."""
    reason = event.notes or "approved, without a reason"
    given = gate.waiver(phase.checks, reason, phase.auditor_attempts_used)
    waivers = (*phase.waivers, given) if given else phase.waivers
    return replace(phase, checks=gate.approved(phase.checks, reason), waivers=waivers)


def _escalated(run: Run, phase: Phase, event: AuditEnded, asked: Audit) -> Run:
    why = f"the auditor escalates: {event.notes}"
    if asked.instead_of:
        why = f"{why}\n{asked.instead_of.reason}"
    phase = replace(phase, evidence=asked.evidence or phase.evidence)
    return moves.fail(run, phase, Failure(Cause.REQUIRES_HUMAN_REVIEW, why))


def _unanswered(run: Run, phase: Phase, asked: Audit) -> Run:
    """No verdict is no approval, and helps nobody on."""
    if asked.stalled:
        return _go_on(run, phase)
    if asked.instead_of is None:
        return _approval(run, phase, asked.reason, asked.candidate, asked.evidence)
    if audit.may_ask(run, phase):
        return _ask(run, phase, asked)
    return _no_help(run, phase, asked.instead_of, "the auditor gave no verdict")


def _approved(run: Run, phase: Phase, event: AuditEnded, asked: Audit) -> Run:
    """What was asked about may land; of a change that cannot, its end or going on is approved."""
    if event.candidate:
        phase = _waived(replace(phase, approved=True, majors_approved=audit.majors(phase)), event)
        return _patched(run, phase, event.candidate)
    if asked.instead_of:
        return _no_help(run, phase, asked.instead_of, f"the auditor agrees: {event.notes}")
    if asked.stalled:
        return _go_on(run, phase)
    phase = _waived(replace(phase, approved=True, majors_approved=audit.majors(phase)), event)
    return moves.enqueue(run, phase)


def _revised(run: Run, phase: Phase, event: AuditEnded, asked: Audit) -> Run:
    """Its own patch, or one more attempt that knows its notes and what they are about."""
    if event.candidate:
        return _patched(run, replace(phase, approved=False), event.candidate)
    phase = replace(phase, attempts_granted=phase.attempts_granted + 1)
    found = asked.evidence.findings if asked.evidence else ()
    evidence = Evidence("auditor", event.notes or "the auditor asks for a revision", found)
    return again(run, phase, evidence, Cause.REQUIRES_HUMAN_REVIEW)


def _patched(run: Run, phase: Phase, candidate: Candidate) -> Run:
    """The auditor's patch goes the way of any other change; nothing said of it before counts."""
    return moves.check(run, replace(phase, origin=candidate, judged=False, green=False), candidate)


def _go_on(run: Run, phase: Phase) -> Run:
    """The next attempt, as if nobody had been asked; what asking took may leave none."""
    if phase.tokens_left <= 0:
        return moves.fail(run, phase, Failure(Cause.BUDGET_EXHAUSTED, moves.cap_spent(phase)))
    return moves.start_attempt(run, phase)


def _no_help(run: Run, phase: Phase, failure: Failure, why: str) -> Run:
    return moves.fail(run, phase, replace(failure, reason=f"{failure.reason}\n{why}"))


def again(
    run: Run, phase: Phase, evidence: Evidence, cause: Cause, *, unusable: bool = False
) -> Run:
    """Another attempt with the evidence, while attempts and tokens last.

    What was found only after it was made again on a branch that moved is not the builder's doing
    alone: that is granted an attempt, up to `conflicts_max`. An auditor is asked before the phase
    fails, and when attempts end alike. `unusable`: the candidate only keeps what was left.
    """
    made_again = evidence.source in {"ci", "gate"} and phase.candidate != phase.origin
    moved = made_again or evidence.source == "conflict"
    stalled = "" if moved else audit.stalled(phase, evidence)
    phase = replace(phase, evidence=evidence)
    if moved and phase.conflicts_used < run.spec.conflicts_max:
        phase = replace(
            phase,
            conflicts_used=phase.conflicts_used + 1,
            attempts_granted=phase.attempts_granted + 1,
        )
    if phase.tokens_left <= 0:
        return moves.fail(run, phase, Failure(Cause.BUDGET_EXHAUSTED, moves.cap_spent(phase)))
    candidate = None if unusable else phase.candidate
    shown = candidate or Candidate(str(phase.attempts_used), run.tip, "", run.tip)
    ask = Audit("", 0, shown, stalled, 0, evidence)
    if phase.attempts_left <= 0:
        used = "1 attempt" if phase.attempts_used == 1 else f"{phase.attempts_used} attempts"
        reason = f"no attempt is left after {used}; the last: {evidence.summary}"
        failure = Failure(cause, reason)
        if audit.may_ask(run, phase):
            return _ask(run, phase, replace(ask, reason=reason, instead_of=failure))
        return moves.fail(run, phase, failure)
    if stalled and audit.may_ask_aside(run, phase):
        return _ask(run, phase, replace(ask, stalled=True))
    return moves.start_attempt(run, phase)
