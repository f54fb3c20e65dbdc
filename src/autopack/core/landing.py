"""The landing queue: who is made again on what, tested when, landed next. For `core.schedule`.

Each phase in the queue is made again on the work ahead of it and tested there while that is still
being tested, so that a train of good phases costs one CI run each and the time of one. Nothing is
believed before its turn: only a green candidate on the branch as it stands lands, and red, refused
or in conflict counts against a phase only if the branch stands where it was found. Never performs
anything.
"""

from __future__ import annotations

from dataclasses import replace

from autopack.core import attempts, budget, moves, queue
from autopack.core.command import Land, Pending, Reapply, Test, runs_commands
from autopack.core.ids import snapshot_tag
from autopack.core.run import (
    Candidate,
    Cause,
    Doubt,
    Failure,
    Phase,
    Run,
    Stage,
    Step,
)
from autopack.core.spec import (
    SafetyProfile,
)

_IN_QUEUE = frozenset({Step.LANDING_QUEUED, Step.REAPPLYING, Step.TESTING, Step.LANDING})


def move(run: Run) -> Run:
    """The run after everything in its landing queue that can move has moved."""
    lost = (p.phase_id for p in run.phases if p.step in _IN_QUEUE)  # of a record older than it
    missing = tuple(phase_id for phase_id in lost if phase_id not in run.landing_queue)
    if missing:
        run = replace(run, landing_queue=(*run.landing_queue, *missing))
    moved = _move_one(run)
    while moved is not run and moved.stage is Stage.WORKING:
        run, moved = moved, _move_one(moved)
    return moved


def moot(run: Run) -> tuple[Pending, ...]:
    """Pending tests, and programs of the gate, whose verdict says nothing: their work has moved."""
    return tuple(
        asked
        for asked in run.pending
        if (isinstance(asked.command, Test) or runs_commands(asked.command))
        and queue.is_moot(run, asked.command)
    )


def _move_one(run: Run) -> Run:
    """The first thing that can move, moved; the same run when there is none."""
    for phase in queue.queued(run):
        if phase.doubt and (phase.doubt.onto == run.tip or not queue.alive(run, phase.doubt.onto)):
            return _resolve(run, phase, phase.doubt)
    if all(phase.step is not Step.LANDING for phase in run.phases):
        for phase in queue.queued(run):
            waits = phase.green and phase.step is Step.LANDING_QUEUED
            if waits and phase.candidate and phase.candidate.parent == run.tip:
                asked = attempts.before_landing(run, phase)
                return _land(run, phase, phase.candidate) if asked is run else asked
    for phase, candidate, onto in queue.places(run):
        moved = _turn(run, phase, candidate, onto) if phase.step is Step.LANDING_QUEUED else run
        if moved is not run:
            return moved
    return run


def _resolve(run: Run, phase: Phase, doubt: Doubt) -> Run:
    """Believed where the branch stands now; forgotten where it never will: last in the queue."""
    if doubt.onto == run.tip and doubt.asks:
        return attempts.ask_auditor(run, replace(phase, doubt=None), doubt.evidence)
    if doubt.onto == run.tip:
        refused = doubt.evidence.source == "gate"
        cause = Cause.POLICY_VIOLATION if refused else Cause.REQUIRES_HUMAN_REVIEW
        return attempts.again(run, phase, doubt.evidence, cause)
    others = tuple(other for other in run.landing_queue if other != phase.phase_id)
    run = moves.put(run, replace(phase, doubt=None, green=False))
    return replace(run, landing_queue=(*others, phase.phase_id))


def _turn(run: Run, phase: Phase, candidate: Candidate, onto: str) -> Run:
    """What a waiting phase does when the work ahead of it ends at `onto`."""
    origin = phase.origin or candidate
    if onto not in {candidate.parent, origin.parent}:
        return _reapply(run, phase, origin, onto)
    if candidate.parent != onto:
        phase = replace(phase, candidate=origin, checks=phase.origin_checks, green=False)
        candidate = origin
    return run if phase.green else _test(run, phase, candidate)


def _reapply(run: Run, phase: Phase, origin: Candidate, onto: str) -> Run:
    if phase.reapplies_used >= run.spec.reapplies_max:
        reason = f"the branch moved {phase.reapplies_used} times before the phase could land"
        return moves.fail(run, phase, Failure(Cause.ENVIRONMENT, reason))
    count = phase.reapplies_used + 1
    name = f"{origin.name.partition('.')[0]}.r{count}"
    phase = replace(phase, step=Step.REAPPLYING, reapplies_used=count, green=False)
    return moves.issue(moves.put(run, phase), Reapply(phase.phase_id, origin, onto, name))


def _test(run: Run, phase: Phase, candidate: Candidate) -> Run:
    """Under a cap that binds it waits for runs under way that may turn out to be free."""
    bound = run.spec.safety_profile is SafetyProfile.SAFETY_CRITICAL and not phase.judged
    if bound and budget.ci_runs_left(run, phase) <= 0:
        tier = budget.tier_of(run, phase)
        if budget.ci_runs_reserved(run, tier):
            return run
        reason = f"tier {tier.tier_id} has used its {tier.ci_run_cap} CI runs"
        return moves.fail(run, phase, Failure(Cause.BUDGET_EXHAUSTED, reason, tier_cap=True))
    test = Test(phase.phase_id, candidate, phase.spec.ci_profile)
    return moves.issue(moves.put(run, replace(phase, step=Step.TESTING)), test)


def _land(run: Run, phase: Phase, candidate: Candidate) -> Run:
    tag = snapshot_tag(run.run_id, phase.spec.tier_id, phase.phase_id)
    run = moves.put(run, replace(phase, step=Step.LANDING))
    return moves.issue(run, Land(phase.phase_id, candidate, run.tip, tag))
