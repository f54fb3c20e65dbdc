"""The backlog: age by runs and by (run, tier), thresholds of both profiles, what comes back."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopack.core import issue
from autopack.core.backlog import (
    BacklogIssue,
    Cleaned,
    Facts,
    IssueStatus,
    Resolution,
    Settled,
    Sighting,
    backlog,
    known_issues,
)
from autopack.core.issue import Issue, IssueSeverity, IssueSource
from autopack.core.spec import Aging

NORMAL, CRITICAL = Aging(3, 2), Aging(2, 1)
MINOR, MAJOR = IssueSeverity.MINOR, IssueSeverity.MAJOR


def seen(
    run: int, tier: str = "T1", phase: str = "F1", *, key: str = "k", times: int = 1,
    severity: IssueSeverity = MINOR,
) -> Sighting:  # fmt: skip
    found = Issue(key, severity, severity, IssueSource.PROBE, "c", False, times, (), "")
    return Sighting(run, f"r{run}", tier, phase, 100 * run, found)


def entry(
    *sightings: Sighting, aging: Aging = NORMAL, settled: Sequence[Settled] = (),
    given: Sequence[Resolution] = (), cleaned: Sequence[Cleaned] = (),
) -> BacklogIssue:  # fmt: skip
    (found,) = backlog(Facts(sightings, settled, cleaned, given), aging)
    return found


def test_three_recordings_in_one_run_age_it_once() -> None:
    found = entry(seen(1, times=3), seen(1, phase="F2"), seen(1, "T2", "F3"))
    assert (found.age_in_runs, found.age_in_tiers, found.occurrence_count) == (1, 2, 5)
    assert found.status is IssueStatus.OPEN, "never in its first run"


@pytest.mark.parametrize(
    ("aging", "places", "needs"),
    [
        (NORMAL, [(1, "T1"), (1, "T2"), (1, "T3")], False),
        (NORMAL, [(1, "T1")], False),
        (NORMAL, [(1, "T1"), (2, "T1")], True),
        (Aging(3, 3), [(1, "T1"), (2, "T1")], False),
        (Aging(3, 3), [(1, "T1"), (2, "T1"), (2, "T2")], True),
        (Aging(3, 9), [(1, "T1"), (2, "T1"), (3, "T1")], True),
        (Aging(3, 9), [(1, "T1"), (1, "T2"), (2, "T1")], False),
        (CRITICAL, [(1, "T1")], False),
        (CRITICAL, [(1, "T1"), (2, "T1")], True),
    ],
)
def test_at_or_over_either_threshold_it_needs_cleanup(
    aging: Aging, places: list[tuple[int, str]], needs: bool
) -> None:
    found = entry(*(seen(run, tier) for run, tier in places), aging=aging)
    assert found.status is (IssueStatus.NEEDS_CLEANUP if needs else IssueStatus.OPEN)
    assert found.base_severity is MINOR
    assert found.effective_severity is (MAJOR if needs else MINOR)


def test_a_major_issue_does_not_age() -> None:
    found = entry(*(seen(run, severity=MAJOR) for run in range(1, 9)))
    assert (found.status, found.age_in_runs) == (IssueStatus.OPEN, 8)


def test_resolved_by_a_later_run_it_returns_with_its_history() -> None:
    first = (seen(1), seen(2))
    assert entry(*first, settled=[Settled(3, "r3", "k")]).status is IssueStatus.RESOLVED
    assert entry(*first, settled=[Settled(1, "r1", "k")]).status is IssueStatus.NEEDS_CLEANUP
    again = entry(*first, seen(4), settled=[Settled(3, "r3", "k")])
    assert again.status is IssueStatus.NEEDS_CLEANUP
    assert (again.age_in_runs, again.occurrence_count, again.resolved_before) == (3, 3, 1)
    assert (again.first_seen_run_id, again.last_seen_run_id, again.last_seen_at) == (
        "r1",
        "r4",
        400,
    )


def test_resolved_by_hand_it_returns_with_the_next_sighting() -> None:
    word = Resolution("k", 2, "me", "mended", 7)
    assert entry(seen(1), seen(2), given=[word]).resolved_by == "me"
    assert entry(seen(1), seen(2, times=2), given=[word]).status is IssueStatus.NEEDS_CLEANUP
    assert entry(seen(1), seen(2), seen(3), given=[word]).resolved_before == 1
    assert entry(seen(1), seen(2), given=[replace(word, issue_key="other")]).resolved_by == ""


def test_a_cleanup_counts_until_the_issue_is_seen_again() -> None:
    assert entry(seen(1), seen(2), cleaned=[Cleaned(3, "r3", "k")]).cleaned_in == "r3"
    assert entry(seen(1), seen(4), cleaned=[Cleaned(3, "r3", "k")]).cleaned_in == ""


def test_what_a_run_starts_with_is_what_is_open_the_worst_first() -> None:
    facts = Facts(
        [seen(1, key="young"), *(seen(run, key="old") for run in (1, 2)), seen(1, key="done"),
         seen(1, key="bad", severity=MAJOR)],
        [Settled(2, "r2", "done")],
    )  # fmt: skip
    known = known_issues(backlog(facts))
    assert [(each.issue_key, each.needs_cleanup) for each in known] == [
        ("old", True), ("bad", False), ("young", False)
    ]  # fmt: skip
    many = backlog(Facts([seen(1, key=f"k{n}") for n in range(issue.KNOWN_ISSUES_MAX + 9)]))
    assert len(known_issues(many)) == issue.KNOWN_ISSUES_MAX


SIGHTINGS = st.lists(
    st.builds(
        seen,
        st.integers(1, 4),
        st.sampled_from(["T1", "T2"]),
        st.sampled_from(["F1", "F2", "F3"]),
        key=st.sampled_from(["a", "b"]),
        times=st.integers(1, 3),
        severity=st.sampled_from(IssueSeverity),
    ),
    max_size=15,
)


@given(SIGHTINGS, st.integers(0, 10**6), st.sampled_from([NORMAL, CRITICAL]))
@settings(max_examples=200, deadline=None)
def test_the_order_of_sightings_changes_nothing(
    found: list[Sighting], seed: int, aging: Aging
) -> None:
    shuffled = list(found)
    random.Random(seed).shuffle(shuffled)
    entries = backlog(Facts(found), aging)
    assert entries == backlog(Facts(shuffled), aging)
    for each in entries:
        mine = [s for s in found if s.issue.issue_key == each.issue_key]
        assert each.age_in_runs == len({s.run_number for s in mine})
        assert each.age_in_tiers == len({(s.run_number, s.tier_id) for s in mine})
        assert each.occurrence_count == sum(s.issue.occurrence_count for s in mine)
