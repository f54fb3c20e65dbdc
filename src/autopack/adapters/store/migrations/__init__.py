"""Alembic migrations of the store; run by `schema.ensure`."""
