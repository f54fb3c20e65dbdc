"""SqlStore: the Store port on a database. Every write is one durable transaction.

Reads never wait for the writer. Never decides what a run does next; never runs a command.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, Row, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from autopack.adapters.store import codec, projection
from autopack.adapters.store.dialect import Dialect
from autopack.adapters.store.memory import SqlMemory
from autopack.adapters.store.outbox import SqlOutbox
from autopack.adapters.store.rulesets import SqlRulesets
from autopack.adapters.store.tables import (
    events,
    green_results,
    issues,
    phases,
    requests,
    runs,
    tiers,
)
from autopack.adapters.store.transaction import SqlTransaction, check_version, insert_run
from autopack.adapters.store.verify import event_row, problems
from autopack.app.ports import Recorded, Request, Transaction
from autopack.core.errors import EnvironmentFault, OperatorFault
from autopack.core.event import Happened, PlanDrafted
from autopack.core.ids import id_problem
from autopack.core.names import printable
from autopack.core.run import Run

_SET_TIERS = update(tiers).where(
    tiers.c.run_id == bindparam("of_run"), tiers.c.tier_id == bindparam("of_id")
)
_SET_PHASES = update(phases).where(
    phases.c.run_id == bindparam("of_run"), phases.c.phase_id == bindparam("of_id")
)


class SqlStore:
    """Runs, events and requests in the tables of one database."""

    def __init__(self, engine: Engine, database: Dialect) -> None:
        self._engine = engine
        self._database = database
        self._writer = threading.Lock()

    def create(self, run: Run, happened: Happened) -> None:
        """Record a new run with its first event; OperatorFault when the id is taken."""
        check_version(run, 0)
        with self._write("record a run in") as connection:
            try:
                insert_run(connection, run, happened)
            except IntegrityError as error:
                what = f"there is a run {run.run_id} already"
                raise OperatorFault(what, "choose another id") from error

    def load(self, run_id: str) -> Run:
        """The run as its last event left it; OperatorFault when unknown."""
        _check_id(run_id)
        with self._read() as connection:
            row = connection.execute(select(runs.c.record).where(runs.c.run_id == run_id)).first()
        if row is None:
            raise _unknown(run_id)
        return self._decoded(run_id, row.record)

    def save(
        self,
        run: Run,
        happened: Happened,
        *,
        expected_version: int,
        within: Callable[[Transaction], None],
    ) -> bool:
        """Append the event and replace the projections in one transaction, `within` inside it.

        False, and nothing written, when the stored version is not `expected_version`. `within`
        must write through the transaction only: the store itself is locked meanwhile.
        """
        check_version(run, expected_version)
        row = projection.run_row(run, 0, happened.at)
        del row["created_at"]
        tier_rows, phase_rows = projection.tier_rows(run), projection.phase_rows(run)
        on_commit: list[Callable[[], None]] = []
        with self._write("write to") as connection:
            changed = connection.execute(
                update(runs)
                .where(runs.c.run_id == run.run_id, runs.c.version == expected_version)
                .values(**row)
            )
            if changed.rowcount != 1:
                known = select(runs.c.number).where(runs.c.run_id == run.run_id)
                if connection.execute(known).first() is None:
                    raise _unknown(run.run_id)
                return False
            previous = connection.execute(
                select(events.c.digest).where(
                    events.c.run_id == run.run_id, events.c.sequence == expected_version
                )
            ).scalar_one()
            connection.execute(
                insert(events).values(**event_row(run.run_id, run.version, happened, previous))
            )
            if isinstance(happened.event, PlanDrafted):  # other tiers and phases than before
                for table, rows in ((tiers, tier_rows), (phases, phase_rows)):
                    connection.execute(delete(table).where(table.c.run_id == run.run_id))
                    connection.execute(insert(table), rows)
            connection.execute(_SET_TIERS, [_keyed(row, "tier_id") for row in tier_rows])
            connection.execute(_SET_PHASES, [_keyed(row, "phase_id") for row in phase_rows])
            if run.issues_version == run.version:
                connection.execute(delete(issues).where(issues.c.run_id == run.run_id))
                if found := projection.issue_rows(run):
                    connection.execute(insert(issues), found)
            within(SqlTransaction(connection, on_commit))
        for callback in on_commit:
            callback()
        return True

    def runs(self, *, ended: bool | None = None, after: str = "", limit: int = 50) -> list[Run]:
        """Runs, newest first, after the run of id `after`; only (not) ended ones when asked."""
        query = select(runs.c.run_id, runs.c.record).order_by(runs.c.number.desc()).limit(limit)
        if ended is not None:
            query = query.where(runs.c.ended == ended)
        if after:
            _check_id(after)
        with self._read() as connection:
            if after:
                place = select(runs.c.number).where(runs.c.run_id == after)
                number = connection.execute(place).scalar()
                if number is None:
                    raise _unknown(after)
                query = query.where(runs.c.number < number)
            rows = connection.execute(query).all()
        return [self._decoded(row.run_id, row.record) for row in rows]

    def open_ids(self) -> list[str]:
        """Ids of the runs that have not ended, newest first; reads no record."""
        query = select(runs.c.run_id).where(runs.c.ended.is_(False)).order_by(runs.c.number.desc())
        with self._read() as connection:
            return list(connection.execute(query).scalars())

    def continued(self, run_id: str) -> list[str]:
        """Ids of the runs whose predecessor that run is, oldest first; reads no record."""
        if id_problem(run_id):
            return []
        query = select(runs.c.run_id).where(runs.c.predecessor == run_id).order_by(runs.c.number)
        with self._read() as connection:
            return list(connection.execute(query).scalars())

    def events(self, run_id: str, *, after: int = 0, limit: int = 1000) -> list[Recorded]:
        """A run's events in order, after the sequence number `after`."""
        if id_problem(run_id):
            return []
        query = (
            select(events)
            .where(events.c.run_id == run_id, events.c.sequence > after)
            .order_by(events.c.sequence)
            .limit(limit)
        )
        with self._read() as connection:
            rows = connection.execute(query).all()
        return [self._recorded(row) for row in rows]

    def verify(self, run_id: str) -> list[str]:
        """Problems of the run's chain and projections, rebuilt from its events; empty is sound."""
        _check_id(run_id)
        with self._read(whole=True) as connection:
            found = problems(connection, run_id)
        if found is None:
            raise _unknown(run_id)
        return found

    def ask(self, run_id: str, kind: str, by: str, body: str = "") -> int:
        """Leave a request for the supervisor; its number. OperatorFault when the run is unknown."""
        _check_id(run_id)
        row = {"run_id": run_id, "kind": kind, "by": projection.storable(by), "body": body}
        with self._write("leave a request in") as connection:
            try:
                made = insert(requests).values(**row).returning(requests.c.number)
                number: int = connection.execute(made).scalar_one()
            except IntegrityError as error:
                raise _unknown(run_id) from error
        return number

    def requests(self) -> list[Request]:
        """Requests that were not answered, oldest first."""
        with self._read() as connection:
            rows = connection.execute(select(requests).order_by(requests.c.number)).all()
        return [Request(row.number, row.run_id, row.kind, row.by, row.body) for row in rows]

    def answered(self, number: int) -> None:
        """Drop a request that was carried out."""
        with self._write("write to") as connection:
            connection.execute(delete(requests).where(requests.c.number == number))

    def green(self, key: str) -> str | None:
        """The JSON of a cached green CI result."""
        query = select(green_results.c.result).where(green_results.c.key == key)
        with self._read() as connection:
            return connection.execute(query).scalar()

    def remember_green(self, key: str, result: str) -> None:
        """Keep a green CI result; a later one of the same key replaces it."""
        replace = update(green_results).where(green_results.c.key == key).values(result=result)
        with self._write("write to") as connection:
            if connection.execute(replace).rowcount:
                return
            try:
                with connection.begin_nested():
                    connection.execute(insert(green_results).values(key=key, result=result))
            except IntegrityError:  # another process was first
                connection.execute(replace)

    def outbox(self) -> SqlOutbox:
        """Notices that targets are owed, in the same database."""
        return SqlOutbox(self._read, self._write)

    def memory(self) -> SqlMemory:
        """What projects remember across runs, in the same database."""
        return SqlMemory(self._read, self._write)

    def rulesets(self) -> SqlRulesets:
        """The last good rulesets of projects, in the same database."""
        return SqlRulesets(self._read, self._write)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _read(self, *, whole: bool = False) -> Iterator[Connection]:
        """A connection for one statement; `whole`: for several that see one state."""
        options = self._database.snapshot if whole else self._database.reads
        with self._database.translated("read"), self._engine.connect() as plain:
            yield plain.execution_options(**options)

    @contextmanager
    def _write(self, doing: str) -> Iterator[Connection]:
        """A transaction that commits at the end; our own threads queue without busy waiting."""
        with self._writer, self._database.translated(doing), self._engine.connect() as plain:
            connection = plain.execution_options(**self._database.writes)
            with connection.begin():
                yield connection

    def _decoded(self, run_id: str, record: str) -> Run:
        try:
            return codec.decode_run(record)
        except ValueError as error:
            raise self._damaged(run_id, "record of the run") from error

    def _recorded(self, row: Row[Any]) -> Recorded:
        try:
            event = codec.decode_event(row.payload)
        except ValueError as error:
            raise self._damaged(row.run_id, f"payload of event {row.sequence}") from error
        happened = Happened(event, row.at, row.answers, row.active_seconds)
        return Recorded(row.run_id, row.sequence, happened, row.digest)

    def _damaged(self, run_id: str, what: str) -> EnvironmentFault:
        return EnvironmentFault(
            f"the store {self._database} is damaged: the {what} {run_id} cannot be read",
            f"run `autopack events verify {run_id}`, then restore a backup",
        )


def _keyed(row: projection.Row, key: str) -> projection.Row:
    values = {name: value for name, value in row.items() if name not in ("run_id", key)}
    return {"of_run": row["run_id"], "of_id": row[key], **values}


def _check_id(run_id: str) -> None:
    """OperatorFault for what no run can be called: no database need be asked, and some cannot."""
    if id_problem(run_id):
        raise _unknown(run_id)


def _unknown(run_id: str) -> OperatorFault:
    told = printable(run_id.encode("utf-8", "backslashreplace"))
    return OperatorFault(f"there is no run {told}", "`autopack run list` shows the runs")
