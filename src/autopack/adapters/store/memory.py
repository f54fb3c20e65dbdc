"""SqlMemory: the Memory port in the store's database: what all runs of a project saw.

Issues are projections of runs; resolutions by hand are rows of their own. Never ages anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from autopack.adapters.store import projection
from autopack.adapters.store.tables import issues, phases, resolutions, runs
from autopack.core.backlog import Cleaned, Facts, Resolution, Settled, Sighting
from autopack.core.issue import Issue, IssueSeverity, IssueSource
from autopack.core.run import PhaseState


class SqlMemory:
    """Reads and writes what is remembered; `reading` and `writing` are its store's."""

    def __init__(
        self,
        reading: Callable[..., AbstractContextManager[Connection]],
        writing: Callable[[str], AbstractContextManager[Connection]],
    ) -> None:
        self._reading = reading
        self._writing = writing

    def facts(self, project_id: str, repository: str) -> Facts:
        """All that is known of the project's issues."""
        with self._reading(whole=True) as connection:
            return facts_in(connection, project_id, repository)

    def resolve(self, project_id: str, repository: str, resolution: Resolution) -> None:
        """Keep somebody's word that an issue is no more; durable on return."""
        row = {
            "project_id": projection.storable(project_id),
            "repository": projection.storable(repository),
            "issue_key": resolution.issue_key,
            "occurrence_count": resolution.occurrence_count,
            "by": projection.storable(resolution.by),
            "reason": projection.storable(resolution.reason),
            "at": resolution.at,
        }
        with self._writing("resolve an issue in") as connection:
            connection.execute(insert(resolutions).values(**row))


def facts_in(connection: Connection, project_id: str, repository: str) -> Facts:
    """All that a database knows of a project's issues, as an open read or write sees it."""
    of_project = (
        runs.c.project_id == projection.storable(project_id),
        runs.c.repository == projection.storable(repository),
    )
    sighted = (
        select(issues, runs.c.number, runs.c.updated_at)
        .join(runs, runs.c.run_id == issues.c.run_id)
        .where(*of_project)
    )
    settled = select(runs.c.number, runs.c.run_id, runs.c.resolved_issues).where(
        *of_project, runs.c.resolved_issues != "[]"
    )
    cleaned = (
        select(runs.c.number, runs.c.run_id, phases.c.cleans)
        .join(runs, runs.c.run_id == phases.c.run_id)
        .where(*of_project, phases.c.cleans != "", phases.c.state == PhaseState.COMPLETE.value)
    )
    given = (
        select(resolutions)
        .where(
            resolutions.c.project_id == projection.storable(project_id),
            resolutions.c.repository == projection.storable(repository),
        )
        .order_by(resolutions.c.number)
    )
    return Facts(
        [_sighting(row) for row in connection.execute(sighted)],
        [
            Settled(row.number, row.run_id, key)
            for row in connection.execute(settled)
            for key in json.loads(row.resolved_issues)
        ],
        [Cleaned(*row) for row in connection.execute(cleaned)],
        [
            Resolution(row.issue_key, row.occurrence_count, row.by, row.reason, row.at)
            for row in connection.execute(given)
        ],
    )


def _sighting(row: Row[Any]) -> Sighting:
    found = Issue(
        issue_key=row.issue_key,
        severity=IssueSeverity(row.severity),
        effective_severity=IssueSeverity(row.effective_severity),
        source=IssueSource(row.source),
        category=row.category,
        expected_fail=row.expected_fail,
        occurrence_count=row.occurrence_count,
        evidence_refs=tuple(json.loads(row.evidence_refs)),
        description=row.description,
    )
    return Sighting(row.number, row.run_id, row.tier_id, row.phase_id, row.updated_at, found)
