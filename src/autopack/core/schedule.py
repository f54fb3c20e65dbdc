"""What starts next: the landing queue, ready phases in order, the end when nothing is left.

Runs after every event, until nothing more can start. Called by `core.machine` alone.
"""

from __future__ import annotations

from dataclasses import replace

from autopack.core import budget, landing, moves, progress, promoting, promotion
from autopack.core.command import Deliver
from autopack.core.run import FINAL_STEPS, Cause, Failure, Phase, Run, Stage, Step
from autopack.core.spec import SafetyProfile
from autopack.core.tier import Cleanliness, Tier, tiers

RESTING = FINAL_STEPS | {Step.QUEUED}


def schedule(run: Run) -> Run:
    """The run after everything that can start has started."""
    if run.stage is Stage.WORKING:
        run = landing.move(run)
    if run.stage is Stage.WORKING:  # a landing that cannot be may stop the run
        run = _judge_tiers(_skip_unreachable(run))  # a tier may end with what it skips
    if run.stage is Stage.WORKING:
        run = _start_ready(run)
    if run.stage is Stage.STOPPING:
        run = _wind_down(run)
    if run.stage is Stage.WORKING and all(phase.step in FINAL_STEPS for phase in run.phases):
        run = replace(run, stage=Stage.CLOSING)
    return _close(run) if run.stage is Stage.CLOSING else run


def _judge_tiers(run: Run) -> Run:
    """Where safety is critical a tier must be clean, or the run stops there.

    What is under way in it is finished first: it may land.
    """
    tier = _unclean(run)
    if tier is None or any(phase.step not in RESTING for phase in tier.phases):
        return run
    return moves.stop(run, _not_clean(tier))


def _unclean(run: Run) -> Tier | None:
    """A tier that the run may not go on with: no later event can make it clean."""
    if run.spec.safety_profile is not SafetyProfile.SAFETY_CRITICAL:
        return None
    return next((t for t in tiers(run) if t.cleanliness is Cleanliness.NOT_CLEAN), None)


def _not_clean(tier: Tier) -> Failure:
    spec = tier.spec
    if tier.cap_hit:
        reason = f"tier {spec.tier_id} has passed its cap of tokens or CI runs"
        return Failure(Cause.BUDGET_EXHAUSTED, reason)
    reason = (
        f"tier {spec.tier_id} is not clean: {tier.minor_issues} minor issues (at most"
        f" {spec.minor_issues_max}), {tier.major_issues} major (at most {spec.major_issues_max})"
    )
    return Failure(Cause.REQUIRES_HUMAN_REVIEW, reason)


def _skip_unreachable(run: Run) -> Run:
    while True:
        phase = next((p for p in run.phases if p.step is Step.QUEUED and _lost_need(run, p)), None)
        if phase is None:
            return run
        because = f"it needs {_lost_need(run, phase)}, which did not land"
        run = moves.put(run, replace(phase, step=Step.SKIPPED, skipped_because=because))


def _lost_need(run: Run, phase: Phase) -> str:
    """A need that has ended and will never be satisfied; empty when there is none."""
    for need in phase.spec.needs:
        other = run.phase(need)
        if other.step in FINAL_STEPS and not other.satisfied:
            return need
    return ""


def _start_ready(run: Run) -> Run:
    """Start ready phases of the current tier by index, at most `parallel_max` under way."""
    if _unclean(run) is not None:
        return run
    for phase in _ready(run):
        if _under_way(run) >= run.spec.parallel_max:
            break
        decision = budget.room_to_start(run, phase)
        if decision.room is budget.Room.WAIT:
            break
        if decision.room is budget.Room.NO and phase.spec.cleans:
            because = f"a cleanup only where tokens are left: {decision.reason}"
            run = moves.put(run, replace(phase, step=Step.SKIPPED, skipped_because=because))
            continue
        if decision.room is budget.Room.NO:
            failure = Failure(Cause.BUDGET_EXHAUSTED, decision.reason, tier_cap=decision.tier_cap)
            run = moves.fail(run, phase, failure)
            return moves.stop(run, failure)
        run = moves.start_attempt(run, budget.reserve(phase))
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
    return sum(phase.step not in RESTING for phase in run.phases)


def _wind_down(run: Run) -> Run:
    """Nothing new starts; when every answer is in, the run closes."""
    for phase in run.phases:
        if phase.step is Step.QUEUED:
            skipped = replace(phase, step=Step.SKIPPED, skipped_because="the run stopped")
            run = moves.put(run, skipped)
        elif phase.step is Step.LANDING_QUEUED:
            run = moves.put(run, _unlanded(run, phase))
    waiting = any(not isinstance(pending.command, Deliver) for pending in run.pending)
    return run if waiting else replace(run, stage=Stage.CLOSING)


def _unlanded(run: Run, phase: Phase) -> Phase:
    cause = run.failure.cause if run.failure else Cause.REQUIRES_HUMAN_REVIEW
    on_tip = phase.candidate is not None and phase.candidate.parent == run.tip
    evidence = phase.doubt.evidence if phase.doubt else phase.evidence
    if phase.doubt:
        stood = f"on work that had not landed: {phase.doubt.evidence.summary}"
    elif phase.green:
        stood = "green" if on_tip else "green on work that had not landed"
    else:
        stood = "not tested yet where it would land"
    failure = Failure(cause, f"stopped: {stood}; kept under its ref", phase.phase_id)
    return budget.release(replace(phase, step=Step.FAILED, failure=failure, evidence=evidence))


def _close(run: Run) -> Run:
    """Deliver once more at the end if the user's repository is behind, then promote; then done."""
    if run.pending:
        return run
    if not run.delivery_final:
        run = progress.deliver(run, final=True)
    if not run.pending and promotion.due(run):
        run = promoting.begin(run)
    return run if run.pending else replace(run, stage=Stage.DONE)
