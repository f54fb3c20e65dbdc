"""The backlog in short: how much is open, what ages, what comes back. Only reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from autopack.core.backlog import BacklogIssue, IssueStatus

TOP_MAX: Final = 10
"""Issues listed of a kind."""


@dataclass(frozen=True)
class DebtIssue:
    """One issue of the backlog, in short."""

    issue_key: str
    base_severity: str
    effective_severity: str
    """What it counts as in later strategies."""
    status: str
    age_in_runs: int
    age_in_tiers: int
    occurrence_count: int
    seen_in_tiers: tuple[str, ...]
    first_seen_run_id: str
    last_seen_run_id: str
    quarantined_until: int = 0
    """Of a flaky test, Unix seconds; 0: of no flaky test."""


@dataclass(frozen=True)
class BacklogSummary:
    """Lists hold at most `TOP_MAX` each; resolved issues are only counted."""

    project_id: str
    total_issues: int
    open_count: int
    needs_cleanup_count: int
    resolved_count: int
    reopened_count: int
    """Not resolved now, although they were before."""
    top_aging_issues: tuple[DebtIssue, ...]
    top_recurring_issues: tuple[DebtIssue, ...]
    needs_cleanup: tuple[DebtIssue, ...]


def backlog_summary(project_id: str, entries: Sequence[BacklogIssue]) -> BacklogSummary:
    """What a backlog comes to; ties by key, so that the same backlog is told the same way."""
    unsolved = [entry for entry in entries if entry.status is not IssueStatus.RESOLVED]
    aged = [entry for entry in unsolved if entry.status is IssueStatus.NEEDS_CLEANUP]
    return BacklogSummary(
        project_id=project_id,
        total_issues=len(entries),
        open_count=len(unsolved) - len(aged),
        needs_cleanup_count=len(aged),
        resolved_count=len(entries) - len(unsolved),
        reopened_count=sum(entry.resolved_before > 0 for entry in unsolved),
        top_aging_issues=_top(sorted(unsolved, key=_age)),
        top_recurring_issues=_top(sorted(unsolved, key=_recurrence)),
        needs_cleanup=_top(sorted(aged, key=_age)),
    )


def _age(entry: BacklogIssue) -> tuple[int, int, str]:
    return -entry.age_in_runs, -entry.age_in_tiers, entry.issue_key


def _recurrence(entry: BacklogIssue) -> tuple[int, str]:
    return -entry.occurrence_count, entry.issue_key


def _top(entries: Sequence[BacklogIssue]) -> tuple[DebtIssue, ...]:
    return tuple(
        DebtIssue(
            issue_key=entry.issue_key,
            base_severity=entry.base_severity.value,
            effective_severity=entry.effective_severity.value,
            status=entry.status.value,
            age_in_runs=entry.age_in_runs,
            age_in_tiers=entry.age_in_tiers,
            occurrence_count=entry.occurrence_count,
            seen_in_tiers=entry.seen_in_tiers,
            first_seen_run_id=entry.first_seen_run_id,
            last_seen_run_id=entry.last_seen_run_id,
            quarantined_until=entry.quarantined_until,
        )
        for entry in entries[:TOP_MAX]
    )
