"""A run with a real agent whose steps on files are refused: prompt, log, answers, clone.

Its work is delivered, an attempt counts once, and what it reported is never paid for without it.
A sample here; every step around an attempt under `full`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from autopack.core.run import RunState
from tests.lab import Lab, phase
from tests.recovery.breaking import ERRNOS, Breaker, broken_files, broken_writes
from tests.recovery.points import check_honest, check_whole, live, live_on
from tests.repos import git

TOKENS = 321
PARTS = 6
"""Tests over which the points of `full` are spread, so that none takes a minute."""
Broken = Callable[[Breaker, Lab], AbstractContextManager[Any]]


def refused_writes(breaker: Breaker, lab: Lab) -> AbstractContextManager[Any]:
    return broken_writes(breaker, lab.root / "state")


def refused_steps(breaker: Breaker, lab: Lab) -> AbstractContextManager[Any]:
    number = ERRNOS[sum(breaker.site.encode()) % len(ERRNOS)]
    return broken_files(breaker, lab.root / "state", number, programs=False)


def started(lab: Lab) -> Lab:
    task = ("do: write src/one.txt one", f"do: tokens {TOKENS}")
    return lab.make().record(phase("F1", *task))


def of_the_agent(site: str) -> bool:
    """Around an attempt; `test_faults` breaks what a clone's git folder and artefacts need."""
    others = ("/.git", "/ci-", "supervisor.lock")
    return "ROOT" in site and not any(name in site for name in others)


@pytest.fixture(scope="session")
def points(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Broken, str]]:
    """The forms of all steps of a run that nothing disturbs."""
    found: list[tuple[Broken, str]] = []
    for broken in (refused_writes, refused_steps):
        breaker = Breaker()
        lab = started(Lab(tmp_path_factory.mktemp("count")))
        assert live(lab, broken(breaker, lab)).fault is None
        check(lab)
        found += [(broken, site) for site in sorted(breaker.sites) if of_the_agent(site)]
    return found


def check(lab: Lab) -> None:
    """The run ended well, its one attempt counts once, and no tokens went without their work."""
    run = lab.load()
    assert run.state is RunState.DONE_SUCCESS, run.failure
    assert run.phase("F1").attempts_used == 1
    assert git(lab.project, "show", "autonomous/r:src/one.txt") == "one"
    (ended,) = lab.of_kind("attempt_ended")
    assert ended.tokens >= TOKENS
    for failed in lab.of_kind("command_failed"):
        assert not failed.tokens, failed
    check_honest(lab, run)
    check_whole(lab)


def check_broken(lab: Lab, broken: Broken, site: str) -> None:
    breaker = Breaker(site=site)
    started(lab)
    live_on(lab, live(lab, broken(breaker, lab)))
    check(lab)


@pytest.mark.parametrize("name", ["agent.log", "prompt.md", "starts-"])
def test_a_file_of_the_agent_s_is_full(
    lab: Lab, points: list[tuple[Broken, str]], name: str
) -> None:
    site = next(site for broken, site in points if broken is refused_writes and name in site)
    check_broken(lab, refused_writes, site)
    if name == "agent.log":  # it had ended: it is not started again
        assert not lab.of_kind("command_failed")


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_step_of_an_agent(
    tmp_path: Path, points: list[tuple[Broken, str]], part: int
) -> None:
    for broken, site in points[part::PARTS]:
        folder = tmp_path / "lab"
        folder.mkdir()
        lab = Lab(folder)
        try:
            check_broken(lab, broken, site)
        except BaseException:
            print(f"broken: {site}")
            raise
        finally:
            lab.close()
        shutil.rmtree(folder)
