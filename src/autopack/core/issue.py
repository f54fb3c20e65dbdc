"""Issues: what is known to be wrong, as it is reported, as a phase keeps it, as a run knows it.

One key names one logical problem for ever. Counts are of distinct keys; a repeat raises the
occurrence count alone. Never decides what a run does about them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KEY_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
EVIDENCE_MAX: Final = 20
"""References that one issue keeps."""
EVIDENCE_CHARACTERS_MAX: Final = 500
DESCRIPTION_CHARACTERS_MAX: Final = 4_000
CATEGORY_CHARACTERS_MAX: Final = 64
FLAKY_TEST: Final = "flaky_test"
"""Category of a test that is green now and then."""
PRE_EXISTING: Final = "pre_existing_failure"
PHASE_ISSUES_MAX: Final = 200
"""Distinct issues that one phase keeps; what agents report beyond is counted and dropped."""
RECORDINGS_MAX: Final = 1_000
"""Recordings with a key of their own that one run takes."""
KNOWN_ISSUES_MAX: Final = 200
"""Issues of the backlog that a run starts with: the worst and oldest."""
SEEN_BEFORE_MAX: Final = 2_000
"""Others of which a run knows where they were first seen: the last seen."""
TEST: Final = "test:"
"""Begins a reference to a test by its id; `path:` one to a file, with a line after a colon."""
FLAKY: Final = "flaky:"
"""Begins a reference to a test that is green now and then: a green run of it proves nothing."""
PATH: Final = "path:"


class IssueSeverity(StrEnum):
    MINOR = "minor"
    MAJOR = "major"


class IssueSource(StrEnum):
    """Who says so."""

    TEST = "test"
    PROBE = "probe"
    CI = "ci"
    STATIC_CHECK = "static_check"
    AUDITOR = "auditor"
    CURSOR_SELF_DOUBT = "cursor_self_doubt"
    SELF_DOUBT = "self_doubt"


class IssueState(StrEnum):
    """What the issues of one phase come to."""

    NO_ISSUES = "no_issues"
    HAS_MINOR_ISSUES = "has_minor_issues"
    HAS_MAJOR_ISSUES = "has_major_issues"


@dataclass(frozen=True)
class IssueReport:
    """One thing that somebody says is wrong; None and empty: not said."""

    issue_key: str
    source: IssueSource
    category: str = ""
    severity: IssueSeverity | None = None
    expected_fail: bool = False
    evidence_refs: tuple[str, ...] = ()
    """`test:<id>`, `path:<path>[:<line>]`, or any text."""
    description: str = ""


@dataclass(frozen=True)
class Issue:
    """An issue of one phase."""

    issue_key: str
    severity: IssueSeverity
    effective_severity: IssueSeverity
    source: IssueSource
    category: str
    expected_fail: bool
    occurrence_count: int
    evidence_refs: tuple[str, ...]
    description: str
    upgraded: bool = False
    """A rule of the ruleset made it major: then it counts as such, and does not age."""


@dataclass(frozen=True)
class KnownIssue:
    """An issue of the backlog that was open when a run was created."""

    issue_key: str
    severity: IssueSeverity
    needs_cleanup: bool
    first_seen_run: str
    evidence_refs: tuple[str, ...]
    description: str
    occurrence_count: int = 0
    """What was known then; 0: a run of before this was kept."""
    quarantined_until: int = 0
    """Of a flaky test, Unix seconds: until then strict CI tolerates it; 0: of none."""

    @property
    def tests(self) -> tuple[str, ...]:
        """Ids of the tests in its evidence."""
        return tests_of(self.evidence_refs)

    @property
    def paths(self) -> tuple[str, ...]:
        """Files in its evidence, without line numbers."""
        return paths_of(self.evidence_refs)


@dataclass(frozen=True)
class SeenBefore:
    """Issues that were first seen in an earlier run and were not open when a run was created."""

    run_id: str
    issue_keys: tuple[str, ...]


@dataclass(frozen=True)
class SeverityUpgrade:
    """A rule that makes issues major: every pattern that is not empty must match."""

    issue_key: str = ""
    """A pattern in which `*` stands for anything, as `schema_*`."""
    category: str = ""
    task_category: str = ""
    source: str = ""

    def matches(self, report: IssueReport, task_category: str) -> bool:
        return (
            _matches(self.issue_key or "*", report.issue_key)
            and self.category in ("", report.category)
            and self.task_category in ("", task_category)
            and self.source in ("", report.source.value)
        )


def _matches(pattern: str, key: str) -> bool:
    """Whether a pattern with stars is the whole key; each part is looked for once, from the left.

    No expression that goes back: agents choose keys, and one must not cost more than its length.
    """
    first, *parts = pattern.split("*")
    if not parts:
        return pattern == key
    *between, last = parts
    if len(key) < len(first) + len(last) or not key.startswith(first) or not key.endswith(last):
        return False
    at, end = len(first), len(key) - len(last)
    for part in between:
        at = key.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def key_problem(key: str) -> str:
    """Why a text is no issue's key; empty when it may be one."""
    if KEY_PATTERN.fullmatch(key) and ".." not in key:
        return ""
    said = "1 to 128 of A-Z a-z 0-9 . _ -, beginning with a letter or digit, without '..'"
    return f"issue_key: {said}"


