"""`project_issue_backlog.json`: what a project remembers, as a file for people and their tools.

Made from the store each time; never read back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from autopack.core.backlog import BacklogIssue
from autopack.core.spec import Aging

FILE: Final = "project_issue_backlog.json"


def backlog_text(project_id: str, entries: Iterable[BacklogIssue], aging: Aging) -> str:
    """The file's text: canonical, so that the same backlog is the same file."""
    told = {
        "project_id": project_id,
        "aging_thresholds": {"runs": aging.runs, "tiers": aging.tiers},
        "issues_by_key": {e.issue_key: record(e) for e in entries},
    }
    return json.dumps(told, indent=2, sort_keys=True, ensure_ascii=True) + "\n"


def record(entry: BacklogIssue) -> dict[str, Any]:
    """An entry with the names of spec 2, and what it rests on."""
    return {
        "category": entry.category,
        "base_severity": entry.base_severity.value,
        "effective_severity": entry.effective_severity.value,
        "age_in_runs": entry.age_in_runs,
        "age_in_tiers": entry.age_in_tiers,
        "seen_in_tiers": list(entry.seen_in_tiers),
        "occurrence_count": entry.occurrence_count,
        "first_seen_run_id": entry.first_seen_run_id,
        "last_seen_run_id": entry.last_seen_run_id,
        "last_seen_at": entry.last_seen_at,
        "status": entry.status.value,
        "resolved_by": entry.resolved_by,
        "resolved_before": entry.resolved_before,
        "cleaned_in": entry.cleaned_in,
        "cleanup_failed_in": list(entry.cleanup_failed_in),
        "quarantined_until": entry.quarantined_until,
        "upgraded": entry.upgraded,
        "evidence_refs": list(entry.evidence_refs),
        "description": entry.description,
    }
