"""Open a store: its database, its connections, its schema. Never imports the engine."""

from __future__ import annotations

from pathlib import Path

from autopack.adapters.store import schema
from autopack.adapters.store.dialect import Dialect
from autopack.adapters.store.sqlite import SqliteFile
from autopack.adapters.store.store import SqlStore
from autopack.core.errors import OperatorFault


class NoStore(OperatorFault):
    """Nothing was ever recorded there."""


def open_store(place: Path | str, *, create: bool = True) -> SqlStore:
    """The store in an SQLite file (0600, in a 0700 folder) or at a URL of PostgreSQL.

    It is made or migrated if need be. NoStore: there is none and `create` is False. OperatorFault:
    it is newer than this Autopack. EnvironmentFault: file, disk or server refuses.
    """
    database = _dialect(place)
    if isinstance(place, Path) and not create and not place.exists():
        raise _missing(database)
    database.prepare()
    engine = database.connect()
    try:
        with database.translated("open"):
            is_there = create or schema.version(engine, database)
            if is_there:
                schema.ensure(engine, database)
    except BaseException:
        engine.dispose()
        raise
    if not is_there:
        engine.dispose()
        raise _missing(database)
    return SqlStore(engine, database)


def _missing(database: Dialect) -> NoStore:
    return NoStore(f"there is no store {database}", "`autopack run PLAN` makes one")


def _dialect(place: Path | str) -> Dialect:
    if isinstance(place, Path):
        return SqliteFile(place)
    from autopack.adapters.store.postgresql import PostgresqlDatabase  # noqa: PLC0415  its driver

    return PostgresqlDatabase(place)
