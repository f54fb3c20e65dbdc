"""The backlog: age by runs and by (run, tier), thresholds of both profiles, what comes back."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopack.core import issue
from autopack.core.backlog import (
    BacklogIssue,
    Cleanup,
    Facts,
    IssueStatus,
    Resolution,
    Settled,
    Sighting,
    backlog,
    first_seen_runs,
    known_issues,
    remembered_in,
)
from autopack.core.issue import Issue, IssueSeverity, IssueSource
from autopack.core.ruleset import Ruleset
from autopack.core.ruleset_data import parse_ruleset
from autopack.core.spec import Aging, SafetyProfile
from autopack.core.strategy import aging_of
from tests.core.walk import phase_spec, run_spec

PUBLISHED = Path(__file__).parents[2] / "docs" / "reference" / "ruleset.json"


def thresholds(profile: SafetyProfile) -> Aging:
    """Those of the published ruleset."""
    ruleset = parse_ruleset(PUBLISHED.read_text(encoding="utf-8"), "ruleset.json", "p")
    assert isinstance(ruleset, Ruleset)
    return aging_of(profile, ruleset)


NORMAL, CRITICAL = map(thresholds, (SafetyProfile.NORMAL, SafetyProfile.SAFETY_CRITICAL))
MINOR, MAJOR = IssueSeverity.MINOR, IssueSeverity.MAJOR


def seen(
    run: int, tier: str = "T1", phase: str = "F1", *, key: str = "k", times: int = 1,
    severity: IssueSeverity = MINOR,
) -> Sighting:  # fmt: skip
    found = Issue(key, severity, severity, IssueSource.PROBE, "c", False, times, (), "")
    return Sighting(run, f"r{run}", tier, phase, 100 * run, found)


def entry(
    *sightings: Sighting, aging: Aging = NORMAL, settled: Sequence[Settled] = (),
    given: Sequence[Resolution] = (), cleaned: Sequence[Cleanup] = (),
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
    assert entry(seen(1), seen(2), cleaned=[Cleanup(3, "r3", "k")]).cleaned_in == "r3"
    assert entry(seen(1), seen(4), cleaned=[Cleanup(3, "r3", "k")]).cleaned_in == ""


def test_a_run_that_saw_it_resolves_nothing() -> None:
    assert entry(seen(1), seen(2), settled=[Settled(2, "r2", "k")]).resolved_by == ""
    assert entry(seen(1), seen(2), settled=[Settled(3, "r3", "k")]).resolved_by == "r3"


def test_a_cleanup_of_the_run_that_saw_it_last_counts() -> None:
    """Its phase came after what the run had seen, where no more was kept of it."""
    assert entry(seen(1), seen(2), cleaned=[Cleanup(2, "r2", "k")]).cleaned_in == "r2"
    assert entry(seen(1), seen(3), cleaned=[Cleanup(2, "r2", "k")]).cleaned_in == ""


@pytest.mark.parametrize("later", [seen(1, times=2), seen(2, times=2), seen(1, "T9"), seen(3)])
def test_a_later_sighting_in_whichever_run_reopens_it(later: Sighting) -> None:
    """Recorded on an old run, on the one that settled it, or on one that overlaps with it."""
    known = [each for each in (seen(1), seen(2)) if place(each) != place(later)]
    done: list[dict[str, Any]] = [
        {"settled": [Settled(3, "r3", "k", 2)]},
        {"given": [Resolution("k", 2, "me", "", 7)]},
    ]
    for what in done:
        assert entry(seen(1), seen(2), **what).status is IssueStatus.RESOLVED
        again = entry(*known, later, **what)
        assert again.status is not IssueStatus.RESOLVED
        assert again.resolved_before == 1
    cleaned = [Cleanup(3, "r3", "k", 2)]
    assert entry(seen(1), seen(2), cleaned=cleaned).cleaned_in == "r3"
    assert entry(*known, later, cleaned=cleaned).cleaned_in == ""


def place(sighting: Sighting) -> tuple[int, str, str]:
    return sighting.run_number, sighting.tier_id, sighting.phase_id


def test_only_what_came_back_was_resolved_before() -> None:
    twice = [Settled(2, "r2", "k", 1), Settled(3, "r3", "k", 1)]
    assert entry(seen(1), settled=twice).resolved_before == 0
    assert entry(seen(1), seen(4), settled=twice).resolved_before == 1, "it came back once"
    word = [Resolution("k", 2, "me", "", 7)]
    assert entry(seen(1), seen(4), settled=twice, given=word).resolved_before == 1
    assert entry(seen(1), seen(4), seen(5), settled=twice, given=word).resolved_before == 2


def test_failed_cleanups_count_since_it_was_resolved_or_cleaned() -> None:
    def failed(*runs: tuple[int, int]) -> list[Cleanup]:
        return [Cleanup(run, f"r{run}", "k", known, failed=True) for run, known in runs]

    both = failed((4, 2), (3, 2))
    found = entry(seen(1), seen(2), cleaned=both)
    assert (found.cleanup_failed_in, found.cleanup_failures) == (("r3", "r4"), 2)
    assert found.cleaned_in == ""
    landed = Cleanup(5, "r5", "k", 2)
    assert entry(seen(1), seen(2), cleaned=[*both, landed]).cleanup_failures == 0
    assert entry(seen(1), seen(2), cleaned=both, settled=[Settled(5, "r5", "k", 2)]
                 ).cleanup_failures == 0  # fmt: skip
    word = Resolution("k", 2, "me", "", 7)
    assert entry(seen(1), seen(2), seen(6), cleaned=both, given=[word]).cleanup_failures == 0
    again = [*both, *failed((7, 3))]
    found = entry(seen(1), seen(2), seen(6), cleaned=again, given=[word])
    assert found.cleanup_failed_in == ("r7",)


def test_an_upgraded_issue_counts_as_major_and_does_not_age() -> None:
    """A severity upgrade is no age: the backlog and the run that saw it say the same."""
    upgraded = [
        replace(each, issue=replace(each.issue, effective_severity=MAJOR, upgraded=True))
        for each in (seen(1), seen(2), seen(3))
    ]
    found = entry(*upgraded)
    assert (found.status, found.base_severity) == (IssueStatus.OPEN, MINOR)
    assert found.effective_severity is MAJOR
    assert entry(upgraded[0], seen(2), seen(3)).status is IssueStatus.OPEN
    (known,) = known_issues([found])
    assert (known.severity, known.needs_cleanup) == (MAJOR, False)
    aged = [
        replace(each, issue=replace(each.issue, effective_severity=MAJOR))
        for each in (seen(1), seen(2))
    ]
    assert entry(*aged).status is IssueStatus.NEEDS_CLEANUP


def test_what_was_seen_before_keeps_its_history_also_when_it_is_not_open() -> None:
    facts = Facts(
        [*(seen(1, key=f"k{n}") for n in range(issue.KNOWN_ISSUES_MAX + 5)), seen(2, key="done"),
         seen(3, key="k0")],
        [Settled(3, "r3", "done", 1)],
    )  # fmt: skip
    spec = remembered_in(run_spec(phase_spec("P1")), backlog(facts))
    first = first_seen_runs(spec)
    assert first["done"] == "r2"
    assert {run for key, run in first.items() if key != "done"} == {"r1"}
    assert len(first) == issue.KNOWN_ISSUES_MAX + 6
    assert sum(len(each.issue_keys) for each in spec.seen_before) == 6
    more = [seen(1, key=f"k{n}") for n in range(issue.SEEN_BEFORE_MAX + 300)]
    spec = remembered_in(spec, backlog(Facts(more)))
    assert sum(len(each.issue_keys) for each in spec.seen_before) == issue.SEEN_BEFORE_MAX


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
