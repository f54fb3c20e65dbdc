"""What each row of the machine's table does to a run. Called by `core.machine` alone."""

from __future__ import annotations

from dataclasses import replace

from autopack.core import attempts, audit, budget, moves, queue
from autopack.core.command import (
    Audit,
    Build,
    Check,
    Deliver,
    Pending,
    PrepareEnvironment,
    Promote,
    Reapply,
    Wait,
)
from autopack.core.event import (
    AttemptEnded,
    AuditEnded,
    BasePrepared,
    CancelRequested,
    CandidateChecked,
    CandidateReapplied,
    CommandFailed,
    Delivered,
    DeliveryRefused,
    DeliveryRequested,
    DurationSpent,
    EnvironmentPrepared,
    Event,
    GateVerdict,
    Outcome,
    ReapplyConflicted,
    SnapshotLanded,
    Unparked,
)
from autopack.core.run import (
    Cause,
    Doubt,
    Evidence,
    Failure,
    Phase,
    Run,
    Snapshot,
    Stage,
    Step,
)

# --- the run itself -----------------------------------------------------------------------------


def base_prepared(run: Run, _event: BasePrepared, _asked: Pending) -> Run:
    return moves.issue(replace(run, stage=Stage.QUEUEING), PrepareEnvironment())


def environment_prepared(run: Run, event: EnvironmentPrepared, _asked: Pending) -> Run:
    return replace(run, stage=Stage.WORKING, environment_digest=event.digest)


def run_command_failed(run: Run, event: CommandFailed, asked: Pending) -> Run:
    if run.infra_retries_used < run.spec.infra_retries_max:
        run = replace(run, infra_retries_used=run.infra_retries_used + 1)
        return moves.issue_again(run, asked)
    return moves.stop(run, Failure(Cause.ENVIRONMENT, event.reason))


def cancelled(run: Run, event: CancelRequested, _asked: None) -> Run:
    return moves.stop(run, Failure(Cause.REQUIRES_HUMAN_REVIEW, f"cancelled by {event.by}"))


def duration_spent(run: Run, _event: DurationSpent, _asked: None) -> Run:
    if budget.parked(run):
        minutes = run.spec.parked_seconds_max / 60
        reason = f"parked at a usage limit for parked_minutes_max = {minutes:g} minutes"
    else:
        minutes = run.spec.duration_seconds_max / 60
        reason = f"max_duration_minutes = {minutes:g} minutes are spent"
    return moves.stop(run, Failure(Cause.BUDGET_EXHAUSTED, reason))


def answered_late(run: Run, _event: Event, _asked: Pending) -> Run:
    return run


def delivered(run: Run, event: Delivered, _asked: Pending) -> Run:
    return replace(run, delivered=event.tip, delivery_refusal="")


def delivery_refused(run: Run, event: DeliveryRefused | CommandFailed, asked: Pending) -> Run:
    if not isinstance(asked.command, Deliver):  # a command of the run's start, while it stops
        return run
    return replace(run, delivery_refusal=event.reason)


def delivery_requested(run: Run, _event: DeliveryRequested, _asked: None) -> Run:
    return deliver(run, final=run.stage is Stage.DONE, asked=True)


# --- one phase ----------------------------------------------------------------------------------


def attempt_ended(run: Run, event: AttemptEnded, _asked: Pending) -> Run:
    phase = budget.settle(run.phase(event.phase_id), event.tokens)
    if event.outcome in {Outcome.PARKED, Outcome.CANCELLED} and phase.tokens_left <= 0:
        return moves.fail(run, phase, Failure(Cause.BUDGET_EXHAUSTED, moves.cap_spent(phase)))
    if event.outcome is Outcome.PARKED:
        return _park(run, phase, event)
    if event.outcome is Outcome.CANCELLED:
        return _cut_off(run, phase)
    made = event.candidate
    phase = replace(phase, attempts_used=phase.attempts_used + 1, candidate=made, origin=made)
    if event.outcome is Outcome.SUBMITTED and event.candidate:
        return moves.check(run, phase, event.candidate)
    refused = event.outcome is Outcome.REFUSED
    cause = Cause.POLICY_VIOLATION if refused else Cause.REQUIRES_HUMAN_REVIEW
    evidence = event.evidence or Evidence("builder", f"the attempt ended {event.outcome}")
    return attempts.again(run, phase, evidence, cause, unusable=refused)


def _cut_off(run: Run, phase: Phase) -> Run:
    """Nobody stopped the run: the machine lost the attempt, and grants another.

    It has a number of its own, because what was cut off is kept under the number it had.
    """
    if phase.infra_retries_used >= run.spec.infra_retries_max:
        return moves.fail(run, phase, Failure(Cause.ENVIRONMENT, "the attempt was cut off"))
    phase = replace(
        phase,
        attempts_used=phase.attempts_used + 1,
        attempts_granted=phase.attempts_granted + 1,
        infra_retries_used=phase.infra_retries_used + 1,
    )
    return moves.start_attempt(run, phase)


