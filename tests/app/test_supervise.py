"""The supervisor's adoption of runs; how it drives them is shown by tests/simulation."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any
from weakref import WeakValueDictionary

import pytest

from autopack.app.series import open_names
from autopack.app.supervise import (
    RENDER_AGAIN_SECONDS,
    RENDER_AGAIN_SECONDS_MAX,
    RENDER_SECONDS,
    Cancellation,
    Supervisor,
    create_run,
)
from autopack.core.command import Build, Check, Deliver, Land, Pending, PrepareBase, command_id
from autopack.core.command import Test as CiTest
from autopack.core.event import (
    AttemptEnded,
    BasePrepared,
    CandidateChecked,
    CandidateTested,
    CiVerdict,
    CommandFailed,
    Delivered,
    EnvironmentPrepared,
    Event,
    GateVerdict,
    Outcome,
    SnapshotLanded,
)
from autopack.core.run import Candidate, Run, RunState, Stage
from autopack.core.series import first_part
from autopack.core.spec import RunScope, RunSpec
from autopack.testing import FakeClock, MemoryStore
from tests.core.walk import phase_spec, run_spec
from tests.simulation.engine import SimulatedEngine, State


def prepare_base(run: Run, pending: Pending, cancel: Cancellation) -> Event:
    prepares_base = isinstance(pending.command, PrepareBase)
    return BasePrepared() if prepares_base else CommandFailed("there is only a base")


def test_a_run_that_is_cancelled_before_it_was_adopted_still_ends() -> None:
    store, engine, clock = MemoryStore(), SimulatedEngine(durable=False), FakeClock()
    create_run(store, clock, run_spec(phase_spec("P1")))
    store.ask("r", "cancel", "somebody")
    supervisor = Supervisor(store, engine, clock, prepare_base, lambda _run: True)
    supervisor.tick()
    first = command_id("r", 1)
    assert engine.named(State.QUEUED) == [first]
    supervisor.perform(first)
    assert store.load("r").ended


class Counting(MemoryStore):
    """A store that counts how often a run's record is read."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0

    def load(self, run_id: str) -> Run:
        self.read += 1
        return super().load(run_id)

    def runs(self, *, ended: bool | None = None, after: str = "", limit: int = 50) -> list[Run]:
        self.read += 1
        return super().runs(ended=ended, after=after, limit=limit)


def test_a_turn_with_nothing_to_do_reads_no_run() -> None:
    store, engine, clock = Counting(), SimulatedEngine(durable=True), FakeClock()
    for number in range(60):
        create_run(store, clock, replace(run_spec(phase_spec("P1")), run_id=f"r{number}"))
    supervisor = Supervisor(store, engine, clock, prepare_base, lambda _run: True)
    supervisor.tick()
    assert len(engine.named(State.QUEUED)) == 60
    store.read = 0
    for _ in range(3):
        supervisor.tick()
    assert store.read == 0
    create_run(store, clock, run_spec(phase_spec("P1")))
    supervisor.tick()
    assert len(engine.named(State.QUEUED)) == 61


def test_artefacts_of_an_open_run_are_written_now_and_then_and_at_its_end() -> None:
    store, engine, clock = MemoryStore(), SimulatedEngine(durable=False), FakeClock()
    create_run(store, clock, run_spec(phase_spec("P1")))
    written: list[int] = []

    def render(run: Run) -> bool:
        written.append(run.version)
        return True

    supervisor = Supervisor(store, engine, clock, prepare_base, render)
    supervisor.tick()
    supervisor.perform(command_id("r", 1))
    supervisor.tick()
    assert written == [1]
    clock.advance(RENDER_SECONDS)
    supervisor.tick()
    assert written == [1, 2]
    store.ask("r", "cancel", "somebody")
    supervisor.tick()
    supervisor.perform(command_id("r", 2))
    supervisor.tick()
    assert store.load("r").ended
    assert written == [1, 2, store.load("r").version]


