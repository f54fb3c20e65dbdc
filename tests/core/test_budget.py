"""Budgets: room to start, reservations and what is settled against them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.core import budget
from autopack.core.budget import Room
from autopack.core.run import (
    Candidate,
    Phase,
    Run,
    Stage,
    Step,
)
from autopack.core.spec import (
    RunSpec,
    SafetyProfile,
)
from tests.core.walk import phase_spec, run_spec

SPEC = run_spec(phase_spec("P1"), phase_spec("P2", phase_index=2))
TESTED = Candidate("1", "c1", "t1", "base")


def run_of(*phases: Phase, spec: RunSpec = SPEC) -> Run:
    return Run(spec, Stage.WORKING, phases)


def with_caps(run_cap: int, tier_cap: int = 10**9, ci_run_cap: int = 10**6) -> RunSpec:
    tiers = tuple(replace(t, token_cap=tier_cap, ci_run_cap=ci_run_cap) for t in SPEC.tiers)
    return replace(SPEC, token_cap=run_cap, tiers=tiers)


@pytest.mark.parametrize(
    ("cap", "spent", "reserved", "room"),
    [
        (2000, 0, 1000, Room.YES),
        (1999, 0, 1000, Room.WAIT),
        (1999, 1000, 0, Room.NO),
        (2000, 1000, 0, Room.YES),
        (1999, 999, 1, Room.WAIT),
    ],
)
def test_a_phase_starts_when_the_run_holds_its_whole_cap(
    cap: int, spent: int, reserved: int, room: Room
) -> None:
    other = replace(Phase(SPEC.phases[0]), tokens_spent=spent, tokens_reserved=reserved)
    run = run_of(other, Phase(SPEC.phases[1]), spec=with_caps(cap))
    decision = budget.room_to_start(run, run.phases[1])
    assert decision.room is room
    assert bool(decision.reason) == (room is not Room.YES)


@pytest.mark.parametrize(
    ("caps", "run_cap", "tier_cap", "profile", "told"),
    [
        ((1000, 1000), 1000, 1000, SafetyProfile.SAFETY_CRITICAL, []),
        ((1000, 2000), 999, 10**9, SafetyProfile.NORMAL, ["no phase can start"]),
        ((1000, 2000), 1000, 10**9, SafetyProfile.NORMAL, ["phase P2 can never start"]),
        ((1000, 2000), 9999, 1999, SafetyProfile.NORMAL, []),
        ((1000, 2000), 9999, 1999, SafetyProfile.SAFETY_CRITICAL, ["phase P2 can never start"]),
    ],
)
def test_a_cap_below_a_phase_is_known_before_the_start(
    caps: tuple[int, int], run_cap: int, tier_cap: int, profile: SafetyProfile, told: list[str]
) -> None:
    spec = with_caps(run_cap, tier_cap)
    pairs = zip(spec.phases, caps, strict=True)
    phases = [replace(phase, incident_token_cap=cap) for phase, cap in pairs]
    found = budget.never_fit(phases, spec.tiers, run_cap, profile)
    assert [line.partition(":")[0] for line in found] == told


@given(st.lists(st.integers(2, 5000), min_size=2, max_size=5))
def test_the_cap_that_is_said_to_let_all_start_does(caps: list[int]) -> None:
    """Each phase takes its whole cap: the least that is told lets only some start."""
    specs = [replace(phase_spec(f"P{n}", phase_index=n), incident_token_cap=cap)
             for n, cap in enumerate(caps, 1)]  # fmt: skip
    tiers, profile = SPEC.tiers, SafetyProfile.NORMAL
    (said,) = budget.never_fit(specs, tiers, min(caps) - 1, profile)
    least, enough = (int(word) for word in re.findall(r"(\d+) (?:is|lets)", said))
    assert (least, enough) == (max(caps), sum(caps))
    *before, last = [Phase(spec) for spec in specs]
    spent = [replace(p, step=Step.COMPLETE, tokens_spent=p.spec.incident_token_cap) for p in before]
    for cap, room in ((enough, Room.YES), (enough - 1, Room.NO)):
        spec = replace(run_spec(*specs), token_cap=cap)
        assert budget.room_to_start(run_of(*spent, last, spec=spec), last).room is room
    assert not budget.never_fit(specs, tiers, least, profile)


def test_what_was_spent_before_is_held_against_its_own_run_only() -> None:
    """Drafting took 600 of the first part's 1,500; the second part has the whole cap."""
    phases = [replace(phase_spec(f"P{n}", f"T{n}", n), incident_token_cap=1000) for n in (1, 2)]
    (said,) = budget.never_fit(phases, (), 1500, SafetyProfile.NORMAL, {"T1": 600})
    assert said.startswith("phase P1 can never start: it may need 1,000 tokens, the run has 900")
    assert "--token-cap 1600 is the least" in said
    assert not budget.never_fit(phases, (), 1600, SafetyProfile.NORMAL, {"T1": 600})