def _park(run: Run, phase: Phase, event: AttemptEnded) -> Run:
    if phase.parks_used >= run.spec.parks_max:
        reason = f"parked {phase.parks_used} times at a usage limit (parks_max)"
        return moves.fail(run, phase, Failure(Cause.BUDGET_EXHAUSTED, reason, phase.phase_id))
    phase = replace(phase, step=Step.PARKED, parks_used=phase.parks_used + 1)
    return moves.issue(moves.put(run, phase), Wait(phase.phase_id, event.parked_until))


def unparked(run: Run, event: Unparked, _asked: Pending) -> Run:
    return moves.start_attempt(run, run.phase(event.phase_id))


def checked(run: Run, event: CandidateChecked, _asked: Pending) -> Run:
    phase = replace(run.phase(event.phase_id), checks=event.checks)
    if event.verdict is GateVerdict.FAIL:
        return _refused(run, phase, Evidence("gate", "the gate refused the change", event.findings))
    # where checks were not told apart yet, an approval held for whatever was found later
    answered = event.verdict is GateVerdict.PASS or (phase.approved and not event.checks)
    if answered and not audit.wanted(run, phase):
        return moves.enqueue(run, phase)
    if not run.spec.auditor_of(phase.phase_id):
        summary = "the change needs an auditor's approval and none is configured"
        return _refused(run, phase, Evidence("gate", summary, event.findings))
    evidence = Evidence("gate", "the gate asks for an auditor's approval", event.findings)
    if phase.phase_id in run.landing_queue:
        return moves.doubt(run, phase, Doubt(evidence, moves.candidate_of(phase).parent, asks=True))
    return attempts.ask_auditor(run, phase, evidence)


def _refused(run: Run, phase: Phase, evidence: Evidence) -> Run:
    """Refused on what the builder saw: its doing. Made again on work ahead of it: a doubt."""
    if phase.phase_id in run.landing_queue:
        return moves.doubt(run, phase, Doubt(evidence, moves.candidate_of(phase).parent))
    return attempts.again(run, phase, evidence, Cause.POLICY_VIOLATION)


def reapplied(run: Run, event: CandidateReapplied, _asked: Pending) -> Run:
    return moves.check(run, run.phase(event.phase_id), event.candidate)


def conflicted(run: Run, event: ReapplyConflicted, asked: Pending) -> Run:
    onto = asked.command.onto if isinstance(asked.command, Reapply) else run.tip
    return moves.doubt(run, run.phase(event.phase_id), Doubt(event.evidence, onto))


def landed(run: Run, event: SnapshotLanded, _asked: Pending) -> Run:
    phase = budget.release(replace(run.phase(event.phase_id), step=Step.COMPLETE, evidence=None))
    snapshot = Snapshot(phase.phase_id, event.commit, event.tag)
    run = replace(moves.put(run, phase), tip=event.commit, snapshots=(*run.snapshots, snapshot))
    return run if run.stage is Stage.STOPPING else deliver(run)


def deliver(run: Run, *, final: bool = False, asked: bool = False) -> Run:
    """Have the tip delivered, unless that is under way or, when nobody `asked`, nothing is new."""
    under_way = any(isinstance(p.command, Deliver | Promote) for p in run.pending)
    if under_way or not run.snapshots or not (asked or run.undelivered):
        return run
    return moves.issue(replace(run, delivery_final=final), Deliver(run.tip, asked=asked))


# --- bad ends -----------------------------------------------------------------------------------


def command_failed(run: Run, event: CommandFailed, asked: Pending) -> Run:
    phase = run.phase(getattr(asked.command, "phase_id", ""))
    if queue.is_moot(run, asked.command):
        if isinstance(asked.command, Check):  # what the gate has not seen must not be tested
            origin = phase.origin or phase.candidate
            phase = replace(phase, candidate=origin, checks=phase.origin_checks)
        return moves.put(run, replace(phase, step=Step.LANDING_QUEUED))
    if event.tokens:
        phase = budget.settle(phase, event.tokens)
        if phase.tokens_left <= 0:
            return moves.fail(run, phase, Failure(Cause.BUDGET_EXHAUSTED, moves.cap_spent(phase)))
        if isinstance(asked.command, Build | Audit):
            asked = replace(asked, command=replace(asked.command, tokens_max=phase.tokens_left))
    return moves.retry(run, phase, asked, event.reason)


def stopped(run: Run, event: Event, asked: Pending) -> Run:
    """An answer that came while the run stops: tokens count, the candidate is kept."""
    phase = run.phase(getattr(asked.command, "phase_id", ""))
    if isinstance(event, AttemptEnded | AuditEnded | CommandFailed):
        phase = budget.settle(phase, event.tokens)
    if isinstance(event, AttemptEnded | AuditEnded):
        phase = replace(phase, candidate=event.candidate or phase.candidate)
    ended = run.failure or Failure(Cause.REQUIRES_HUMAN_REVIEW, "the run stopped")
    failure = Failure(ended.cause, f"stopped: {ended.reason}", phase.phase_id)
    return moves.put(run, budget.release(replace(phase, step=Step.FAILED, failure=failure)))
