"""Which runs may be promoted: every reason is named, and any run has an answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopack.core import machine, promoting, promotion, series
from autopack.core.command import AwaitRoom, Deliver, Pending, PrepareBase, Promote
from autopack.core.draft import Draft
from autopack.core.event import (
    BasePrepared,
    CommandFailed,
    Delivered,
    EnvironmentPrepared,
    Event,
    Happened,
    Promoted,
    PromotionRefused,
    PromotionRequested,
    PromotionsFull,
    RoomAwaited,
)
from autopack.core.issue import Issue, IssueSeverity, IssueSource
from autopack.core.limit import Limit, limit_of
from autopack.core.run import Cause, Failure, Phase, Promotion, Run, Snapshot, Stage, Step
from autopack.core.spec import PromoteMode, RunSpec, TierSpec
from tests.core.walk import phase_spec, run_spec, specs, walk

TIERS = (TierSpec("T1", 1, "T1", 10**9, 10**6, minor_issues_max=0),)


def good(**changes: object) -> Run:
    """A run that ended well, with one landed phase."""
    spec = replace(run_spec(phase_spec("P1")), tiers=TIERS, promote=PromoteMode.AUTO)
    run = Run(
        spec,
        Stage.DONE,
        (Phase(spec.phases[0], Step.COMPLETE),),
        version=9,
        commands_issued=7,
        tip="c1",
        snapshots=(Snapshot("P1", "c1", "tag"),),
        delivered="c1",
    )
    return replace(run, **changes)  # type: ignore[arg-type]  # a test's own words


def after(run: Run, event: Event, command: object = None, at: int = 50) -> Run:
    """The run after an event that answers the command, when one is given."""
    if command is not None:
        pending = Pending(8, command, issued_at=40)  # type: ignore[arg-type]  # as above
        run = replace(run, commands_issued=8, pending=(*run.pending, pending))
    answer = machine.advance(run, Happened(event, at, 8 if command is not None else 0))
    assert isinstance(answer, machine.Advanced), answer
    return answer.run


def minor(key: str) -> Issue:
    grave = IssueSeverity.MINOR
    return Issue(key, grave, grave, IssueSource.PROBE, "tests", False, 1, (), "")


def with_issue(run: Run) -> Run:
    return replace(run, phases=(replace(run.phases[0], issues=(minor("a"),)),))


def test_a_run_that_ended_well_and_clean_is_eligible() -> None:
    assert promotion.reasons(good()) == ()
    assert promotion.eligible(good())


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (good(stage=Stage.WORKING), "it has not ended"),
        (good(failure=Failure(Cause.ENVIRONMENT, "disk")), "it is DONE_FAILED_ENVIRONMENT"),
        (good(snapshots=(), tip="base", delivered=""), "nothing landed in it"),
        (good(delivered="c0"), "it is not delivered"),
        (good(delivery_refusal="checked out"), "it is not delivered"),
        (good(tier_caps_hit=("T1",)), "tier T1 of r is not clean: it has passed its cap"),
        (with_issue(good()), "tier T1 of r is not clean: 1 minor issue (0 tolerated)"),
    ],
)
def test_each_reason_is_told(run: Run, said: str) -> None:
    (found,) = promotion.reasons(run)
    assert found.startswith(said)


def test_excess_issues_of_the_whole_run_are_a_reason_of_their_own() -> None:
    run = with_issue(good())
    tiers = (replace(TIERS[0], minor_issues_max=5),)
    run = replace(run, spec=replace(run.spec, tiers=tiers, minor_issues_max=0))
    (found,) = promotion.reasons(run)
    assert found == "debt of r is excess_minor_issues: 1 minor issue (0 tolerated)"


def test_a_budget_that_failed_a_cleanup_is_a_reason_though_the_run_succeeded() -> None:
    spent = Failure(Cause.BUDGET_EXHAUSTED, "tokens", "P1")
    run = good()
    run = replace(run, phases=(*run.phases, Phase(phase_spec("D1"), Step.FAILED, failure=spent)))
    assert promotion.reasons(run) == ("a budget failed D1 of r",)


def test_a_plan_only_run_is_told_so() -> None:
    run = good(snapshots=(), tip="base", delivered="", draft=Phase(phase_spec("_plan")))
    run = replace(run, spec=replace(run.spec, draft=Draft("goal", plan_only=True)))
    assert promotion.reasons(run) == ("it was started for its plan only",)


def test_all_reasons_are_told_at_once() -> None:
    run = with_issue(good(failure=Failure(Cause.BUDGET_EXHAUSTED, "x"), delivered=""))
    told = promotion.reasons(run, promotions_open=0)
    assert len(told) == 3


def test_the_limit_counts_open_ones_and_not_the_run_that_has_one() -> None:
    run = good()
    run = replace(run, spec=replace(run.spec, promotions_open_max=2))
    assert promotion.reasons(run, 1) == ()
    assert promotion.reasons(run, 2)[0].startswith("2 promotion pull requests are open")
    assert promotion.reasons(run, None) == ()
    assert promotion.reasons(replace(run, promotion=Promotion(number=3)), 2) == ()
    unlimited = replace(run, spec=replace(run.spec, promotions_open_max=0))
    assert promotion.reasons(unlimited, 99) == ()


def _series() -> RunSpec:
    tiers = (*TIERS, TierSpec("T2", 2, "T2", 10**9, 10**6))
    spec = replace(run_spec(phase_spec("P1"), phase_spec("P2", "T2", 2)), tiers=tiers)
    return series.first_part(replace(spec, phases_max=1, promote=PromoteMode.AUTO))


def test_the_last_part_of_a_series_promotes_for_all_and_answers_for_all() -> None:
    first = replace(with_issue(good()), spec=_series())
    assert any("the last part promotes for all" in why for why in promotion.reasons(first))
    last = series.next_part(first)
    assert last is not None
    assert (last.onto, last.promote) == ("main", PromoteMode.AUTO)
    assert last.held_back == ("tier T1 of r is not clean: 1 minor issue (0 tolerated)",)
    run = replace(good(), spec=replace(last, rest_phases=()))
    assert promotion.reasons(replace(run, phases=(Phase(last.phases[0], Step.COMPLETE),))) == (
        last.held_back
    )


@pytest.mark.parametrize("landed", [True, False])
def test_a_last_part_that_lands_nothing_promotes_what_landed_before_it(landed: bool) -> None:
    first = replace(good(), spec=_series())
    if not landed:
        first = replace(first, snapshots=(), tip="base", delivered="")
    last = series.next_part(first)
    assert last is not None
    cleanup = Phase(last.phases[0], Step.SKIPPED)
    run = good(spec=last, phases=(cleanup,), snapshots=(), tip=last.base_commit, delivered="")
    assert promotion.work_branch(run) == ("autonomous/r" if landed else "")
    assert promotion.reasons(run) == (() if landed else ("nothing landed in it",))
    asked = after(run, PromotionRequested("me"))
    assert [p.command for p in asked.pending] == ([Promote("c1")] if landed else [])
    if landed:
        done = after(run, Promoted(3, "there", "c2"), Promote("c1"))
        assert (done.tip, done.delivered, done.promotion.commit) == ("c2", "c2", "c2")
        assert promotion.eligible(done)


@pytest.mark.parametrize("landed", [True, False])
def test_a_series_that_somebody_based_on_a_runs_branch_has_no_work_there(landed: bool) -> None:
    """`--base autonomous/x`: what that holds was promised by another plan."""
    spec = replace(_series(), base_ref="autonomous/x", promote_onto="autonomous/x")
    first = replace(good(), spec=spec)
    if not landed:
        first = replace(first, snapshots=(), tip="base", delivered="")
    last = series.next_part(first)
    assert last is not None
    skipped = (Phase(last.phases[0], Step.SKIPPED),)
    run = good(spec=last, phases=skipped, snapshots=(), tip=last.base_commit, delivered="")
    assert promotion.work_branch(run) == ("autonomous/r" if landed else "")
    again = replace(last, run_id="r-2-r1", predecessor=last.run_id)  # as a retry of it is
    assert promotion.work_branch(replace(run, spec=again)) == promotion.work_branch(run)


@pytest.mark.parametrize(
    ("changes", "asked", "failed"),
    [
        ({}, [Promote("base")], ""),
        ({"promote": PromoteMode.MANUAL}, [], ""),
        ({"held_back": ("tier T0 of r is not clean",)}, [], ""),
        ({"base_ref": "main"}, [], "nothing landed in it"),
    ],
)
def test_a_run_of_which_all_landed_before_is_promoted_once_ci_could_be(
    changes: dict[str, Any], asked: list[Promote], failed: str
) -> None:
    """QUEUEING to CLOSING: it works at nothing, and ends as any other."""
    spec = replace(
        good().spec, run_id="r-r1", landed=("P1",), predecessor="r", base_ref="autonomous/r",
        base_commit="base", promote_onto="main",
    )  # fmt: skip
    run = machine.create(replace(spec, **changes)).run
    for event in (BasePrepared(), EnvironmentPrepared("digest")):
        assert run.stage in {Stage.CREATED, Stage.QUEUEING}
        (waiting,) = run.pending
        answer = machine.advance(run, Happened(event, 50, waiting.number))
        assert isinstance(answer, machine.Advanced), answer
        run = answer.run
    assert [pending.command for pending in run.pending] == asked
    assert run.stage is (Stage.CLOSING if asked else Stage.DONE)
    if asked:
        (waiting,) = run.pending
        run = after(replace(run, pending=()), Promoted(3, "there", "c2"), waiting.command)
        assert (run.tip, run.promotion.number) == ("c2", 3)
    assert run.ended
    assert run.failure is None
    assert failed in "; ".join(promotion.reasons(run))


@settings(max_examples=60, deadline=None)
@given(spec=specs(), seed=st.integers(0, 10**6))
def test_any_run_has_an_answer_and_eligible_means_all_is_well(spec: RunSpec, seed: int) -> None:
    for taken in walk(spec, seed).taken:
        run = taken.after
        told = promotion.reasons(run, 0)
        assert len(told) == len(set(told))
        if promotion.eligible(run):
            assert run.state.value == "DONE_SUCCESS"
            assert run.delivered == run.tip or not run.snapshots
            assert promotion.work_branch(run)
        if promotion.due(run):
            assert run.stage is Stage.CLOSING


# --- what the machine does -----------------------------------------------------------------------


def test_a_run_that_may_be_promotes_by_itself_once_and_ends() -> None:
    closing = good(stage=Stage.CLOSING, delivered="")
    run = after(closing, Delivered("c1"), Deliver("c1"))
    (asked,) = run.pending
    assert asked.command == Promote("c1")
    done = after(replace(run, pending=()), Promoted(3, "there", "c2", notes=("n",)), asked.command)
    assert done.ended
    assert (done.tip, done.delivered, done.undelivered) == ("c2", "c2", False)
    assert done.promotion == Promotion(3, "there", "open", "c2", ("n",), tried=True, dated=40)


def test_a_manual_run_waits_to_be_asked() -> None:
    closing = good(stage=Stage.CLOSING, delivered="")
    closing = replace(closing, spec=replace(closing.spec, promote=PromoteMode.MANUAL))
    run = after(closing, Delivered("c1"), Deliver("c1"))
    assert run.ended
    asked = after(run, PromotionRequested("me"))
    assert [pending.command for pending in asked.pending] == [Promote("c1")]
    assert asked.stage is Stage.DONE
    again = after(asked, PromotionRequested("me"))
    assert len(again.pending) == 1, "one at a time"


def test_a_refused_promotion_fails_no_run_and_a_second_try_keeps_the_first_date() -> None:
    run = after(good(), PromotionRefused("no network"), Promote("c1"))
    assert run.failure is None
    assert run.promotion.refusal == "no network"
    assert not run.undelivered
    again = after(run, PromotionRequested("me"), at=99)
    assert [p.command for p in again.pending] == [Promote("c1", dated=40)]


def test_summaries_that_were_not_delivered_make_the_run_undelivered() -> None:
    run = after(good(), PromotionRefused("checked out", "c2", ""), Promote("c1"))
    assert (run.tip, run.delivered, run.delivery_refusal) == ("c2", "c1", "checked out")
    assert run.undelivered
    (why,) = promotion.reasons(run)
    assert "run deliver" in why
    arrived = after(good(), PromotionRefused("no token", "c2", "c2"), Promote("c1"))
    assert not arrived.undelivered
    later = after(arrived, PromotionRequested("me"))
    assert [p.command for p in later.pending] == [Promote("c1", dated=40)], "the proven commit"


def test_a_fault_is_a_refusal_and_no_failed_delivery() -> None:
    run = after(good(), CommandFailed("the disk is full"), Promote("c1"))
    assert run.ended
    assert run.promotion.refusal == "the disk is full"
    assert run.delivery_refusal == ""


def test_one_that_may_not_be_is_told_why_when_somebody_asks() -> None:
    run = after(good(tier_caps_hit=("T1",)), PromotionRequested("me"))
    assert run.ended
    assert "tier T1 of r is not clean" in run.promotion.refusal


def test_one_that_a_person_merged_is_done() -> None:
    run = after(good(), Promoted(3, "there", "c1", "merged"), Promote("c1"))
    assert (run.promotion.state, run.promotion.commit, run.tip) == ("merged", "", "c1")


@pytest.mark.parametrize("stage", [Stage.CREATED, Stage.BOOTSTRAP])
def test_a_run_waits_for_room_before_it_begins(stage: Stage) -> None:
    fresh = Run(good().spec, stage, (Phase(phase_spec("P1")),), version=1, tip="base")
    run = after(fresh, PromotionsFull(5, 5), PrepareBase())
    (asked,) = run.pending
    assert asked.command == AwaitRoom(5)
    begun = after(replace(run, pending=()), RoomAwaited(found=True), AwaitRoom(5))
    assert [p.command for p in begun.pending] == [PrepareBase(waited=True)]
    assert begun.tokens_spent == 0
    ended = after(replace(run, pending=()), RoomAwaited(found=False), AwaitRoom(5))
    assert ended.ended
    assert ended.failure is not None
    assert "parked_minutes_max" in ended.failure.reason
    assert limit_of(ended.failure) is Limit.PROMOTIONS


def test_the_marker_names_run_and_base_and_begins_as_all_do() -> None:
    spec = good().spec
    mark = promotion.marker(spec)
    assert mark.startswith(promotion.PREFIX)
    assert mark != promotion.marker(replace(spec, run_id="r2"))
    assert mark != promotion.marker(replace(spec, base_commit="other"))
    assert promoting.landed_tip(good()) == "c1"
