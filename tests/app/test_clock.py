"""A wall clock that is set, or stands still, moves no budget: minutes are counted by the other one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autopack.app.supervise import Cancellation, Supervisor, create_run
from autopack.core.command import Build, Pending, PrepareBase, PrepareEnvironment, command_id
from autopack.core.event import AttemptEnded, BasePrepared, EnvironmentPrepared, Event, Outcome
from autopack.core.run import Cause, Run
from autopack.testing import FakeClock, MemoryStore
from tests.core.walk import phase_spec, run_spec
from tests.simulation.engine import SimulatedEngine

YEAR = 365 * 86400
JUMPS = pytest.mark.parametrize("jump", [YEAR, -YEAR, -2_000_000_000, 0])


class Bench:
    """A run at work, under a supervisor that is given an hour for it and ten minutes of parking."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.store = clock, MemoryStore()
        spec = replace(
            run_spec(phase_spec("P1")), duration_seconds_max=3600, parked_seconds_max=600
        )
        create_run(self.store, clock, spec)
        engine = SimulatedEngine(durable=False)
        self.supervisor = Supervisor(self.store, engine, clock, self.perform, lambda _run: True)
        self.supervisor.tick()
        for number in (1, 2):
            self.supervisor.perform(command_id("r", number))

    def perform(self, run: Run, pending: Pending, cancel: Cancellation) -> Event:
        match pending.command:
            case PrepareBase():
                return BasePrepared()
            case PrepareEnvironment():
                return EnvironmentPrepared("e")
            case Build() as build:
                until = self.clock.now() + 300
                return AttemptEnded(
                    build.phase_id, build.attempt, Outcome.PARKED, parked_until=until
                )
            case _:
                raise AssertionError(pending.command)

    def park(self) -> None:
        self.supervisor.perform(command_id("r", 3))

    @property
    def run(self) -> Run:
        return self.store.load("r")

    @property
    def spent(self) -> bool:
        """Whether the run fails, and that because its time is over."""
        failure = self.run.failure
        assert failure is None or failure.cause is Cause.BUDGET_EXHAUSTED
        return failure is not None

    def passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.supervisor.tick()


class StandingClock(FakeClock):
    """As under SOURCE_DATE_EPOCH: the wall clock stands still."""

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        self.jump(-seconds)


@JUMPS
def test_minutes_are_those_that_passed(jump: int) -> None:
    bench = Bench(FakeClock())
    bench.passes(1800)
    bench.clock.jump(jump)
    bench.passes(1799)
    assert not bench.spent
    bench.clock.jump(-jump)
    bench.passes(2)
    assert bench.spent
    assert bench.run.active_seconds == 3601


def test_minutes_pass_though_the_wall_clock_stands_still() -> None:
    bench = Bench(StandingClock())
    bench.passes(3599)
    assert not bench.spent
    bench.passes(2)
    assert bench.spent


@JUMPS
def test_a_parked_run_waits_no_longer_than_it_may(jump: int) -> None:
    bench = Bench(FakeClock())
    bench.passes(100)
    bench.park()
    bench.clock.jump(jump)
    bench.passes(599)
    assert not bench.spent
    bench.passes(2)
    assert bench.spent
    assert (bench.run.active_seconds, bench.run.parked_seconds) == (100, 601)
