"""The schema's version: tell it cheaply, bring an old or new database up to it, refuse a newer.

Alembic is imported only when there is something to migrate. Never changes a newer database.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, column, inspect, select, table

from autopack.adapters.store.dialect import WRITES, use_write_ahead_log
from autopack.adapters.store.tables import PREFIX, VERSION_TABLE
from autopack.core.errors import OperatorFault

VERSIONS = ("0001",)
"""The revisions this Autopack knows, oldest first."""
_version_table = table(VERSION_TABLE, column("version_num"))


def ensure(engine: Engine, path: Path) -> None:
    """Make the schema current; OperatorFault, nothing written, when it is newer than we are."""
    with engine.connect() as connection:
        if _version(connection, path) == VERSIONS[-1]:
            return
    use_write_ahead_log(engine)
    with engine.connect().execution_options(**WRITES) as connection, connection.begin():
        if _version(connection, path) != VERSIONS[-1]:  # another process may have been first
            _upgrade(connection)


def _version(connection: Connection, path: Path) -> str:
    """The database's revision, empty when it has none yet."""
    names = inspect(connection).get_table_names()
    if VERSION_TABLE not in names:
        if any(name.startswith(PREFIX) for name in names):
            raise OperatorFault(
                f"the store {path} has tables of Autopack but no schema version",
                "restore a backup or name another store; nothing was changed",
            )
        return ""
    version = connection.execute(select(_version_table.c.version_num)).scalar() or ""
    if version and version not in VERSIONS:
        raise OperatorFault(
            f"the store {path} was written by a newer Autopack: its schema is {version},"
            f" this one knows up to {VERSIONS[-1]}",
            "upgrade Autopack or name another store; nothing was changed",
        )
    return version


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415  150 ms that a current store does not pay
    from alembic.config import Config  # noqa: PLC0415  only to migrate

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
