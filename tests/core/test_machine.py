"""The machine: total over stage, step and event; TABLE says all; every walk keeps its promises."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopack.core import budget, machine, table
from autopack.core.command import (
    Audit,
    AwaitRoom,
    Build,
    Check,
    Command,
    CompilePlan,
    Deliver,
    Land,
    Pending,
    PrepareBase,
    PrepareEnvironment,
    Promote,
    Reapply,
    Test,
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
    Happened,
    IssueRecorded,
    Outcome,
    PlanDrafted,
    PlanRejected,
    Promoted,
    PromotionRefused,
    PromotionRequested,
    PromotionsFull,
    ReapplyConflicted,
    Recommendation,
    RoomAwaited,
    RunCreated,
    SnapshotLanded,
    Unparked,
)
from autopack.core.issue import IssueReport, IssueSeverity, IssueSource
from autopack.core.run import (
    FINAL_STEPS,
    Candidate,
    Cause,
    Evidence,
    Phase,
    Run,
    RunState,
    Snapshot,
    Stage,
    Step,
)
from autopack.core.spec import (
    CiProfile,
    OnPhaseFailure,
    PhaseSpec,
    PromoteMode,
    RunSpec,
    SafetyProfile,
)
from tests.core.accounts import Accounts
from tests.core.promises import keeps_promises
from tests.core.walk import (
    SURPLUS_MAX,
    Storm,
    Taken,
    Walk,
    World,
    phase_id_of,
    phase_spec,
    run_spec,
    specs,
    undrafted,
    walk,
)

CANDIDATE = Candidate("1", "c1", "t1", "base")
WAITS_FOR: dict[Step, Command] = {
    Step.BUILDING: Build("P1", 1, "base", 1000),
    Step.PARKED: Wait("P1", 5.0),
    Step.CHECKING: Check("P1", CANDIDATE),
    Step.AUDITING: Audit("P1", 1, CANDIDATE, "asked", 1000),
    Step.TESTING: Test("P1", CANDIDATE, CiProfile.NORMAL),
    Step.REAPPLYING: Reapply("P1", CANDIDATE, "base", "1.r1"),
    Step.LANDING: Land("P1", CANDIDATE, "base", "tag"),
}
SAMPLES: tuple[Event, ...] = (
    RunCreated(run_spec(phase_spec("P1"))),
    BasePrepared(),
    EnvironmentPrepared("digest"),
    *(AttemptEnded("P1", 1, outcome, 5, CANDIDATE) for outcome in Outcome),
    Unparked("P1", 1.0),
    *(CandidateChecked("P1", verdict) for verdict in GateVerdict),
    PlanDrafted("P1", run_spec(phase_spec("P1")), ("a note",)),
    PlanRejected("P1", ()),
    *(AuditEnded("P1", verdict, 5, "notes") for verdict in Recommendation),
    *(CandidateTested("P1", ci) for ci in CiVerdict),
    CandidateReapplied("P1", CANDIDATE),
    ReapplyConflicted("P1", Evidence("conflict", "both changed it")),
    SnapshotLanded("P1", "c1", "tag"),
    Delivered("base"),
    DeliveryRefused("base", "no right"),
    CommandFailed("the disk is full"),
    CancelRequested("me"),
    DeliveryRequested("me"),
    IssueRecorded("P1", IssueReport("a_problem", IssueSource.PROBE), "me"),
    DurationSpent(),
    Promoted(1, "there", "base"),
    PromotionRefused("no right"),
    PromotionRequested("me"),
    PromotionsFull(5, 5),
    RoomAwaited(found=True),
    RoomAwaited(found=False),
)
SPEC = run_spec(phase_spec("P1"))
PREPARING: dict[Stage, Command] = {
    Stage.CREATED: PrepareBase(),
    Stage.QUEUEING: PrepareEnvironment(),
}


DRAFTING: dict[Step, Command] = {
    Step.QUEUED: PrepareBase(),
    Step.CHECKING: CompilePlan("P1", CANDIDATE),
}


def run_at(stage: Stage, step: Step, spec: RunSpec = SPEC) -> Run:
    """A run whose only phase stands at `step`, with the one command that it waits for."""
    phase = Phase(spec.phases[0], step, candidate=CANDIDATE)
    asked = PREPARING.get(stage) or WAITS_FOR.get(step)
    if stage is Stage.BOOTSTRAP:
        asked = DRAFTING.get(step) or WAITS_FOR.get(step)
    pending = (Pending(7, asked),) if asked else ()
    return Run(spec, stage, (phase,), version=9, commands_issued=7, pending=pending, tip="base")


def with_pending(run: Run, command: Command) -> Run:
    return replace(run, commands_issued=8, pending=(*run.pending, Pending(8, command)))


def circumstances() -> list[tuple[Run, Pending | None]]:
    """Every (stage, step) with every command that may be pending there, and with none."""
    found: list[tuple[Run, Pending | None]] = []
    for stage in Stage:
        for step in Step:
            run = run_at(stage, step)
            found.append((run, None))
            found += [(run, pending) for pending in run.pending]
            for late in (Deliver("base"), Promote("base"), AwaitRoom(5)):
                run = with_pending(run_at(stage, step), late)
                found.append((run, run.pending[-1]))
            if stage is Stage.STOPPING:
                for command in (*PREPARING.values(), DRAFTING[Step.CHECKING]):
                    run = with_pending(run_at(stage, step), command)
                    found.append((run, run.pending[-1]))
    return found


def test_every_pair_is_allowed_exactly_where_the_table_says() -> None:
    count = 0
    for run, asked in circumstances():
        for event in SAMPLES:
            answers = asked.number if asked and not isinstance(event, machine.UNASKED) else 0
            answer = machine.advance(run, Happened(event, 0, answers))
            phase_id = phase_id_of(asked.command) if asked and answers else ""
            step = run.phase(phase_id).step if phase_id else None
            suits = (
                type(event) in machine.ANSWERS[type(asked.command)] if asked and answers
                else isinstance(event, machine.UNASKED)
            )  # fmt: skip
            allowed = suits and (run.stage, step, type(event)) in table.BY_KEY
            assert isinstance(answer, machine.Advanced) == allowed, (run.stage, step, event, answer)
            count += 1
    assert count > 3000


def test_a_refusal_tells_why_and_changes_nothing() -> None:
    for run, asked in circumstances():
        for event in SAMPLES:
            for answers in (0, 99, asked.number if asked else 0):
                before = replace(run)
                answer = machine.advance(run, Happened(event, 0, answers))
                assert run == before
                if isinstance(answer, machine.Refusal):
                    assert answer.reason


def test_an_unasked_event_that_claims_to_answer_is_refused() -> None:
    run = run_at(Stage.WORKING, Step.BUILDING)
    for event in (CancelRequested("me"), DeliveryRequested("me"), PromotionRequested("me")):
        assert isinstance(machine.advance(run, Happened(event, 0, 7)), machine.Refusal)


def test_a_delivery_that_is_asked_for_is_made_whatever_was_delivered() -> None:
    """The user's repository may have lost since what it had."""
    landed = (Snapshot("P1", "base", "tag"),)
    for stage in (Stage.WORKING, Stage.DONE):
        run = replace(run_at(stage, Step.BUILDING), snapshots=landed, delivered="base")
        run = replace(run, pending=())
        step = machine.advance(run, Happened(DeliveryRequested("me"), 0))
        assert isinstance(step, machine.Advanced)
        assert [pending.command for pending in step.run.pending] == [Deliver("base", asked=True)]


