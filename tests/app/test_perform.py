"""What performing a command does beyond its event: what is kept, counted, refused, waited for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from autopack.app.perform import Performer, World
from autopack.app.ports import Agents
from autopack.app.supervise import Cancellation
from autopack.core import machine
from autopack.core.command import Command, Pending, Wait
from autopack.core.event import Event, Unparked
from autopack.core.policy import Rules
from autopack.core.run import Run
from autopack.testing import (
    FakeBuilder,
    FakeClock,
    FakeVerifier,
    MemoryRepository,
    Objects,
    UserRepository,
)
from tests.core.walk import phase_spec, run_spec


class Waiting(Cancellation):
    """Never set; waiting takes no time but on the monotonic clock, or on both."""

    def __init__(self, clock: FakeClock, *, wall: bool) -> None:
        super().__init__()
        self.clock, self.wall = clock, wall
        self.waited: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waited.append(timeout)
        assert len(self.waited) < 1000, "it waits for ever"
        self.clock.advance(timeout)
        if not self.wall:
            self.clock.jump(-timeout)
        return False


@dataclass
class Bench:
    """A performer over fakes, and a run whose commands it performs."""

    tmp_path: Path
    builder: FakeBuilder = field(default_factory=FakeBuilder)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.user = UserRepository(Objects())
        base = self.user.commit({b"README.md": b"a project\n"})
        self.repository = MemoryRepository({"/repository": self.user})
        self.spec = replace(run_spec(phase_spec("P1")), base_commit=base)
        self.run: Run = machine.create(self.spec).run
        self.performer = Performer(
            World(
                repository=lambda _spec: self.repository,
                rules=lambda _spec, phase: Rules(scope=phase.scope),
                agents=Agents({"scripted": self.builder}, {}),
                verifier=FakeVerifier(),
                clock=self.clock,
                scratch=self.tmp_path / "clones",
                logs=self.tmp_path / "logs",
                backoff_seconds=0.0,
            )
        )

    def perform(
        self, command: Command, cancel: Cancellation | None = None, number: int = 9
    ) -> Event:
        pending = Pending(number, command, issued_at=1_000)
        return self.performer(self.run, pending, cancel or Cancellation())


def test_a_wait_ends_on_time_though_the_wall_clock_stands_still(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    cancel = Waiting(bench.clock, wall=False)
    told = bench.perform(Wait("P1", bench.clock.now() + 150.5), cancel)
    assert told == Unparked("P1", 150.5)
    assert cancel.waited == [60.0, 60.0, 30.5]


def test_a_wait_follows_a_wall_clock_that_is_set(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    cancel = Waiting(bench.clock, wall=True)
    until = bench.clock.now() + 100
    bench.clock.jump(-1000)
    assert bench.perform(Wait("P1", until), cancel) == Unparked("P1", 1100.0)
