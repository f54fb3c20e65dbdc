"""The lock of the one supervisor of a store on PostgreSQL, held by a session of the server.

The server lets go of it when the supervisor dies, on whatever machine. Never waits. Whoever holds
it must `watch`: without its connection the lock may be another's.
"""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from autopack.adapters.store.postgresql import PostgresqlDatabase, lock_key
from autopack.core.errors import EnvironmentFault, StoreAway

LOOK_SECONDS: Final = 1.0
"""How often the holder looks whether its connection lives."""
NAME_BYTES_MAX: Final = 63
"""PostgreSQL cuts longer application names."""
_MARK: Final = "autopack supervisor "
_HOLDER: Final = text(
    "SELECT a.application_name, a.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
    " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND l.classid::bigint = :high AND l.objid::bigint = :low"
)


class AdvisoryLock:
    """Held; `release` lets others in."""

    def __init__(self, database: PostgresqlDatabase, connection: Connection) -> None:
        self._database = database
        self._connection = connection
        self._released = threading.Event()
        self._watcher: threading.Thread | None = None

    def watch(self, lost: Callable[[EnvironmentFault], None]) -> None:
        """Have `lost` called, from another thread, when the lock may be gone."""
        self._watcher = threading.Thread(target=self._look, args=(lost,), daemon=True)
        self._watcher.start()

    def release(self) -> None:
        """Let go; harmless when repeated, or when the server is gone."""
        self._released.set()
        if self._watcher is not None:
            self._watcher.join()
        with suppress(SQLAlchemyError):  # a connection that is lost has let go of it already
            self._connection.close()

    def _look(self, lost: Callable[[EnvironmentFault], None]) -> None:
        while not self._released.wait(LOOK_SECONDS):
            try:
                with self._database.translated("keep the supervisor's lock of"):
                    self._connection.execute(text("SELECT 1"))
            except EnvironmentFault as fault:
                lost(StoreAway(fault.what, fault.hint))
                return


def acquire(url: str) -> AdvisoryLock | None:
    """Take the lock of the database's store for this process; None when another one has it."""
    database = PostgresqlDatabase(url)
    name = f"{_MARK}{os.getpid()}@{platform.node()}"[:NAME_BYTES_MAX]
    with database.translated("lock"):
        connection = database.sessions(name).connect()
        key = {"key": lock_key(connection, "supervisor")}
        taken = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), key).scalar()
        if not taken:
            connection.close()
            return None
    return AdvisoryLock(database, connection)


def holder(url: str) -> str | None:
    """Who holds the lock: process and machine; None when nobody does."""
    database = PostgresqlDatabase(url)
    with database.translated("look at"), database.sessions("autopack").connect() as connection:
        key = lock_key(connection, "supervisor") % 2**64
        parts = {"high": key >> 32, "low": key % 2**32}
        row = connection.execute(_HOLDER, parts).first()
    if row is None:
        return None
    pid, _, machine = str(row.application_name).removeprefix(_MARK).partition("@")
    return f"process {pid} on {machine}" if machine else f"server process {row.pid}"
