"""Errors of git, files, programs and the database at every step of a run of three phases.

The fault goes away; then this supervisor or the next one ends the run, as if nothing had happened.
A sample here; every step under `full`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from autopack.core.run import RunState
from tests.lab import Lab
from tests.recovery.breaking import (
    ERRNOS,
    GIT_WAYS,
    Breaker,
    BrokenGit,
    broken_database,
    broken_files,
)
from tests.recovery.ground import Story, started, story
from tests.recovery.points import Life, check_point, live, live_on

PARTS = 48
"""Tests over which all points of `full` are spread, so that none takes a minute."""
WAYS_AT_A_CALL = 2
"""Ways that each call of git goes wrong in `full`; they take turns, so that all meet all verbs."""


@dataclass(frozen=True)
class Steps:
    """A run that nothing disturbed: how it ends, and how many steps it takes."""

    story: Story
    calls: int
    sites: list[str]
    programs: int
    writes: int


@pytest.fixture(scope="session")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Steps:
    def lived(name: str, path: str = os.environ["PATH"]) -> Lab:
        return started(Lab(tmp_path_factory.mktemp(name), PATH=path))

    with tempfile.TemporaryDirectory(prefix="autopack-git-") as folder:
        git = BrokenGit(Path(folder))
        git.arm("", 0)
        lab = lived("git", git.path["PATH"])
        before = git.calls
        assert live(lab).fault is None
        calls = git.calls - before
        told = story(lab)
    files, programs, writes = Breaker(), Breaker(), Breaker()
    lab = lived("files")
    assert live(lab, broken_files(files, lab.root, ERRNOS[0], programs=False)).fault is None
    lab = lived("programs")
    assert live(lab, broken_files(programs, lab.root, ERRNOS[0], programs=True)).fault is None
    assert live(lived("database"), broken_database(writes, 0)).fault is None
    return Steps(told, calls, sorted(files.sites), programs.steps, writes.steps)


@pytest.fixture
def git() -> Iterator[BrokenGit]:
    with tempfile.TemporaryDirectory(prefix="autopack-git-") as folder:
        yield BrokenGit(Path(folder))


Break = Callable[[Lab], Life]


def at_call(git: BrokenGit, call: int, way: str, *, lasting: bool = False) -> Break:
    def broken(lab: Lab) -> Life:
        git.arm(way, call, ERRNOS[call % len(ERRNOS)], lasting=lasting)
        life = live(lab)
        git.arm("", 0)
        return life

    return broken


def at_site(site: str, number: int) -> Break:
    return lambda lab: live(
        lab, broken_files(Breaker(site=site), lab.root, ERRNOS[number % 5], programs=False)
    )


def at_program(number: int) -> Break:
    return lambda lab: live(
        lab, broken_files(Breaker(number), lab.root, ERRNOS[number % 5], programs=True)
    )


def at_write(number: int) -> Break:
    return lambda lab: live(lab, broken_database(Breaker(number), number))


def check(lab: Lab, wanted: Story, broken: Break, *, may_fail: bool = False) -> RunState:
    """The fault, what comes after it, and what must hold then."""
    live_on(lab, broken(started(lab)))
    return check_point(lab, wanted, may_fail=may_fail).state


@pytest.mark.parametrize(("index", "way"), list(enumerate(GIT_WAYS)))
def test_a_call_of_git_goes_wrong(
    lab: Lab, git: BrokenGit, steps: Steps, index: int, way: str
) -> None:
    git.arm("", 0)
    lab.variables |= git.path
    call = 1 + (index * 2 + 1) * steps.calls // (2 * len(GIT_WAYS))
    check(lab, steps.story, at_call(git, call, way))


@pytest.mark.parametrize("index", range(5))
def test_a_file_is_refused(lab: Lab, steps: Steps, index: int) -> None:
    site = steps.sites[(index * 2 + 1) * len(steps.sites) // 10]
    check(lab, steps.story, at_site(site, index))


@pytest.mark.slow
@pytest.mark.parametrize("index", range(2))
def test_a_program_cannot_be_started(lab: Lab, steps: Steps, index: int) -> None:
    check(lab, steps.story, at_program(1 + (index * 2 + 1) * steps.programs // 4))


@pytest.mark.parametrize("index", range(4))
def test_a_write_of_the_database_is_refused(lab: Lab, steps: Steps, index: int) -> None:
    check(lab, steps.story, at_write(1 + (index * 2 + 1) * steps.writes // 8 + index % 2))


@pytest.mark.parametrize("call", [12, 60])
def test_git_refuses_from_a_call_on(lab: Lab, git: BrokenGit, steps: Steps, call: int) -> None:
    """A full disk that stays full ends the run as the machine's failure, with what had landed."""
    git.arm("", 0)
    lab.variables |= git.path
    broken = at_call(git, call, "refused", lasting=True)
    state = check(lab, steps.story, broken, may_fail=True)
    assert state is RunState.DONE_FAILED_ENVIRONMENT


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_step(tmp_path: Path, git: BrokenGit, steps: Steps, part: int) -> None:
    for name, broken, may_fail in every(git, steps)[part::PARTS]:
        git.arm("", 0)
        folder = tmp_path / "lab"
        folder.mkdir()
        lab = Lab(folder, PATH=git.path["PATH"])
        try:
            check(lab, steps.story, broken, may_fail=may_fail)
        except BaseException:
            print(f"broken: {name}")
            raise
        finally:
            lab.close()
        shutil.rmtree(folder)


def every(git: BrokenGit, steps: Steps) -> list[tuple[str, Break, bool]]:
    """All points: their names, what happens there, and whether the run may end by it."""
    points: list[tuple[str, Break, bool]] = []
    for call in range(1, steps.calls + 1):
        for turn in range(WAYS_AT_A_CALL):
            way = GIT_WAYS[(call * WAYS_AT_A_CALL + turn) % len(GIT_WAYS)]
            points.append((f"git {call} {way}", at_call(git, call, way), False))
    for call in range(1, steps.calls + 1, 6):
        broken = at_call(git, call, "refused", lasting=True)
        points.append((f"git from {call} on", broken, True))
    points += [(f"file {site}", at_site(site, n), False) for n, site in enumerate(steps.sites)]
    points += [(f"program {n}", at_program(n), False) for n in range(1, steps.programs + 1, 2)]
    points += [(f"database {n}", at_write(n), False) for n in range(1, steps.writes + 1)]
    return points
