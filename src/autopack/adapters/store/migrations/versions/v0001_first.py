"""The first schema: events, projections, requests, green results."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from autopack.adapters.store.append_only import append_only

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table and what keeps events append-only."""
    _runs()
    _tiers()
    _phases()
    _events()
    _requests()
    _green_results()
    for statement in append_only(op.get_bind().dialect.name):
        op.execute(statement)


def _green_results() -> None:
    op.create_table(
        "autopack_green_results",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )


def _runs() -> None:
    op.create_table(
        "autopack_runs",
        sa.Column("number", sa.Integer(), nullable=False, comment="order of creation"),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False, comment="JSON of the whole run"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("base_ref", sa.Text(), nullable=False),
        sa.Column("base_commit", sa.Text(), nullable=False),
        sa.Column("branch", sa.Text(), nullable=False),
        sa.Column("predecessor", sa.Text(), nullable=False),
        sa.Column("builder", sa.Text(), nullable=False),
        sa.Column("auditor", sa.Text(), nullable=False),
        sa.Column("sandbox", sa.Text(), nullable=False),
        sa.Column("safety_profile", sa.Text(), nullable=False),
        sa.Column("run_scope", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.Column("failure_cause", sa.Text(), nullable=False),
        sa.Column("failure_reason", sa.Text(), nullable=False),
        sa.Column("failure_phase_id", sa.Text(), nullable=False),
        sa.Column("token_cap", sa.BigInteger(), nullable=False),
        sa.Column("tokens_spent", sa.BigInteger(), nullable=False),
        sa.Column("tokens_reserved", sa.BigInteger(), nullable=False),
        sa.Column("ci_runs_used", sa.BigInteger(), nullable=False),
        sa.Column("infra_retries_used", sa.BigInteger(), nullable=False),
        sa.Column("active_seconds", sa.Float(), nullable=False),
        sa.Column("parked_seconds", sa.Float(), nullable=False),
        sa.Column("tip", sa.Text(), nullable=False),
        sa.Column("delivered", sa.Text(), nullable=False),
        sa.Column("delivery_refusal", sa.Text(), nullable=False),
        sa.Column("environment_digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("run_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("autopack_runs_ended", "autopack_runs", ["ended", "number"], unique=False)


def _events() -> None:
    op.create_table(
        "autopack_events",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("answers", sa.BigInteger(), nullable=False),
        sa.Column("active_seconds", sa.Float(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["autopack_runs.run_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "sequence"),
    )


def _phases() -> None:
    op.create_table(
        "autopack_phases",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("phase_id", sa.String(length=64), nullable=False),
        sa.Column("tier_id", sa.String(length=64), nullable=False),
        sa.Column("phase_index", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("task_category", sa.Text(), nullable=False),
        sa.Column("complexity", sa.Text(), nullable=False),
        sa.Column("builder_mode", sa.Text(), nullable=False),
        sa.Column("ci_profile", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("builder_attempts_max", sa.BigInteger(), nullable=False),
        sa.Column("attempts_used", sa.BigInteger(), nullable=False),
        sa.Column("attempts_granted", sa.BigInteger(), nullable=False),
        sa.Column("auditor_attempts_used", sa.BigInteger(), nullable=False),
        sa.Column("ci_runs_used", sa.BigInteger(), nullable=False),
        sa.Column("infra_retries_used", sa.BigInteger(), nullable=False),
        sa.Column("parks_used", sa.BigInteger(), nullable=False),
        sa.Column("conflicts_used", sa.BigInteger(), nullable=False),
        sa.Column("reapplies_used", sa.BigInteger(), nullable=False),
        sa.Column("incident_token_cap", sa.BigInteger(), nullable=False),
        sa.Column("tokens_spent", sa.BigInteger(), nullable=False),
        sa.Column("tokens_reserved", sa.BigInteger(), nullable=False),
        sa.Column("candidate_commit", sa.Text(), nullable=False),
        sa.Column("candidate_tree", sa.Text(), nullable=False),
        sa.Column("approved", sa.Boolean(), nullable=False),
        sa.Column("needed", sa.Boolean(), nullable=False),
        sa.Column("evidence_source", sa.Text(), nullable=False),
        sa.Column("snapshot_commit", sa.Text(), nullable=False),
        sa.Column("snapshot_tag", sa.Text(), nullable=False),
        sa.Column("failure_cause", sa.Text(), nullable=False),
        sa.Column("failure_reason", sa.Text(), nullable=False),
        sa.Column("skipped_because", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["autopack_runs.run_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "phase_id"),
    )


def _requests() -> None:
    op.create_table(
        "autopack_requests",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["autopack_runs.run_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )


def _tiers() -> None:
    op.create_table(
        "autopack_tiers",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("tier_id", sa.String(length=64), nullable=False),
        sa.Column("tier_index", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("cleanliness", sa.Text(), nullable=False),
        sa.Column("token_cap", sa.BigInteger(), nullable=False),
        sa.Column("tokens_spent", sa.BigInteger(), nullable=False),
        sa.Column("ci_run_cap", sa.BigInteger(), nullable=False),
        sa.Column("ci_runs_used", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["autopack_runs.run_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "tier_id"),
    )