def test_a_refused_delivery_is_no_delivery_though_there_was_one_before() -> None:
    run = replace(run_at(Stage.DONE, Step.COMPLETE), snapshots=(Snapshot("P1", "base", "tag"),))
    run = with_pending(replace(run, delivered="base"), Deliver("base", asked=True))
    assert not run.undelivered
    step = machine.advance(run, Happened(DeliveryRefused("base", "no right"), 0, 8))
    assert isinstance(step, machine.Advanced)
    assert step.run.undelivered


def test_an_answer_for_another_phase_is_refused() -> None:
    run = run_at(Stage.WORKING, Step.CHECKING)
    answer = machine.advance(run, Happened(CandidateChecked("P2", GateVerdict.PASS), 0, 7))
    assert isinstance(answer, machine.Refusal)
    assert "P2" in answer.reason


def test_rows_are_unique_and_name_known_places() -> None:
    assert len(table.BY_KEY) == len(table.TABLE)
    for rule in table.TABLE:
        assert rule.note
        assert rule.targets
        kind = Stage if rule.step is None else Step
        assert all(isinstance(target, kind) for target in rule.targets), rule


def test_every_event_that_answers_is_asked_by_a_command() -> None:
    answering = {event for events in machine.ANSWERS.values() for event in events}
    assert answering | set(machine.UNASKED) | {RunCreated} == set(Event.__args__)
    assert set(machine.ANSWERS) == set(Command.__args__)


