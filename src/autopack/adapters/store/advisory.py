"""The lock of the one supervisor of a store on PostgreSQL, held by a session of the server.

The server lets go of it when the supervisor dies, on whatever machine. Never waits. Whoever holds
it must `watch`: without its connection the lock may be another's.
"""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import Any, Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from autopack.adapters.store.postgresql import PostgresqlDatabase, lock_key
from autopack.core.errors import EnvironmentFault, StoreAway

LOOK_SECONDS: Final = 1.0
"""How often the holder looks whether its connection lives."""
DIRECT: Final = "name the server itself in DATABASE_URL, not a pooler such as PgBouncer before it"
NAME_BYTES_MAX: Final = 63
"""PostgreSQL cuts longer application names."""
RELEASE_SECONDS_MAX: Final = 5.0
"""A watcher that hears nothing from the server closes the connection itself, later."""
_MARK: Final = "autopack supervisor "
_TRY: Final = text("SELECT pg_try_advisory_lock(:key)")
_HOLDER: Final = text(
    "SELECT a.application_name, a.pid, pg_backend_pid() AS asking"
    " FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
    " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND l.classid::bigint = :high AND l.objid::bigint = :low"
)


class AdvisoryLock:
    """Held; `release` lets others in."""

    def __init__(
        self,
        database: PostgresqlDatabase,
        connection: Connection,
        halves: Mapping[str, int],
        pid: int,
        look_seconds: float,
    ) -> None:
        """`halves`: of the key; `pid`: the server's process that holds it."""
        self._database = database
        self._connection = connection
        self._halves, self._pid = halves, pid
        self._look_seconds = look_seconds
        self._asking = threading.Lock()
        self._released = threading.Event()
        self._watcher: threading.Thread | None = None

    def watch(self, lost: Callable[[EnvironmentFault], None]) -> None:
        """Have `lost` called, from another thread, when the lock may be gone."""
        self._watcher = threading.Thread(target=self._look, args=(lost,), daemon=True)
        self._watcher.start()

    def release(self) -> None:
        """Let go; harmless when repeated, or when the server is gone."""
        self._released.set()
        if not self._asking.acquire(timeout=RELEASE_SECONDS_MAX):
            return  # who asks waits for a silent server, and closes it afterwards
        try:
            self._close()
        finally:
            self._asking.release()

    def check(self) -> None:
        """StoreAway when the lock is not ours any more, as far as the server can tell."""
        with self._asking:
            try:
                with self._database.translated("keep the supervisor's lock of"):
                    row = self._connection.execute(_HOLDER, self._halves).first()
            except EnvironmentFault as fault:
                raise StoreAway(fault.what, fault.hint) from fault
            finally:
                if self._released.is_set():
                    self._close()
        if row is None or not row.pid == row.asking == self._pid:
            what = f"the supervisor's lock of the store {self._database} is no longer ours"
            raise StoreAway(what, DIRECT)

    def _close(self) -> None:
        with suppress(SQLAlchemyError):  # a connection that is lost has let go of it already
            self._connection.close()

    def _look(self, lost: Callable[[EnvironmentFault], None]) -> None:
        while not self._released.wait(self._look_seconds):
            try:
                self.check()
            except StoreAway as fault:
                if not self._released.is_set():
                    lost(fault)
                return


def acquire(url: str, look_seconds: float = LOOK_SECONDS) -> AdvisoryLock | None:
    """Take the lock of the database's store for this process; None when another one has it.

    EnvironmentFault when a pooler stands between: no connection through it is a session for sure.
    """
    database = PostgresqlDatabase(url)
    name = f"{_MARK}{os.getpid()}@{platform.node()}"[:NAME_BYTES_MAX]
    with database.translated("lock"), ExitStack() as closing:
        connection = closing.enter_context(database.sessions(name).connect())
        pid = _server_process(connection, database)
        key = lock_key(connection, "supervisor")
        if not connection.execute(_TRY, {"key": key}).scalar():
            return None
        closing.pop_all()  # it stays open
    return AdvisoryLock(database, connection, _halves(key), pid, look_seconds)


def _server_process(connection: Connection, database: PostgresqlDatabase) -> int:
    """The server's process for this connection, when it is the one that libpq was told of."""
    pid = int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
    raw: Any = connection.connection.dbapi_connection
    if raw.info.backend_pid != pid:
        what = f"a pooler stands before the store {database}: the supervisor's lock needs a session"
        raise EnvironmentFault(what, DIRECT)
    return pid


def _halves(key: int) -> dict[str, int]:
    """A key as pg_locks shows it."""
    return {"high": key % 2**64 >> 32, "low": key % 2**32}


def holder(url: str) -> str | None:
    """Who holds the lock: process and machine; None when nobody does."""
    database = PostgresqlDatabase(url)
    with database.translated("look at"), database.sessions("autopack").connect() as connection:
        row = connection.execute(_HOLDER, _halves(lock_key(connection, "supervisor"))).first()
    if row is None:
        return None
    pid, _, machine = str(row.application_name).removeprefix(_MARK).partition("@")
    return f"process {pid} on {machine}" if machine else f"server process {row.pid}"
