"""SqlMemory: the Memory port in the store's database: what all runs of a project saw.

Issues are projections of runs; resolutions by hand are rows of their own. Never ages anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection, Row, and_, insert, or_, select

from autopack.adapters.store import projection
from autopack.adapters.store.tables import issues, phases, resolutions, runs
from autopack.core.backlog import Cleanup, Facts, Resolution, Settled, Sighting
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
    settled = select(
        runs.c.number, runs.c.run_id, runs.c.resolved_issues, runs.c.resolved_occurrences
    ).where(*of_project, runs.c.resolved_issues != "[]")
    landed, failed = PhaseState.COMPLETE.value, PhaseState.FAILED.value
    cleanups = (
        select(
            *(runs.c.number, runs.c.run_id, phases.c.cleans, phases.c.occurrences_known),
            phases.c.state == failed,
        )
        .join(runs, runs.c.run_id == phases.c.run_id)
        .where(
            *of_project,
            phases.c.cleans != "",
            or_(
                phases.c.state == landed,
                and_(phases.c.state == failed, phases.c.occurrences_known > 0),
            ),
        )
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
        [each for row in connection.execute(settled) for each in _settled(*row)],
        [Cleanup(*row) for row in connection.execute(cleanups)],
        [
            Resolution(row.issue_key, row.occurrence_count, row.by, row.reason, row.at)
            for row in connection.execute(given)
        ],
    )


def _settled(number: int, run_id: str, resolved: str, occurrences: str) -> Iterator[Settled]:
    known = json.loads(occurrences)
    for key in json.loads(resolved):
        yield Settled(number, run_id, key, known.get(key, 0))


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
        upgraded=row.upgraded,
    )
    return Sighting(row.number, row.run_id, row.tier_id, row.phase_id, row.updated_at, found)