RARE = {
    (Step.TESTING, CandidateTested, Step.REAPPLYING),
    (Step.TESTING, CommandFailed, Step.REAPPLYING),
    (Step.TESTING, CommandFailed, Step.LANDING_QUEUED),
    (Step.CHECKING, CommandFailed, Step.LANDING_QUEUED),
    (Step.CHECKING, CommandFailed, Step.REAPPLYING),
    (Step.REAPPLYING, CommandFailed, Step.LANDING_QUEUED),
    (Step.REAPPLYING, ReapplyConflicted, Step.REAPPLYING),
    (Step.REAPPLYING, ReapplyConflicted, Step.TESTING),
}
"""Work ahead fails just while that behind it is under way, and a third has landed meanwhile."""


DECLARED = {
    (rule.stage, rule.step, rule.event, target) for rule in table.TABLE for target in rule.targets
}
WALKS_MAX = 10_000


def test_every_declared_target_is_reached_and_no_other() -> None:
    """Walks, the same on every machine, until all is reached: it takes a fifth of WALKS_MAX."""
    rare = {(Stage.WORKING, *transition) for transition in RARE}
    assert rare <= DECLARED
    missing = DECLARED - rare
    for seed in range(WALKS_MAX):
        reached = {_transition(taken) for taken in _seeded(seed).taken}
        assert reached <= DECLARED, f"seed {seed}: undeclared {reached - DECLARED}"
        missing -= reached
        if not missing:
            break
    assert not missing, f"unreached {missing}"


WEATHER = ((Storm.BEHIND, 1.0), (Storm.AT_THE_END, 0.0), (Storm.UNDER_WAY, 0.5), (Storm.NONE, 0.7))
"""Four walks in five: what happens, and how many of them meet in the landing queue."""


def _seeded(seed: int) -> Walk:
    """One walk in five is of a run that drafts its plan."""
    index, kind = divmod(seed, 5)
    if kind == len(WEATHER):
        plan = replace(run_spec(phase_spec("P1")), infra_retries_max=1, parks_max=3)
        spec = undrafted(plan, 1 + index % 3, 300, plan_only=index % 5 == 0)
        storm = Storm.UNDER_WAY if index % 3 else Storm.AT_THE_END
        return walk(spec, index, storm=storm, plan=plan)
    storm, crowded = WEATHER[kind]
    rng = random.Random(seed)
    spec = _some_spec(rng, crowd=rng.random() < crowded)
    if storm is Storm.BEHIND:  # much fails, and nothing ends of it
        spec = replace(spec, parallel_max=4, conflicts_max=2, infra_retries_max=9)
    if storm is Storm.UNDER_WAY:
        spec = replace(spec, parks_max=3)
    if storm is Storm.AT_THE_END and index % 2:  # one issue too many ends a tier
        tiers = tuple(replace(tier, minor_issues_max=0) for tier in spec.tiers)
        spec = replace(spec, safety_profile=SafetyProfile.SAFETY_CRITICAL, tiers=tiers)
    return walk(spec, seed, storm=storm)


def _transition(taken: Taken) -> tuple[Stage, Step | None, type[Event], Step | Stage]:
    phase_id = phase_id_of(taken.asked.command) if taken.asked else ""
    step = taken.before.phase(phase_id).step if phase_id else None
    to = taken.after.phase(phase_id).step if phase_id else taken.after.stage
    return taken.before.stage, step, type(taken.happened.event), to


