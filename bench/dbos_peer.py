"""A peer of `bench/engine.py`: the Engine port on DBOS, in the store's own database.

Not used by Autopack (docs/adr/0013). A command is one workflow, enqueued in the store's
transaction; finished ones pile up. One at a time in a process, since DBOS is a singleton.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import dbos
from sqlalchemy import URL, Engine, create_engine, event

from autopack.adapters.store.postgresql import PostgresqlDatabase
from autopack.adapters.store.transaction import SqlTransaction

NAME = "autopack"
QUEUE = "autopack_commands"
WORKFLOW = "autopack.perform"
VERSION = "bench"
SHIPPED_SECONDS = 1.0
END_SECONDS_MAX = 30


class DbosPeer:
    """At least once per id, `workers_max` at a time; as shipped it looks once a second."""

    def __init__(
        self, place: Path | str, *, workers_max: int, poll_seconds: float = SHIPPED_SECONDS
    ) -> None:
        logging.getLogger("dbos").setLevel(logging.WARNING)  # it tells of each migration
        self._database = _connections(place)
        self._polls_often = poll_seconds < SHIPPED_SECONDS
        self._client = dbos.DBOSClient(system_database_engine=self._database, application_name=NAME)
        # The public `DBOS.migrate` takes a URL, which not every path survives.
        self._client._sys_db.run_migrations()  # noqa: SLF001  private to the pinned release
        # Registered before the launch: a queue that is new to a running one waits a second.
        self._client.register_queue(
            QUEUE,
            worker_concurrency=workers_max,
            polling_interval_sec=poll_seconds,
            on_conflict="always_update",
        )

    def enqueue(self, command_ids: Sequence[str], within: SqlTransaction) -> None:
        for command_id in command_ids:
            options: dbos.EnqueueOptions = {
                "workflow_name": WORKFLOW,
                "queue_name": QUEUE,
                "workflow_id": command_id,
                "app_version": VERSION,
            }
            self._client.enqueue_in_transaction(within.connection, options, command_id)

    def start(self, perform: Callable[[str], None]) -> None:
        config = dbos.DBOSConfig(
            name=NAME,
            system_database_engine=self._database,
            application_version=VERSION,
            executor_id="supervisor",  # constant: a restart takes over what a dead process left
            run_migrations=False,
            log_level="WARNING",
        )
        if self._polls_often:
            config["notification_listener_polling_interval_sec"] = 0.2  # bounds how long stop takes
        dbos.DBOS(config=config)

        @dbos.DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)
        def workflow(command_id: str) -> None:
            perform(command_id)

        dbos.DBOS.launch()

    def stop(self) -> None:
        dbos.DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=END_SECONDS_MAX)
        self._client.destroy()
        self._database.dispose()


def _connections(place: Path | str) -> Engine:
    """Of its own, as durable as the store's: DBOS begins its transactions itself."""
    if isinstance(place, str):
        return PostgresqlDatabase(place).connect()
    made = create_engine(URL.create("sqlite", database=str(place)), pool_timeout=30)

    @event.listens_for(made, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        connection.execute("PRAGMA busy_timeout = 30000")
        connection.execute("PRAGMA synchronous = FULL")

    return made
