"""What every event of every walk keeps, told of the run before it and the run after it."""

from __future__ import annotations

from itertools import pairwise

from autopack.core import promotion
from autopack.core.command import (
    Audit,
    Build,
    Check,
    Command,
    CompilePlan,
    Deliver,
    Land,
    Promote,
    Reapply,
    Test,
    Wait,
)
from autopack.core.issue import PHASE_ISSUES_MAX, Issue, IssueSeverity
from autopack.core.run import (
    FINAL_STEPS,
    Candidate,
    CheckVerdict,
    Run,
    RunState,
    Stage,
    Step,
)
from autopack.core.spec import (
    PromoteMode,
    SafetyProfile,
)
from autopack.core.tier import Cleanliness, tiers

WAITS_FOR: dict[Step, type[Command]] = {
    Step.BUILDING: Build,
    Step.PARKED: Wait,
    Step.CHECKING: Check,
    Step.AUDITING: Audit,
    Step.TESTING: Test,
    Step.REAPPLYING: Reapply,
    Step.LANDING: Land,
}


def keeps_promises(before: Run, after: Run, surplus_max: int) -> None:
    """AssertionError when the step from `before` to `after` breaks one.

    `surplus_max`: tokens that one answer may pass what it was allowed.
    """
    _keeps_counters(after)
    _keeps_tokens(after, surplus_max)
    _keeps_order(before, after)
    _keeps_tiers(before, after)
    _keeps_commands(after)
    _keeps_snapshots(before, after)
    _keeps_gate(after)
    _keeps_promotion(before, after)
    _keeps_queue(after)
    _keeps_issues(before, after)
    _keeps_resolved(before, after)
    waits = any(phase.step not in FINAL_STEPS for phase in after.phases)
    assert after.pending or after.ended, f"nothing is asked and {after.stage} does not end: {waits}"
    assert after.state is _shown(after)


def _keeps_counters(run: Run) -> None:
    spec = run.spec
    for phase in run.phases:
        assert phase.attempts_used <= phase.spec.builder_attempts_max + phase.attempts_granted
        extra = phase.conflicts_used + phase.auditor_attempts_used + phase.infra_retries_used
        assert phase.attempts_granted <= extra
        assert phase.auditor_attempts_used <= phase.spec.auditor_attempts_max
        assert phase.conflicts_used <= spec.conflicts_max
        assert phase.reapplies_used <= spec.reapplies_max
        assert phase.parks_used <= spec.parks_max
        assert phase.infra_retries_used <= spec.infra_retries_max
    assert run.infra_retries_used <= spec.infra_retries_max


def _keeps_tokens(run: Run, surplus_max: int) -> None:
    every = run.every_phase
    over = {p.phase_id: max(0, p.tokens_spent - p.spec.incident_token_cap) for p in every}
    assert max(over.values()) <= surplus_max
    assert run.tokens_spent + run.tokens_reserved <= run.spec.token_cap + sum(over.values())
    for phase in run.phases:
        idle = phase.step is Step.QUEUED or phase.step in FINAL_STEPS
        assert phase.tokens_reserved == (0 if idle else phase.tokens_left)
    if run.spec.safety_profile is not SafetyProfile.SAFETY_CRITICAL:
        return
    for tier in run.spec.tiers:
        mine = [phase for phase in run.phases if phase.spec.tier_id == tier.tier_id]
        spent = sum(phase.tokens_spent + phase.tokens_reserved for phase in mine)
        assert spent <= tier.token_cap + sum(over[phase.phase_id] for phase in mine)
        assert sum(phase.ci_runs_used for phase in mine) <= tier.ci_run_cap


def _keeps_order(before: Run, run: Run) -> None:
    order = {tier.tier_id: tier.tier_index for tier in run.spec.tiers}
    idle = FINAL_STEPS | {Step.QUEUED}
    active = [phase for phase in run.phases if phase.step not in idle]
    assert len(active) <= run.spec.parallel_max
    assert sum(phase.step is Step.LANDING for phase in run.phases) <= 1
    for phase in active:
        place = order[phase.spec.tier_id]
        assert all(
            other.step in FINAL_STEPS for other in run.phases if order[other.spec.tier_id] < place
        )
        assert all(run.phase(need).satisfied for need in phase.spec.needs)
    if before.stage is not Stage.WORKING:
        return
    started = {p.phase_id for p in active} - {
        p.phase_id for p in before.phases if p.step is not Step.QUEUED
    }
    if run.stage is Stage.STOPPING:
        assert not started, "nothing starts in a run that stops"


