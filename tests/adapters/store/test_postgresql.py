"""A store on PostgreSQL alone: append-only, durable, and what is said when the server refuses."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from sqlalchemy import inspect, text

from autopack.adapters.store.open import NoStore, open_store
from autopack.adapters.store.postgresql import PostgresqlDatabase
from autopack.adapters.store.store import SqlStore
from autopack.adapters.store.tables import metadata
from autopack.app.ports import Transaction
from autopack.core.errors import EnvironmentFault, OperatorFault, StoreAway
from tests.contracts.walks import walk
from tests.postgres import Server

PASSWORD = "hush:%/hush"


def nothing(_transaction: Transaction) -> None:
    """A `within` that adds nothing."""


def record(store: SqlStore, run_id: str = "r1") -> None:
    (first, created), *rest = walk(run_id)
    store.create(first, created)
    for run, happened in rest:
        assert store.save(run, happened, expected_version=run.version - 1, within=nothing)


@pytest.fixture
def name(database: str) -> str:
    """The database's own name."""
    return database.partition("?")[0].rpartition("/")[2]


@pytest.fixture
def store(database: str) -> Iterator[SqlStore]:
    made = open_store(database)
    record(made)
    yield made
    made.close()


@pytest.fixture
def guest(postgres: Server, name: str) -> Iterator[str]:
    """A user with a password and no rights; as a URL."""
    postgres.execute(f"CREATE ROLE \"guest_{name}\" LOGIN PASSWORD '{PASSWORD}'")
    yield postgres.url(name, f"guest_{name}", PASSWORD)
    postgres.execute(f'DROP OWNED BY "guest_{name}"', f'DROP ROLE "guest_{name}"', database=name)


class TestAppendOnly:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE autopack_events SET at = 1",
            "DELETE FROM autopack_events WHERE sequence = 4",
            "TRUNCATE autopack_events",
            "TRUNCATE autopack_runs CASCADE",
        ],
    )
    def test_events_are_neither_changed_nor_removed(
        self, store: SqlStore, postgres: Server, name: str, statement: str
    ) -> None:
        with pytest.raises(psycopg.IntegrityError, match="events are"):
            postgres.execute(statement, database=name)
        assert store.verify("r1") == []

    def test_events_go_with_their_run(self, store: SqlStore, postgres: Server, name: str) -> None:
        record(store, "r2")
        store.ask("r1", "cancel", "me")
        postgres.execute("DELETE FROM autopack_runs WHERE run_id = 'r1'", database=name)
        assert store.events("r1") == []
        assert store.requests() == []
        assert len(store.events("r2")) == 4

    @pytest.mark.parametrize(
        ("statement", "expected"),
        [
            ("UPDATE autopack_events SET payload = replace(payload, 'sha256:e', 'sha256:f') WHERE sequence = 3", "event 3 column digest"),
            ("DELETE FROM autopack_events WHERE sequence = 3", "event 3: missing"),
            ("UPDATE autopack_runs SET active_seconds = 5.5", "autopack_runs column active_seconds"),
            ("UPDATE autopack_phases SET needed = NOT needed WHERE phase_id = 'F2'", "autopack_phases F2 column needed"),
        ],
    )  # fmt: skip
    def test_what_was_changed_is_named(
        self, store: SqlStore, postgres: Server, name: str, statement: str, expected: str
    ) -> None:
        disarm = "ALTER TABLE autopack_events DISABLE TRIGGER USER"
        postgres.execute(disarm, statement, database=name)
        found = store.verify("r1")
        assert any(expected in problem for problem in found), found


