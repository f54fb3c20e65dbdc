"""Beside a supervisor that starts and works, others in the same bare repository are left in peace.

Each is held in the middle of a call of git, while a run starts, works and ends.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from autopack.core.run import RunState
from tests.lab import Lab, phase, until
from tests.recovery.ground import CountedGit
from tests.repos import git as run_git
from tests.repos import write

GOOD = phase("F1", "do: write src/one.txt one")
RED = phase("F1", "do: write state/mode red")
CLEAN_NOW = {"AUTOPACK_RETENTION_DAYS": "0", "AUTOPACK_LOGS_RETENTION_DAYS": "0"}


@contextmanager
def held(lab: Lab, git: CountedGit, at: int, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command of ours that stands still in its call `at` of git until the block ends."""
    git.arm("after", at)
    (lab.root / "started.log").unlink(missing_ok=True)
    started = lab.start(*command, PATH=git.path["PATH"])
    reached = git.folder / "reached"
    until(lambda: reached.exists() or started.poll() is not None, "the call")
    assert reached.exists(), "it was done before"
    try:
        yield started
    finally:
        (git.folder / "hold").unlink()
        code = started.wait(40)
    assert code == 0, (lab.root / "started.log").read_text()


def calls(lab: Lab, git: CountedGit, *command: str) -> int:
    """How often it calls git."""
    (lab.root / "started.log").unlink(missing_ok=True)
    git.arm("before", 0)
    assert lab.start(*command, PATH=git.path["PATH"]).wait(40) == 0
    return git.calls


def verdicts(lab: Lab) -> list[dict[str, Any]]:
    """What the last backtest said of each commit."""
    record = json.loads((lab.root / "started.log").read_text())["backtest"]
    return [{key: each[key] for key in ("commit", "verdict")} for each in record["commits"]]


def grown(lab: Lab) -> Lab:
    """A project with some history."""
    lab.make()
    for number in range(4):
        write(lab.project, {"src/app.txt": f"{number}\n"})
        run_git(lab.project, "commit", "-qam", f"change {number}")
    lab.base = run_git(lab.project, "rev-parse", "HEAD")
    return lab


@pytest.mark.parametrize("part", [0.2, 0.5, 0.8])
@pytest.mark.slow
def test_a_backtest_goes_on_while_a_run_starts_and_ends(
    lab: Lab, git: CountedGit, part: float
) -> None:
    command = ("backtest", str(grown(lab).project), "--last", "4", "--json")
    calls(lab, git, *command)  # the first one makes the repository
    at = int(calls(lab, git, *command) * part)
    wanted = verdicts(lab)
    with held(lab, git, at, *command):
        assert lab.run(GOOD).code == 0
        assert lab.load().state is RunState.DONE_SUCCESS
        if part >= 0.5:  # it has begun, and nobody took its lock
            second = lab.cli(*command)
            assert second.code == 2, second
            assert "another backtest" in second.err
        lab.variables.update(CLEAN_NOW)
        assert lab.cli("clean").code == 0
    assert verdicts(lab) == wanted
    assert not list((lab.root / "state" / "trials").glob("*/"))
    assert not (lab.root / "state" / "quarantine").exists()


@pytest.mark.parametrize("part", [0.3, 0.7])
@pytest.mark.slow
def test_an_export_goes_on_while_a_run_starts_and_ends(
    lab: Lab, git: CountedGit, part: float
) -> None:
    assert lab.make().run(RED).code == 1
    until(lab.idle, "the supervisor has ended")
    out = lab.root / "out"
    at = int(calls(lab, git, "salvage", "r", "--export", str(lab.root / "first")) * part)
    with held(lab, git, at, "salvage", "r", "--export", str(out)):
        assert lab.cli("run", lab.plan(GOOD, name="next"), "--run-id", "next").code in {0, 1}
        assert lab.load("next").ended
    files = [path.relative_to(out) for path in out.rglob("*.patch")]
    first = lab.root / "first"
    assert files == [path.relative_to(first) for path in first.rglob("*.patch")]
    assert files


@pytest.mark.slow
def test_the_trial_of_a_base_goes_on_while_a_run_starts_and_ends(lab: Lab, git: CountedGit) -> None:
    lab.make()
    command = ("doctor", "--tests")
    calls(lab, git, *command)
    with held(lab, git, calls(lab, git, *command) * 2 // 3, *command):
        assert lab.run(GOOD).code == 0


def test_what_a_killed_backtest_left_goes_at_the_next_start(lab: Lab, git: CountedGit) -> None:
    command = ("backtest", str(grown(lab).project), "--last", "4")
    at = calls(lab, git, *command) * 2 // 3
    git.arm("after", at)
    started = lab.start(*command, PATH=git.path["PATH"])
    assert git.kill(started)
    trials = lab.root / "state" / "trials"
    (left,) = trials.glob("*/")
    assert lab.run(GOOD).code == 0
    assert not left.exists()
    lab.check_sound()