class Ending:
    """A supervisor with one run that has ended; its artefacts can be written from a time on."""

    def __init__(self, writable_from: float) -> None:
        self.store, self.clock = MemoryStore(), FakeClock()
        engine = SimulatedEngine(durable=False)
        create_run(self.store, self.clock, run_spec(phase_spec("P1")))
        self.writable_from = self.clock.monotonic() + writable_from
        self.tried: list[float] = []
        self.packing = False
        self.supervisor = Supervisor(
            *(self.store, engine, self.clock, prepare_base, self.render, None),
            busy=lambda: self.packing,
        )
        self.supervisor.tick()
        self.store.ask("r", "cancel", "somebody")
        self.supervisor.tick()
        self.supervisor.perform(command_id("r", 1))
        assert self.store.load("r").ended

    def render(self, run: Run) -> bool:
        if not run.ended:
            return True
        self.tried.append(self.clock.monotonic())
        return self.clock.monotonic() >= self.writable_from

    def turns(self, seconds: int) -> None:
        for _ in range(seconds):
            self.supervisor.tick()
            self.clock.advance(1)


def test_artefacts_of_an_ended_run_that_cannot_be_written_are_tried_again_with_a_pause() -> None:
    ending = Ending(writable_from=6)
    ending.turns(4)
    assert not ending.supervisor._rests()
    ending.turns(40)
    first = ending.tried[0]
    pauses = [RENDER_AGAIN_SECONDS * number for number in range(len(ending.tried))]
    assert [tried - first for tried in ending.tried] == pauses
    assert 2 < len(pauses) < 6
    assert ending.supervisor._rests()


def test_artefacts_that_can_never_be_written_do_not_keep_a_supervisor() -> None:
    ending = Ending(writable_from=10_000)
    ending.turns(300)
    assert ending.tried[-1] - ending.tried[0] == RENDER_AGAIN_SECONDS_MAX
    assert ending.supervisor._rests()


def test_a_supervisor_stays_while_something_beside_the_runs_is_not_done() -> None:
    ending = Ending(writable_from=0)
    ending.packing = True
    ending.turns(3)
    assert not ending.supervisor._rests()
    ending.packing = False
    assert ending.supervisor._rests()


def test_of_an_ended_run_nothing_is_kept() -> None:
    ending = Ending(writable_from=0)
    ending.turns(3)
    kept = {
        name: value
        for name, value in vars(ending.supervisor).items()
        if isinstance(value, dict | set | WeakValueDictionary) and len(value)
    }
    assert kept == {}


def interrupt(line: int, handler: Callable[[], None]) -> Callable[[FrameType, str, Any], Any]:
    """A trace that calls a handler before one line of `threading`, in the thread that is there."""
    left = line

    def trace(frame: FrameType, event: str, _: object) -> object:
        nonlocal left
        if event == "line" and frame.f_code.co_filename == threading.__file__:
            left -= 1
            if left == 0:
                handler()
        return trace

    return trace


@pytest.mark.parametrize("first", range(1, 61, 10))
def test_a_signal_ends_the_loop_wherever_it_meets_it(first: int) -> None:
    """As SIGTERM does: between any two lines, also while the loop holds a lock."""
    for line in range(first, first + 10):
        store, engine, clock = MemoryStore(), SimulatedEngine(durable=False), FakeClock()
        supervisor = Supervisor(store, engine, clock, prepare_base, lambda _run: True)

        def host(supervisor: Supervisor, line: int) -> None:
            sys.settrace(interrupt(line, supervisor.stop))
            supervisor.run(until_idle=False, poll_seconds=0.001)

        loop = threading.Thread(target=host, args=(supervisor, line), daemon=True)
        loop.start()
        loop.join(10)
        assert not loop.is_alive(), f"stopped at line {line} of `threading`, it goes on for ever"
        assert supervisor.stopped


# --- series ---------------------------------------------------------------------------------------


def in_two_parts() -> RunSpec:
    """A run whose only phase landed before, so that it succeeds at once; another tier is to come."""
    first, second = phase_spec("P1"), phase_spec("P2", "T2", 2)
    whole = replace(run_spec(first, second), run_scope=RunScope.SINGLE_TIER, landed=("P1",))
    return first_part(whole)


def prepared(run: Run, pending: Pending, cancel: Cancellation) -> Event:
    return BasePrepared() if isinstance(pending.command, PrepareBase) else EnvironmentPrepared("e")


