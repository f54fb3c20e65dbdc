"""What is peculiar to SQLite: connections, file modes, triggers, error names. Nothing else is.

Another database adds its own branch here. Never holds a statement of the store.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from autopack.core.errors import EnvironmentFault

BUSY_SECONDS_MAX = 30
WRITES = {"autopack_writes": True}
"""Execution options of a connection that will write: it takes the write lock at its beginning."""
_ADVICE = {
    "SQLITE_BUSY": "another process holds the database; stop it or wait, then try again",
    "SQLITE_LOCKED": "another process holds the database; stop it or wait, then try again",
    "SQLITE_CORRUPT": "the file is damaged; move it away and restore a backup",
    "SQLITE_NOTADB": "the file is no SQLite database; move it away or name another store",
    "SQLITE_FULL": "the disk is full; free space and try again, nothing was half written",
    "SQLITE_READONLY": "make the file and its folder writable for this user",
    "SQLITE_CANTOPEN": "make the folder exist and writable for this user",
    "SQLITE_PERM": "make the file and its folder readable and writable for this user",
    "SQLITE_AUTH": "make the file and its folder readable and writable for this user",
    "SQLITE_IOERR": "the disk refused to read or write; check its health and space",
}
_APPEND_ONLY = (
    """CREATE TRIGGER autopack_events_no_update BEFORE UPDATE ON autopack_events
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    # Deleting a run deletes its events by cascade: its row is gone by then.
    """CREATE TRIGGER autopack_events_no_delete BEFORE DELETE ON autopack_events
    WHEN EXISTS (SELECT 1 FROM autopack_runs WHERE run_id = OLD.run_id)
    BEGIN SELECT RAISE(ABORT, 'events are deleted only with their run'); END""",
)


def append_only(dialect: str) -> tuple[str, ...]:
    """The statements that make events append-only, for the migrations."""
    return {"sqlite": _APPEND_ONLY}[dialect]


@contextmanager
def translated(path: Path, doing: str) -> Iterator[None]:
    """The database's own errors become an EnvironmentFault that names the file and what to do."""
    try:
        yield
    except DBAPIError as error:
        raise _fault(path, doing, error.orig or error) from error
    except (sqlite3.Error, SQLAlchemyError) as error:
        raise _fault(path, doing, error) from error


def _fault(path: Path, doing: str, error: BaseException) -> EnvironmentFault:
    name = str(getattr(error, "sqlite_errorname", ""))
    family = "_".join(name.split("_")[:2])
    advice = _ADVICE.get(family, "see `autopack doctor`; if it persists, please report it")
    return EnvironmentFault(f"cannot {doing} the store {path}: {error}", advice)


def prepare_file(path: Path) -> None:
    """Make the store's file (0600) and its folder (0700) when they are not there."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        hint = "make the folder exist and writable for this user, or name another store"
        raise EnvironmentFault(f"cannot open the store {path}: {error.strerror}", hint) from error


def connect(path: Path) -> Engine:
    """The store's own connections: explicit transactions, of which only writing ones lock."""
    engine = _engine(path, isolation_level=None)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("autopack_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def companion(path: Path) -> Engine:
    """Connections for a library that begins its transactions itself, as pysqlite does by default.

    The write lock is taken at the first write, as an IMMEDIATE transaction.
    """
    return _engine(path, isolation_level="IMMEDIATE")


def _engine(path: Path, isolation_level: Literal["IMMEDIATE"] | None) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(path)), pool_timeout=BUSY_SECONDS_MAX)

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = isolation_level
        connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS_MAX * 1000}")
        connection.execute("PRAGMA foreign_keys = ON")
        # FULL syncs the log at each commit: what was answered survives a power cut.
        connection.execute("PRAGMA synchronous = FULL")

    return engine


def use_write_ahead_log(engine: Engine) -> None:
    """Readers never wait for the writer; kept in the file, so set once, before its tables."""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()
