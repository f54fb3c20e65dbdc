"""The landing queue: who is made again on what, tested when, landed next. For `core.schedule`.

Each phase in the queue is made again on the work ahead of it and tested there while that is still
being tested, so that a train of good phases costs one CI run each and the time of one. Nothing is
believed before its turn: only a green candidate on the branch as it stands lands, and red, refused
or in conflict counts against a phase only if the branch stands where it was found. Never performs
anything.
"""

from __future__ import annotations

from dataclasses import replace

from autopack.core import budget, progress
from autopack.core.command import Land, Pending, Reapply, Test
from autopack.core.ids import snapshot_tag
from autopack.core.run import Candidate, Cause, Failure, Phase, Run, SafetyProfile, Stage, Step

_SETTLED = frozenset({Step.LANDING_QUEUED, Step.TESTING, Step.LANDING})


def move(run: Run) -> Run:
    """The run after everything in its landing queue that can move has moved."""
    moved = _move_one(run)
    while moved is not run and moved.stage is Stage.WORKING:
        run, moved = moved, _move_one(moved)
    return moved


def moot(run: Run) -> tuple[Pending, ...]:
    """Pending tests of work that stands on what will not land: their verdicts say nothing."""
    return tuple(
        asked
        for asked in run.pending
        if isinstance(asked.command, Test) and not progress.stands(run, asked.command.candidate)
    )


def _move_one(run: Run) -> Run:
    """The first phase in the queue that can move, moved; the same run when there is none."""
    onto = run.tip
    for phase in map(run.phase, run.landing_queue):
        if phase.step is Step.AUDITING or (phase.doubt and onto != run.tip):
            continue  # passed over: it may not land as it is
        if phase.step not in _SETTLED or phase.candidate is None:
            return run  # those behind wait for the commit that it becomes
        if phase.step is Step.LANDING_QUEUED:
            moved = _turn(run, phase, phase.candidate, onto)
            if moved is not run:
                return moved
        elif phase.candidate.parent != onto:
            return run  # a moot test: its answer comes soon
        onto = phase.candidate.commit
    return run


def _turn(run: Run, phase: Phase, candidate: Candidate, onto: str) -> Run:
    """What a waiting phase does when the work ahead of it ends at `onto`."""
    if phase.doubt and phase.doubt.onto == run.tip:
        evidence = phase.doubt.evidence
        refused = evidence.source == "gate"
        cause = Cause.POLICY_VIOLATION if refused else Cause.REQUIRES_HUMAN_REVIEW
        return progress.again(run, phase, evidence, cause)
    origin = phase.origin or candidate
    if onto not in {candidate.parent, origin.parent}:
        return _reapply(run, phase, origin, onto)
    if candidate.parent != onto:
        phase, candidate = replace(phase, candidate=origin, green=False), origin
    if not phase.green:
        return _test(run, phase, candidate)
    return _land(run, phase, candidate) if onto == run.tip else run


def _reapply(run: Run, phase: Phase, origin: Candidate, onto: str) -> Run:
    if phase.reapplies_used >= run.spec.reapplies_max:
        reason = f"the branch moved {phase.reapplies_used} times before the phase could land"
        return progress.fail(run, phase, Failure(Cause.ENVIRONMENT, reason))
    count = phase.reapplies_used + 1
    name = f"{origin.name.partition('.')[0]}.r{count}"
    phase = replace(phase, step=Step.REAPPLYING, reapplies_used=count, green=False, doubt=None)
    return progress.issue(progress.put(run, phase), Reapply(phase.phase_id, origin, onto, name))


def _test(run: Run, phase: Phase, candidate: Candidate) -> Run:
    bound = run.spec.safety_profile is SafetyProfile.SAFETY_CRITICAL
    if bound and not phase.judged and budget.ci_runs_left(run, phase) <= 0:
        tier = budget.tier_of(run, phase)
        reason = f"tier {tier.tier_id} has used its {tier.ci_run_cap} CI runs"
        return progress.fail(run, phase, Failure(Cause.BUDGET_EXHAUSTED, reason))
    test = Test(phase.phase_id, candidate, phase.spec.ci_profile)
    return progress.issue(progress.put(run, replace(phase, step=Step.TESTING, doubt=None)), test)


def _land(run: Run, phase: Phase, candidate: Candidate) -> Run:
    tag = snapshot_tag(run.run_id, phase.spec.tier_id, phase.phase_id)
    run = progress.put(run, replace(phase, step=Step.LANDING))
    return progress.issue(run, Land(phase.phase_id, candidate, run.tip, tag))
