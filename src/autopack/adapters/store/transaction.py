"""SqlTransaction: an open write of the store, which others join; and how a run's rows are made.

Never commits: that is the store's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from autopack.adapters.store import codec, projection
from autopack.adapters.store.memory import facts_in
from autopack.adapters.store.tables import events, phases, runs, tiers
from autopack.adapters.store.verify import event_row
from autopack.core.backlog import Facts
from autopack.core.errors import OwnFault
from autopack.core.event import Happened
from autopack.core.run import Run


@dataclass(frozen=True)
class SqlTransaction:
    """An open write: who shares the database may write through its connection, not commit it."""

    connection: Connection
    callbacks: list[Callable[[], None]]

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Have it called once the write is durable; never when it is rolled back."""
        self.callbacks.append(callback)

    def create(self, run: Run, happened: Happened) -> bool:
        """Record a new run with its first event; False, and nothing written, when it is taken."""
        check_version(run, 0)
        if self._taken(run.run_id):
            return False
        try:
            with self.connection.begin_nested():
                insert_run(self.connection, run, happened)
        except IntegrityError:
            if self._taken(run.run_id):  # by another process, a moment ago
                return False
            raise
        return True

    def facts(self, project_id: str, repository: str) -> Facts:
        """What is known of a project's issues, with what this write says of them."""
        return facts_in(self.connection, project_id, repository)

    def _taken(self, run_id: str) -> bool:
        known = select(runs.c.number).where(runs.c.run_id == run_id)
        return self.connection.execute(known).first() is not None


def insert_run(connection: Connection, run: Run, happened: Happened) -> None:
    """The rows of a new run and of its first event; IntegrityError when its id is taken."""
    row = projection.run_row(run, happened.at, happened.at)
    connection.execute(insert(runs).values(**row))
    first = event_row(run.run_id, 1, happened, codec.GENESIS)
    connection.execute(insert(events).values(**first))
    connection.execute(insert(tiers), projection.tier_rows(run))
    connection.execute(insert(phases), projection.phase_rows(run))


def check_version(run: Run, expected_version: int) -> None:
    """OwnFault unless the run is one event ahead."""
    if run.version != expected_version + 1:
        raise OwnFault(
            f"run {run.run_id} at version {run.version} cannot follow version {expected_version}"
        )