def _some_spec(rng: random.Random, *, crowd: bool) -> RunSpec:
    """What `walk.specs` draws, from a plain generator: the same walks on every machine.

    `crowd`: phases that meet in the landing queue.
    """
    phases: list[PhaseSpec] = []
    for index in range(1, (rng.randint(4, 7) if crowd else rng.randint(1, 6)) + 1):
        before = [phase.phase_id for phase in phases]
        phases.append(
            replace(
                phase_spec(f"P{index}", "T1" if crowd or index < 4 else "T2", index),
                needs=tuple(need for need in before if not crowd and rng.random() < 0.2),
                auto_apply=crowd or rng.random() < 0.6,
                high_risk=not crowd and rng.random() < 0.2,
                builder_attempts_max=rng.randint(1, 3),
                auditor_attempts_max=rng.randint(0, 2),
                incident_token_cap=rng.choice([300, 1000]),
            )
        )
    plain = run_spec(*phases)
    tolerance = rng.choice([None, 0])
    spec = replace(
        plain,
        tiers=tuple(replace(tier, minor_issues_max=tolerance) for tier in plain.tiers),
        auditor=rng.choice(["", "auditor"]),
        safety_profile=rng.choice([*SafetyProfile]),
        on_phase_failure=rng.choice([*OnPhaseFailure]),
        parallel_max=4 if crowd else rng.randint(1, 4),
        token_cap=rng.choice([1200, 10**6]),
        infra_retries_max=rng.randint(0, 2),
        conflicts_max=rng.randint(0, 2),
        reapplies_max=rng.choice([0, 1, 25]),
        parks_max=rng.randint(0, 2),
        promote=rng.choice([*PromoteMode]),
    )
    if rng.random() >= 0.05:
        return spec
    landed = tuple(phase.phase_id for phase in phases)
    return replace(
        spec, predecessor="r0", base_ref="autonomous/r0", promote_onto="main", landed=landed
    )


# --- promises that every walk keeps -------------------------------------------------------------

walks = st.builds(walk, specs(), st.integers(0, 2**32))


@settings(deadline=None, max_examples=300)
@given(walks)
def test_promises(walked: Walk) -> None:
    """All of them on the same walks: to make a walk costs more than to look at it."""
    accounts = Accounts(walked.run.spec, SURPLUS_MAX)
    for taken in walked.taken:
        assert _transition(taken) in DECLARED
        keeps_promises(taken.before, taken.after, SURPLUS_MAX)
        accounts.take(taken.before, taken.happened, taken.after)
    _ends_well(walked)
    shown = [taken.after.failure for taken in walked.taken if taken.after.failure]
    assert all(one == shown[0] for one in shown), "a failed run shows its first failure"
    if shown:
        assert walked.run.state.value == f"DONE_FAILED_{shown[0].cause}"


def _ends_well(walked: Walk) -> None:
    run = walked.run
    assert run.stage is Stage.DONE
    assert not run.pending
    assert all(phase.step in FINAL_STEPS for phase in run.phases)
    assert run.tokens_reserved == 0
    assert (run.failure is None) == (run.state is RunState.DONE_SUCCESS)
    if any(phase.step is Step.FAILED for phase in run.phases):
        assert run.failure is not None
    if run.failure is None:
        assert all(phase.satisfied for phase in run.phases)
    for snapshot in run.snapshots:
        _passed_all(walked, snapshot.commit)
    assert machine.replay(walked.log) == run


def _passed_all(walked: Walk, commit: str) -> None:
    """Green, through the gate, and approved where somebody asked, in the attempt that landed."""
    answered = [(t.asked.command, t.happened.event, t.before) for t in walked.taken if t.asked]
    phase_id, attempt = "", 0
    for command, event, before in answered:
        if isinstance(command, Test) and command.candidate.commit == commit:
            phase_id, attempt = command.phase_id, before.phase(command.phase_id).attempts_used
            if isinstance(event, CandidateTested) and event.verdict is CiVerdict.PASS:
                break
    else:
        pytest.fail(f"{commit} landed and was never green")
    gates = [
        event.verdict
        for command, event, _ in answered
        if isinstance(command, Check) and command.candidate.commit == commit
        if isinstance(event, CandidateChecked)
    ]
    assert gates, f"{commit} landed and never passed the gate"
    assert gates[-1] is not GateVerdict.FAIL
    spec = walked.run.phase(phase_id).spec
    approvals = [
        before.phase(phase_id)
        for command, event, before in answered
        if isinstance(event, AuditEnded) and event.phase_id == phase_id
        if event.recommendation is Recommendation.APPROVE
    ]
    if attempt in [phase.attempts_used for phase in approvals]:
        return
    audited = bool(walked.run.spec.auditor) and spec.auditor_attempts_max > 0
    free = spec.auto_apply and not (audited and spec.high_risk)
    assert gates[-1] is GateVerdict.PASS, f"{commit} landed and nobody approved it"
    assert free, f"{commit} landed and nobody approved it"
    issued = next(
        t.before for t in walked.taken for p in t.after.pending
        if isinstance(p.command, Land) and p.command.candidate.commit == commit
    )  # fmt: skip
    seen = {key for phase in approvals for key in _majors(phase)}
    unseen = _majors(issued.phase(phase_id)) - seen
    assert not (audited and unseen), f"{commit} landed and nobody looked at {unseen}"


