"""The Engine port: what holds for the local engine, its own twin in memory, over every store."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from autopack.adapters.engine.local import LocalEngine
from autopack.adapters.store.open import open_store
from autopack.app.ports import Engine, Store, Transaction
from autopack.app.supervise import CutOff
from autopack.core.errors import OwnFault
from autopack.core.event import BasePrepared
from autopack.testing import MemoryStore
from tests.contracts.walks import born, moved

SECONDS_MAX = 20.0
"""How long a test waits for something that should come soon."""


class World:
    """A store and its engine; `restarted` is what the next process finds."""

    def __init__(self, store: Store, engine: Engine, restarted: Callable[[], Engine]) -> None:
        self.store = store
        self.engine = engine
        self._restarted = restarted
        self._numbers = itertools.count()

    def restart(self) -> Engine:
        self.engine = self._restarted()
        return self.engine

    def save(self, within: Callable[[Transaction], None]) -> None:
        """Save a real transition of a run of its own, with `within` inside."""
        run, created = born(f"carrier{next(self._numbers)}")
        self.store.create(run, created)
        after, happened = moved(run, BasePrepared())
        assert self.store.save(after, happened, expected_version=1, within=within)

    def enqueue(self, *command_ids: str) -> None:
        self.save(lambda transaction: self.engine.enqueue(command_ids, transaction))


class Performed:
    """Counts what is performed; `wait` returns once that many performances have ended."""

    def __init__(self, act: Callable[[str], None] = lambda _: None) -> None:
        self.counts: Counter[str] = Counter()
        self._act = act
        self._changed = threading.Condition()
        self._ended = 0

    def __call__(self, command_id: str) -> None:
        with self._changed:
            self.counts[command_id] += 1
            self._changed.notify_all()
        try:
            self._act(command_id)
        finally:
            with self._changed:
                self._ended += 1
                self._changed.notify_all()

    def wait(self, performances: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._ended >= performances, SECONDS_MAX)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """The engine over each kind of store."""
    made = _local(_store(request, tmp_path))
    yield made
    made.engine.stop()
    made.store.close()


def _store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "memory":
        return MemoryStore()
    if request.param == "sqlite":
        return open_store(tmp_path / "s" / "store.db")
    url: str = request.getfixturevalue("database")
    return open_store(url)


def _local(store: Store) -> World:
    return World(store, LocalEngine(commands_max=3), lambda: LocalEngine(commands_max=3))


def gave_up(world: World, command_id: str, performed: Performed) -> None:
    """Recover until the engine has noticed that the performance raised, and queued it again."""
    before = performed.counts[command_id]
    for _ in range(2000):
        world.engine.recover([command_id])
        with performed._changed:
            if performed._changed.wait_for(lambda: performed.counts[command_id] > before, 0.01):
                return
    pytest.fail("never queued again")


class TestOnce:
    def test_a_command_is_performed_and_then_not_again(self, world: World) -> None:
        performed = Performed()
        world.engine.start(performed)
        world.enqueue("r:1")
        performed.wait(1)
        world.enqueue("r:1")
        world.enqueue("r:2")
        performed.wait(2)
        world.engine.stop()
        assert performed.counts == {"r:1": 1, "r:2": 1}

    def test_an_id_enqueued_twice_before_the_start_is_performed_once(self, world: World) -> None:
        performed = Performed()
        world.enqueue("r:1", "r:1")
        world.enqueue("r:1")
        world.engine.start(performed)
        performed.wait(1)
        world.engine.stop()
        assert performed.counts == {"r:1": 1}

    def test_a_command_is_performed_only_once_its_save_is_committed(self, world: World) -> None:
        found: list[int] = []

        def perform(_: str) -> None:
            found.append(world.store.load("carrier0").version)

        performed = Performed(perform)
        world.engine.start(performed)
        world.enqueue("r:1")
        performed.wait(1)
        world.engine.stop()
        assert found == [2]

    def test_a_saved_transition_that_crashes_enqueues_nothing(self, world: World) -> None:
        performed = Performed()
        world.engine.start(performed)

        def crash(transaction: Transaction) -> None:
            world.engine.enqueue(["r:1"], transaction)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            world.save(crash)
        world.enqueue("r:2")
        performed.wait(1)
        world.engine.stop()
        assert performed.counts == {"r:2": 1}


class TestSeveral:
    def test_several_are_under_way_at_once_but_no_more_than_allowed(self, world: World) -> None:
        together = threading.Barrier(3)
        under_way: list[str] = []
        most: list[int] = []

        def act(command_id: str) -> None:
            under_way.append(command_id)
            most.append(len(under_way))
            together.wait(SECONDS_MAX)
            under_way.remove(command_id)

        performed = Performed(act)
        world.engine.start(performed)
        world.enqueue(*(f"r:{number}" for number in range(6)))
        performed.wait(6)
        assert max(most) == 3
        assert set(performed.counts.values()) == {1}

    def test_a_performance_may_save_and_enqueue(self, world: World) -> None:
        def act(command_id: str) -> None:
            if command_id != "r:3":
                world.enqueue(f"r:{int(command_id[2:]) + 1}")

        performed = Performed(act)
        world.engine.start(performed)
        world.enqueue("r:1")
        performed.wait(3)
        world.engine.stop()
        assert performed.counts == {"r:1": 1, "r:2": 1, "r:3": 1}


class TestRecovery:
    def test_an_unknown_command_is_queued(self, world: World) -> None:
        performed = Performed()
        world.engine.start(performed)
        world.engine.recover(["r:1", "r:2"])
        performed.wait(2)
        world.engine.recover(["r:1"])
        world.engine.recover([])
        world.enqueue("r:3")
        performed.wait(3)
        world.engine.stop()
        assert performed.counts == {"r:1": 1, "r:2": 1, "r:3": 1}

    def test_a_queued_command_is_not_queued_twice(self, world: World) -> None:
        performed = Performed()
        world.enqueue("r:1")
        world.engine.recover(["r:1"])
        world.engine.start(performed)
        world.engine.recover(["r:1"])
        performed.wait(1)
        world.engine.stop()
        assert performed.counts == {"r:1": 1}

    def test_a_command_under_way_is_not_performed_beside_itself(self, world: World) -> None:
        begun, go_on = threading.Event(), threading.Event()

        def act(_: str) -> None:
            begun.set()
            assert go_on.wait(SECONDS_MAX)

        performed = Performed(act)
        world.engine.start(performed)
        world.enqueue("r:1")
        assert begun.wait(SECONDS_MAX)
        world.engine.recover(["r:1"])
        world.enqueue("r:1")
        world.engine.recover(["r:2"])  # as soon as this one is performed, the other would be too
        with performed._changed:
            assert performed._changed.wait_for(lambda: performed.counts["r:2"] == 1, SECONDS_MAX)
        go_on.set()
        world.engine.stop()
        assert performed.counts == {"r:1": 1, "r:2": 1}

    def test_a_raising_performance_waits_to_be_recovered(self, world: World) -> None:
        fails = iter([True, True, False])

        def act(command_id: str) -> None:
            if command_id == "r:1" and next(fails):
                raise ZeroDivisionError

        performed = Performed(act)
        world.engine.start(performed)
        world.enqueue("r:1")
        performed.wait(1)
        world.enqueue("r:2")
        performed.wait(2)
        assert performed.counts == {"r:1": 1, "r:2": 1}
        gave_up(world, "r:1", performed)
        performed.wait(3)
        gave_up(world, "r:1", performed)
        performed.wait(4)
        world.engine.stop()
        assert performed.counts == {"r:1": 3, "r:2": 1}


class TestStop:
    def test_stop_waits_for_what_is_under_way_and_takes_nothing_more(self, world: World) -> None:
        begun, go_on = threading.Event(), threading.Event()
        ended: list[str] = []

        def act(command_id: str) -> None:
            begun.set()
            assert go_on.wait(SECONDS_MAX)
            ended.append(command_id)

        performed = Performed(act)
        world.engine.start(performed)
        world.enqueue("r:1")
        assert begun.wait(SECONDS_MAX)
        stopper = threading.Thread(target=world.engine.stop)
        stopper.start()
        stopper.join(0.3)
        assert stopper.is_alive()
        world.enqueue("r:2")
        go_on.set()
        stopper.join(SECONDS_MAX)
        assert not stopper.is_alive()
        assert ended == ["r:1"]
        after = Performed()
        world.restart().start(after)
        world.engine.recover(["r:2"])
        after.wait(1)
        world.engine.stop()
        assert after.counts == {"r:2": 1}

    def test_stop_without_start_and_twice_is_harmless(self, world: World) -> None:
        world.engine.stop()
        world.engine.start(Performed())
        world.engine.stop()
        world.engine.stop()

    def test_a_second_start_is_our_own_fault(self, world: World) -> None:
        world.engine.start(Performed())
        with pytest.raises(OwnFault, match="twice"):
            world.engine.start(Performed())


class TestLocal:
    """What only this one promises."""

    def test_first_in_first_out(self) -> None:
        order: list[str] = []
        performed = Performed(order.append)
        engine = LocalEngine(commands_max=1)
        ids = [f"r:{number}" for number in range(50)]
        engine.recover(ids)
        engine.start(performed)
        performed.wait(50)
        engine.stop()
        assert order == ids

    def test_a_command_that_takes_long_holds_up_no_other(self) -> None:
        """As many threads as commands: a parked phase costs none of another run's."""
        go_on, quick = threading.Event(), threading.Event()

        def act(command_id: str) -> None:
            if command_id == "quick":
                quick.set()
            else:
                assert go_on.wait(SECONDS_MAX)

        performed = Performed(act)
        engine = LocalEngine()
        engine.recover([f"r:{number}" for number in range(20)])
        engine.start(performed)
        engine.recover([f"r:{number}" for number in range(20, 40)])
        engine.recover(["quick"])
        assert quick.wait(SECONDS_MAX)
        go_on.set()
        performed.wait(41)
        engine.recover(["again"])
        performed.wait(42)
        assert len(engine._threads) <= 41
        engine.stop()

    def test_a_crash_between_commit_and_enqueue_is_answered_by_recover(self) -> None:
        world = _local(MemoryStore())

        def die() -> None:
            raise KeyboardInterrupt

        def within(transaction: Transaction) -> None:
            transaction.on_commit(die)
            world.engine.enqueue(["r:1"], transaction)

        with pytest.raises(KeyboardInterrupt):
            world.save(within)
        assert world.store.load("carrier0").version == 2
        performed = Performed()
        world.restart().start(performed)
        world.enqueue("r:2")
        performed.wait(1)
        assert performed.counts == {"r:2": 1}
        world.engine.recover(["r:1"])
        performed.wait(2)
        world.engine.stop()
        assert performed.counts == {"r:1": 1, "r:2": 1}

    def test_what_is_queued_while_stopped_is_performed_after_another_start(self) -> None:
        performed = Performed()
        engine = LocalEngine(commands_max=1)
        engine.start(performed)
        engine.stop()
        engine.recover(["r:1"])
        engine.start(performed)
        performed.wait(1)
        engine.stop()
        assert performed.counts == {"r:1": 1}

    def test_it_remembers_the_newest_ended_commands_only(self) -> None:
        performed = Performed()
        engine = LocalEngine(commands_max=1, ended_commands_max=2)
        engine.start(performed)
        engine.recover(["r:1", "r:2", "r:3"])
        performed.wait(3)
        engine.stop()
        engine.recover(["r:3", "r:2", "r:1"])
        engine.start(performed)
        performed.wait(4)
        engine.stop()
        assert performed.counts == {"r:1": 2, "r:2": 1, "r:3": 1}

    def test_a_command_that_was_cut_off_waits_to_be_recovered_without_a_traceback(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        def cut_off(_: str) -> None:
            raise CutOff

        world, performed = _local(MemoryStore()), Performed(cut_off)
        world.engine.start(performed)
        world.enqueue("r:1")
        performed.wait(1)
        gave_up(world, "r:1", performed)
        world.engine.stop()
        assert not [record for record in caplog.records if record.exc_info]

    def test_what_an_earlier_queue_left_in_a_store_is_ignored(self, tmp_path: Path) -> None:
        path = tmp_path / "store.db"
        open_store(path).close()
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("CREATE TABLE workflow_status (workflow_uuid TEXT, status TEXT)")
            connection.execute("INSERT INTO workflow_status VALUES ('r:1', 'ENQUEUED')")
        with closing(open_store(path)) as store:
            world, performed = _local(store), Performed()
            world.engine.start(performed)
            world.enqueue("r:2")
            performed.wait(1)
            world.engine.stop()
            assert performed.counts == {"r:2": 1}
            assert store.verify("carrier0") == []