def problem_of(report: IssueReport) -> str:
    """Why the machine cannot take a report; empty when it can."""
    if problem := key_problem(report.issue_key):
        return problem
    if len(report.category) > CATEGORY_CHARACTERS_MAX:
        return f"category: at most {CATEGORY_CHARACTERS_MAX} characters"
    if len(report.description) > DESCRIPTION_CHARACTERS_MAX:
        return f"description: at most {DESCRIPTION_CHARACTERS_MAX:,} characters"
    if len(report.evidence_refs) > EVIDENCE_MAX:
        return f"evidence_refs: at most {EVIDENCE_MAX}"
    if any(len(ref) > EVIDENCE_CHARACTERS_MAX for ref in report.evidence_refs):
        return f"evidence_refs: at most {EVIDENCE_CHARACTERS_MAX} characters each"
    return ""


def worse(one: IssueSeverity, other: IssueSeverity) -> IssueSeverity:
    """The more severe of two."""
    return IssueSeverity.MAJOR if IssueSeverity.MAJOR in (one, other) else IssueSeverity.MINOR


def add(issues: Sequence[Issue], found: Issue) -> tuple[Issue, ...]:
    """The issues with one more occurrence; their order is by key, whatever came first.

    Of two that differ the worse severity counts, and the lesser text, so that no order matters.
    """
    known = {issue.issue_key: issue for issue in issues}
    old = known.get(found.issue_key)
    known[found.issue_key] = _merged(old, found) if old else found
    return tuple(known[key] for key in sorted(known))


def _merged(old: Issue, new: Issue) -> Issue:
    refs = sorted({*old.evidence_refs, *new.evidence_refs})[:EVIDENCE_MAX]
    return replace(
        old,
        severity=worse(old.severity, new.severity),
        effective_severity=worse(old.effective_severity, new.effective_severity),
        source=min(old.source, new.source),
        category=min(filter(None, (old.category, new.category)), default=""),
        expected_fail=old.expected_fail and new.expected_fail,
        upgraded=old.upgraded or new.upgraded,
        occurrence_count=old.occurrence_count + new.occurrence_count,
        evidence_refs=tuple(refs),
        description=min(filter(None, (old.description, new.description)), default=""),
    )


def distinct(issues: Iterable[Issue]) -> dict[str, IssueSeverity]:
    """Each key once, with the worst of its effective severities."""
    found: dict[str, IssueSeverity] = {}
    for issue in issues:
        key, severity = issue.issue_key, issue.effective_severity
        found[key] = worse(found.get(key, severity), severity)
    return found


def counts(issues: Iterable[Issue]) -> tuple[int, int]:
    """How many distinct issues are minor, and how many major."""
    severities = list(distinct(issues).values())
    major = severities.count(IssueSeverity.MAJOR)
    return len(severities) - major, major


def issue_state(issues: Iterable[Issue]) -> IssueState:
    """What the issues of a phase come to."""
    minor, major = counts(issues)
    if major:
        return IssueState.HAS_MAJOR_ISSUES
    return IssueState.HAS_MINOR_ISSUES if minor else IssueState.NO_ISSUES


def tests_of(refs: Iterable[str]) -> tuple[str, ...]:
    """Ids of the tests among references."""
    return tuple(ref.removeprefix(TEST) for ref in refs if ref.startswith(TEST))


def paths_of(refs: Iterable[str]) -> tuple[str, ...]:
    """Files among references, without line numbers; each once."""
    named = (ref.removeprefix(PATH) for ref in refs if ref.startswith(PATH))
    return tuple(dict.fromkeys(re.sub(r":\d+$", "", path) for path in named))
