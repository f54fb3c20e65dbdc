"""What is peculiar to SQLite: connections, file modes, error names. Nothing else is."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from autopack.core.errors import EnvironmentFault

BUSY_SECONDS_MAX: Final = 30
_ADVICE: Final = {
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


class SqliteFile:
    """The Dialect of a database in one file."""

    reads: ClassVar[Mapping[str, Any]] = {}
    snapshot: ClassVar[Mapping[str, Any]] = {}
    writes: ClassVar[Mapping[str, Any]] = {"autopack_writes": True}
    """It takes the write lock at its beginning."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def prepare(self) -> None:
        """Make the file (0600) and its folder (0700) when they are not there."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            hint = "make the folder exist and writable for this user, or name another store"
            what = f"cannot open the store {self.path}: {error.strerror}"
            raise EnvironmentFault(what, hint) from error

    def connect(self) -> Engine:
        """The store's own connections: explicit transactions, of which only writing ones lock."""
        url = URL.create("sqlite", database=str(self.path))
        engine = create_engine(url, pool_timeout=BUSY_SECONDS_MAX)

        @event.listens_for(engine, "connect")
        def _configure(connection: sqlite3.Connection, _record: object) -> None:
            connection.isolation_level = None
            connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS_MAX * 1000}")
            connection.execute("PRAGMA foreign_keys = ON")
            # FULL syncs the log at each commit: what was answered survives a power cut.
            connection.execute("PRAGMA synchronous = FULL")

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            writes = connection.get_execution_options().get("autopack_writes", False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

        return engine

    def check(self, connection: Connection) -> None:
        """Nothing to do: it comes with Python."""

    def prepare_tables(self, connection: Connection) -> None:
        """Readers never wait for the writer; kept in the file, so set once, before its tables."""
        raw = connection.connection.dbapi_connection
        if raw is not None:
            raw.cursor().execute("PRAGMA journal_mode = WAL")

    def migrate_alone(self, connection: Connection) -> None:
        """Nothing to do: who writes is alone."""

    @contextmanager
    def translated(self, doing: str) -> Iterator[None]:
        """The database's own errors become an EnvironmentFault that names the file."""
        try:
            yield
        except DBAPIError as error:
            raise self._fault(doing, error.orig or error) from error
        except (sqlite3.Error, SQLAlchemyError) as error:
            raise self._fault(doing, error) from error

    def _fault(self, doing: str, error: BaseException) -> EnvironmentFault:
        name = str(getattr(error, "sqlite_errorname", ""))
        family = "_".join(name.split("_")[:2])
        advice = _ADVICE.get(family, "see `autopack doctor`; if it persists, please report it")
        return EnvironmentFault(f"cannot {doing} the store {self.path}: {error}", advice)