def _keeps_tiers(before: Run, run: Run) -> None:
    """Caps and tolerances, counted another way than `core.tier` counts them."""
    order = {tier.tier_id: tier.tier_index for tier in run.spec.tiers}
    unclean: list[int] = []
    for tier in tiers(run):
        spec, mine = tier.spec, [p for p in run.phases if p.spec.tier_id == tier.spec.tier_id]
        over = sum(p.tokens_spent for p in mine) > spec.token_cap
        over |= sum(p.ci_runs_used for p in mine) > spec.ci_run_cap
        over |= any(p.failure and p.failure.tier_cap for p in mine)
        assert (spec.tier_id in run.tier_caps_hit) == over
        keys = {issue.issue_key for phase in mine for issue in phase.issues}
        assert tier.minor_issues + tier.major_issues == len(keys)
        if spec.minor_issues_max is not None:
            over |= tier.minor_issues > spec.minor_issues_max
            over |= tier.major_issues > spec.major_issues_max
        assert (tier.cleanliness is Cleanliness.NOT_CLEAN) == over
        if over and all(phase.step in FINAL_STEPS for phase in mine):
            unclean.append(spec.tier_index)
    if run.spec.safety_profile is not SafetyProfile.SAFETY_CRITICAL or not unclean:
        return
    for old, phase in zip(before.phases, run.phases, strict=True):
        began = old.step is Step.QUEUED and phase.step not in {Step.QUEUED, Step.SKIPPED}
        later = order[phase.spec.tier_id] > min(unclean)
        assert not (began and later), f"{phase.phase_id} began after a tier that is not clean"


def _keeps_commands(run: Run) -> None:
    numbers = [pending.number for pending in run.pending]
    assert numbers == sorted(set(numbers))
    assert run.commands_issued >= max(numbers, default=0)
    for phase in run.phases:
        mine = [
            pending.command
            for pending in run.pending
            if getattr(pending.command, "phase_id", "") == phase.phase_id
        ]
        drafted = run.spec.drafting and phase.step is Step.CHECKING
        expected = CompilePlan if drafted else WAITS_FOR.get(phase.step)
        assert [type(command) for command in mine] == ([expected] if expected else [])
        for command in mine:
            if isinstance(command, Build | Audit):
                assert 0 < command.tokens_max <= phase.tokens_left
    assert sum(isinstance(pending.command, Deliver) for pending in run.pending) <= 1


def _keeps_snapshots(before: Run, run: Run) -> None:
    assert run.version == before.version + 1
    assert run.snapshots[: len(before.snapshots)] == before.snapshots
    tip = run.snapshots[-1].commit if run.snapshots else run.spec.base_commit
    assert run.tip == (run.promotion.commit or tip)
    landed = [snapshot.phase_id for snapshot in run.snapshots]
    assert len(landed) == len(set(landed))
    assert set(landed) == {p.phase_id for p in run.phases if p.step is Step.COMPLETE}
    for land in (p.command for p in run.pending if isinstance(p.command, Land)):
        assert land.expected == run.tip == land.candidate.parent
    parents = [run.phase(snapshot.phase_id).candidate for snapshot in run.snapshots]
    assert all(
        c is not None and c.commit == s.commit for c, s in zip(parents, run.snapshots, strict=True)
    )
    assert all(
        later is not None and later.parent == earlier.commit
        for earlier, later in pairwise([Candidate("", run.spec.base_commit, "", ""), *parents])
        if earlier is not None
    )


def _keeps_gate(run: Run) -> None:
    """What is tested, or landed, has no question left that no auditor waived."""
    for phase in run.phases:
        if phase.step in {Step.TESTING, Step.LANDING, Step.COMPLETE}:
            left = {each.verdict for each in phase.checks}
            assert not left & {CheckVerdict.FAIL, CheckVerdict.NEEDS_AUDITOR}, phase.phase_id
        asked = {question for waiver in phase.waivers for question in waiver.questions}
        assert bool(asked) == bool(phase.waivers)
        assert not phase.waivers or phase.auditor_attempts_used


def _keeps_promotion(before: Run, run: Run) -> None:
    """Asked for only of a run that ended well, inside all limits, and by itself only once."""
    asked = [p for p in run.pending if isinstance(p.command, Promote)]
    assert len(asked) <= 1
    old, now = before.promotion, run.promotion
    assert old.commit in {"", now.commit}, "what it put on the branch is another"
    assert old.dated in {0, now.dated}
    assert now.tried >= old.tried
    if before.stage is Stage.DONE:
        assert run.stage is Stage.DONE, "nothing reopens a run"
    if not asked or asked[0] in before.pending:
        return
    assert run.failure is None
    assert promotion.work_branch(run)
    assert not run.spec.rest_phases
    assert not run.spec.held_back
    assert all(tier.cleanliness is Cleanliness.CLEAN for tier in tiers(run))
    assert run.delivered == run.tip or not run.snapshots
    if before.stage is not Stage.DONE:
        assert run.spec.promote is PromoteMode.AUTO
        assert not old.tried
    assert not (run.draft and run.spec.draft and run.spec.draft.plan_only)


