"""A run that drafts its plan first: every walk keeps the promises, and drafting is paid for."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopack.adapters.store import codec
from autopack.core import budget, machine
from autopack.core.command import Build, CompilePlan, PrepareBase, Wait
from autopack.core.cost import costs
from autopack.core.draft import PHASE
from autopack.core.event import (
    AttemptEnded,
    BasePrepared,
    CancelRequested,
    CommandFailed,
    DurationSpent,
    Event,
    Happened,
    IssueRecorded,
    Outcome,
    PlanDrafted,
    PlanRejected,
)
from autopack.core.issue import IssueReport, IssueSource
from autopack.core.run import Candidate, Cause, Finding, Run, RunState, Stage, Step
from autopack.core.spec import RunSpec
from tests.core.promises import keeps_promises
from tests.core.walk import SURPLUS_MAX, Walk, phase_spec, run_spec, specs, undrafted, walk

PLAN = run_spec(phase_spec("P1"), phase_spec("P2", phase_index=2))
CANDIDATE = Candidate("1", "c1", "t1", "base")


@st.composite
def walks(draw: st.DrawFn) -> tuple[RunSpec, Walk]:
    plan = replace(draw(specs()), predecessor="", landed=())
    cap = min(draw(st.sampled_from([200, 1000])), plan.token_cap)
    spec = undrafted(plan, draw(st.integers(1, 3)), cap, plan_only=draw(st.booleans()))
    return plan, walk(spec, draw(st.integers(0, 2**32)), plan=plan)


@settings(deadline=None, max_examples=300)
@given(walks())
def test_promises_of_every_event(drawn: tuple[RunSpec, Walk]) -> None:
    _, walked = drawn
    for taken in walked.taken:
        before, after = taken.before, taken.after
        if before.spec.drafting and not after.spec.drafting:
            assert isinstance(taken.happened.event, PlanDrafted)
            assert after.draft is not None
            assert after.draft.tokens_spent == before.tokens_spent
            before = replace(before, phases=after.phases)
        assert after.draft == before.draft or before.draft is None
        keeps_promises(before, after, SURPLUS_MAX)
    run = walked.run
    assert run.ended
    assert (run.draft is None) == run.spec.drafting
    assert run.failure or run.draft
    assert machine.replay(walked.log) == run
    assert codec.decode_run(codec.encode_run(run)) == run
    assert sum(cost.tokens for cost in costs(walked.log)) == run.tokens_spent


def begun(*, plan_only: bool = False) -> Run:
    return machine.create(undrafted(PLAN, 2, 500, plan_only=plan_only)).run


def after(run: Run, *events: Event) -> Run:
    """The run after events, each of which answers its only command unless nobody asked for it."""
    for event in events:
        unasked = isinstance(event, machine.UNASKED)
        number = 0 if unasked else run.pending[0].number
        answer = machine.advance(run, Happened(event, 0, number, 10.0))
        assert isinstance(answer, machine.Advanced), answer
        run = answer.run
    return run


ATTEMPT = AttemptEnded(PHASE, 1, Outcome.SUBMITTED, 100, CANDIDATE)


def drafted(*, plan_only: bool = False) -> Run:
    run = begun(plan_only=plan_only)
    made = PlanDrafted(PHASE, replace(PLAN, draft=run.spec.draft), ("a note",))
    return after(run, BasePrepared(), ATTEMPT, made)


def test_a_record_that_holds_the_plans_text_instead_of_notes_still_loads() -> None:
    event = PlanDrafted(PHASE, PLAN, ("a note",))
    record = json.loads(codec.encode_event(event))
    assert codec.decode_event(json.dumps(record)) == event
    del record["notes"]
    assert codec.decode_event(json.dumps({**record, "plan": "a plan"})) == replace(event, notes=())


def test_the_way_of_a_draft_that_compiles() -> None:
    run = begun()
    assert (run.stage, run.state) == (Stage.BOOTSTRAP, RunState.PLAN_BOOTSTRAP)
    assert isinstance(run.pending[0].command, PrepareBase)
    run = after(run, BasePrepared())
    build = run.pending[0].command
    assert isinstance(build, Build)
    assert (build.phase_id, build.tokens_max, run.tokens_reserved) == (PHASE, 500, 500)
    assert run.active_seconds == 0
    run = after(run, ATTEMPT)
    assert run.pending[0].command == CompilePlan(PHASE, CANDIDATE)
    assert run.active_seconds == 10
    run = drafted()
    assert (run.stage, run.state) == (Stage.CREATED, RunState.RUN_CREATED)
    assert [phase.step for phase in run.phases] == [Step.QUEUED] * 2
    assert isinstance(run.pending[0].command, PrepareBase)
    assert (run.tokens_spent, run.tokens_reserved) == (100, 0)
    assert run.draft is not None
    assert run.phase(PHASE).step is Step.COMPLETE


def test_only_a_plan_ends_with_it() -> None:
    run = drafted(plan_only=True)
    assert (run.state, run.pending) == (RunState.DONE_SUCCESS, ())
    assert {phase.step for phase in run.phases} == {Step.SKIPPED}


def test_what_is_wrong_is_the_next_attempts_evidence_while_attempts_last() -> None:
    finding = Finding("plan", "no phases")
    run = after(begun(), BasePrepared(), ATTEMPT, PlanRejected(PHASE, (finding,)))
    build = run.pending[0].command
    assert isinstance(build, Build)
    assert (build.attempt, build.tokens_max) == (2, 400)
    assert build.evidence is not None
    assert build.evidence.findings == (finding,)
    run = after(run, ATTEMPT, PlanRejected(PHASE, (finding,)))
    assert run.state is RunState.DONE_FAILED_REQUIRES_HUMAN_REVIEW


@pytest.mark.parametrize(
    ("events", "cause"),
    [
        ((replace(ATTEMPT, tokens=600), PlanRejected(PHASE, ())), Cause.BUDGET_EXHAUSTED),
        ((CancelRequested("me"), ATTEMPT), Cause.REQUIRES_HUMAN_REVIEW),
        ((DurationSpent(), ATTEMPT), Cause.BUDGET_EXHAUSTED),
        ((CommandFailed("no disk"),) * 3, Cause.ENVIRONMENT),
        ((replace(ATTEMPT, outcome=Outcome.REFUSED),) * 2, Cause.POLICY_VIOLATION),
    ],
)
def test_how_drafting_fails(events: tuple[Event, ...], cause: Cause) -> None:
    run = after(begun(), BasePrepared(), *events)
    assert run.ended
    assert run.failure is not None
    assert run.failure.cause is cause


def test_a_usage_limit_is_waited_for() -> None:
    run = after(begun(), BasePrepared(), replace(ATTEMPT, outcome=Outcome.PARKED))
    assert isinstance(run.pending[0].command, Wait)
    assert budget.parked(run)


def test_a_draft_has_no_issues() -> None:
    report = IssueReport("a_problem", IssueSource.SELF_DOUBT)
    run = after(begun(), BasePrepared(), replace(ATTEMPT, issues=(report,)))
    assert not run.phases[0].issues
    answer = machine.advance(run, Happened(IssueRecorded(PHASE, report, "me"), 0))
    assert isinstance(answer, machine.Refusal)
