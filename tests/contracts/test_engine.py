"""The Engine port: what holds for the local engine, its own twin in memory, and for DBOS."""

from __future__ import annotations

import itertools
import logging
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autopack.adapters.engine.dbos_engine import DbosEngine
from autopack.adapters.engine.local import LocalEngine
from autopack.adapters.store.open import open_store
from autopack.adapters.store.store import SqlStore
from autopack.app.ports import Engine, Store, Transaction
from autopack.app.supervise import CutOff
from autopack.core.errors import EnvironmentFault, OwnFault
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


WORLDS = ["local in memory", "local on sqlite", "dbos on sqlite", "local on postgresql",
          "dbos on postgresql"]  # fmt: skip


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a store may be."""
    return _place(request, tmp_path)


def _place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    if "postgresql" not in request.param:
        return tmp_path / "s" / "store.db"
    url: str = request.getfixturevalue("database")
    return url


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    in_memory = "memory" in request.param
    store = MemoryStore() if in_memory else open_store(_place(request, tmp_path))
    made = (
        _dbos(store) if isinstance(store, SqlStore) and "dbos" in request.param else _local(store)
    )
    yield made
    made.engine.stop()
    made.store.close()


def _local(store: Store) -> World:
    return World(store, LocalEngine(workers_max=3), lambda: LocalEngine(workers_max=3))


def _dbos(store: SqlStore) -> World:
    def made() -> DbosEngine:
        return DbosEngine(store.companion(), workers_max=3)

    return World(store, made(), made)


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

    def test_a_raising_performance_waits_to_be_recovered(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.CRITICAL, "dbos")
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


KILLED = """
import os, pathlib, sys, threading
from autopack.adapters.engine.dbos_engine import DbosEngine
from autopack.adapters.store.open import open_store
from tests.contracts.test_engine import World
place = sys.argv[1] if "://" in sys.argv[1] else pathlib.Path(sys.argv[1])
store = open_store(place)
engine = DbosEngine(store.companion(), workers_max=2)
together = threading.Barrier(2)
def perform(command_id):
    if command_id != "r:0":
        together.wait()
        os.write(1, b"under way\\n")
        threading.Event().wait()
