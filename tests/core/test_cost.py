"""What a run cost: every token is somebody's, and what did not land is waste."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.core import machine
from autopack.core.cost import PhaseCost, Use, costs
from autopack.core.event import (
    AttemptEnded,
    BasePrepared,
    CandidateChecked,
    CandidateTested,
    CiVerdict,
    CommandFailed,
    EnvironmentPrepared,
    Event,
    GateVerdict,
    Happened,
    Outcome,
    RunCreated,
    SnapshotLanded,
    Unparked,
)
from autopack.core.run import FINAL_STEPS, Candidate, Step
from autopack.core.spec import RunSpec
from tests.core.walk import phase_spec, run_spec, specs, walk

SPEC = run_spec(phase_spec("P1"))


@given(specs(), st.integers(0, 10**6))
def test_the_tries_of_every_walk_are_its_tokens(spec: RunSpec, seed: int) -> None:
    made = walk(spec, seed)
    found = {cost.phase_id: cost for cost in costs(made.log)}
    assert list(found) == [phase.phase_id for phase in made.run.phases]
    for phase in made.run.phases:
        cost = found[phase.phase_id]
        assert cost.tokens == phase.tokens_spent
        assert cost.tokens_wasted <= cost.tokens
        if phase.step in FINAL_STEPS:
            assert Use.OPEN not in {each.use for each in cost.tries}
        if phase.step is not Step.COMPLETE:
            assert Use.LANDED not in {each.use for each in cost.tries}
    seconds = sum(cost.active_seconds + cost.parked_seconds for cost in found.values())
    counted = made.run.active_seconds + made.run.parked_seconds
    assert seconds <= counted * spec.parallel_max


def test_a_log_that_no_machine_wrote_is_refused() -> None:
    made = walk(SPEC, 1)
    with pytest.raises(ValueError, match="begins with run_created"):
        costs(made.log[1:])
    with pytest.raises(ValueError, match="event 2"):
        costs([made.log[0], made.log[0]])


def cost_of(*events: Event) -> PhaseCost:
    """Of the only phase, each event ten seconds after the one before it."""
    log, run = [Happened(RunCreated(SPEC), 0)], machine.create(SPEC).run
    for event in (BasePrepared(), EnvironmentPrepared("d"), *events):
        log.append(Happened(event, 0, run.pending[0].number, 10.0))
        answer = machine.advance(run, log[-1])
        assert isinstance(answer, machine.Advanced), answer
        run = answer.run
    (cost,) = costs(log)
    return cost


def made(attempt: int, tokens: int) -> AttemptEnded:
    candidate = Candidate(str(attempt), f"c{attempt}", "t", "base")
    return AttemptEnded("P1", attempt, Outcome.SUBMITTED, tokens, candidate)


CHECKED = CandidateChecked("P1", GateVerdict.PASS)
RED, GREEN = (CandidateTested("P1", verdict) for verdict in (CiVerdict.FAIL, CiVerdict.PASS))


def test_what_did_not_land_is_waste_and_parking_is_no_work() -> None:
    cost = cost_of(
        CommandFailed("no disk", tokens=7),
        made(1, 100), CHECKED, RED,
        AttemptEnded("P1", 2, Outcome.PARKED, 3), Unparked("P1", 10.0), made(2, 40), CHECKED, GREEN,
        SnapshotLanded("P1", "c2", "tag"),
    )  # fmt: skip
    told = [(each.attempt, each.result, each.tokens, each.use) for each in cost.tries]
    assert told == [
        (1, "command_failed", 7, Use.WASTED),
        (1, "submitted", 100, Use.WASTED),
        (2, "parked", 3, Use.LANDED),
        (2, "submitted", 40, Use.LANDED),
    ]
    assert (cost.tokens, cost.tokens_wasted) == (150, 107)
    assert (cost.active_seconds, cost.parked_seconds) == (90.0, 10.0)


def test_what_is_under_way_is_open() -> None:
    assert [each.use for each in cost_of(made(1, 9), CHECKED).tries] == [Use.OPEN]
    both = cost_of(made(1, 9), CHECKED, RED).tries
    assert [each.use for each in both] == [Use.WASTED]
