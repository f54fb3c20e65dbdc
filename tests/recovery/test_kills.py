"""kill -9 of the supervisor at its saves and its git calls: the next one ends the run as if nothing
had happened. A sample here; every place there is under `full`.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.lab import Lab, processes, until
from tests.recovery.conftest import Undisturbed
from tests.recovery.ground import (
    CountedGit,
    check_as_undisturbed,
    counted_git,
    finish,
    host,
    started,
)

SAMPLE = 6
"""Places of each kind and side in `make test`: 4 x 6 kills."""
PARTS = 16
"""Tests over which all places are spread."""
WHEN = pytest.mark.parametrize("when", ["before", "after"])


def place(index: int, places: int) -> int:
    """The index-th of SAMPLE places, the first and the last among them."""
    return 1 + round(index * (places - 1) / (SAMPLE - 1))


def die_at_save(lab: Lab, when: str, number: int) -> None:
    done = host(lab, when, number)
    assert done.returncode == -signal.SIGKILL, (when, number, done)


def die_in_git(lab: Lab, git: CountedGit, when: str, call: int) -> bool:
    """Whether the call came: deliveries join others, so that a run may need a few calls less."""
    git.arm(when, call)
    supervisor = lab.start("supervise", "--until-idle", **git.path)
    died = git.kill(supervisor)
    assert died or supervisor.returncode == 0, (when, call)
    return died


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


@pytest.mark.parametrize(("when", "index"), [("before", 2), ("after", 1), ("after", 3)])
def test_killed_at_a_save_on_postgresql(
    server_lab: Lab, undisturbed: Undisturbed, when: str, index: int
) -> None:
    die_at_save(started(server_lab), when, place(index, undisturbed.saves))
    finish(server_lab)
    check_as_undisturbed(server_lab, undisturbed.story)


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

    def lab_in(name: str) -> Lab:
        given = {"DATABASE_URL": databases()} if databases else {}
        return started(Lab(_folder(tmp_path, name), **given))

    for number in range(1 + part, undisturbed.saves + 1, PARTS):
        lab = lab_in(f"save-{number}")
        die_at_save(lab, when, number)
        _end(lab, undisturbed, f"{when} save {number}")
    for call in range(1 + part, undisturbed.calls + 1, PARTS):
        lab = lab_in(f"git-{call}")
        with counted_git() as git:
            die_in_git(lab, git, when, call)
        _end(lab, undisturbed, f"{when} git call {call}")


def _folder(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


def _end(lab: Lab, undisturbed: Undisturbed, place: str) -> None:
    try:
        finish(lab)
        check_as_undisturbed(lab, undisturbed.story)
    except AssertionError:
        print(f"killed {place}")
        raise
    finally:
        lab.close()
    until(lambda: not processes(lab.root), "the lab is empty")