def test_one_phase_alone_needs_its_own_cap_only() -> None:
    (said,) = budget.never_fit(SPEC.phases[:1], SPEC.tiers, 1, SafetyProfile.NORMAL)
    assert said.endswith("; --token-cap 1000 or more lets it start")


def test_what_a_plan_took_is_told_of_and_added_to_the_cap_that_helps() -> None:
    phases, tiers, profile = SPEC.phases[:1], SPEC.tiers, SafetyProfile.NORMAL
    (said,) = budget.never_fit(phases, tiers, 1500, profile, {"T1": 2000})
    assert "the run has 0 left of 1,500, its plan took 2,000; " in said
    assert said.endswith("--token-cap 3000 or more lets it start")
    assert not budget.never_fit(phases, tiers, 3000, profile, {"T1": 2000})


@pytest.mark.parametrize(
    ("profile", "room"),
    [(SafetyProfile.NORMAL, Room.YES), (SafetyProfile.SAFETY_CRITICAL, Room.NO)],
)
def test_a_tiers_cap_binds_only_safety_critical_runs(profile: SafetyProfile, room: Room) -> None:
    spec = replace(with_caps(10**9, tier_cap=1500), safety_profile=profile)
    other = replace(Phase(SPEC.phases[0], Step.COMPLETE), tokens_spent=501)
    run = run_of(other, Phase(SPEC.phases[1]), spec=spec)
    assert budget.room_to_start(run, run.phases[1]).room is room


@given(st.lists(st.integers(-5, 600), max_size=8))
def test_spent_and_reserved_never_pass_the_cap_before_the_last_answer(answers: list[int]) -> None:
    phase = budget.reserve(Phase(SPEC.phases[0]))
    assert phase.tokens_reserved == phase.spec.incident_token_cap
    for tokens in answers:
        before = phase.tokens_spent
        phase = budget.settle(phase, tokens)
        assert phase.tokens_spent == before + max(0, tokens)
        assert phase.tokens_reserved == phase.tokens_left
        held = phase.tokens_spent + phase.tokens_reserved
        assert held == max(phase.spec.incident_token_cap, phase.tokens_spent)
    assert budget.release(phase).tokens_reserved == 0


@pytest.mark.parametrize(
    ("step", "judged", "left"),
    [(Step.TESTING, False, 1), (Step.TESTING, True, 2), (Step.CHECKING, False, 2)],
)
def test_a_ci_run_under_way_is_reserved_and_a_second_one_of_the_same_work_is_free(
    step: Step, judged: bool, left: int
) -> None:
    testing = Phase(SPEC.phases[0], step, candidate=TESTED, judged=judged)
    waiting = replace(Phase(SPEC.phases[1]), ci_runs_used=1)
    run = run_of(testing, waiting, spec=with_caps(10**9, ci_run_cap=3))
    assert budget.ci_runs_left(run, waiting) == left


def test_a_tier_over_its_cap_is_told() -> None:
    over = replace(Phase(SPEC.phases[0]), tokens_spent=1001)
    assert budget.tier_caps_hit(run_of(over, spec=with_caps(10**9, tier_cap=1000))) == ("T1",)
    assert budget.tier_caps_hit(run_of(over, spec=with_caps(10**9, tier_cap=1001))) == ()
    tested = replace(Phase(SPEC.phases[0]), ci_runs_used=2)
    assert budget.tier_caps_hit(run_of(tested, spec=with_caps(10**9, ci_run_cap=1))) == ("T1",)


def test_parked_means_that_nobody_under_way_works() -> None:
    parked = Phase(SPEC.phases[0], Step.PARKED)
    building = Phase(SPEC.phases[1], Step.BUILDING)
    assert budget.parked(run_of(parked, Phase(SPEC.phases[1])))
    assert not budget.parked(run_of(parked, building))
    assert not budget.parked(run_of(Phase(SPEC.phases[0])))
