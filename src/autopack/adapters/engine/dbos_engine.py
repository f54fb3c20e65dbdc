"""DbosEngine: the Engine port on DBOS, in the store's own database; for stores on PostgreSQL.

A command is one DBOS workflow whose id is the command's, enqueued inside the store's transaction.
It has no DBOS step: performing is idempotent, so a step's extra commit would buy nothing. What it
costs is measured by bench/engine.py; the release is pinned, and what is private to it is marked.
One engine per process, as DBOS is a singleton; on SQLite, where the contract tests run it, one
process per file.
Never decides what a command means, never reads the store's tables.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, cast

import dbos
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from autopack.app.ports import Transaction
from autopack.core.errors import EnvironmentFault, OwnFault

PROTOCOL = "autopack-1"
"""DBOS's application version: raise it when workflows of the old one must not be taken over."""
APPLICATION = "autopack"
QUEUE = "autopack_commands"
WORKFLOW = "autopack.perform"
EXECUTOR = "supervisor"
"""Constant, so that a restart takes over at once what its dead predecessor left."""
POLL_SECONDS = 0.02
FINISHED_KEPT = 500
"""Finished workflows that stay known, so that a late second enqueue of an id does nothing."""
_SWEEP_EVERY = 200
_GIVEN_UP = ("ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
_log = logging.getLogger(__name__)


class _Shares(Protocol):
    """What a transaction of a store in the same database shows."""

    @property
    def connection(self) -> Connection: ...


class _Json(dbos.Serializer):
    """DBOS pickles by default: whoever wrote the database would run code here."""

    def serialize(self, data: object) -> str:
        return json.dumps(data, default=repr)

    def deserialize(self, serialized_data: str) -> object:
        return json.loads(serialized_data)

    def name(self) -> str:
        return "autopack_json"


class DbosEngine:
    """At least once per id, `workers_max` at a time, over `database` (see `SqlStore.companion`)."""

    def __init__(
        self, database: Engine, *, workers_max: int, finished_kept: int = FINISHED_KEPT
    ) -> None:
        _quiet()
        self._database = database
        self._finished_kept = finished_kept
        self._finished = 0
        self._counting = threading.Lock()
        self._runtime: dbos.DBOS | None = None
        with self._translated():
            self._client = dbos.DBOSClient(
                system_database_engine=database,
                serializer=_Json(),
                application_name=APPLICATION,
                retry_connection_errors=False,  # a lost database is told, not waited for
            )
            # The public `DBOS.migrate` takes a URL, which not every path survives.
            self._client._sys_db.run_migrations()  # noqa: SLF001  private to the pinned release
            # Registered before the launch: a queue that is new to a running one waits a second.
            self._client.register_queue(
                QUEUE,
                worker_concurrency=workers_max,
                polling_interval_sec=POLL_SECONDS,
                on_conflict="always_update",
            )

    def enqueue(self, command_ids: Sequence[str], within: Transaction) -> None:
        """Queue commands by rows of the store's transaction; a known id changes nothing."""
        connection = cast("_Shares", within).connection
        for command_id in command_ids:
            self._client.enqueue_in_transaction(connection, _options(command_id), command_id)

    def start(self, perform: Callable[[str], None]) -> None:
        """Begin to call `perform(command_id)`; what a dead process left is performed again."""
        if self._runtime is not None:
            raise OwnFault("the engine was started twice")
        with self._translated():
            self._sweep()
        config = dbos.DBOSConfig(
            name=APPLICATION,
            system_database_engine=self._database,
            serializer=_Json(),
            application_version=PROTOCOL,
            executor_id=EXECUTOR,
            run_migrations=False,
            log_level="WARNING",
            notification_listener_polling_interval_sec=0.2,  # unused; bounds how long stop takes
        )
        self._runtime = dbos.DBOS(config=config)

        # Without a limit of recoveries: the machine counts failures, not the queue.
        @dbos.DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)
        def workflow(command_id: str) -> None:
            self._perform(perform, command_id)

        with self._translated():
            dbos.DBOS.launch()
        # Else each of its threads sleeps up to 90 s between tries of a server that is away, `stop`
        # with them: the supervisor must end at once, for its lock may be another's by now.
        self._runtime._sys_db._retry_connection_errors = False  # noqa: SLF001  private to the pinned release

    def recover(self, command_ids: Sequence[str]) -> None:
        """Queue those of the commands that the engine does not know or has given up.

        One that is queued or under way here is left alone; one of another PROTOCOL is queued anew.
        """
        if command_ids:
            with self._translated():
                self._recover(command_ids)

    def _recover(self, command_ids: Sequence[str]) -> None:
        known = self._client.list_workflows(
            workflow_ids=list(command_ids), load_input=False, load_output=False
        )
        lost = [w.workflow_id for w in known if w.status in _GIVEN_UP or _stranded(w)]
        if lost:
            self._client.delete_workflows(lost)
        missing = set(command_ids) - {w.workflow_id for w in known}
        for command_id in command_ids:
            if command_id in missing or command_id in lost:
                self._client.enqueue(_options(command_id), command_id)

    def stop(self) -> None:
        """Stop taking commands and wait for those under way."""
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            _drain(runtime)
            dbos.DBOS.destroy(destroy_registry=True)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, dbos.error.DBOSException) as error:
            what = f"the queue of commands in {self._database.url.database} failed: {error}"
            hint = "see that the disk has space and no other supervisor runs, then start again"
            raise EnvironmentFault(what, hint) from error

    def _perform(self, perform: Callable[[str], None], command_id: str) -> None:
        try:
            perform(command_id)
        except Exception:
            # DBOS marks it ERROR; `recover` queues it again.
            _log.exception("command %s was not performed; it waits to be recovered", command_id)
            raise
        with self._counting:
            self._finished += 1
            due = self._finished % _SWEEP_EVERY == 0
        if due:
            self._sweep()

    def _sweep(self) -> None:
        """Delete all but the newest finished workflows, so that the tables do not grow."""
        finished = self._client.list_workflows(
            status=["SUCCESS", *_GIVEN_UP],
            queue_name=QUEUE,
            sort_desc=True,
            offset=self._finished_kept,
            load_input=False,
            load_output=False,
        )
        if finished:
            self._client.delete_workflows([workflow.workflow_id for workflow in finished])


def _options(command_id: str) -> dbos.EnqueueOptions:
    return {
        "workflow_name": WORKFLOW,
        "queue_name": QUEUE,
        "workflow_id": command_id,
        "app_version": PROTOCOL,
    }


def _stranded(workflow: dbos.WorkflowStatus) -> bool:
    """Queued by another PROTOCOL: nothing here would ever take it."""
    return workflow.status in ("ENQUEUED", "PENDING") and workflow.app_version != PROTOCOL


def _drain(runtime: dbos.DBOS) -> None:
    """Stop DBOS's pollers, then wait for the commands they had taken.

    `DBOS.destroy` waits in steps of a second and drops connections of those that take longer.
    """
    for event in runtime.background_thread_stop_events:
        event.set()
    for thread in runtime._background_threads:  # noqa: SLF001  private to the pinned release
        if "(queue_thread)" in thread.name:
            thread.join()
    runtime._executor.shutdown(wait=True)  # noqa: SLF001  private to the pinned release


def _quiet() -> None:
    """Keep DBOS from adding a console handler; its warnings go to whoever configured logging."""
    logger = logging.getLogger("dbos")
    logger.setLevel(logging.WARNING)  # it tells of each migration
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
