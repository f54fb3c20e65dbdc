"""What was known of an issue when it was resolved or cleaned; which were upgraded by a rule."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns; older rows say that nothing was kept."""
    op.add_column(
        "autopack_issues",
        sa.Column("upgraded", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column(
        "autopack_phases",
        sa.Column("occurrences_known", sa.BigInteger(), nullable=False, server_default="0"),
    )
    op.add_column(
        "autopack_runs",
        sa.Column("resolved_occurrences", sa.Text(), nullable=False, server_default="{}"),
    )
