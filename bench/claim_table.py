"""The peer of `bench/engine.py`: a claim-and-lease table, as small as one machine allows.

Not used by Autopack. Same port, same database, same durability; wakes its workers at commit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from sqlalchemy import Column, Connection, Engine, Integer, MetaData, String, Table, select, update
from sqlalchemy.dialects import postgresql, sqlite

from autopack.adapters.store.transaction import SqlTransaction

metadata = MetaData()
commands = Table(
    "bench_commands",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("command_id", String(100), unique=True, nullable=False),
    Column("status", String(10), nullable=False),
)


class ClaimTable:
    """At least once per id; what a dead process left is queued again at the start."""

    def __init__(self, engine: Engine, writer: threading.Lock, workers_max: int) -> None:
        self._engine, self._writer, self._workers_max = engine, writer, workers_max
        self._wake = threading.Condition()
        self._stopping = False
        self._threads: list[threading.Thread] = []
        with self._begin() as connection:
            metadata.create_all(connection)

    def _begin(self) -> AbstractContextManager[Connection]:
        return self._engine.execution_options(autopack_writes=True).begin()

    def enqueue(self, command_ids: Sequence[str], within: SqlTransaction) -> None:
        rows = [{"command_id": each, "status": "queued"} for each in command_ids]
        server = within.connection.dialect.name == "postgresql"
        insert = postgresql.insert(commands) if server else sqlite.insert(commands)
        within.connection.execute(insert.on_conflict_do_nothing(), rows)
        within.on_commit(self._look)

    def _look(self) -> None:
        with self._wake:
            self._wake.notify_all()

    def start(self, perform: Callable[[str], None]) -> None:
        with self._writer, self._begin() as connection:
            again = update(commands).where(commands.c.status == "claimed")
            connection.execute(again.values(status="queued"))
        self._threads = [
            threading.Thread(target=self._work, args=(perform,)) for _ in range(self._workers_max)
        ]
        for thread in self._threads:
            thread.start()

    def _claim(self) -> str | None:
        queued = select(commands.c.command_id).where(commands.c.status == "queued")
        with self._engine.connect() as connection:
            if connection.execute(queued.limit(1)).scalar() is None:
                return None
        with self._writer, self._begin() as connection:
            found = connection.execute(queued.order_by(commands.c.number).limit(1)).scalar()
            mine = update(commands).where(commands.c.command_id == found)
            connection.execute(mine.values(status="claimed"))
        return str(found)

    def _work(self, perform: Callable[[str], None]) -> None:
        while not self._stopping:
            with self._wake:
                command_id = self._claim()
                if command_id is None:
                    self._wake.wait()
                    continue
            perform(command_id)
            with self._writer, self._begin() as connection:
                mine = update(commands).where(commands.c.command_id == command_id)
                connection.execute(mine.values(status="done"))

    def stop(self) -> None:
        self._stopping = True
        self._look()
        for thread in self._threads:
            thread.join()
