"""Alembic's environment: runs in the caller's transaction and sees only our own tables."""

from __future__ import annotations

from alembic import context
from sqlalchemy.schema import SchemaItem

from autopack.adapters.store.tables import PREFIX, VERSION_TABLE, metadata


def ours(_item: SchemaItem, name: str | None, kind: str, *_reflected: object) -> bool:
    """The engine's tables share the database; comparisons must not propose to drop them."""
    return kind != "table" or (name or "").startswith(PREFIX)


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    include_object=ours,
)
context.run_migrations()
