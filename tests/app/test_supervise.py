"""The supervisor's adoption of runs; how it drives them is shown by tests/simulation."""

from __future__ import annotations

from autopack.app.supervise import Cancellation, Supervisor, create_run
from autopack.core.command import Pending, command_id
from autopack.core.event import BasePrepared, Event
from autopack.core.run import Run
from autopack.testing import FakeClock, MemoryStore
from tests.core.walk import phase_spec, run_spec
from tests.simulation.engine import SimulatedEngine, State


def prepare_base(run: Run, pending: Pending, cancel: Cancellation) -> Event:
    return BasePrepared()


def test_a_run_that_is_cancelled_before_it_was_adopted_still_ends() -> None:
    store, engine, clock = MemoryStore(), SimulatedEngine(durable=False), FakeClock()
    create_run(store, clock, run_spec(phase_spec("P1")))
    store.ask("r", "cancel", "somebody")
    supervisor = Supervisor(store, engine, clock, prepare_base, lambda _run: None)
    supervisor.tick()
    first = command_id("r", 1)
    assert engine.named(State.QUEUED) == [first]
    supervisor.perform(first)
    assert store.load("r").ended