class TestOpen:
    def test_the_migrations_make_the_tables(self, store: SqlStore) -> None:
        from alembic.autogenerate import compare_metadata
        from alembic.migration import MigrationContext

        with store._engine.connect() as connection:
            context = MigrationContext.configure(
                connection,
                opts={
                    "include_name": lambda name, kind, _: kind != "table" or name in metadata.tables
                },
            )
            assert compare_metadata(context, metadata) == []
            assert set(metadata.tables) <= set(inspect(connection).get_table_names())

    def test_commits_are_durable_and_waits_are_bounded(self, store: SqlStore) -> None:
        with store._engine.connect() as connection:
            shown = {
                key: connection.execute(text(f"SHOW {key}")).scalar()
                for key in ("synchronous_commit", "statement_timeout", "lock_timeout",
                            "idle_in_transaction_session_timeout", "transaction_isolation")
            }  # fmt: skip
        assert shown == {
            "synchronous_commit": "on",
            "statement_timeout": "1min",
            "lock_timeout": "30s",
            "idle_in_transaction_session_timeout": "2min",
            "transaction_isolation": "read committed",
        }

    def test_an_empty_database_holds_no_store_until_somebody_writes(
        self, postgres: Server, name: str
    ) -> None:
        empty = postgres.copy("template0")
        try:
            with pytest.raises(NoStore, match=empty):
                open_store(postgres.url(empty), create=False)
            assert postgres.execute(
                "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", database=empty
            ) == [(0,)]
            open_store(postgres.url(empty)).close()
            open_store(postgres.url(empty), create=False).close()
        finally:
            postgres.drop(empty)

    def test_a_database_of_another_application_is_left_alone(self, postgres: Server) -> None:
        theirs = postgres.copy("template0")
        try:
            postgres.execute("CREATE TABLE customers (name text)", database=theirs)
            with pytest.raises(OperatorFault, match="customers") as refused:
                open_store(postgres.url(theirs))
            assert "AUTOPACK_DATABASE_URL" in refused.value.hint
            with pytest.raises(OperatorFault, match="customers"):  # as `doctor` looks
                open_store(postgres.url(theirs), create=False)
            found = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            assert postgres.execute(found, database=theirs) == [("customers",)]
        finally:
            postgres.drop(theirs)

    def test_another_encoding_is_refused(self, postgres: Server) -> None:
        latin = f"latin_{threading.get_native_id()}"
        postgres.execute(f"CREATE DATABASE {latin} TEMPLATE template0 ENCODING 'LATIN1'")
        try:
            with pytest.raises(EnvironmentFault, match="LATIN1"):
                open_store(postgres.url(latin))
        finally:
            postgres.drop(latin)

    def test_processes_that_make_a_store_at_once_agree(self, postgres: Server) -> None:
        empty = postgres.copy("template0")
        program = "import sys; from autopack.adapters.store.open import open_store;"
        program += "open_store(sys.argv[1]).close()"
        url = postgres.url(empty)
        try:
            makers = [subprocess.Popen([sys.executable, "-c", program, url]) for _ in range(2)]
            assert [maker.wait(50) for maker in makers] == [0, 0]
            made = open_store(url)
            record(made)
            made.close()
        finally:
            postgres.drop(empty)

    def test_an_old_server_is_refused(self) -> None:
        old: Any = SimpleNamespace(dialect=SimpleNamespace(server_version_info=(13, 4)))
        with pytest.raises(EnvironmentFault, match=r"PostgreSQL 13\.4; Autopack needs 14"):
            PostgresqlDatabase("postgresql://me:hush@h/d").check(old)

    def test_a_newer_store_is_refused(self, database: str, postgres: Server, name: str) -> None:
        postgres.execute("UPDATE autopack_schema SET version_num = '9999'", database=name)
        with pytest.raises(OperatorFault, match=r"newer Autopack.*9999"):
            open_store(database)

    def test_the_driver_is_asked_for_by_name(self, tmp_path: Path) -> None:
        (tmp_path / "psycopg.py").write_text("raise ImportError('gone')\n")
        program = "import sys; from autopack.adapters.store.open import open_store;"
        program += "open_store('postgresql://h/d')"
        done = subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONPATH": str(tmp_path)}, text=True,
            capture_output=True, check=False, timeout=50,
        )  # fmt: skip
        assert "OperatorFault" in done.stderr
        assert "autopack[postgresql]" in done.stderr