class InParts:
    """A supervisor over the first part of a series, which has ended well."""

    def __init__(self, *names: str, asked: str = "") -> None:
        self.store, clock = MemoryStore(), FakeClock()
        for name in names:
            create_run(self.store, clock, replace(run_spec(phase_spec("P1")), run_id=name))
        create_run(self.store, clock, in_two_parts())
        self.engine = SimulatedEngine(durable=False)
        self.supervisor = Supervisor(self.store, self.engine, clock, prepared, lambda _run: True)
        self.supervisor.tick()
        if asked:
            self.store.ask("r", asked, "me")
        for number in (1, 2):
            self.supervisor.perform(command_id("r", number))
        assert self.store.load("r").state is RunState.DONE_SUCCESS


def test_the_next_part_is_recorded_with_the_end_and_adopted_in_the_next_turn() -> None:
    world = InParts()
    following = world.store.load("r-2")
    assert (following.spec.predecessor, following.spec.part) == ("r", 2)
    assert world.store.continued("r") == ["r-2"]
    assert not world.supervisor._rests(), "it may not end before it has seen it"
    world.supervisor.tick()
    assert command_id("r-2", 1) in world.engine.named(State.QUEUED)
    world.supervisor.submit("r", EnvironmentPrepared("e"), 2)  # a second answer changes nothing
    assert world.store.continued("r") == ["r-2"]


def test_a_delivery_after_the_end_begins_nothing_again() -> None:
    world = InParts(asked="deliver")
    world.supervisor.tick()
    assert world.store.load("r").ended
    assert world.store.continued("r") == ["r-2"]


def test_a_part_whose_name_is_taken_gets_the_next() -> None:
    world = InParts("r-2", "r-2-r1")
    assert world.store.continued("r") == ["r-2-r2"]


def test_a_cancel_that_comes_late_ends_the_part_that_began_meanwhile() -> None:
    world = InParts(asked="cancel")
    world.supervisor.tick()
    assert world.store.load("r").state is RunState.DONE_SUCCESS
    world.supervisor.perform(command_id("r-2", 1))
    ended = world.store.load("r-2")
    assert ended.failure is not None
    assert ended.failure.reason == "cancelled by me"


def landing(run: Run, pending: Pending, cancel: Cancellation) -> Event:
    """Everything goes well."""
    match pending.command:
        case Build(phase_id=phase, attempt=attempt):
            made = Candidate(str(attempt), "commit", "tree", run.tip)
            return AttemptEnded(phase, attempt, Outcome.SUBMITTED, 1, made)
        case Check(phase_id=phase):
            return CandidateChecked(phase, GateVerdict.PASS)
        case CiTest(phase_id=phase):
            return CandidateTested(phase, CiVerdict.PASS, tests_run=1)
        case Land(phase_id=phase, candidate=candidate, tag=tag):
            return SnapshotLanded(phase, candidate.commit, tag)
        case Deliver(tip=tip):
            return Delivered(tip)
        case _:
            return prepared(run, pending, cancel)


def test_a_cancel_that_comes_while_a_part_delivers_ends_the_next_one() -> None:
    store, clock, engine = MemoryStore(), FakeClock(), SimulatedEngine(durable=False)
    create_run(store, clock, replace(in_two_parts(), landed=()))
    supervisor = Supervisor(store, engine, clock, landing, lambda _run: True)
    supervisor.tick()
    while store.load("r").stage is not Stage.CLOSING:
        supervisor.perform(command_id("r", store.load("r").pending[-1].number))
    store.ask("r", "cancel", "me")
    supervisor.tick()
    assert len(store.requests()) == 1, "it waits for the next part"
    for pending in store.load("r").pending:
        supervisor.perform(command_id("r", pending.number))
    supervisor.tick()
    supervisor.perform(command_id("r-2", 1))
    assert store.requests() == []
    assert store.load("r").state is RunState.DONE_SUCCESS
    ended = store.load("r-2")
    assert ended.failure is not None
    assert ended.failure.reason == "cancelled by me"


def test_names_of_parts_to_come_are_kept_while_their_series_is_under_way() -> None:
    store, clock = MemoryStore(), FakeClock()
    create_run(store, clock, in_two_parts())
    assert open_names(store) == {"r-2"}
    assert open_names(InParts().store) == frozenset()