def _majors(phase: Phase) -> set[str]:
    return {f.issue_key for f in phase.issues if f.effective_severity is IssueSeverity.MAJOR}


@settings(deadline=None, max_examples=100)
@given(walks, st.randoms(use_true_random=False))
def test_a_second_answer_to_a_command_is_refused(walked: Walk, rng: random.Random) -> None:
    world = World(rng, calm=0.5)
    for index, taken in enumerate(walked.taken):
        if taken.asked is None:
            continue
        later = rng.choice(walked.taken[index:]).after
        for event in (taken.happened.event, world.answer(taken.asked)):
            again = Happened(event, 0, taken.asked.number)
            assert isinstance(machine.advance(later, again), machine.Refusal)


# --- how runs end ---------------------------------------------------------------------------------


def drive(run: Run, *events: Event) -> Run:
    """Answer the oldest pending command with each event in turn; unasked events as they are."""
    for event in events:
        answers = 0 if isinstance(event, machine.UNASKED) else run.pending[0].number
        answer = machine.advance(run, Happened(event, 0, answers))
        assert isinstance(answer, machine.Advanced), answer
        run = answer.run
    return run


def working(spec: RunSpec) -> Run:
    return drive(machine.create(spec).run, BasePrepared(), EnvironmentPrepared("digest"))


def submitted(attempt: int = 1, tokens: int = 5) -> AttemptEnded:
    return AttemptEnded("P1", attempt, Outcome.SUBMITTED, tokens, CANDIDATE)


def checked(verdict: GateVerdict = GateVerdict.PASS) -> CandidateChecked:
    return CandidateChecked("P1", verdict)


RED = CandidateTested("P1", CiVerdict.FAIL)
BROKEN = CommandFailed("the disk is full")
AUDITED = replace(run_spec(replace(phase_spec("P1"), auto_apply=False)), auditor="auditor")
ONE_CI_RUN = replace(
    SPEC,
    safety_profile=SafetyProfile.SAFETY_CRITICAL,
    tiers=tuple(replace(tier, ci_run_cap=1) for tier in SPEC.tiers),
)
SMALL_TIER = replace(ONE_CI_RUN, tiers=tuple(replace(t, token_cap=999) for t in SPEC.tiers))
EMPTY = AttemptEnded("P1", 1, Outcome.EMPTY)


@pytest.mark.parametrize(
    ("spec", "events", "cause"),
    [
        (replace(SPEC, token_cap=999), (), Cause.BUDGET_EXHAUSTED),
        (SMALL_TIER, (), Cause.BUDGET_EXHAUSTED),
        (ONE_CI_RUN, (submitted(), checked(), RED, submitted(2), checked()), Cause.BUDGET_EXHAUSTED),
        (SPEC, (submitted(tokens=1001), checked(), RED), Cause.BUDGET_EXHAUSTED),
        (SPEC, (AttemptEnded("P1", 1, Outcome.PARKED, 1000),), Cause.BUDGET_EXHAUSTED),
        (SPEC, (AttemptEnded("P1", 1, Outcome.CANCELLED, 1000),), Cause.BUDGET_EXHAUSTED),
        (SPEC, (DurationSpent(), EMPTY), Cause.BUDGET_EXHAUSTED),
        (
            SPEC,
            (EMPTY, submitted(2), checked(GateVerdict.FAIL)),
            Cause.POLICY_VIOLATION,
        ),
        (SPEC, (EMPTY, AttemptEnded("P1", 2, Outcome.REFUSED)), Cause.POLICY_VIOLATION),
        (
            AUDITED,
            (submitted(), checked(), *[AuditEnded("P1", Recommendation.INVALID)] * 2),
            Cause.REQUIRES_HUMAN_REVIEW,
        ),
        (
            AUDITED,
            (submitted(), checked(), AuditEnded("P1", Recommendation.ESCALATE)),
            Cause.REQUIRES_HUMAN_REVIEW,
        ),
        (SPEC, (EMPTY, submitted(2), checked(), RED), Cause.REQUIRES_HUMAN_REVIEW),
        (SPEC, (CancelRequested("me"), EMPTY), Cause.REQUIRES_HUMAN_REVIEW),
        (SPEC, (BROKEN,) * 3, Cause.ENVIRONMENT),
        (
            SPEC,
            (submitted(), checked(), *[CandidateTested("P1", CiVerdict.INFRA)] * 3),
            Cause.ENVIRONMENT,
        ),
    ],
)  # fmt: skip
def test_causes_of_failure(spec: RunSpec, events: tuple[Event, ...], cause: Cause) -> None:
    run = drive(working(spec), *events)
    assert run.ended
    assert run.failure is not None
    assert run.failure.cause is cause
    assert run.state.value == f"DONE_FAILED_{cause}"


