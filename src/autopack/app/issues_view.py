"""What a run's issues come to, as files and people are told: by phase, and by key over the run.

Texts of agents and tools pass through unescaped. Never reads or changes anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from autopack.app.sentences import count
from autopack.core import backlog, issue, tier
from autopack.core.issue import Issue
from autopack.core.run import FINAL_STEPS, Phase, Run
from autopack.core.tier import Excess


@dataclass(frozen=True)
class IssueView:
    """An issue of a phase; names and order are those of its file."""

    issue_key: str
    severity: str
    effective_severity: str
    source: str
    category: str
    task_category: str
    complexity: str
    expected_fail: bool
    occurrence_count: int
    first_seen_run: str
    last_seen_run: str
    evidence_refs: tuple[str, ...]
    description: str


@dataclass(frozen=True)
class PhaseIssuesView:
    """The issues of a phase by key; counts are of distinct keys."""

    phase_id: str
    tier_id: str
    issues: tuple[IssueView, ...]
    minor_issue_count: int
    major_issue_count: int
    issue_state: str
    dropped: int
    """Distinct ones beyond what a phase keeps, at least."""
    told: bool
    """The phase has ended, or has issues."""


@dataclass(frozen=True)
class IndexEntry:
    """An issue over all phases of its run."""

    category: str
    severity: str
    effective_severity: str
    first_phase_index: int
    last_phase_index: int
    occurrence_count: int
    seen_in_tiers: tuple[str, ...]
    seen_in_phases: tuple[str, ...]


@dataclass(frozen=True)
class RunIssuesView:
    """The issues of a run; counts are of distinct keys."""

    by_key: dict[str, IndexEntry]
    minor_issue_count: int
    major_issue_count: int
    minor_issues_max: int | None
    debt_status: str
    excess: tuple[Excess, ...]
    resolved: tuple[str, ...]


def phase_issues(run: Run, phase: Phase) -> PhaseIssuesView:
    """The issues of one phase."""
    minor, major = issue.counts(phase.issues)
    first_seen = backlog.first_seen_runs(run.spec)
    return PhaseIssuesView(
        phase_id=phase.phase_id,
        tier_id=phase.spec.tier_id,
        issues=tuple(
            _issue(run, phase, found, first_seen.get(found.issue_key, run.run_id))
            for found in phase.issues
        ),
        minor_issue_count=minor,
        major_issue_count=major,
        issue_state=issue.issue_state(phase.issues).value,
        dropped=phase.issues_dropped,
        told=phase.step in FINAL_STEPS or bool(phase.issues),
    )


def run_issues(run: Run) -> RunIssuesView:
    """The issues of all phases."""
    minor, major = issue.counts(found for phase in run.phases for found in phase.issues)
    return RunIssuesView(
        by_key=_by_key(run),
        minor_issue_count=minor,
        major_issue_count=major,
        minor_issues_max=run.spec.minor_issues_max,
        debt_status=tier.debt_status(run).value,
        excess=tier.excess(run),
        resolved=run.resolved,
    )


def debt(status: str, excess: Iterable[Excess]) -> str:
    """A debt status in words, as `excess issues (tier T1: 1 major of 0)`: what is over is told."""
    over = [
        f"{f'tier {each.tier_id}' if each.tier_id else 'run'}: {each.count} {each.severity}"
        f" of {each.tolerated}"
        for each in excess
    ]
    return f"excess issues ({'; '.join(over)})" if over else status.replace("_", " ")


def counted(minor: int, major: int) -> str:
    """As `2 minor and 1 major issue`; empty when there is none."""
    kinds = [f"{number} {kind}" for number, kind in ((minor, "minor"), (major, "major")) if number]
    if not kinds:
        return ""
    return f"{' and '.join(kinds)} {count(major or minor, 'issue').partition(' ')[2]}"


def _issue(run: Run, phase: Phase, found: Issue, first_seen: str) -> IssueView:
    return IssueView(
        issue_key=found.issue_key,
        severity=found.severity.value,
        effective_severity=found.effective_severity.value,
        source=found.source.value,
        category=found.category,
        task_category=phase.spec.task_category,
        complexity=phase.spec.complexity.value,
        expected_fail=found.expected_fail,
        occurrence_count=found.occurrence_count,
        first_seen_run=first_seen,
        last_seen_run=run.run_id,
        evidence_refs=found.evidence_refs,
        description=found.description,
    )


def _by_key(run: Run) -> dict[str, IndexEntry]:
    seen: dict[str, list[Phase]] = {}
    for phase in sorted(run.phases, key=lambda each: each.spec.phase_index):
        for found in phase.issues:
            seen.setdefault(found.issue_key, []).append(phase)
    return {key: _entry(key, seen[key]) for key in sorted(seen)}


def _entry(key: str, phases: list[Phase]) -> IndexEntry:
    merged = _merged(each for phase in phases for each in phase.issues if each.issue_key == key)
    indices = [phase.spec.phase_index for phase in phases]
    return IndexEntry(
        category=merged.category,
        severity=merged.severity.value,
        effective_severity=merged.effective_severity.value,
        first_phase_index=min(indices),
        last_phase_index=max(indices),
        occurrence_count=merged.occurrence_count,
        seen_in_tiers=tuple(sorted({phase.spec.tier_id for phase in phases})),
        seen_in_phases=tuple(phase.phase_id for phase in phases),
    )


def _merged(same: Iterable[Issue]) -> Issue:
    """One issue, as several phases keep it."""
    found: tuple[Issue, ...] = ()
    for each in same:
        found = issue.add(found, each)
    return found[0]
