"""Slots: real work waits for its turn, waiting takes none, and who is told to end answers at once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from autopack.adapters.engine.local import LocalEngine
from autopack.app.agents import (
    Agents,
    Attempt,
    Built,
)
from autopack.app.perform import (
    Performer,
)
from autopack.app.ports import (
    Cancel,
    Clone,
)
from autopack.app.supervise import Cancellation, CutOff, Supervisor, create_run
from autopack.app.turns import Slots
from autopack.app.world import (
    World,
)
from autopack.core import machine
from autopack.core.command import Audit, Build, Command, Deliver, Pending, PrepareBase, Test, Wait
from autopack.core.event import (
    AttemptEnded,
    AuditEnded,
    CandidateTested,
    CiVerdict,
    CommandFailed,
    Delivered,
    DeliveryRefused,
    Event,
    Outcome,
    Recommendation,
    Unparked,
)
from autopack.core.policy import Rules
from autopack.core.run import (
    Candidate,
)
from autopack.core.spec import (
    CiProfile,
)
from autopack.testing import (
    FakeAuditor,
    FakeBuilder,
    FakeClock,
    FakeVerifier,
    MemoryRepository,
    MemoryStarts,
    MemoryStore,
    Objects,
    UserRepository,
)
from tests.core.walk import phase_spec, run_spec
from tests.lab import until

SECONDS_MAX = 20.0


def waits(slots: Slots, many: int) -> None:
    until(lambda: len(slots._waiting) == many, f"{many} wait")


def test_no_more_than_allowed_work_and_who_came_first_is_next() -> None:
    slots, order = Slots(1), list[int]()
    with ThreadPoolExecutor(3) as pool, slots.taken(Cancellation()):

        def work(number: int) -> None:
            with slots.taken(Cancellation()) as taken:
                assert taken
                order.append(number)

        waiting = []
        for number in range(3):
            waiting.append(pool.submit(work, number))
            waits(slots, number + 1)
        assert order == []
    for each in waiting:
        each.result(SECONDS_MAX)
    assert order == [0, 1, 2]


def test_who_waits_and_is_told_to_end_gets_none_and_the_next_one_does() -> None:
    slots, cancel = Slots(1), Cancellation()

    def work(cancel: Cancellation) -> bool:
        with slots.taken(cancel) as taken:
            return taken

    with ThreadPoolExecutor(2) as pool:
        with slots.taken(Cancellation()):
            first = pool.submit(work, cancel)
            waits(slots, 1)
            second = pool.submit(work, Cancellation())
            cancel.set()
            assert first.result(SECONDS_MAX) is False
            assert not second.done()
        assert second.result(SECONDS_MAX) is True


class Bench:
    """A performer whose only slot is taken, and what it is asked to perform."""

    def __init__(self, tmp_path: Path) -> None:
        self.user = UserRepository(Objects())
        self.base = self.user.commit({b"README.md": b"a project\n"})
        self.repository = MemoryRepository({"/repository": self.user})
        self.builder, self.starts, self.slots = FakeBuilder(), MemoryStarts(), Slots(1)
        self.logs = tmp_path / "logs" / "r" / "P1"
        spec = replace(run_spec(phase_spec("P1")), base_commit=self.base, auditor="auditor")
        self.run = machine.create(spec).run
        self.clock = FakeClock()
        self.performer = Performer(
            World(
                repository=lambda _spec: self.repository,
                rules=lambda _spec, phase: Rules(scope=phase.scope),
                agents=Agents({"scripted": self.builder}, {"auditor": FakeAuditor()}),
                verifier=FakeVerifier(),
                clock=self.clock,
                starts=self.starts,
                planned=lambda _run, _text: ("no plan is asked for here",),
                scratch=tmp_path / "clones",
                quarantine=tmp_path / "quarantine",
                logs=tmp_path / "logs",
                slots=self.slots,
            )
        )

    @property
    def candidate(self) -> Candidate:
        return Candidate("1", self.base, self.repository.tree(self.base), self.base)

    def told_to_end(self, command: Command, *, cut_off: bool = False) -> Event:
        """The answer of a command that waits for its slot when it is told to end."""
        cancel = Cancellation()
        pending = Pending(9, command, issued_at=1_000)
        with ThreadPoolExecutor(1) as pool, self.slots.taken(Cancellation()):
            told: Future[Event] = pool.submit(self.performer, self.run, pending, cancel)
            waits(self.slots, 1)
            cancel.cut_off = cut_off
            cancel.set()
            return told.result(SECONDS_MAX)


def test_work_that_never_began_answers_as_cancelled_work_does(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    build = Build("P1", 1, bench.base, 100)
    assert bench.told_to_end(build) == AttemptEnded("P1", 1, Outcome.CANCELLED, 0)
    assert bench.builder.attempts == []
    audited = bench.told_to_end(Audit("P1", 1, bench.candidate, "why", 100))
    assert audited == AuditEnded("P1", Recommendation.INVALID, 0, "cancelled", reason="why")
    tested = bench.told_to_end(Test("P1", bench.candidate, CiProfile.NORMAL))
    assert tested == CandidateTested("P1", CiVerdict.CANCELLED)
    assert isinstance(bench.told_to_end(PrepareBase()), CommandFailed)


def test_tokens_of_a_try_that_died_before_count_also_when_there_is_no_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    folder = bench.logs / "attempt-1"
    bench.starts.note(folder, 9, 0)
    bench.builder.reported[folder] = 40
    build = Build("P1", 1, bench.base, 100)
    assert bench.told_to_end(build) == AttemptEnded("P1", 1, Outcome.CANCELLED, 40)
    assert bench.starts.noted(folder, 9) == (0,)


def test_work_that_never_began_is_left_to_the_next_supervisor(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with pytest.raises(CutOff):
        bench.told_to_end(Build("P1", 1, bench.base, 100), cut_off=True)


def test_waiting_and_a_back_off_take_no_slot(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    ended, failed = Cancellation(), Cancellation()
    ended.set()
    with bench.slots.taken(Cancellation()):
        parked = Pending(1, Wait("P1", 2.0**40))
        assert bench.performer(bench.run, parked, ended) == Unparked("P1", 0.0)
        with ThreadPoolExecutor(1) as pool:
            again = Pending(2, Build("P1", 1, bench.base, 100), retry=9)
            told = pool.submit(bench.performer, bench.run, again, failed)
            assert len(bench.slots._waiting) == 0
            failed.set()
            assert isinstance(told.result(SECONDS_MAX), AttemptEnded)


@pytest.mark.parametrize("cut_off", [True, False])
def test_a_fetch_and_a_push_end_early(tmp_path: Path, *, cut_off: bool) -> None:
    bench = Bench(tmp_path)
    bench.performer(bench.run, Pending(1, PrepareBase()), Cancellation())
    cancel = Cancellation()
    cancel.cut_off = cut_off
    cancel.set()
    world = replace(bench.performer._world, slots=None)
    performer = Performer(world)
    asked = Pending(2, Deliver(bench.base))
    if cut_off:
        with pytest.raises(CutOff):
            performer(bench.run, asked, cancel)
        with pytest.raises(CutOff):
            performer(bench.run, Pending(1, PrepareBase()), cancel)
    else:
        assert isinstance(performer(bench.run, asked, cancel), DeliveryRefused)
    assert isinstance(performer(bench.run, asked, Cancellation()), Delivered)


class RealTime:
    """For threads that really wait."""

    def now(self) -> int:
        return int(time.time())

    def monotonic(self) -> float:
        return time.monotonic()


class Parking:
    """A builder that parks one run's phases for ever and works on another's until told to end."""

    def __init__(self) -> None:
        self.working = threading.Event()
        self.parked = threading.Semaphore(0)

    def build(self, attempt: Attempt, clone: Clone, cancel: Cancel) -> Built:
        if attempt.run_id == "parked":
            self.parked.release()
            return Built(Outcome.PARKED, 1, parked_until=2.0**40)
        self.working.set()
        cancel.wait(SECONDS_MAX)
        return Built(Outcome.CANCELLED)

    def spent(self, log_folder: Path, tokens_max: int) -> int:
        return 0


@pytest.mark.parametrize("workers_max", [1, 2])
def test_a_parked_run_starves_no_other_and_a_queued_command_of_a_cancelled_run_answers(
    tmp_path: Path, workers_max: int
) -> None:
    bench, builder, store, clock = Bench(tmp_path), Parking(), MemoryStore(), RealTime()
    world = replace(
        bench.performer._world,
        agents=Agents({"scripted": builder}, {}),
        clock=clock,
        slots=Slots(workers_max),
    )
    performer, engine = Performer(world), LocalEngine()
    supervisor = Supervisor(store, engine, clock, performer, lambda _run: True)
    phases = tuple(phase_spec(f"P{n}", phase_index=n) for n in range(1, 4))
    spec = replace(run_spec(*phases), base_commit=bench.base, parallel_max=3)
    create_run(store, clock, replace(spec, run_id="parked"))
    loop = threading.Thread(target=supervisor.run, kwargs={"until_idle": True}, daemon=True)
    loop.start()
    for _ in phases:
        assert builder.parked.acquire(timeout=SECONDS_MAX)
    create_run(store, clock, replace(spec, run_id="other"))
    assert builder.working.wait(SECONDS_MAX), "three parked phases starve it"
    store.ask("other", "cancel", "somebody")
    until(lambda: store.load("other").ended, "what was queued answers, too")
    assert store.load("other").tokens_spent == 0
    store.ask("parked", "cancel", "somebody")
    loop.join(SECONDS_MAX)
    assert not loop.is_alive()
    assert store.load("parked").tokens_spent == 3
