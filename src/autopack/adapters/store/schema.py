"""The schema's version: tell it cheaply, bring an old or new database up to it, refuse a newer.

Alembic is imported only when there is something to migrate. Never changes a newer database.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, column, inspect, select, table

from autopack.adapters.store.dialect import Dialect
from autopack.adapters.store.tables import PREFIX, VERSION_TABLE
from autopack.core.errors import OperatorFault

VERSIONS = ("0001", "0002", "0003", "0004")
"""The revisions this Autopack knows, oldest first."""
_version_table = table(VERSION_TABLE, column("version_num"))


def ensure(engine: Engine, database: Dialect) -> None:
    """Make the schema current; OperatorFault, nothing written, when it is newer than we are."""
    if version(engine, database) == VERSIONS[-1]:
        return
    with engine.connect() as connection:
        database.prepare_tables(connection)
    with engine.connect().execution_options(**database.writes) as connection, connection.begin():
        database.migrate_alone(connection)
        if _version(connection, database) != VERSIONS[-1]:  # another process may have been first
            _upgrade(connection)


def version(engine: Engine, database: Dialect) -> str:
    """The database's revision, empty when it has none yet; OperatorFault when it is newer."""
    with engine.connect() as connection:
        database.check(connection)
        return _version(connection, database)


def _version(connection: Connection, database: Dialect) -> str:
    look = inspect(connection)
    if not look.has_table(VERSION_TABLE):
        if any(name.startswith(PREFIX) for name in look.get_table_names()):
            raise OperatorFault(
                f"the store {database} has tables of Autopack but no schema version",
                "restore a backup or name another store; nothing was changed",
            )
        return ""
    found = connection.execute(select(_version_table.c.version_num)).scalar() or ""
    if found and found not in VERSIONS:
        raise OperatorFault(
            f"the store {database} was written by a newer Autopack: its schema is {found},"
            f" this one knows up to {VERSIONS[-1]}",
            "upgrade Autopack or name another store; nothing was changed",
        )
    return found


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415  150 ms that a current store does not pay
    from alembic.config import Config  # noqa: PLC0415  only to migrate

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
