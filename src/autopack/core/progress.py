"""What each row of the machine's table does to a run. Called by `core.machine` alone."""

from __future__ import annotations

from dataclasses import replace

from autopack.core import budget, intake, queue
from autopack.core.command import (
    Audit,
    Build,
    Check,
    Command,
    CompilePlan,
    Deliver,
    Pending,
    PrepareEnvironment,
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
    CandidateTested,
    CiVerdict,
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
    Recommendation,
    SnapshotLanded,
    Unparked,
)
from autopack.core.run import (
    FINAL_STEPS,
    Candidate,
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
from autopack.core.spec import OnPhaseFailure


def issue(run: Run, command: Command) -> Run:
    """The run with one more pending command."""
    number = run.commands_issued + 1
    pending = (*run.pending, Pending(number, command))
    return replace(run, commands_issued=number, pending=pending)


def issue_again(run: Run, asked: Pending) -> Run:
    """The command once more after an environment failure; what it makes keeps its first date.

    Its first try may have had its effect: a tag of another date would be another tag.
    """
    number = run.commands_issued + 1
    again = replace(asked, number=number, retry=asked.retry + 1)
    return replace(run, commands_issued=number, pending=(*run.pending, again))


def put(run: Run, phase: Phase) -> Run:
    """The run with that phase in its place; who ends, builds or is audited leaves the queue."""
    phases = tuple(phase if old.phase_id == phase.phase_id else old for old in run.phases)
    ids = run.landing_queue
    if phase.step in {Step.BUILDING, Step.AUDITING} or phase.step in FINAL_STEPS:
        ids = tuple(phase_id for phase_id in ids if phase_id != phase.phase_id)
    return replace(run, phases=phases, landing_queue=ids)


# --- the run itself -----------------------------------------------------------------------------


def base_prepared(run: Run, _event: BasePrepared, _asked: Pending) -> Run:
    return issue(replace(run, stage=Stage.QUEUEING), PrepareEnvironment())


def environment_prepared(run: Run, event: EnvironmentPrepared, _asked: Pending) -> Run:
    return replace(run, stage=Stage.WORKING, environment_digest=event.digest)


def run_command_failed(run: Run, event: CommandFailed, asked: Pending) -> Run:
    if run.infra_retries_used < run.spec.infra_retries_max:
        run = replace(run, infra_retries_used=run.infra_retries_used + 1)
        return issue_again(run, asked)
    return stop(run, Failure(Cause.ENVIRONMENT, event.reason))


def cancelled(run: Run, event: CancelRequested, _asked: None) -> Run:
    return stop(run, Failure(Cause.REQUIRES_HUMAN_REVIEW, f"cancelled by {event.by}"))


def duration_spent(run: Run, _event: DurationSpent, _asked: None) -> Run:
    if budget.parked(run):
        minutes = run.spec.parked_seconds_max / 60
        reason = f"parked at a usage limit for parked_minutes_max = {minutes:g} minutes"
    else:
        minutes = run.spec.duration_seconds_max / 60
        reason = f"max_duration_minutes = {minutes:g} minutes are spent"
    return stop(run, Failure(Cause.BUDGET_EXHAUSTED, reason))


def stop(run: Run, failure: Failure) -> Run:
    """Nothing new starts; the first failure names the run's end."""
    return replace(run, stage=Stage.STOPPING, failure=run.failure or failure)


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


def start_attempt(run: Run, phase: Phase) -> Run:
    """Send the builder to work on the branch as it stands now."""
    phase = replace(phase, step=Step.BUILDING, candidate=None, approved=False, doubt=None)
    phase = replace(phase, origin=None, judged=False, green=False)
    attempt = phase.attempts_used + 1
    build = Build(phase.phase_id, attempt, run.tip, phase.tokens_left, phase.evidence)
    return issue(put(run, phase), build)


def attempt_ended(run: Run, event: AttemptEnded, _asked: Pending) -> Run:
    phase = budget.settle(run.phase(event.phase_id), event.tokens)
    if event.outcome in {Outcome.PARKED, Outcome.CANCELLED} and phase.tokens_left <= 0:
        return fail(run, phase, Failure(Cause.BUDGET_EXHAUSTED, _cap_spent(phase)))
    if event.outcome is Outcome.PARKED:
        return _park(run, phase, event)
    if event.outcome is Outcome.CANCELLED:
        return _cut_off(run, phase)
    made = event.candidate
    phase = replace(phase, attempts_used=phase.attempts_used + 1, candidate=made, origin=made)
    if event.outcome is Outcome.SUBMITTED and event.candidate:
        return _check(run, phase, event.candidate)
    refused = event.outcome is Outcome.REFUSED
    cause = Cause.POLICY_VIOLATION if refused else Cause.REQUIRES_HUMAN_REVIEW
    evidence = event.evidence or Evidence("builder", f"the attempt ended {event.outcome}")
    return again(run, phase, evidence, cause)


def _cut_off(run: Run, phase: Phase) -> Run:
    """Nobody stopped the run: the machine lost the attempt, and grants another.

    It has a number of its own, because what was cut off is kept under the number it had.
    """
    if phase.infra_retries_used >= run.spec.infra_retries_max:
        return fail(run, phase, Failure(Cause.ENVIRONMENT, "the attempt was cut off"))
    phase = replace(
        phase,
        attempts_used=phase.attempts_used + 1,
        attempts_granted=phase.attempts_granted + 1,
        infra_retries_used=phase.infra_retries_used + 1,
    )
    return start_attempt(run, phase)


def _park(run: Run, phase: Phase, event: AttemptEnded) -> Run:
    if phase.parks_used >= run.spec.parks_max:
        reason = f"parked {phase.parks_used} times at a usage limit (parks_max)"
        return fail(run, phase, Failure(Cause.BUDGET_EXHAUSTED, reason, phase.phase_id))
    phase = replace(phase, step=Step.PARKED, parks_used=phase.parks_used + 1)
    return issue(put(run, phase), Wait(phase.phase_id, event.parked_until))


def unparked(run: Run, event: Unparked, _asked: Pending) -> Run:
    return start_attempt(run, run.phase(event.phase_id))


def _check(run: Run, phase: Phase, candidate: Candidate) -> Run:
    phase = replace(phase, step=Step.CHECKING, candidate=candidate)
    ask = CompilePlan if run.stage is Stage.BOOTSTRAP else Check
    return issue(put(run, phase), ask(phase.phase_id, candidate))


def checked(run: Run, event: CandidateChecked, _asked: Pending) -> Run:
    phase = run.phase(event.phase_id)
    if event.verdict is GateVerdict.FAIL:
        return _refused(run, phase, Evidence("gate", "the gate refused the change", event.findings))
    if phase.approved or (event.verdict is GateVerdict.PASS and phase.spec.auto_apply):
        return _queue(run, phase)
    if not run.spec.auditor_of(phase.phase_id):
        summary = "the change needs an auditor's approval and none is configured"
        return _refused(run, phase, Evidence("gate", summary, event.findings))
    evidence = Evidence("gate", "the gate asks for an auditor's approval", event.findings)
    if phase.phase_id in run.landing_queue:
        return _doubted(run, phase, Doubt(evidence, _candidate(phase).parent, asks=True))
    return ask_auditor(run, phase, evidence)


def ask_auditor(run: Run, phase: Phase, evidence: Evidence) -> Run:
    """Send the candidate to the auditor, for what the gate found."""
    asks = ", ".join(dict.fromkeys(finding.rule for finding in evidence.findings))
    return _audit(run, phase, asks or f"{phase.spec.task_category} is not applied without approval")


def _refused(run: Run, phase: Phase, evidence: Evidence) -> Run:
    """Refused on what the builder saw: its doing. Made again on work ahead of it: a doubt."""
    if phase.phase_id in run.landing_queue:
        return _doubted(run, phase, Doubt(evidence, _candidate(phase).parent))
    return again(run, phase, evidence, Cause.POLICY_VIOLATION)


def _doubted(run: Run, phase: Phase, doubt: Doubt) -> Run:
    return put(run, replace(phase, step=Step.LANDING_QUEUED, green=False, doubt=doubt))


def _queue(run: Run, phase: Phase) -> Run:
    """Through the gate: it waits its turn to be made again, tested and landed."""
    ids = run.landing_queue
    if phase.phase_id not in ids:
        ids = (*ids, phase.phase_id)
    return put(replace(run, landing_queue=ids), replace(phase, step=Step.LANDING_QUEUED))


def _audit(run: Run, phase: Phase, reason: str) -> Run:
    out, cause = "", Cause.REQUIRES_HUMAN_REVIEW
    if phase.auditor_attempts_used >= phase.spec.auditor_attempts_max:
        out = "the auditor's attempts are spent"
    elif phase.tokens_left <= 0:
        out, cause = _cap_spent(phase), Cause.BUDGET_EXHAUSTED
    if out:
        return fail(run, phase, Failure(cause, f"{out}; it was asked because: {reason}"))
    attempt = phase.auditor_attempts_used + 1
    phase = replace(phase, step=Step.AUDITING, auditor_attempts_used=attempt)
    audit = Audit(phase.phase_id, attempt, _candidate(phase), reason, phase.tokens_left)
    return issue(put(run, phase), audit)


def audited(run: Run, event: AuditEnded, asked: Pending) -> Run:
    phase = budget.settle(run.phase(event.phase_id), event.tokens)
    reason = asked.command.reason if isinstance(asked.command, Audit) else ""
    match event.recommendation:
        case Recommendation.ESCALATE:
            why = f"the auditor escalates: {event.notes}"
            return fail(run, phase, Failure(Cause.REQUIRES_HUMAN_REVIEW, why))
        case Recommendation.INVALID:
            return _audit(run, phase, reason)
        case Recommendation.APPROVE:
            phase = replace(phase, approved=True)
            if event.candidate:
                return _check(run, replace(phase, origin=event.candidate), event.candidate)
            return _queue(run, phase)
        case Recommendation.REVISE:
            if event.candidate:
                return _check(run, replace(phase, origin=event.candidate), event.candidate)
            phase = replace(phase, attempts_granted=phase.attempts_granted + 1)
            evidence = Evidence("auditor", event.notes or "the auditor asks for a revision")
            return again(run, phase, evidence, Cause.REQUIRES_HUMAN_REVIEW)


def tested(run: Run, event: CandidateTested, asked: Pending) -> Run:
    phase, candidate = run.phase(event.phase_id), _candidate(run.phase(event.phase_id))
    if event.verdict in {CiVerdict.INFRA, CiVerdict.CANCELLED}:
        if phase.phase_id not in queue.sound(run):
            return put(run, replace(phase, step=Step.LANDING_QUEUED))
        summary = event.evidence.summary if event.evidence else "CI could not run"
        return _retry(run, phase, asked, summary)
    if not event.cached and not phase.judged:
        phase = replace(phase, ci_runs_used=phase.ci_runs_used + 1)
    phase = replace(phase, judged=True)
    if event.verdict is CiVerdict.PASS:
        return put(run, replace(phase, step=Step.LANDING_QUEUED, green=True))
    evidence = event.evidence or Evidence("ci", f"CI said {event.verdict}")
    return _doubted(run, phase, Doubt(evidence, candidate.parent))


def _candidate(phase: Phase) -> Candidate:
    if phase.candidate is None:
        msg = f"phase {phase.phase_id} is {phase.step} and has no candidate"
        raise AssertionError(msg)
    return phase.candidate


def reapplied(run: Run, event: CandidateReapplied, _asked: Pending) -> Run:
    return _check(run, run.phase(event.phase_id), event.candidate)


def conflicted(run: Run, event: ReapplyConflicted, asked: Pending) -> Run:
    onto = asked.command.onto if isinstance(asked.command, Reapply) else run.tip
    return _doubted(run, run.phase(event.phase_id), Doubt(event.evidence, onto))


def landed(run: Run, event: SnapshotLanded, _asked: Pending) -> Run:
    phase = budget.release(replace(run.phase(event.phase_id), step=Step.COMPLETE, evidence=None))
    snapshot = Snapshot(phase.phase_id, event.commit, event.tag)
    run = replace(put(run, phase), tip=event.commit, snapshots=(*run.snapshots, snapshot))
    return run if run.stage is Stage.STOPPING else deliver(run)


def deliver(run: Run, *, final: bool = False, asked: bool = False) -> Run:
    """Have the tip delivered, unless that is under way or, when nobody `asked`, nothing is new."""
    under_way = any(isinstance(p.command, Deliver) for p in run.pending)
    if under_way or not run.snapshots or not (asked or run.undelivered):
        return run
    return issue(replace(run, delivery_final=final), Deliver(run.tip, asked=asked))


# --- bad ends -----------------------------------------------------------------------------------


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
        return fail(run, phase, Failure(Cause.BUDGET_EXHAUSTED, _cap_spent(phase)))
    if phase.attempts_left <= 0:
        used = "1 attempt" if phase.attempts_used == 1 else f"{phase.attempts_used} attempts"
        reason = f"no attempt is left after {used}; the last: {evidence.summary}"
        return fail(run, phase, Failure(cause, reason))
    return start_attempt(run, phase)


def _cap_spent(phase: Phase) -> str:
    return f"incident_token_cap of {phase.spec.incident_token_cap:,} tokens is spent"


def command_failed(run: Run, event: CommandFailed, asked: Pending) -> Run:
    phase = run.phase(getattr(asked.command, "phase_id", ""))
    if queue.is_moot(run, asked.command):
        return put(run, replace(phase, step=Step.LANDING_QUEUED))
    if event.tokens:
        phase = budget.settle(phase, event.tokens)
        if phase.tokens_left <= 0:
            return fail(run, phase, Failure(Cause.BUDGET_EXHAUSTED, _cap_spent(phase)))
        if isinstance(asked.command, Build | Audit):
            asked = replace(asked, command=replace(asked.command, tokens_max=phase.tokens_left))
    return _retry(run, phase, asked, event.reason)


def _retry(run: Run, phase: Phase, asked: Pending, reason: str) -> Run:
    if phase.infra_retries_used >= run.spec.infra_retries_max:
        return fail(run, phase, Failure(Cause.ENVIRONMENT, reason))
    phase = replace(phase, infra_retries_used=phase.infra_retries_used + 1)
    return issue_again(put(run, phase), asked)


def fail(run: Run, phase: Phase, failure: Failure) -> Run:
    """The phase has failed, and with it the run, unless it is a cleanup; it may stop there."""
    failure = replace(failure, phase_id=phase.phase_id)
    phase = budget.release(replace(phase, step=Step.FAILED, failure=failure))
    run = put(run, intake.failed(run, phase))
    run = replace(run, tier_caps_hit=budget.tier_caps_hit(run))  # one may be what failed it
    if phase.spec.cleans and failure.cause is not Cause.ENVIRONMENT:
        return run
    run = replace(run, failure=run.failure or failure)
    stops = run.spec.on_phase_failure is OnPhaseFailure.STOP or run.stage is Stage.BOOTSTRAP
    return stop(run, failure) if stops or failure.cause is Cause.ENVIRONMENT else run


def stopped(run: Run, event: Event, asked: Pending) -> Run:
    """An answer that came while the run stops: tokens count, the candidate is kept."""
    phase = run.phase(getattr(asked.command, "phase_id", ""))
    if isinstance(event, AttemptEnded | AuditEnded | CommandFailed):
        phase = budget.settle(phase, event.tokens)
    if isinstance(event, AttemptEnded | AuditEnded):
        phase = replace(phase, candidate=event.candidate or phase.candidate)
    ended = run.failure or Failure(Cause.REQUIRES_HUMAN_REVIEW, "the run stopped")
    failure = Failure(ended.cause, f"stopped: {ended.reason}", phase.phase_id)
    return put(run, budget.release(replace(phase, step=Step.FAILED, failure=failure)))
