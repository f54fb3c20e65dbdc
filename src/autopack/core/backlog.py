"""The backlog: what all runs of a project saw, folded into one entry for each logical problem.

Made anew from sightings each time, so that the order in which they were recorded changes nothing.
Age counts distinct runs and distinct (run, tier) pairs. Never reads a database.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from autopack.core import issue
from autopack.core.issue import Issue, IssueSeverity, IssueSource, KnownIssue, SeenBefore
from autopack.core.spec import Aging

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from autopack.core.spec import RunSpec

NORMAL: Final = Aging()
DAY_SECONDS: Final = 86_400


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
    occurrence_count: int = 0
    """Known when the run was created; 0: it was not kept, and all of earlier runs were."""


@dataclass(frozen=True)
class Cleanup:
    """A run whose debt-cleanup phase of an issue landed, or `failed`."""

    run_number: int
    run_id: str
    issue_key: str
    occurrence_count: int = 0
    """Known when the phase ended; 0: it was not kept, and all up to this run were."""
    failed: bool = False


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
    cleanups: Sequence[Cleanup] = ()
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
    """The run that landed a cleanup of it, not seen since; empty when there is none."""
    upgraded: bool = False
    """A severity upgrade made it major, where it was seen: so it does not age."""
    cleanup_failed_in: tuple[str, ...] = ()
    """Runs whose cleanup of it failed, oldest first, since it was resolved or cleaned last."""
    quarantined_until: int = 0
    """Of a flaky test, Unix seconds: until then strict CI tolerates it; 0: of no flaky test."""

    @property
    def effective_severity(self) -> IssueSeverity:
        """What it counts as in later strategies."""
        aged = self.status is IssueStatus.NEEDS_CLEANUP
        return IssueSeverity.MAJOR if aged or self.upgraded else self.base_severity

    @property
    def cleanup_failures(self) -> int:
        return len(self.cleanup_failed_in)


def backlog(facts: Facts, aging: Aging = NORMAL) -> tuple[BacklogIssue, ...]:
    """One entry for each key, the worst and oldest first."""
    seen: dict[str, list[Sighting]] = defaultdict(list)
    for sighting in facts.sightings:
        seen[sighting.issue.issue_key].append(sighting)
    entries = [_entry(key, sightings, facts, aging) for key, sightings in seen.items()]
    return tuple(sorted(entries, key=_rank))


def _rank(entry: BacklogIssue) -> tuple[object, ...]:
    statuses = (IssueStatus.NEEDS_CLEANUP, IssueStatus.OPEN, IssueStatus.RESOLVED)
    minor = entry.effective_severity is IssueSeverity.MINOR
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
    past = _past(key, order, facts)
    by = past.resolved_by(whole.occurrence_count)
    counted = IssueSeverity.MAJOR if whole.upgraded else whole.severity
    return BacklogIssue(
        issue_key=key,
        category=whole.category,
        base_severity=whole.severity,
        status=_status(by, counted, len(runs), len(places), aging),
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
        resolved_before=past.resolved_before(whole.occurrence_count),
        cleaned_in=past.cleaned_in(whole.occurrence_count),
        upgraded=whole.upgraded,
        cleanup_failed_in=past.cleanup_failed_in(),
        quarantined_until=_quarantined_until(order, past, aging),
    )


def _quarantined_until(order: Sequence[Sighting], past: _Past, aging: Aging) -> int:
    """Counted from when it was first seen, or seen again after it was resolved: so it ends."""
    since, seen = past.resolved_at(), 0
    for sighting in order:
        seen += sighting.issue.occurrence_count
        said = sighting.issue.category, sighting.issue.source
        if seen > since and said == (issue.FLAKY_TEST, IssueSource.CI):  # no agent's word
            return sighting.at + aging.quarantine_days * DAY_SECONDS
    return 0


@dataclass(frozen=True)
class _Past:
    """What was done about one issue; each with the sightings it knew of.

    Whatever was done holds until the issue is seen once more than was known then, in whichever
    run: so the order in which sightings arrive changes nothing.
    """

    settled: Sequence[Settled]
    given: Sequence[Resolution]
    cleanups: Sequence[Cleanup]

    def resolved_by(self, occurrences: int) -> str:
        """Who resolved it since it was last seen; empty when nobody did."""
        runs = [each for each in self.settled if each.occurrence_count >= occurrences]
        if runs:
            return max(runs, key=lambda each: each.run_number).run_id
        words = [each for each in self.given if each.occurrence_count >= occurrences]
        return max(words, key=lambda each: each.at).by if words else ""

    def resolved_before(self, occurrences: int) -> int:
        """How often it came back; several who resolved the same sightings did so once."""
        return sum(known < occurrences for known in self._resolved())

    def cleaned_in(self, occurrences: int) -> str:
        landed = [c for c in self.cleanups if not c.failed and c.occurrence_count >= occurrences]
        return max(landed, key=lambda each: each.run_number).run_id if landed else ""

    def cleanup_failed_in(self) -> tuple[str, ...]:
        landed = [each for each in self.cleanups if not each.failed]
        since = max({*self._resolved(), *(each.occurrence_count for each in landed)}, default=0)
        failed = [c for c in self.cleanups if c.failed and c.occurrence_count > since]
        ordered = sorted(failed, key=lambda each: each.run_number)
        return tuple(dict.fromkeys(each.run_id for each in ordered))

    def resolved_at(self) -> int:
        """Sightings that were known when it was resolved last; 0: it never was."""
        return max(self._resolved(), default=0)

    def _resolved(self) -> set[int]:
        settled = {each.occurrence_count for each in self.settled}
        return settled | {each.occurrence_count for each in self.given}


def _past(key: str, order: Sequence[Sighting], facts: Facts) -> _Past:
    """What was done about an issue; where it was not kept how much was known, by the runs' order.

    A run that settles an issue has never seen it; one that cleans it may have, before.
    """

    def until(run_number: int) -> int:
        return sum(s.issue.occurrence_count for s in order if s.run_number < run_number)

    return _Past(
        [
            replace(each, occurrence_count=each.occurrence_count or until(each.run_number))
            for each in facts.settled
            if each.issue_key == key
        ],
        [each for each in facts.resolutions if each.issue_key == key],
        [
            replace(each, occurrence_count=each.occurrence_count or until(each.run_number + 1))
            for each in facts.cleanups
            if each.issue_key == key
        ],
    )


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
            severity=IssueSeverity.MAJOR if entry.upgraded else entry.base_severity,
            needs_cleanup=entry.status is IssueStatus.NEEDS_CLEANUP,
            first_seen_run=entry.first_seen_run_id,
            evidence_refs=entry.evidence_refs,
            description=entry.description,
            occurrence_count=entry.occurrence_count,
            quarantined_until=entry.quarantined_until,
        )
        for entry in unsolved[: issue.KNOWN_ISSUES_MAX]
    )


def remembered_in(spec: RunSpec, entries: Iterable[BacklogIssue]) -> RunSpec:
    """The run with what the backlog says when it is created: what is open, what was seen before."""
    entries = tuple(entries)
    known = known_issues(entries)
    listed = {each.issue_key for each in known}
    others = [entry for entry in entries if entry.issue_key not in listed]
    others.sort(key=lambda entry: (-entry.last_seen_at, entry.issue_key))
    first: dict[str, list[str]] = defaultdict(list)
    for entry in others[: issue.SEEN_BEFORE_MAX]:
        first[entry.first_seen_run_id].append(entry.issue_key)
    before = (SeenBefore(run_id, tuple(sorted(first[run_id]))) for run_id in sorted(first))
    return replace(spec, known_issues=known, seen_before=tuple(before))


def first_seen_runs(spec: RunSpec) -> dict[str, str]:
    """Where the issues were first seen that a run knew of when it was created, by key."""
    before = {key: seen.run_id for seen in spec.seen_before for key in seen.issue_keys}
    return before | {known.issue_key: known.first_seen_run for known in spec.known_issues}