@pytest.mark.parametrize("preparing", [(), (BasePrepared(),)])
def test_a_start_that_fails_is_an_environment_failure(preparing: tuple[Event, ...]) -> None:
    run = drive(machine.create(SPEC).run, *preparing, *[BROKEN] * 3)
    assert run.ended
    assert run.state is RunState.DONE_FAILED_ENVIRONMENT
    assert run.phases[0].skipped_because == "the run stopped"


@settings(deadline=None, max_examples=60)
@given(specs(), st.integers(0, 2**32))
def test_cancelled_anywhere_a_run_ends_for_human_review(spec: RunSpec, seed: int) -> None:
    """Every run of the walk that may still be cancelled and has not failed yet."""
    stages = {Stage.CREATED, Stage.QUEUEING, Stage.WORKING}
    walked = walk(spec, seed)
    for taken in walked.taken:
        run = taken.before
        if run.stage not in stages or run.failure:
            continue
        run = drive(run, CancelRequested("me"))
        world = World(random.Random(seed))
        while not run.ended:
            run = drive(run, world.answer(run.pending[0]))
        assert run.state is RunState.DONE_FAILED_REQUIRES_HUMAN_REVIEW
        assert run.failure is not None
        assert run.failure.reason == "cancelled by me"
        landed = {snapshot.phase_id for snapshot in run.snapshots}
        kept = {phase.phase_id for phase in run.phases if phase.step is Step.COMPLETE}
        assert landed == kept


def test_cancelling_a_run_that_stops_or_has_ended_is_refused() -> None:
    for stage in (Stage.STOPPING, Stage.CLOSING, Stage.DONE):
        answer = machine.advance(run_at(stage, Step.LANDING), Happened(CancelRequested("me"), 0))
        assert isinstance(answer, machine.Refusal)


def test_a_phase_whose_need_failed_is_skipped_and_an_independent_one_goes_on() -> None:
    spec = replace(
        run_spec(
            replace(phase_spec("P1"), builder_attempts_max=1),
            replace(phase_spec("P2", phase_index=2), needs=("P1",)),
            phase_spec("P3", phase_index=3),
        ),
        on_phase_failure=OnPhaseFailure.CONTINUE,
    )
    run = drive(working(spec), EMPTY)
    assert [phase.step for phase in run.phases] == [Step.FAILED, Step.SKIPPED, Step.BUILDING]
    stopping = replace(spec, on_phase_failure=OnPhaseFailure.STOP)
    run = drive(working(stopping), EMPTY)
    assert [phase.step for phase in run.phases] == [Step.FAILED, Step.SKIPPED, Step.SKIPPED]
    assert run.stage is Stage.DONE


def test_phases_that_landed_before_are_satisfied_and_never_built() -> None:
    spec = run_spec(phase_spec("P1"), replace(phase_spec("P2", phase_index=2), needs=("P1",)))
    run = working(replace(spec, predecessor="r0", landed=("P1",)))
    assert [phase.step for phase in run.phases] == [Step.SKIPPED, Step.BUILDING]
    assert run.phase("P1").skipped_because == "landed in r0"
    everything = working(replace(spec, predecessor="r0", landed=("P1", "P2")))
    assert everything.state is RunState.DONE_SUCCESS


