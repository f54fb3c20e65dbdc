"""SqlStore alone: tampering, damage, versions, modes, a full disk."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import event, inspect

from autopack.adapters.store import schema
from autopack.adapters.store.open import open_store
from autopack.adapters.store.sqlite import SqliteFile
from autopack.adapters.store.store import SqlStore
from autopack.adapters.store.tables import metadata
from autopack.adapters.store.transaction import SqlTransaction
from autopack.app.ports import Transaction
from autopack.core.errors import EnvironmentFault, OperatorFault
from tests.contracts.walks import walk


def nothing(_transaction: Transaction) -> None:
    """A `within` that adds nothing."""


def record(store: SqlStore, run_id: str = "r1") -> None:
    (first, created), *rest = walk(run_id)
    store.create(first, created)
    for run, happened in rest:
        assert store.save(run, happened, expected_version=run.version - 1, within=nothing)


def record_many(store: SqlStore) -> None:
    for number in range(100):
        record(store, f"more{number}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    made = open_store(path)
    record(made)
    yield made
    made.close()


def tamper(path: Path, *statements: str, guarded: bool = False) -> None:
    """Change rows as one who may write the file; without its triggers unless `guarded`."""
    with closing(sqlite3.connect(path)) as connection, connection:
        if not guarded:
            connection.execute("DROP TRIGGER IF EXISTS autopack_events_no_update")
            connection.execute("DROP TRIGGER IF EXISTS autopack_events_no_delete")
        for statement in statements:
            connection.execute(statement)


class TestVerify:
    @pytest.mark.parametrize(
        ("statement", "expected"),
        [
            ("UPDATE autopack_events SET payload = replace(payload, 'sha256:e', 'sha256:f') WHERE sequence = 3", "event 3 column digest"),
            ("UPDATE autopack_events SET payload = 'x' WHERE sequence = 2", "event 2 column payload"),
            ("UPDATE autopack_events SET kind = 'delivered' WHERE sequence = 2", "event 2 column kind"),
            ("UPDATE autopack_events SET at = at + 1 WHERE sequence = 4", "event 4 column digest"),
            ("UPDATE autopack_events SET answers = 7 WHERE sequence = 2", "event 2 column digest"),
            ("UPDATE autopack_events SET active_seconds = 9 WHERE sequence = 2", "event 2 column digest"),
            ("UPDATE autopack_events SET digest = previous WHERE sequence = 2", "event 2 column digest"),
            ("UPDATE autopack_events SET previous = digest WHERE sequence = 3", "event 3 column previous"),
            ("DELETE FROM autopack_events WHERE sequence = 1", "event 1: missing"),
            ("DELETE FROM autopack_events WHERE sequence = 3", "event 3: missing"),
            ("DELETE FROM autopack_events WHERE sequence = 4", "column version"),
            ("UPDATE autopack_runs SET state = 'DONE_SUCCESS'", "autopack_runs column state"),
            ("UPDATE autopack_runs SET tokens_spent = 5", "autopack_runs column tokens_spent"),
            ("UPDATE autopack_runs SET created_at = 5", "autopack_runs column created_at"),
            ("UPDATE autopack_runs SET version = 9", "autopack_runs column version"),
            ("UPDATE autopack_runs SET record = replace(record, 'sha256:e', 'sha256:f')", "autopack_runs column record"),
            ("UPDATE autopack_tiers SET cleanliness = 'not_clean'", "autopack_tiers T1 column cleanliness"),
            ("UPDATE autopack_phases SET attempts_used = 3 WHERE phase_id = 'F2'", "autopack_phases F2 column attempts_used"),
            ("DELETE FROM autopack_phases WHERE phase_id = 'F1'", "autopack_phases F1: its row is missing"),
            ("UPDATE autopack_phases SET phase_id = 'F9' WHERE phase_id = 'F1'", "autopack_phases F9: no event"),
            ("DELETE FROM autopack_runs", "autopack_runs: its row is missing"),
        ],
    )  # fmt: skip
    def test_what_was_changed_is_named(
        self, store: SqlStore, path: Path, statement: str, expected: str
    ) -> None:
        tamper(path, statement)
        found = store.verify("r1")
        assert any(expected in problem for problem in found), found
        assert all("r1" in problem for problem in found)

    def test_two_events_changing_places_are_found(self, store: SqlStore, path: Path) -> None:
        tamper(
            path,
            "UPDATE autopack_events SET sequence = 99 WHERE sequence = 2",
            "UPDATE autopack_events SET sequence = 2 WHERE sequence = 3",
            "UPDATE autopack_events SET sequence = 3 WHERE sequence = 99",
        )
        found = store.verify("r1")
        assert any("event 2 column previous" in problem for problem in found), found
        assert any("event 2 column digest" in problem for problem in found), found

    def test_another_run_is_not_blamed(self, store: SqlStore, path: Path) -> None:
        record(store, "r2")
        tamper(path, "UPDATE autopack_events SET at = 1 WHERE run_id = 'r1'")
        assert store.verify("r2") == []

    def test_nothing_is_repaired(self, store: SqlStore, path: Path) -> None:
        tamper(path, "UPDATE autopack_runs SET tokens_spent = 5")
        assert store.verify("r1") == store.verify("r1") != []


class TestAppendOnly:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE autopack_events SET at = 1",
            "DELETE FROM autopack_events WHERE sequence = 4",
        ],
    )
    def test_events_are_neither_changed_nor_removed(
        self, store: SqlStore, path: Path, statement: str
    ) -> None:
        with pytest.raises(sqlite3.IntegrityError, match="events are"):
            tamper(path, statement, guarded=True)
        assert store.verify("r1") == []

    def test_events_go_with_their_run(self, store: SqlStore, path: Path) -> None:
        record(store, "r2")
        store.ask("r1", "cancel", "me")
        tamper(
            path, "PRAGMA foreign_keys = ON", "DELETE FROM autopack_runs WHERE run_id = 'r1'",
            guarded=True,
        )  # fmt: skip
        assert store.events("r1") == []
        assert store.requests() == []
        assert len(store.events("r2")) == 4


class TestOpen:
    def test_file_and_folder_are_private(self, store: SqlStore, path: Path) -> None:
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}

    def test_commits_are_synced_to_disk(self, store: SqlStore) -> None:
        with store._engine.connect() as connection:
            pragma = connection.exec_driver_sql
            assert pragma("PRAGMA synchronous").scalar() == 2
            assert pragma("PRAGMA journal_mode").scalar() == "wal"
            assert pragma("PRAGMA foreign_keys").scalar() == 1
            assert pragma("PRAGMA busy_timeout").scalar() == 30_000

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

    def test_every_known_version_has_its_migration(self) -> None:
        folder = Path(schema.__file__).parent / "migrations" / "versions"
        numbers = sorted(each.name[1:5] for each in folder.glob("v*.py"))
        assert tuple(numbers) == schema.VERSIONS

    def test_a_reader_makes_no_store(self, path: Path) -> None:
        with pytest.raises(OperatorFault, match=r"store\.db"):
            open_store(path, create=False)
        assert not path.parent.exists()

    def test_reading_needs_no_alembic(self, store: SqlStore, path: Path) -> None:
        program = (
            "import sys, pathlib; from autopack.adapters.store.open import open_store;"
            "store = open_store(pathlib.Path(sys.argv[1])); store.runs(); store.close();"
            "sys.exit('alembic' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", program, path], check=False, timeout=50)
        assert done.returncode == 0

    @pytest.mark.slow
    def test_processes_that_make_a_store_at_once_agree(self, path: Path) -> None:
        program = (
            "import sys, pathlib; from autopack.adapters.store.open import open_store;"
            "open_store(pathlib.Path(sys.argv[1])).close()"
        )
        makers = [subprocess.Popen([sys.executable, "-c", program, path]) for _ in range(3)]
        assert [maker.wait(50) for maker in makers] == [0, 0, 0]
        with closing(open_store(path)) as made:
            record(made)

    def test_a_newer_store_is_refused_and_left_alone(self, store: SqlStore, path: Path) -> None:
        store.close()
        tamper(path, "UPDATE autopack_schema SET version_num = '9999'", guarded=True)
        before = path.read_bytes()
        with pytest.raises(OperatorFault, match=r"newer Autopack.*9999") as refused:
            open_store(path)
        assert "upgrade" in refused.value.hint
        assert path.read_bytes() == before

    def test_tables_without_a_version_are_not_migrated(self, store: SqlStore, path: Path) -> None:
        store.close()
        tamper(path, "DROP TABLE autopack_schema", guarded=True)
        with pytest.raises(OperatorFault, match="no schema version"):
            open_store(path)

    def test_a_file_that_is_no_database_is_named(self, path: Path) -> None:
        path.parent.mkdir()
        path.write_bytes(b"certainly not a database\n" * 100)
        with pytest.raises(EnvironmentFault, match=r"store\.db.*not a database") as refused:
            open_store(path)
        assert "name another store" in refused.value.hint

    def test_a_damaged_file_is_named(self, store: SqlStore, path: Path) -> None:
        for number in range(30):
            record(store, f"more{number}")
        store.close()
        content = bytearray(path.read_bytes())
        content[4096:] = os.urandom(len(content) - 4096)
        path.write_bytes(content)
        with pytest.raises(EnvironmentFault, match=r"store\.db") as refused:
            open_store(path).runs()
        assert "backup" in refused.value.hint

    def test_a_damaged_record_is_named(self, store: SqlStore, path: Path) -> None:
        tamper(path, "UPDATE autopack_runs SET record = '{}'")
        with pytest.raises(EnvironmentFault, match="record of the run r1") as refused:
            store.load("r1")
        assert "verify" in refused.value.hint

    def test_a_damaged_payload_is_named(self, store: SqlStore, path: Path) -> None:
        tamper(path, "UPDATE autopack_events SET payload = '{}' WHERE sequence = 2")
        with pytest.raises(EnvironmentFault, match="payload of event 2 r1"):
            store.events("r1")

    def test_a_folder_that_cannot_be_made_is_named(self) -> None:
        # /proc takes no folders, from root neither.
        with pytest.raises(EnvironmentFault, match="/proc/autopack") as refused:
            open_store(Path("/proc/autopack/store.db"))
        assert "writable" in refused.value.hint

    def test_a_read_only_folder_is_named(self, tmp_path: Path) -> None:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
        if os.access(closed, os.W_OK):
            pytest.skip("this user (root) may write anywhere; the test with /proc covers it")
        with pytest.raises(EnvironmentFault, match="closed"):
            open_store(closed / "store.db")


class TestRefusedWrites:
    def crippled(self, path: Path, pragma: str) -> SqlStore:
        """A store whose connections carry a restriction of SQLite's own."""
        database = SqliteFile(path)
        engine = database.connect()

        @event.listens_for(engine, "connect")
        def _restrict(connection: sqlite3.Connection, _record: object) -> None:
            connection.execute(pragma)

        return SqlStore(engine, database)

    def test_a_full_disk_writes_nothing_and_says_so(self, store: SqlStore, path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
        small = self.crippled(path, f"PRAGMA max_page_count = {pages}")
        with pytest.raises(EnvironmentFault, match="full") as refused:
            record_many(small)
        assert "free space" in refused.value.hint
        small.close()
        for run in store.runs(limit=200):
            assert store.verify(run.run_id) == []

    def test_a_commit_that_fails_calls_nobody(self, store: SqlStore) -> None:
        (first, created), (run, happened), *_ = walk("r2")
        store.create(first, created)
        told: list[str] = []

        def within(transaction: Transaction) -> None:
            transaction.on_commit(lambda: told.append("committed"))
            connection = cast("SqlTransaction", transaction).connection
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")  # checked by the commit
            connection.exec_driver_sql(
                "UPDATE autopack_tiers SET run_id = 'nobody' WHERE run_id = 'r2'"
            )

        with pytest.raises(EnvironmentFault, match="FOREIGN KEY"):
            store.save(run, happened, expected_version=1, within=within)
        assert not told
        assert store.verify("r2") == []
        assert store.load("r2") == first

    def test_a_file_that_may_not_grow_writes_nothing(self, store: SqlStore, path: Path) -> None:
        program = (
            "import resource, sys, pathlib;"
            "from autopack.adapters.store.open import open_store;"
            "from autopack.core.errors import EnvironmentFault;"
            "from tests.adapters.store.test_sql_store import record, record_many\n"
            "store = open_store(pathlib.Path(sys.argv[1])); record(store, 'before')\n"
            "size = max(each.stat().st_size for each in pathlib.Path(sys.argv[1]).parent.iterdir())\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))\n"
            "try:\n"
            "    record_many(store)\n"
            "except EnvironmentFault as fault: sys.exit(str(fault))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, path], check=False, capture_output=True, timeout=50,
            cwd=Path(__file__).parents[3], text=True,
        )  # fmt: skip
        assert done.returncode == 1, done.stderr
        assert "cannot" in done.stderr
        assert "hint:" in done.stderr
        for run in store.runs(limit=200):
            assert store.verify(run.run_id) == []

    def test_a_read_only_database_is_named(self, store: SqlStore, path: Path) -> None:
        closed = self.crippled(path, "PRAGMA query_only = 1")
        assert closed.load("r1").run_id == "r1"
        with pytest.raises(EnvironmentFault, match="readonly") as refused:
            closed.remember_green("tree", "{}")
        assert "writable" in refused.value.hint
        closed.close()

    def test_a_locked_database_is_named(self, store: SqlStore, path: Path) -> None:
        hasty = self.crippled(path, "PRAGMA busy_timeout = 1")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(EnvironmentFault, match="locked") as refused:
                hasty.remember_green("tree", "{}")
            assert hasty.load("r1").run_id == "r1"
        assert "another process" in refused.value.hint
        hasty.close()

    def test_text_that_is_no_unicode_is_kept_exactly(self, store: SqlStore) -> None:
        from dataclasses import replace

        from autopack.core.event import DeliveryRefused

        run = store.load("r1")
        odd = replace(run, version=run.version + 1, delivery_refusal="caf\udce9 \0")
        happened = replace(walk()[-1][1], event=DeliveryRefused("", "caf\udce9 \0"))
        assert store.save(odd, happened, expected_version=run.version, within=nothing)
        assert store.load("r1") == odd
        assert store.events("r1")[-1].happened == happened
