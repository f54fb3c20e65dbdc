"""kill -9 of the supervisor at its saves and its git calls: the next one ends the run as if nothing
had happened. A sample here; every place there is under `full`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import Lab
from tests.recovery.conftest import Undisturbed
from tests.recovery.ground import CountedGit, check_as_undisturbed, finish, started
from tests.recovery.places import PARTS, WHEN, EveryPlace, die_at_save, die_in_git

SAMPLE = 4
"""Places of each kind and side in `make test`: 4 x 4 kills."""


def place(index: int, places: int) -> int:
    """The index-th of SAMPLE places, the first and the last among them."""
    return 1 + round(index * (places - 1) / (SAMPLE - 1))


@WHEN
@pytest.mark.parametrize("index", range(SAMPLE))
def test_killed_at_a_save(lab: Lab, undisturbed: Undisturbed, when: str, index: int) -> None:
    die_at_save(started(lab), when, place(index, undisturbed.saves))
    finish(lab)
    check_as_undisturbed(lab, undisturbed.story)


@WHEN
@pytest.mark.parametrize("index", range(SAMPLE))
def test_killed_in_a_git_call(
    lab: Lab, git: CountedGit, undisturbed: Undisturbed, when: str, index: int
) -> None:
    call = place(index, undisturbed.calls)
    died = die_in_git(started(lab), git, when, call)
    assert died or call > 0.8 * undisturbed.calls
    finish(lab)
    check_as_undisturbed(lab, undisturbed.story)


@pytest.mark.slow
@pytest.mark.parametrize(("when", "index"), [("before", 2), ("after", 1), ("after", 3)])
def test_killed_at_a_save_on_postgresql(
    server_lab: Lab, undisturbed: Undisturbed, when: str, index: int
) -> None:
    die_at_save(started(server_lab), when, place(index, undisturbed.saves))
    finish(server_lab)
    check_as_undisturbed(server_lab, undisturbed.story)


@pytest.mark.slow
@pytest.mark.parametrize(("when", "index"), [("before", 3), ("after", 2)])
def test_killed_in_a_git_call_on_postgresql(
    server_lab: Lab, git: CountedGit, undisturbed: Undisturbed, when: str, index: int
) -> None:
    died = die_in_git(started(server_lab), git, when, place(index, undisturbed.calls))
    assert died
    finish(server_lab)
    check_as_undisturbed(server_lab, undisturbed.story)


@pytest.mark.parametrize(("first", "second"), [(2, 1), (11, 6)])
def test_killed_again_in_recovery(
    lab: Lab, undisturbed: Undisturbed, first: int, second: int
) -> None:
    die_at_save(started(lab), "after", first)
    die_at_save(lab, "before", second)
    finish(lab)
    check_as_undisturbed(lab, undisturbed.story)


@pytest.mark.parametrize("call", [30, 90])
def test_killed_at_a_save_and_then_in_git(
    lab: Lab, git: CountedGit, undisturbed: Undisturbed, call: int
) -> None:
    die_at_save(started(lab), "before", 4)
    died = die_in_git(lab, git, "after", call)
    assert died or call == 90
    finish(lab)
    check_as_undisturbed(lab, undisturbed.story)


@pytest.mark.full
@pytest.mark.timeout(1200)
@WHEN
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_killed_at_every_place(
    request: pytest.FixtureRequest, tmp_path: Path, undisturbed: Undisturbed, when: str, part: int,
    kind: str,
) -> None:  # fmt: skip
    databases = request.getfixturevalue("databases") if kind == "postgresql" else None

    def check(lab: Lab) -> None:
        finish(lab)
        check_as_undisturbed(lab, undisturbed.story)

    every = EveryPlace(undisturbed.saves, undisturbed.calls, started, check)
    every.die(tmp_path, when, part, databases)
