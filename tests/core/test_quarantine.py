"""How long a flaky test is known: from when CI first saw it, and again after it was resolved."""

from __future__ import annotations

from dataclasses import replace

from autopack.core import backlog, issue, known
from autopack.core.backlog import DAY_SECONDS, BacklogIssue, Facts, Resolution, Sighting
from autopack.core.issue import Issue, IssueSeverity, IssueSource
from autopack.core.spec import Aging
from tests.core.walk import phase_spec, run_spec

MINOR = IssueSeverity.MINOR
FLAKE = Issue("flake-a", MINOR, MINOR, IssueSource.CI, issue.FLAKY_TEST, False, 1, (), "")
AGING = Aging(quarantine_days=14)


def seen(run: int, at: int, found: Issue = FLAKE) -> Sighting:
    return Sighting(run, f"r{run}", "T1", "F1", at, found)


def entry(*sightings: Sighting, given: tuple[Resolution, ...] = ()) -> BacklogIssue:
    (found,) = backlog.backlog(Facts(sightings, resolutions=given), AGING)
    return found


def test_it_ends_however_often_it_is_seen() -> None:
    found = entry(seen(1, 1_000), seen(2, 500_000), seen(3, 900_000))
    assert found.quarantined_until == 1_000 + 14 * DAY_SECONDS


def test_seen_again_after_it_was_resolved_it_begins_anew() -> None:
    mended = Resolution("flake-a", 1, "me", "", 5_000)
    found = entry(seen(1, 1_000), seen(2, 9_000), given=(mended,))
    assert found.quarantined_until == 9_000 + 14 * DAY_SECONDS


def test_only_ci_says_what_is_flaky() -> None:
    claimed = replace(FLAKE, source=IssueSource.SELF_DOUBT)
    assert entry(seen(1, 1_000, claimed)).quarantined_until == 0
    assert entry(seen(1, 1_000, replace(FLAKE, category="other"))).quarantined_until == 0
    later = entry(seen(1, 1_000, claimed), seen(2, 9_000))
    assert later.quarantined_until == 9_000 + 14 * DAY_SECONDS


def test_a_run_knows_it_until_then() -> None:
    spec = backlog.remembered_in(run_spec(phase_spec("P1")), [entry(seen(1, 0))])
    until = 14 * DAY_SECONDS
    assert known.quarantined(spec, until - 1) == ("flake-a",)
    assert known.quarantined(spec, until) == ()
