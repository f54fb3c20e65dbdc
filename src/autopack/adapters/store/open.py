"""Open a store: its file, its connections, its schema. Never imports the engine."""

from __future__ import annotations

from pathlib import Path

from autopack.adapters.store import dialect, schema
from autopack.adapters.store.store import SqlStore
from autopack.core.errors import OperatorFault


def open_store(path: Path, *, create: bool = True) -> SqlStore:
    """The store in the SQLite file `path`, made (0600, in a 0700 folder) or migrated if need be.

    OperatorFault: there is none and `create` is False, or it is newer than this Autopack.
    EnvironmentFault: the file or the disk refuses.
    """
    if not create and not path.exists():
        raise OperatorFault(f"there is no store {path}", "`autopack run PLAN` makes one")
    dialect.prepare_file(path)
    engine = dialect.connect(path)
    try:
        with dialect.translated(path, "open"):
            schema.ensure(engine, path)
    except BaseException:
        engine.dispose()
        raise
    return SqlStore(engine, path)
