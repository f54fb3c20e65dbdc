"""Issues of phases, resolutions, last good rulesets; what runs and tiers come to by them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

RUNS = {"series": "", "ruleset": "", "debt_status": "clean", "resolved_issues": "[]"}
COUNTED = ("minor_issues", "major_issues")


def upgrade() -> None:
    """Make the tables, and the columns with what older rows say."""
    for name, before in RUNS.items():
        _text("autopack_runs", name, before)
    for name in COUNTED:
        _count("autopack_runs", name)
    for name in (*COUNTED, "major_issues_max"):
        _count("autopack_tiers", name)
    op.add_column("autopack_tiers", sa.Column("minor_issues_max", sa.BigInteger()))
    _text("autopack_phases", "cleans", "")
    _text("autopack_phases", "issue_state", "no_issues")
    _count("autopack_phases", "issues_dropped")
    _text("autopack_requests", "body", "")
    op.create_index(
        "autopack_runs_project", "autopack_runs", ["project_id", "repository", "number"]
    )
    _make_issues()
    _make_resolutions()
    op.create_table(
        "autopack_rulesets",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "repository"),
    )


def _text(table: str, name: str, before: str) -> None:
    op.add_column(table, sa.Column(name, sa.Text(), nullable=False, server_default=before))


def _count(table: str, name: str) -> None:
    op.add_column(table, sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))


def _make_issues() -> None:
    op.create_table(
        "autopack_issues",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("phase_id", sa.String(length=64), nullable=False),
        sa.Column("issue_key", sa.String(length=128), nullable=False),
        sa.Column("tier_id", sa.String(length=64), nullable=False),
        sa.Column("phase_index", sa.BigInteger(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("effective_severity", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("expected_fail", sa.Boolean(), nullable=False),
        sa.Column("occurrence_count", sa.BigInteger(), nullable=False),
        sa.Column("evidence_refs", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["autopack_runs.run_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "phase_id", "issue_key"),
    )


def _make_resolutions() -> None:
    op.create_table(
        "autopack_resolutions",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("issue_key", sa.String(length=128), nullable=False),
        sa.Column("occurrence_count", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "autopack_resolutions_project", "autopack_resolutions", ["project_id", "repository"]
    )