class TestRefusals:
    def refused(self, url: str, words: str) -> EnvironmentFault:
        with pytest.raises(EnvironmentFault, match=words) as raised:
            record(open_store(url))
        assert "hush" not in str(raised.value)
        return raised.value

    def test_a_server_that_is_not_there(self, tmp_path: Path) -> None:
        fault = self.refused(f"postgresql://me:{PASSWORD[:4]}@/d?host={tmp_path}", "cannot open")
        assert isinstance(fault, StoreAway)
        assert "start the server" in fault.hint

    def test_an_unknown_database(self, postgres: Server) -> None:
        fault = self.refused(postgres.url("nowhere"), "nowhere")
        assert not isinstance(fault, StoreAway)
        assert "createdb" in fault.hint

    def test_a_wrong_password(self, guest: str) -> None:
        fault = self.refused(guest.replace("hush%3A", "hush"), "password")
        assert not isinstance(fault, StoreAway)
        assert "DATABASE_URL" in fault.hint

    def test_missing_rights(self, guest: str) -> None:
        assert "grant" in self.refused(guest, "permission denied").hint

    def test_a_server_that_takes_no_writes(
        self, store: SqlStore, database: str, postgres: Server, name: str
    ) -> None:
        postgres.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        closed = open_store(database)
        assert closed.load("r1").run_id == "r1"
        with pytest.raises(EnvironmentFault, match="read-only") as refused:
            closed.remember_green("tree", "{}")
        assert "primary" in refused.value.hint
        closed.close()

    def test_too_many_connections(self, database: str, postgres: Server, name: str) -> None:
        role = f"narrow_{name}"
        postgres.execute(f"CREATE ROLE \"{role}\" SUPERUSER LOGIN PASSWORD 'x' CONNECTION LIMIT 0")
        postgres.execute(f'ALTER ROLE "{role}" NOSUPERUSER')
        try:
            fault = self.refused(postgres.url(name, role, "x"), "too many connections")
            assert "max_connections" in fault.hint
        finally:
            postgres.execute(f'DROP ROLE "{role}"')

    def test_a_row_that_another_holds(self, store: SqlStore, database: str) -> None:
        mine = PostgresqlDatabase(database)
        engine = mine.connect()
        with store._engine.connect() as other, engine.connect() as connection:
            other.exec_driver_sql("LOCK TABLE autopack_green_results IN ACCESS EXCLUSIVE MODE")
            connection.exec_driver_sql("SET lock_timeout = '1ms'")
            with pytest.raises(EnvironmentFault) as refused, mine.translated("write to"):
                connection.exec_driver_sql("SELECT 1 FROM autopack_green_results")
        assert "lock timeout" in refused.value.what
        assert "another process" in refused.value.hint
        engine.dispose()

    def test_a_session_that_the_server_ends(
        self, store: SqlStore, postgres: Server, name: str
    ) -> None:
        (first, created), (run, happened), *_ = walk("r2")
        store.create(first, created)
        told: list[str] = []

        def within(transaction: Transaction) -> None:
            transaction.on_commit(lambda: told.append("committed"))
            end_sessions(postgres, name)

        with pytest.raises(StoreAway):
            store.save(run, happened, expected_version=1, within=within)
        assert not told
        assert store.load("r2") == first
        assert store.save(run, happened, expected_version=1, within=nothing)
        assert store.verify("r2") == []

    def test_a_pool_that_is_used_up_is_no_server_that_went_away(self, database: str) -> None:
        mine = PostgresqlDatabase(database)
        engine = mine._engine({}, pool_size=1, max_overflow=0, pool_timeout=0)
        with engine.connect():
            with pytest.raises(EnvironmentFault) as refused, mine.translated("read"):
                engine.connect()
            assert not isinstance(refused.value, StoreAway)
            assert "start the server" not in refused.value.hint
        engine.dispose()

    @pytest.mark.parametrize("misuse", ["a closed cursor", "a byte that text cannot hold"])
    def test_what_the_driver_refuses_is_no_server_that_went_away(
        self, database: str, misuse: str
    ) -> None:
        mine = PostgresqlDatabase(database)
        engine = mine.connect()
        with engine.connect() as connection:
            cursor = connection.connection.cursor()
            if misuse == "a closed cursor":
                cursor.close()
            with pytest.raises(EnvironmentFault) as refused, mine.translated("read"):
                cursor.execute("SELECT CAST(%s AS text)", ["a\0b"])
        assert not isinstance(refused.value, StoreAway)
        engine.dispose()


def end_sessions(postgres: Server, name: str) -> None:
    """What an administrator or a restart does to everybody who is connected."""
    ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname"
    postgres.execute(f"{ending} = '{name}'")


def test_a_server_that_was_away_is_found_again(mortal_postgres: Server) -> None:
    mortal_postgres.execute("CREATE DATABASE runs")
    store = open_store(mortal_postgres.url("runs"))
    record(store)
    mortal_postgres.stop()
    with pytest.raises(StoreAway, match="runs"):
        store.load("r1")
    with pytest.raises(StoreAway):
        store.ask("r1", "cancel", "me")
    mortal_postgres.start()
    assert store.load("r1") == walk()[-1][0]
    store.ask("r1", "cancel", "me")
    assert [each.kind for each in store.requests()] == ["cancel"]
    assert store.verify("r1") == []
    store.close()


def test_of_two_who_make_a_run_at_once_one_is_refused(
    store: SqlStore, databases: Callable[[], str], database: str
) -> None:
    other = open_store(database)
    gate, refused = threading.Barrier(2), []

    def make(mine: SqlStore) -> None:
        gate.wait()
        try:
            mine.create(*walk("same")[0])
        except OperatorFault as fault:
            refused.append(fault)

    threads = [threading.Thread(target=make, args=(each,)) for each in (store, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert store.verify("same") == []
    other.close()


@pytest.mark.parametrize(
    ("state", "words"),
    [("53100", "disk is full"), ("XX001", "damaged"), ("58030", "refused to read"), ("40P01", "again"),
     ("57P01", "start the server"), ("99999", "report it")],
)  # fmt: skip
def test_what_cannot_be_provoked_has_its_advice(state: str, words: str) -> None:
    database = PostgresqlDatabase("postgresql://me:hush@h/d")
    error = psycopg.errors.lookup("53100")("hush happened")
    error.sqlstate = state
    with pytest.raises(EnvironmentFault) as raised, database.translated("write to"):
        raise error
    assert words in raised.value.hint
    assert "hush" not in raised.value.what
