"""The store's tables. Events are the truth; runs, tiers and phases are projections to query.

All names begin with `autopack_`: the engine's tables live in the same database. The migrations
make them; a test compares both. Never holds a statement.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    false,
)

PREFIX = "autopack_"
VERSION_TABLE = "autopack_schema"
metadata = MetaData()


def _run_id(*, key: bool = False) -> Column[str]:
    owner = ForeignKey("autopack_runs.run_id", ondelete="CASCADE")
    return Column("run_id", String(64), owner, nullable=False, primary_key=key)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _later_text(name: str, before: str = "") -> Column[str]:
    """A column that older stores got when they had rows; `before`: what those say."""
    return Column(name, Text, nullable=False, server_default=before)


def _later_count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


runs = Table(
    "autopack_runs",
    metadata,
    Column("number", Integer, primary_key=True, comment="order of creation"),
    Column("run_id", String(64), nullable=False, unique=True),
    _count("version"),
    Column("record", Text, nullable=False, comment="JSON of the whole run"),
    _count("created_at"),
    _count("updated_at"),
    _text("project_id"),
    _text("repository"),
    _text("base_ref"),
    _text("base_commit"),
    _text("branch"),
    _text("predecessor"),
    _text("builder"),
    _text("auditor"),
    _text("sandbox"),
    _text("safety_profile"),
    _text("run_scope"),
    _text("state"),
    _text("stage"),
    Column("ended", Boolean, nullable=False),
    _text("failure_cause"),
    _text("failure_reason"),
    _text("failure_phase_id"),
    _count("token_cap"),
    _count("tokens_spent"),
    _count("tokens_reserved"),
    _count("ci_runs_used"),
    _count("infra_retries_used"),
    Column("active_seconds", Float, nullable=False),
    Column("parked_seconds", Float, nullable=False),
    _text("tip"),
    _text("delivered"),
    _text("delivery_refusal"),
    _text("environment_digest"),
    _later_text("series"),
    _later_text("ruleset"),
    _later_text("debt_status", "clean"),
    _later_count("minor_issues"),
    _later_count("major_issues"),
    _later_text("resolved_issues", "[]"),
    _later_text("resolved_occurrences", "{}"),
    Index("autopack_runs_ended", "ended", "number"),
    Index("autopack_runs_project", "project_id", "repository", "number"),
    sqlite_autoincrement=True,
)

tiers = Table(
    "autopack_tiers",
    metadata,
    _run_id(key=True),
    Column("tier_id", String(64), primary_key=True),
    _count("tier_index"),
    _text("name"),
    _text("state"),
    _text("cleanliness"),
    _count("token_cap"),
    _count("tokens_spent"),
    _count("ci_run_cap"),
    _count("ci_runs_used"),
    _later_count("minor_issues"),
    _later_count("major_issues"),
    Column("minor_issues_max", BigInteger),
    _later_count("major_issues_max"),
)

phases = Table(
    "autopack_phases",
    metadata,
    _run_id(key=True),
    Column("phase_id", String(64), primary_key=True),
    Column("tier_id", String(64), nullable=False),
    _count("phase_index"),
    _text("name"),
    _text("task_category"),
    _text("complexity"),
    _text("builder_mode"),
    _text("ci_profile"),
    _text("state"),
    _text("step"),
    _count("builder_attempts_max"),
    _count("attempts_used"),
    _count("attempts_granted"),
    _count("auditor_attempts_used"),
    _count("ci_runs_used"),
    _count("infra_retries_used"),
    _count("parks_used"),
    _count("conflicts_used"),
    _count("reapplies_used"),
    _count("incident_token_cap"),
    _count("tokens_spent"),
    _count("tokens_reserved"),
    _text("candidate_commit"),
    _text("candidate_tree"),
    Column("approved", Boolean, nullable=False),
    Column("needed", Boolean, nullable=False),
    _text("evidence_source"),
    _text("snapshot_commit"),
    _text("snapshot_tag"),
    _text("failure_cause"),
    _text("failure_reason"),
    _text("skipped_because"),
    _later_text("cleans"),
    _later_text("issue_state", "no_issues"),
    _later_count("issues_dropped"),
    _later_count("occurrences_known"),
)

issues = Table(
    "autopack_issues",
    metadata,
    _run_id(key=True),
    Column("phase_id", String(64), primary_key=True),
    Column("issue_key", String(128), primary_key=True),
    Column("tier_id", String(64), nullable=False),
    _count("phase_index"),
    _text("severity"),
    _text("effective_severity"),
    _text("source"),
    _text("category"),
    Column("expected_fail", Boolean, nullable=False),
    _count("occurrence_count"),
    _text("evidence_refs"),
    _text("description"),
    Column("upgraded", Boolean, nullable=False, server_default=false()),
)

resolutions = Table(
    "autopack_resolutions",
    metadata,
    Column("number", Integer, primary_key=True),
    _text("project_id"),
    _text("repository"),
    Column("issue_key", String(128), nullable=False),
    _count("occurrence_count"),
    _text("by"),
    _text("reason"),
    _count("at"),
    Index("autopack_resolutions_project", "project_id", "repository"),
    sqlite_autoincrement=True,
)

rulesets = Table(
    "autopack_rulesets",
    metadata,
    Column("project_id", String(64), primary_key=True),
    Column("repository", Text, primary_key=True),
    Column("digest", String(64), nullable=False),
    _text("text"),
    _count("at"),
)

events = Table(
    "autopack_events",
    metadata,
    _run_id(key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    _count("at"),
    _text("kind"),
    _count("answers"),
    Column("active_seconds", Float, nullable=False),
    _text("payload"),
    Column("previous", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
)

requests = Table(
    "autopack_requests",
    metadata,
    Column("number", Integer, primary_key=True),
    _run_id(),
    _text("kind"),
    _text("by"),
    _later_text("body"),
    sqlite_autoincrement=True,
)

green_results = Table(
    "autopack_green_results",
    metadata,
    Column("key", Text, primary_key=True),
    _text("result"),
)

notices = Table(
    "autopack_notices",
    metadata,
    Column("number", Integer, primary_key=True),
    _run_id(),
    Column("notice_id", String(64), nullable=False),
    Column("target", String(64), nullable=False),
    _text("body"),
    Column("state", String(16), nullable=False),
    _count("attempts"),
    _text("said"),
    Index("autopack_notices_owed", "target", "state", "number"),
    sqlite_autoincrement=True,
)