def _keeps_queue(run: Run) -> None:
    queued = {Step.LANDING_QUEUED, Step.REAPPLYING, Step.TESTING, Step.LANDING}
    assert len(set(run.landing_queue)) == len(run.landing_queue)
    assert {p.phase_id for p in run.phases if p.step in queued} <= set(run.landing_queue)
    for phase in map(run.phase, run.landing_queue):
        assert phase.step in queued | {Step.CHECKING}
        assert phase.green <= phase.judged
        assert not (phase.green and phase.doubt and not phase.doubt.asks)
        assert phase.green or phase.step is not Step.LANDING


def _keeps_issues(before: Run, run: Run) -> None:
    """No issue vanishes, gets milder or is counted twice; counts are of distinct keys."""
    for old, new in zip(before.phases, run.phases, strict=True):
        now = {found.issue_key: found for found in new.issues}
        assert list(now) == sorted(found.issue_key for found in new.issues)
        assert len(now) <= PHASE_ISSUES_MAX
        assert new.issues_dropped >= old.issues_dropped
        for was in old.issues:
            assert now[was.issue_key].occurrence_count >= was.occurrence_count
            assert _rank(now[was.issue_key]) >= _rank(was)
    for tier in tiers(run):
        worst: dict[str, int] = {}
        for found in (found for phase in tier.phases for found in phase.issues):
            worst[found.issue_key] = max(_rank(found)[1], worst.get(found.issue_key, 0))
        ranks = list(worst.values())
        assert (tier.minor_issues, tier.major_issues) == (ranks.count(0), ranks.count(1))
        limit = tier.spec.minor_issues_max
        most = tier.spec.major_issues_max
        over = limit is not None and (tier.minor_issues > limit or tier.major_issues > most)
        unclean = over or tier.spec.tier_id in run.tier_caps_hit
        assert (tier.cleanliness is Cleanliness.NOT_CLEAN) == unclean
    issues = [phase.issues for phase in run.phases]
    same = issues == [phase.issues for phase in before.phases] and run.resolved == before.resolved
    assert run.issues_version == (before.issues_version if same else run.version)


def _rank(found: Issue) -> tuple[int, int]:
    grave = (found.severity, found.effective_severity)
    return grave[0] is IssueSeverity.MAJOR, grave[1] is IssueSeverity.MAJOR


def _keeps_resolved(before: Run, run: Run) -> None:
    """Only what was known is resolved, by a landing whose tests ran green; seen again, it is not."""
    assert list(run.resolved) == sorted(set(run.resolved))
    tests = {known.issue_key: set(known.tests) for known in run.spec.known_issues}
    assert set(run.resolved) <= set(tests)
    landed = {snapshot.phase_id for snapshot in run.snapshots[len(before.snapshots) :]}
    shown = {test for phase_id in landed for test in run.phase(phase_id).passed}
    for key in set(run.resolved) - set(before.resolved):
        assert tests[key]
        assert tests[key] <= shown
    again = {
        found.issue_key
        for old, new in zip(before.phases, run.phases, strict=True)
        for found in set(new.issues) - set(old.issues)
    }
    assert not again & set(run.resolved)


def _shown(run: Run) -> RunState:
    """The least advanced active step, said another way than `core.run` says it."""
    if run.stage is Stage.DONE:
        return RunState(f"DONE_FAILED_{run.failure.cause}" if run.failure else "DONE_SUCCESS")
    if run.spec.drafting:
        return RunState.PLAN_BOOTSTRAP
    if run.stage is Stage.CREATED:
        return RunState.RUN_CREATED
    shows = {
        "EXECUTING": RunState.PHASE_EXECUTION,
        "GATE": RunState.GATE,
        "CI_RUNNING": RunState.CI_RUNNING,
    }
    states = {
        p.state.value for p in run.phases if p.step not in {Step.LANDING, Step.LANDING_QUEUED}
    }
    for state, shown in shows.items():
        if state in states:
            return shown
    landing = any(p.step in {Step.LANDING, Step.LANDING_QUEUED} for p in run.phases)
    if landing or run.snapshots:
        return RunState.SNAPSHOT_CREATED
    return RunState.PHASE_QUEUEING
