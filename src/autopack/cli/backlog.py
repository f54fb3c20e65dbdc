"""The project that stands here with the backlog of its runs, for the commands that show it.

Aged by the ruleset that holds now; a wrong one is told of and stops no reader. Never prints more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from autopack import housekeeping, wiring
from autopack.cli import render, view
from autopack.core.backlog import BacklogIssue, Facts, IssueStatus, backlog
from autopack.core.spec import Aging
from autopack.settings import Loaded


@dataclass(frozen=True)
class Remembered:
    """A project (its id and repository), what is known of its issues, and its backlog."""

    loaded: Loaded
    project: tuple[str, str]
    aging: Aging
    facts: Facts
    entries: tuple[BacklogIssue, ...]


def quarantine(entry: BacklogIssue, now: int) -> str:
    """Until when strict CI tolerates a flaky test, or no longer does; `now` in Unix seconds."""
    until = entry.quarantined_until
    if not until or entry.status is IssueStatus.RESOLVED:
        return ""
    day = datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%d")
    return f"quarantined until {day}" if now < until else f"quarantine ended {day}"


def remembered(repo: Path | None, *, as_json: bool) -> Remembered:
    """What is remembered of the project in `repo`, or in this folder."""
    loaded = view.here(as_json=as_json, folder=repo)
    source = wiring.checkout(loaded, repo or Path.cwd())
    with wiring.reading(loaded) as store:
        settled, found, aging = housekeeping.project_aging(loaded, store, source)
        project_id, top = settled.project_id, source.top
        facts = store.memory().facts(project_id, str(top)) if store is not None else Facts()
    render.warn(found.warnings, as_json=as_json)
    return Remembered(loaded, (project_id, str(top)), aging, facts, backlog(facts, aging))