def test_reapplies_that_are_spent_stop_the_run_and_start_nothing() -> None:
    phases = [phase_spec(f"P{index}", phase_index=index) for index in (1, 2, 3)]
    spec = replace(run_spec(*phases), parallel_max=2, reapplies_max=0)
    waiting = replace(CANDIDATE, parent="old")
    run = working(spec)
    first, second, third = run.phases
    run = replace(
        run,
        phases=(
            replace(first, step=Step.LANDING, candidate=CANDIDATE),
            replace(second, step=Step.LANDING_QUEUED, candidate=waiting),
            third,
        ),
        landing_queue=("P1", "P2"),
        pending=(Pending(50, Land("P1", CANDIDATE, "base", "tag")),),
        commands_issued=50,
    )
    run = drive(run, SnapshotLanded("P1", "c1", "tag"))
    assert [phase.step for phase in run.phases] == [Step.COMPLETE, Step.FAILED, Step.SKIPPED]
    assert run.failure is not None
    assert run.failure.cause is Cause.ENVIRONMENT


def test_a_command_tried_again_keeps_its_first_date() -> None:
    """A landing may have had its effect: its tag is dated, and another date is another tag."""
    run = with_date(run_at(Stage.WORKING, Step.LANDING), 1000)
    answer = machine.advance(run, Happened(BROKEN, 2000, 7))
    assert isinstance(answer, machine.Advanced)
    assert [(p.retry, p.issued_at) for p in answer.commands] == [(1, 1000)]


def with_date(run: Run, issued_at: int) -> Run:
    return replace(run, pending=tuple(replace(p, issued_at=issued_at) for p in run.pending))


def test_an_attempt_that_was_cut_off_is_followed_by_one_of_another_number() -> None:
    """What was cut off is kept under its number, so that the next one's work needs its own."""
    run = drive(working(SPEC), AttemptEnded("P1", 1, Outcome.CANCELLED, 400))
    build = run.pending[0].command
    assert isinstance(build, Build)
    assert (build.attempt, build.tokens_max) == (2, 600)
    assert run.phases[0].attempts_left == SPEC.phases[0].builder_attempts_max
    run = drive(run, *(AttemptEnded("P1", n, Outcome.CANCELLED) for n in (2, 3)))
    assert run.state is RunState.DONE_FAILED_ENVIRONMENT


# --- time -----------------------------------------------------------------------------------------


def after(run: Run, seconds: float, event: Event, answers: int) -> Run:
    answer = machine.advance(run, Happened(event, 0, answers, seconds))
    assert isinstance(answer, machine.Advanced), answer
    return answer.run


def test_parked_time_is_counted_apart_and_preparing_not_at_all() -> None:
    run = machine.create(SPEC).run
    run = after(run, 100.0, BasePrepared(), 1)
    run = after(run, 100.0, EnvironmentPrepared("digest"), 2)
    assert (run.active_seconds, run.parked_seconds) == (0.0, 0.0)
    parked = AttemptEnded("P1", 1, Outcome.PARKED, 5, parked_until=77.0)
    run = after(run, 10.0, parked, run.pending[0].number)
    assert run.pending[0].command == Wait("P1", 77.0)
    assert budget.parked(run)
    assert budget.seconds_left(run) == SPEC.parked_seconds_max
    run = after(run, 500.0, Unparked("P1", 500.0), run.pending[0].number)
    assert (run.active_seconds, run.parked_seconds) == (10.0, 500.0)
    assert budget.seconds_left(run) == SPEC.duration_seconds_max - 10.0
    assert run.phase("P1").attempts_used == 0
    assert isinstance(run.pending[0].command, Build)


def test_time_never_runs_backwards() -> None:
    run = working(SPEC)
    assert after(run, -5.0, EMPTY, run.pending[0].number).active_seconds == 0.0


@pytest.mark.parametrize(("step", "words"), [(Step.PARKED, "parked"), (Step.BUILDING, "minutes")])
def test_spent_time_says_which(step: Step, words: str) -> None:
    run = drive(run_at(Stage.WORKING, step), DurationSpent())
    assert run.failure is not None
    assert words in run.failure.reason


def test_replay_refuses_a_log_that_is_no_walk() -> None:
    created = Happened(RunCreated(SPEC), 0)
    with pytest.raises(ValueError, match="run_created"):
        machine.replay([])
    with pytest.raises(ValueError, match="event 2"):
        machine.replay([created, Happened(EMPTY, 0, 1)])
