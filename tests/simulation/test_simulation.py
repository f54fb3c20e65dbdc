"""Crashes, lost answers, duplicates and clock jumps change nothing that was promised.

300 seeds in `make test`, 10,000 in `make test-full`; a seed that fails prints its replay command.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from autopack.core.draft import PHASE
from autopack.core.event import CancelRequested, Event, PlanRejected
from autopack.core.run import Cause, Run
from tests.simulation.planted import PLANTED, SAID
from tests.simulation.world import SimulationError, simulate

QUICK_SEEDS = 300
QUICK_CHUNK = 50
FULL_SEEDS = 10_000
FULL_CHUNK = 250
ROOT = Path(__file__).parents[2]


def simulate_all(first: int, count: int) -> None:
    """Every seed of a chunk, so that one failure does not hide another."""
    broken = []
    for seed in range(first, first + count):
        try:
            simulate(seed)
        except SimulationError as error:
            broken.append(str(error))
    if broken:
        pytest.fail("\n".join([f"{len(broken)} of {count} seeds:", *broken]), pytrace=False)


@pytest.mark.parametrize("first", range(0, QUICK_SEEDS, QUICK_CHUNK))
def test_promises_hold(first: int) -> None:
    simulate_all(first, QUICK_CHUNK)


@pytest.mark.full
@pytest.mark.parametrize("first", range(QUICK_SEEDS, FULL_SEEDS, FULL_CHUNK))
def test_promises_hold_in_every_seed(first: int) -> None:
    simulate_all(first, min(FULL_CHUNK, FULL_SEEDS - first))


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found(name: str) -> None:
    seed = next((seed for seed in range(QUICK_SEEDS) if _breaks(seed, name)), None)
    assert seed is not None, f"{QUICK_SEEDS} seeds did not find {name}"
    replay = f"-m tests.simulation --seed {seed} --trace --plant {name}"
    with pytest.raises(SimulationError, match=replay) as broken:
        simulate(seed, PLANTED[name], planted=name)
    assert re.search(SAID.get(name, ""), str(broken.value)), broken.value


def test_a_seed_is_the_same_world_every_time(capsys: pytest.CaptureFixture[str]) -> None:
    traces = []
    for _ in range(2):
        simulate(5, trace=True)
        traces.append(capsys.readouterr().out)
    assert traces[0] == traces[1]
    assert traces[0].count("\n") > 20


def test_the_seeds_meet_what_can_go_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """A simulator whose faults never happen proves nothing."""
    for seed in range(QUICK_SEEDS):
        simulate(seed, trace=True)
    told = capsys.readouterr().out
    for what in (
        "crash before", "crash after", "crash between", "refusal of", "lost answer of", "stop",
        "somebody asks: cancel", "somebody asks: deliver", "somebody interferes", "PARKED",
        "PlanDrafted", "PlanRejected", "ReapplyConflicted", "CandidateReapplied", "DeliveryRefused", "Outcome.REFUSED",
        "Recommendation.REVISE", "Promoted(", "PromotionRefused(",
        "PromotionsFull(", "RoomAwaited(", "stall: two attempts in a row", "high risk: tests",
        "no attempt is left after", "major issues: ", "CiVerdict.INFRA", "wall clock jumps", "answered already",
    ):  # fmt: skip
        assert what in told, f"{QUICK_SEEDS} seeds never met: {what}"


def test_the_seeds_draft_in_every_way() -> None:
    met: Counter[str] = Counter()
    for seed in range(QUICK_SEEDS):
        world = simulate(seed)
        for spec in (each for each in world.specs if each.drafting):
            run = world.store.load(spec.run_id)
            events = [e.happened.event for e in world.store.events(spec.run_id, limit=10**6)]
            met.update(_ways(run, events))
    wanted = {"at once", "after a refusal", "never", "parked", "cancelled", "split", "plan only",
              "unpaid", "failed after it"}  # fmt: skip
    assert wanted <= set(met), f"{QUICK_SEEDS} seeds met only {met}"


def _ways(run: Run, events: list[Event]) -> Iterator[str]:
    """What was met while a plan was drafted."""
    for way, kind in (("after a refusal", PlanRejected), ("cancelled", CancelRequested)):
        if any(isinstance(event, kind) for event in events) and (run.draft or way == "cancelled"):
            yield way
    drafting = run.phase(PHASE)
    if drafting.parks_used:
        yield "parked"
    if run.draft is None:
        yield "unpaid" if run.failure and run.failure.cause is Cause.BUDGET_EXHAUSTED else "never"
        return
    if drafting.attempts_used == 1:
        yield "at once"
    if run.spec.draft and run.spec.draft.plan_only:
        yield "plan only"
    if run.spec.rest_phases:
        yield "split"
    if run.failure:
        yield "failed after it"


def test_the_replay_command_shows_the_failure() -> None:
    seed = next(seed for seed in range(QUICK_SEEDS) if _breaks(seed, "commit-twice"))
    argv = ["-m", "tests.simulation", "--seed", str(seed), "--trace", "--plant", "commit-twice"]
    done = subprocess.run(
        [sys.executable, *argv], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert f"seed {seed}, step" in done.stderr
    assert "perform r1:1" in done.stdout


def _breaks(seed: int, name: str) -> bool:
    try:
        simulate(seed, PLANTED[name])
    except SimulationError:
        return True
    return False
