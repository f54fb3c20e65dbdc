"""Is a run's history what was written? Recomputes the digest chain, replays the machine, compares.

It tells every change of a row made behind Autopack's back, except one that also rewrites all later
digests and projections: for that, keep a digest elsewhere. Never repairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, select

from autopack.adapters.store import codec, projection
from autopack.adapters.store.tables import events, issues, phases, runs, tiers
from autopack.core import machine
from autopack.core.event import Happened
from autopack.core.run import Run


def event_row(run_id: str, sequence: int, happened: Happened, previous: str) -> dict[str, Any]:
    """The row of an event that follows the digest `previous`."""
    row: dict[str, Any] = {
        "run_id": run_id,
        "sequence": sequence,
        "at": happened.at,
        "kind": happened.event.kind,
        "answers": happened.answers,
        "active_seconds": float(happened.active_seconds),
        "payload": codec.encode_event(happened.event),
    }
    return {**row, "previous": previous, "digest": codec.digest(previous, row)}


def problems(connection: Connection, run_id: str) -> list[str] | None:
    """What is wrong with a run; None when the database knows nothing of it."""
    rows = _rows(connection, events, run_id)
    stored = connection.execute(select(runs).where(runs.c.run_id == run_id)).mappings().first()
    if stored is None and not rows:
        return None
    found = list(_chain(rows))
    log, broken = _log(rows)
    found += broken
    if stored is None:
        return _named(run_id, [*found, "autopack_runs: its row is missing"])
    if stored["version"] != len(rows):
        found.append(f"autopack_runs column version is {stored['version']}, events: {len(rows)}")
    try:
        run = machine.replay(log)
    except (ValueError, LookupError, StopIteration) as error:  # what a forged event can provoke
        return _named(run_id, [*found, f"replay stops: {error!r}"])
    if not broken:
        found += _compare(connection, run, log, stored)
    return _named(run_id, found)


def _named(run_id: str, found: list[str]) -> list[str]:
    return [f"run {run_id}: {problem}" for problem in found]


def _rows(connection: Connection, table: Table, run_id: str) -> list[RowMapping]:
    query = select(table).where(table.c.run_id == run_id).order_by(*table.primary_key.columns)
    return list(connection.execute(query).mappings())


def _chain(rows: list[RowMapping]) -> Iterator[str]:
    """Gaps, reorderings and changed columns."""
    previous, expected = codec.GENESIS, 1
    for row in rows:
        sequence = row["sequence"]
        if sequence != expected:
            yield f"event {expected}: missing, {sequence} follows {expected - 1}"
        elif row["previous"] != previous:
            yield f"event {sequence} column previous: not the digest of event {sequence - 1}"
        columns = {name: row[name] for name in row if name not in ("previous", "digest")}
        if codec.digest(row["previous"], columns) != row["digest"]:
            yield f"event {sequence} column digest: does not match the row's columns"
        previous, expected = row["digest"], sequence + 1


def _log(rows: list[RowMapping]) -> tuple[list[Happened], list[str]]:
    """The events that can be read, up to the first that cannot."""
    log: list[Happened] = []
    for row in rows:
        try:
            event = codec.decode_event(row["payload"])
        except ValueError:
            return log, [f"event {row['sequence']} column payload: not an event"]
        if event.kind != row["kind"]:
            return log, [f"event {row['sequence']} column kind: payload says {event.kind}"]
        log.append(Happened(event, row["at"], row["answers"], row["active_seconds"]))
    return log, []


def _compare(
    connection: Connection, run: Run, log: list[Happened], stored: RowMapping
) -> Iterator[str]:
    """Columns of the projections that a replay makes differently."""
    expected = projection.run_row(run, log[0].at, log[-1].at)
    del expected["record"]
    yield from _columns("autopack_runs", stored, expected)
    if not _is_record(stored["record"], run):
        yield "autopack_runs column record differs"
    tables = (
        (tiers, projection.tier_rows(run)),
        (phases, projection.phase_rows(run)),
        (issues, projection.issue_rows(run)),
    )
    for table, rows in tables:
        yield from _table(table, _rows(connection, table, run.run_id), rows)


def _is_record(text: str, run: Run) -> bool:
    """Whether a record is the run; one of an earlier version lacks what it did not know."""
    try:
        return codec.decode_run(text) == run
    except ValueError:
        return False


def _table(table: Table, stored: list[RowMapping], expected: list[projection.Row]) -> Iterator[str]:
    key = [column.name for column in table.primary_key.columns][1:]

    def named(row: RowMapping | projection.Row) -> str:
        return " ".join(str(row[name]) for name in key)

    known = {named(row): row for row in stored}
    for row in expected:
        place = f"{table.name} {named(row)}"
        if named(row) in known:
            yield from _columns(place, known.pop(named(row)), row)
        else:
            yield f"{place}: its row is missing"
    yield from (f"{table.name} {name}: no event made this row" for name in known)


def _columns(place: str, stored: RowMapping, expected: projection.Row) -> Iterator[str]:
    for name, value in expected.items():
        if stored[name] != value:
            yield f"{place} column {name} is {stored[name]!r}, replay: {value!r}"
