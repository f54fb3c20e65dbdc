"""The moves that the machine's rows are made of: a command issued, a phase put, sent on or failed.

Called by the modules of the rows alone. Never decides which of them is made.
"""

from __future__ import annotations

from dataclasses import replace

from autopack.core import budget, intake
from autopack.core.command import Build, Check, Command, CompilePlan, Pending
from autopack.core.run import (
    FINAL_STEPS,
    Candidate,
    Cause,
    Doubt,
    Failure,
    Phase,
    Run,
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


def stop(run: Run, failure: Failure) -> Run:
    """Nothing new starts; the first failure names the run's end."""
    return replace(run, stage=Stage.STOPPING, failure=run.failure or failure)


def start_attempt(run: Run, phase: Phase) -> Run:
    """Send the builder to work on the branch as it stands now."""
    phase = replace(
        phase, step=Step.BUILDING, candidate=None, approved=False, doubt=None,
        origin=None, judged=False, green=False, checks=(), origin_checks=(), waivers=(),
    )  # fmt: skip
    attempt = phase.attempts_used + 1
    build = Build(phase.phase_id, attempt, run.tip, phase.tokens_left, phase.evidence)
    return issue(put(run, phase), build)


def check(run: Run, phase: Phase, candidate: Candidate) -> Run:
    """Have the gate look at a candidate, or the compiler at a drafted plan."""
    run = put(run, replace(phase, step=Step.CHECKING, candidate=candidate, green=False))
    if run.stage is Stage.BOOTSTRAP:
        return issue(run, CompilePlan(phase.phase_id, candidate))
    return issue(run, Check(phase.phase_id, candidate, run.spec.gate_commands))


def enqueue(run: Run, phase: Phase) -> Run:
    """Through the gate: it waits its turn to be made again, tested and landed."""
    ids = run.landing_queue
    if phase.phase_id not in ids:
        ids = (*ids, phase.phase_id)
    if phase.candidate == phase.origin:
        phase = replace(phase, origin_checks=phase.checks)
    return put(replace(run, landing_queue=ids), replace(phase, step=Step.LANDING_QUEUED))


def doubt(run: Run, phase: Phase, doubt: Doubt) -> Run:
    """A bad word of a phase in the landing queue: it counts once the branch stands there."""
    return put(run, replace(phase, step=Step.LANDING_QUEUED, green=False, doubt=doubt))


def retry(run: Run, phase: Phase, asked: Pending, reason: str) -> Run:
    """The command once more, while the environment's failures are not too many."""
    if phase.infra_retries_used >= run.spec.infra_retries_max:
        return fail(run, phase, Failure(Cause.ENVIRONMENT, reason))
    phase = replace(phase, infra_retries_used=phase.infra_retries_used + 1)
    return issue_again(put(run, phase), asked)


def candidate_of(phase: Phase) -> Candidate:
    """What the phase is judged by at this step."""
    if phase.candidate is None:
        msg = f"phase {phase.phase_id} is {phase.step} and has no candidate"
        raise AssertionError(msg)
    return phase.candidate


def cap_spent(phase: Phase) -> str:
    """That its tokens are spent, as a reason."""
    return f"incident_token_cap of {phase.spec.incident_token_cap:,} tokens is spent"


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
