"""The backlog: what all runs of a project saw, folded into one entry for each logical problem.

Made anew from sightings each time, so that the order in which they were recorded changes nothing.
Age counts distinct runs and distinct (run, tier) pairs. Never reads a database.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from autopack.core import issue
from autopack.core.issue import Issue, IssueSeverity, KnownIssue
from autopack.core.spec import Aging

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NORMAL: Final = Aging()


class IssueStatus(StrEnum):
    OPEN = "open"
    NEEDS_CLEANUP = "needs_cleanup"
    RESOLVED = "resolved"


@dataclass(frozen=True)
class Sighting:
    """An issue that a phase of a run has; `run_number`: the order in which runs were created."""

    run_number: int
    run_id: str
    tier_id: str
    phase_id: str
    at: int
    """Unix seconds of the run's last event."""
    issue: Issue


@dataclass(frozen=True)
class Settled:
    """A run that found an issue's tests green in what it landed, and did not see the issue."""

    run_number: int
    run_id: str
    issue_key: str


@dataclass(frozen=True)
class Cleaned:
    """A run that landed a debt-cleanup phase of an issue."""

    run_number: int
    run_id: str
    issue_key: str


@dataclass(frozen=True)
class Resolution:
    """Somebody's word that an issue is no more; it holds until the issue is seen again."""

    issue_key: str
    occurrence_count: int
    """Known when it was given."""
    by: str
    reason: str
    at: int


@dataclass(frozen=True)
class Facts:
    """All that a store knows of a project's issues."""

    sightings: Sequence[Sighting] = ()
    settled: Sequence[Settled] = ()
    cleaned: Sequence[Cleaned] = ()
    resolutions: Sequence[Resolution] = ()


@dataclass(frozen=True)
class BacklogIssue:
    """One logical problem over all runs."""

    issue_key: str
    category: str
    base_severity: IssueSeverity
    status: IssueStatus
    age_in_runs: int
    age_in_tiers: int
    seen_in_tiers: tuple[str, ...]
    """As `<run>/<tier>`, oldest first."""
    occurrence_count: int
    first_seen_run_id: str
    last_seen_run_id: str
    last_seen_at: int
    evidence_refs: tuple[str, ...]
    description: str
    resolved_by: str
    """A run's id or a person's name; empty unless resolved."""
    resolved_before: int
    """How often it was resolved and came back."""
    cleaned_in: str
    """The run that landed a cleanup of it and did not see it since; empty when there is none."""

    @property
    def effective_severity(self) -> IssueSeverity:
        """What it counts as in later strategies."""
        aged = self.status is IssueStatus.NEEDS_CLEANUP
        return IssueSeverity.MAJOR if aged else self.base_severity


def backlog(facts: Facts, aging: Aging = NORMAL) -> tuple[BacklogIssue, ...]:
    """One entry for each key, the worst and oldest first."""
    seen: dict[str, list[Sighting]] = defaultdict(list)
    for sighting in facts.sightings:
        seen[sighting.issue.issue_key].append(sighting)
    entries = [_entry(key, sightings, facts, aging) for key, sightings in seen.items()]
    return tuple(sorted(entries, key=_rank))


def _rank(entry: BacklogIssue) -> tuple[object, ...]:
    statuses = (IssueStatus.NEEDS_CLEANUP, IssueStatus.OPEN, IssueStatus.RESOLVED)
    minor = entry.base_severity is IssueSeverity.MINOR
    return (statuses.index(entry.status), minor, -entry.age_in_runs, -entry.occurrence_count,
            entry.issue_key)  # fmt: skip


def _entry(key: str, found: list[Sighting], facts: Facts, aging: Aging) -> BacklogIssue:
    order = sorted(found, key=lambda s: (s.run_number, s.tier_id, s.phase_id))
    merged: tuple[Issue, ...] = ()
    for sighting in order:
        merged = issue.add(merged, sighting.issue)
    whole, first, last = merged[0], order[0], order[-1]
    runs = {s.run_number for s in order}
    places = tuple(dict.fromkeys(f"{s.run_id}/{s.tier_id}" for s in order))
    mine = [each for each in facts.resolutions if each.issue_key == key]
    settled = [each for each in facts.settled if each.issue_key == key]
    by = _resolved_by(last.run_number, whole.occurrence_count, settled, mine)
    cleaned = [c for c in facts.cleaned if c.issue_key == key and c.run_number >= last.run_number]
    return BacklogIssue(
        issue_key=key,
        category=whole.category,
        base_severity=whole.severity,
        status=_status(by, whole.severity, len(runs), len(places), aging),
        age_in_runs=len(runs),
        age_in_tiers=len(places),
        seen_in_tiers=places,
        occurrence_count=whole.occurrence_count,
        first_seen_run_id=first.run_id,
        last_seen_run_id=last.run_id,
        last_seen_at=max(s.at for s in order if s.run_number == last.run_number),
        evidence_refs=whole.evidence_refs,
        description=whole.description,
        resolved_by=by,
        resolved_before=len(settled) + len(mine) - bool(by),
        cleaned_in=max(cleaned, key=lambda c: c.run_number).run_id if cleaned else "",
    )


def _resolved_by(
    last: int, occurrences: int, settled: list[Settled], given: list[Resolution]
) -> str:
    """Who resolved it since it was last seen; empty when nobody did."""
    later = [each for each in settled if each.run_number > last]
    if later:
        return max(later, key=lambda each: each.run_number).run_id
    holding = [each for each in given if each.occurrence_count >= occurrences]
    return max(holding, key=lambda each: each.at).by if holding else ""


def _status(by: str, severity: IssueSeverity, runs: int, tiers: int, aging: Aging) -> IssueStatus:
    """A major issue does not age; a minor one never in its first run."""
    if by:
        return IssueStatus.RESOLVED
    aged = runs > 1 and (runs >= aging.runs or tiers >= aging.tiers)
    if aged and severity is IssueSeverity.MINOR:
        return IssueStatus.NEEDS_CLEANUP
    return IssueStatus.OPEN


def known_issues(entries: Iterable[BacklogIssue]) -> tuple[KnownIssue, ...]:
    """What a new run starts with: the open ones, the worst and oldest first, bounded."""
    unsolved = [entry for entry in entries if entry.status is not IssueStatus.RESOLVED]
    return tuple(
        KnownIssue(
            issue_key=entry.issue_key,
            severity=entry.base_severity,
            needs_cleanup=entry.status is IssueStatus.NEEDS_CLEANUP,
            first_seen_run=entry.first_seen_run_id,
            evidence_refs=entry.evidence_refs,
            description=entry.description,
        )
        for entry in unsolved[: issue.KNOWN_ISSUES_MAX]
    )