engine.start(perform)
World(store, engine, None).enqueue("r:0", "r:1", "r:2", "r:3")
threading.Event().wait()
"""


class TestLocal:
    """What only the one without a database promises."""

    def test_first_in_first_out(self) -> None:
        order: list[str] = []
        performed = Performed(order.append)
        engine = LocalEngine(workers_max=1)
        ids = [f"r:{number}" for number in range(50)]
        engine.recover(ids)
        engine.start(performed)
        performed.wait(50)
        engine.stop()
        assert order == ids

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
        engine = LocalEngine(workers_max=1)
        engine.start(performed)
        engine.stop()
        engine.recover(["r:1"])
        engine.start(performed)
        performed.wait(1)
        engine.stop()
        assert performed.counts == {"r:1": 1}

    def test_it_remembers_the_newest_ended_commands_only(self) -> None:
        performed = Performed()
        engine = LocalEngine(workers_max=1, ended_commands_max=2)
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

    def test_what_dbos_left_in_a_store_is_ignored(self, tmp_path: Path) -> None:
        path = tmp_path / "store.db"
        with_store(path, self._leaves)
        with_store(path, self._ignores)

    @staticmethod
    def _leaves(store: SqlStore) -> None:
        DbosEngine(store.companion(), workers_max=1).recover(["r:1"])

    @staticmethod
    def _ignores(store: SqlStore) -> None:
        world, performed = _local(store), Performed()
        world.engine.start(performed)
        world.enqueue("r:2")
        performed.wait(1)
        world.engine.stop()
        assert performed.counts == {"r:2": 1}
        assert store.verify("carrier0") == []


class TestDbos:
    """What only the durable one can show."""

    def test_what_was_performed_is_not_performed_after_a_restart(self, place: Path | str) -> None:
        with_store(place, self._remembers)

    @staticmethod
    def _remembers(store: SqlStore) -> None:
        world, performed = _dbos(store), Performed()
        world.engine.start(performed)
        world.enqueue("r:1")
        performed.wait(1)
        world.engine.stop()
        world.restart().start(performed)
        world.engine.recover(["r:1"])
        world.enqueue("r:1", "r:2")
        performed.wait(2)
        world.engine.stop()
        assert performed.counts == {"r:1": 1, "r:2": 1}

    def test_a_killed_process_leaves_its_commands_to_the_next(self, place: Path | str) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, place], stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[2],
        ) as process:  # fmt: skip
            assert process.stdout is not None
            try:
                assert [process.stdout.readline() for _ in range(2)] == ["under way\n"] * 2
            finally:
                process.send_signal(signal.SIGKILL)
        with_store(place, self._recovers)

    @staticmethod
    def _recovers(store: SqlStore) -> None:
        ids = [f"r:{number}" for number in range(4)]
        performed = Performed()
        engine = DbosEngine(store.companion(), workers_max=2)
        engine.recover(ids)
        engine.start(performed)
        engine.recover(ids)
        performed.wait(3)
        engine.stop()
        assert performed.counts == {"r:1": 1, "r:2": 1, "r:3": 1}
        assert store.verify("carrier0") == []

    def test_finished_commands_do_not_pile_up(self, place: Path | str) -> None:
        with_store(place, self._sweeps)

    @staticmethod
    def _sweeps(store: SqlStore) -> None:
        performed = Performed()
        engine = DbosEngine(store.companion(), workers_max=4, finished_kept=5)
        engine.start(performed)
        engine.recover([f"r:{number}" for number in range(20)])
        performed.wait(20)
        engine.stop()
        again = DbosEngine(store.companion(), workers_max=4, finished_kept=5)
        again.start(performed)
        again.stop()
        with store.companion().connect() as connection:
            for table in ("workflow_status", "operation_outputs", "workflow_input"):
                counting = f"SELECT count(*) FROM {_in_schema(store)}{table}"  # noqa: S608  our own names
                count = connection.exec_driver_sql(counting).scalar()
                assert count is not None
                assert count <= 5, table

    def test_commands_of_another_protocol_are_queued_anew(
        self, place: Path | str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.CRITICAL, "dbos")
        with_store(place, self._adopts)

    @staticmethod
    def _adopts(store: SqlStore) -> None:
        engine = DbosEngine(store.companion(), workers_max=1)
        engine.recover(["r:1"])
        table = f"{_in_schema(store)}workflow_status"
        with store.companion().begin() as connection:
            connection.exec_driver_sql(f"UPDATE {table} SET application_version = 'old'")  # noqa: S608  our own name
        performed = Performed()
        engine.start(performed)
        engine.recover(["r:1"])
        performed.wait(1)
        engine.stop()
        assert performed.counts == {"r:1": 1}

    def test_nothing_is_pickled(self, place: Path | str) -> None:
        with_store(place, self._plain_json)

    @staticmethod
    def _plain_json(store: SqlStore) -> None:
        engine = DbosEngine(store.companion(), workers_max=1)
        engine.recover(["r:1"])
        with store.companion().connect() as connection:
            row = connection.exec_driver_sql(
                f"SELECT inputs FROM {_in_schema(store)}workflow_input"  # noqa: S608  our own name
            ).scalar()
        assert '"r:1"' in str(row)

    def test_a_folder_may_have_any_name(self, tmp_path: Path) -> None:
        folder = tmp_path / "100% what? #1 ü&=;"
        with_store(folder / "store.db", self._plain_json)
        assert [each.name for each in tmp_path.iterdir()] == [folder.name]

    def test_a_database_that_refuses_is_named(self, tmp_path: Path) -> None:
        with_store(tmp_path / "store.db", self._is_refused)

    @staticmethod
    def _is_refused(store: SqlStore) -> None:
        engine = DbosEngine(store.companion(), workers_max=1)
        with store.companion().begin() as connection:
            connection.exec_driver_sql("DROP TABLE workflow_status")
        with pytest.raises(EnvironmentFault, match=r"store\.db"):
            engine.recover(["r:1"])

    def test_it_says_nothing_on_the_console(self, tmp_path: Path) -> None:
        program = (
            "import pathlib, sys;"
            "from autopack.adapters.engine.dbos_engine import DbosEngine;"
            "from autopack.adapters.store.open import open_store;"
            "store = open_store(pathlib.Path(sys.argv[1]));"
            "engine = DbosEngine(store.companion(), workers_max=1);"
            "engine.start(print); engine.stop(); store.close()"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, tmp_path / "store.db"],
            check=False, capture_output=True, timeout=50,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def _in_schema(store: SqlStore) -> str:
    """DBOS has a schema of its own where there are schemas."""
    return "dbos." if store.companion().dialect.name == "postgresql" else ""


def with_store(place: Path | str, act: Callable[[SqlStore], None]) -> None:
    store = open_store(place)
    try:
        act(store)
    finally:
        store.close()
