"""The supervisor's adoption of runs; how it drives them is shown by tests/simulation."""

from __future__ import annotations

from dataclasses import replace

from autopack.app.supervise import RENDER_SECONDS, Cancellation, Supervisor, create_run
from autopack.core.command import Pending, PrepareBase, command_id
from autopack.core.event import BasePrepared, CommandFailed, Event
from autopack.core.run import Run
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
    supervisor = Supervisor(store, engine, clock, prepare_base, lambda _run: None)
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
    supervisor = Supervisor(store, engine, clock, prepare_base, lambda _run: None)
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
    supervisor = Supervisor(
        store, engine, clock, prepare_base, lambda run: written.append(run.version)
    )
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
