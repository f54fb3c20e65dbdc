"""Each kind of exhaustion ends in its state, and the failure names the limit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.core import machine
from autopack.core.event import (
    AttemptEnded,
    AuditEnded,
    BasePrepared,
    CancelRequested,
    CandidateChecked,
    CandidateTested,
    CiVerdict,
    CommandFailed,
    DurationSpent,
    EnvironmentPrepared,
    Event,
    GateVerdict,
    Happened,
    Outcome,
    Recommendation,
    Unparked,
)
from autopack.core.issue import IssueReport, IssueSeverity, IssueSource
from autopack.core.limit import BUDGETS, Limit, limit_of
from autopack.core.run import Candidate, Cause, Failure, Run, Step
from autopack.core.spec import OnPhaseFailure, RunSpec, SafetyProfile, TierSpec
from tests.core.walk import phase_spec, run_spec, specs, walk

SPEC = run_spec(phase_spec("P1"))
CRITICAL = replace(SPEC, safety_profile=SafetyProfile.SAFETY_CRITICAL)
AUDITED = replace(run_spec(replace(phase_spec("P1"), auto_apply=False)), auditor="auditor")
TWO_TIERS = replace(
    run_spec(phase_spec("P1"), phase_spec("P2", "T2", 2)),
    safety_profile=SafetyProfile.SAFETY_CRITICAL,
    on_phase_failure=OnPhaseFailure.CONTINUE,
)
EMPTY = AttemptEnded("P1", 1, Outcome.EMPTY)
CHECKED = CandidateChecked("P1", GateVerdict.PASS)
RED = CandidateTested("P1", CiVerdict.FAIL)
UNSURE = AuditEnded("P1", Recommendation.INVALID)
PARKED = AttemptEnded("P1", 1, Outcome.PARKED, 1)
BROKEN = CommandFailed("the disk is full")


def made(attempt: int = 1, tokens: int = 5) -> AttemptEnded:
    candidate = Candidate(str(attempt), f"c{attempt}", "t", "base")
    return AttemptEnded("P1", attempt, Outcome.SUBMITTED, tokens, candidate)


def tiers(spec: RunSpec, tokens: int = 10**6, ci_runs: int = 100) -> RunSpec:
    caps = (replace(t, token_cap=tokens, ci_run_cap=ci_runs) for t in spec.tiers)
    return replace(spec, tiers=tuple(caps))


def drive(spec: RunSpec, *events: Event) -> Run:
    run = machine.create(spec).run
    for event in (BasePrepared(), EnvironmentPrepared("d"), *events):
        asked = 0 if isinstance(event, machine.UNASKED) else run.pending[0].number
        answer = machine.advance(run, Happened(event, 0, asked, 1.0))
        assert isinstance(answer, machine.Advanced), answer
        run = answer.run
    return run


@pytest.mark.parametrize(
    ("limit", "cause", "spec", "events"),
    [
        (Limit.RUN_TOKENS, Cause.BUDGET_EXHAUSTED, replace(SPEC, token_cap=999), ()),
        (Limit.TIER_TOKENS, Cause.BUDGET_EXHAUSTED, tiers(CRITICAL, tokens=999), ()),
        (Limit.TIER_CI_RUNS, Cause.BUDGET_EXHAUSTED, tiers(CRITICAL, ci_runs=1),
         (made(), CHECKED, RED, made(2), CHECKED)),
        (Limit.PHASE_TOKENS, Cause.BUDGET_EXHAUSTED, SPEC, (made(tokens=1001), CHECKED, RED)),
        (Limit.PHASE_TOKENS, Cause.BUDGET_EXHAUSTED, AUDITED, (made(tokens=1000), CHECKED)),
        (Limit.PHASE_TOKENS, Cause.BUDGET_EXHAUSTED, SPEC, (replace(PARKED, tokens=1000),)),
        (Limit.DURATION, Cause.BUDGET_EXHAUSTED, SPEC, (DurationSpent(), EMPTY)),
        (Limit.PARKED_MINUTES, Cause.BUDGET_EXHAUSTED, SPEC,
         (PARKED, DurationSpent(), Unparked("P1", 1.0))),
        (Limit.PARKS, Cause.BUDGET_EXHAUSTED, replace(SPEC, parks_max=1),
         (PARKED, Unparked("P1", 1.0), PARKED)),
        (Limit.BUILDER_ATTEMPTS, Cause.REQUIRES_HUMAN_REVIEW, SPEC,
         (EMPTY, made(2), CHECKED, RED)),
        (Limit.BUILDER_ATTEMPTS, Cause.POLICY_VIOLATION, SPEC,
         (EMPTY, AttemptEnded("P1", 2, Outcome.REFUSED))),
        (Limit.AUDITOR_ATTEMPTS, Cause.REQUIRES_HUMAN_REVIEW, AUDITED,
         (made(), CHECKED, UNSURE, UNSURE)),
        (Limit.ESCALATED, Cause.REQUIRES_HUMAN_REVIEW, AUDITED,
         (made(), CHECKED, AuditEnded("P1", Recommendation.ESCALATE))),
        (Limit.INFRA_RETRIES, Cause.ENVIRONMENT, SPEC, (BROKEN,) * 3),
        (Limit.INFRA_RETRIES, Cause.ENVIRONMENT, SPEC,
         (made(), CHECKED, *[CandidateTested("P1", CiVerdict.INFRA)] * 3)),
        (Limit.CANCELLED, Cause.REQUIRES_HUMAN_REVIEW, SPEC, (CancelRequested("me"), EMPTY)),
    ],
)  # fmt: skip
def test_each_exhaustion_ends_in_its_state(
    limit: Limit, cause: Cause, spec: RunSpec, events: tuple[Event, ...]
) -> None:
    run = drive(spec, *events)
    assert run.ended
    assert run.failure is not None
    assert run.state.value == f"DONE_FAILED_{cause}"
    assert limit_of(run.failure) is limit
    assert (limit in BUDGETS) == (limit not in {Limit.ESCALATED, Limit.CANCELLED})


def test_a_tier_that_passes_its_cap_with_its_last_answer_ends_the_run() -> None:
    """Nothing of the next tier starts, although the phase that failed would not stop the run."""
    small = tiers(TWO_TIERS, tokens=1000)
    run = drive(small, EMPTY, AttemptEnded("P1", 2, Outcome.FAILED, 1001))
    assert run.tier_caps_hit == ("T1",)
    assert run.ended
    assert run.phase("P2").step is Step.SKIPPED
    assert run.phase("P2").skipped_because == "the run stopped"


def test_a_tier_that_ends_with_a_skipped_phase_is_judged_before_the_next_one() -> None:
    unreachable = replace(phase_spec("P2", "T1", 2), needs=("P1",))
    spec = replace(TWO_TIERS, phases=(phase_spec("P1"), unreachable, phase_spec("P3", "T2", 3)))
    run = drive(tiers(spec, tokens=1000), EMPTY, AttemptEnded("P1", 2, Outcome.FAILED, 1001))
    assert run.ended
    assert [phase.step for phase in run.phases] == [Step.FAILED, Step.SKIPPED, Step.SKIPPED]


def test_a_tier_over_its_tolerance_ends_the_run() -> None:
    report = IssueReport("k", IssueSource.SELF_DOUBT, "doubt", severity=IssueSeverity.MAJOR)
    told = replace(made(), issues=(report,))
    strict = replace(
        TWO_TIERS,
        tiers=tuple(replace(t, minor_issues_max=0, major_issues_max=0) for t in TWO_TIERS.tiers),
    )
    lost = AttemptEnded("P1", 2, Outcome.EMPTY)
    run = drive(strict, told, CHECKED, RED, lost)
    assert run.failure is not None
    assert run.phase("P2").step is Step.SKIPPED
    failure = Failure(Cause.REQUIRES_HUMAN_REVIEW, "tier T1 is not clean: 0 minor issues")
    assert limit_of(failure) is Limit.TIER_ISSUES


@given(specs(), st.integers(0, 10**6))
def test_every_failure_of_every_walk_names_its_limit(spec: RunSpec, seed: int) -> None:
    run = walk(spec, seed).run
    failures = [phase.failure for phase in run.phases if phase.failure]
    failures += [run.failure] if run.failure else []
    assert Limit.OTHER not in {limit_of(failure) for failure in failures}


@pytest.mark.parametrize("words", ["run x has 1 of 2 tokens free", "cancelled by me", "stopped: x"])
def test_an_agents_words_name_no_limit(words: str) -> None:
    said = Failure(Cause.REQUIRES_HUMAN_REVIEW, f"the auditor escalates: {words}")
    assert limit_of(said) is Limit.ESCALATED
    assert limit_of(Failure(Cause.REQUIRES_HUMAN_REVIEW, f"? {words}")) is Limit.OTHER


def test_a_tier_spec_names_its_caps() -> None:
    failure = Failure(Cause.BUDGET_EXHAUSTED, "tier T1 has passed its cap of tokens or CI runs")
    assert limit_of(failure) is Limit.TIER
    assert TierSpec("T1", 1, "t", 1, 1).minor_issues_max is None
