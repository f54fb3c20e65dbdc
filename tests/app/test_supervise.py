"""The supervisor's adoption of runs; how it drives them is shown by tests/simulation."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest

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
        supervisor = Supervisor(store, engine, clock, prepare_base, lambda _run: None)

        def host(supervisor: Supervisor, line: int) -> None:
            sys.settrace(interrupt(line, supervisor.stop))
            supervisor.run(until_idle=False, poll_seconds=0.001)

        loop = threading.Thread(target=host, args=(supervisor, line), daemon=True)
        loop.start()
        loop.join(10)
        assert not loop.is_alive(), f"stopped at line {line} of `threading`, it goes on for ever"
        assert supervisor.stopped
