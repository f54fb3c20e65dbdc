"""What starts next: landings one at a time, ready phases in order, the end when nothing is left.

Runs after every event, until nothing more can start. Called by `core.machine` alone.
"""

from __future__ import annotations

from dataclasses import replace

from autopack.core import budget, progress
from autopack.core.command import Deliver, Land, Reapply
from autopack.core.ids import snapshot_tag
from autopack.core.run import FINAL_STEPS, Cause, Failure, Phase, Run, Stage, Step


def schedule(run: Run) -> Run:
    """The run after everything that can start has started."""
    if run.stage is Stage.WORKING:
        run = _land_next(run)
    if run.stage is Stage.WORKING:  # a landing that cannot be may stop the run
        run = _start_ready(_skip_unreachable(run))
    if run.stage is Stage.STOPPING:
        run = _wind_down(run)
    if run.stage is Stage.WORKING and progress.ended(run):
        run = replace(run, stage=Stage.CLOSING)
    return _close(run) if run.stage is Stage.CLOSING else run


def _land_next(run: Run) -> Run:
    """One landing at a time; who waited while the branch moved is made again on top of it."""
    while run.stage is Stage.WORKING and not _landing(run):
        phase = next((p for p in run.phases if p.step is Step.LANDING_QUEUED), None)
        if phase is None or phase.candidate is None:
            break
        run = _land(run, phase) if phase.candidate.parent == run.tip else _reapply(run, phase)
    return run


def _landing(run: Run) -> bool:
    return any(phase.step is Step.LANDING for phase in run.phases)


def _land(run: Run, phase: Phase) -> Run:
    tag = snapshot_tag(run.run_id, phase.spec.tier_id, phase.phase_id)
    run = progress.put(run, replace(phase, step=Step.LANDING))
    if phase.candidate is None:
        return run
    return progress.issue(run, Land(phase.phase_id, phase.candidate, run.tip, tag))


def _reapply(run: Run, phase: Phase) -> Run:
    if phase.candidate is None:
        return run
    if phase.reapplies_used >= run.spec.reapplies_max:
        reason = f"the branch moved {phase.reapplies_used} times before the phase could land"
        return progress.fail(run, phase, Failure(Cause.ENVIRONMENT, reason))
    count = phase.reapplies_used + 1
    name = f"{phase.candidate.name.partition('.')[0]}.r{count}"
    run = progress.put(run, replace(phase, step=Step.REAPPLYING, reapplies_used=count))
    return progress.issue(run, Reapply(phase.phase_id, phase.candidate, run.tip, name))


def _skip_unreachable(run: Run) -> Run:
    while True:
        phase = next((p for p in run.phases if p.step is Step.QUEUED and _lost_need(run, p)), None)
        if phase is None:
            return run
        because = f"it needs {_lost_need(run, phase)}, which did not land"
        run = progress.put(run, replace(phase, step=Step.SKIPPED, skipped_because=because))


def _lost_need(run: Run, phase: Phase) -> str:
    """A need that has ended and will never be satisfied; empty when there is none."""
    for need in phase.spec.needs:
        other = run.phase(need)
        if other.step in FINAL_STEPS and not other.satisfied:
            return need
    return ""


def _start_ready(run: Run) -> Run:
    """Start ready phases of the current tier by index, at most `parallel_max` under way."""
    for phase in _ready(run):
        if _under_way(run) >= run.spec.parallel_max:
            break
        decision = budget.room_to_start(run, phase)
        if decision.room is budget.Room.WAIT:
            break
        if decision.room is budget.Room.NO:
            failure = Failure(Cause.BUDGET_EXHAUSTED, decision.reason)
            run = progress.fail(run, phase, failure)
            return progress.stop(run, failure)
        run = progress.start_attempt(run, budget.reserve(phase))
    return run


def _ready(run: Run) -> list[Phase]:
    """Queued phases of the first tier that has not ended whose needs are satisfied."""
    order = {tier.tier_id: tier.tier_index for tier in run.spec.tiers}
    open_tiers = [order[p.spec.tier_id] for p in run.phases if p.step not in FINAL_STEPS]
    return [
        phase
        for phase in run.phases
        if phase.step is Step.QUEUED
        and order[phase.spec.tier_id] == min(open_tiers)
        and all(run.phase(need).satisfied for need in phase.spec.needs)
    ]


def _under_way(run: Run) -> int:
    idle = FINAL_STEPS | {Step.QUEUED}
    return sum(phase.step not in idle for phase in run.phases)


def _wind_down(run: Run) -> Run:
    """Nothing new starts; when every answer is in, the run closes."""
    for phase in run.phases:
        if phase.step is Step.QUEUED:
            skipped = replace(phase, step=Step.SKIPPED, skipped_because="the run stopped")
            run = progress.put(run, skipped)
        elif phase.step is Step.LANDING_QUEUED:
            run = progress.put(run, _unlanded(run, phase))
    waiting = any(not isinstance(pending.command, Deliver) for pending in run.pending)
    return run if waiting else replace(run, stage=Stage.CLOSING)


def _unlanded(run: Run, phase: Phase) -> Phase:
    cause = run.failure.cause if run.failure else Cause.REQUIRES_HUMAN_REVIEW
    reason = "stopped: green, and its landing had not begun; kept under its ref"
    failure = Failure(cause, reason, phase.phase_id)
    return budget.release(replace(phase, step=Step.FAILED, failure=failure))


def _close(run: Run) -> Run:
    """Deliver once more at the end if the user's repository is behind; then the run is done."""
    if run.pending:
        return run
    if not run.delivery_final:
        run = progress.deliver(run, final=True)
    return run if run.pending else replace(run, stage=Stage.DONE)
