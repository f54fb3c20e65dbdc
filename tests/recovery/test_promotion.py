"""kill -9 of the supervisor between push, pull request and state: one pull request, always.

The forge is the double, reached by the real gh and by git over HTTP; the supervisor dies while a
call of the promotion is with it, done or not, or around a save.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from autopack.core.spec import PromoteMode
from tests.acceptance.test_promotion_gh import at_github, check_one
from tests.double.server import Double, serving
from tests.lab import Lab, phase, processes, until
from tests.recovery.ground import finish, host

ONE = phase("F1", "do: write src/x.txt x")
CALLS = [
    ("GET", "/pulls"),
    ("POST", "git-receive-pack"),
    ("POST", "/pulls"),
    ("POST", "/statuses/"),
]


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    with serving(tmp_path / "hub") as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["dropped", "lost"])
@pytest.mark.parametrize(("method", "path"), CALLS)
def test_killed_while_a_call_is_with_the_forge(
    lab: Lab, double: Double, method: str, path: str, kind: str
) -> None:
    """`dropped`: it was not done, `lost`: it was, and its answer never comes."""
    repo = at_github(lab, double)
    lab.record(ONE, promote=PromoteMode.AUTO)
    double.hub.fail(kind, method, path)
    double.hub.struck = lambda: os.kill(supervisor.pid, signal.SIGKILL)
    supervisor = lab.start("supervise", "--until-idle")
    assert supervisor.wait(90) == -signal.SIGKILL
    until(lambda: not processes(lab.root), f"no process is left: {processes(lab.root)}")
    finish(lab)
    check_one(lab, repo)
    lab.check_sound()


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("save", [6, 7, 8])
def test_killed_at_a_save_around_the_promotion(
    lab: Lab, double: Double, when: str, save: int
) -> None:
    """The last saves of the run: landed, delivered, promoted."""
    repo = at_github(lab, double)
    lab.record(ONE, promote=PromoteMode.AUTO)
    done = host(lab, when, save)
    assert done.returncode == -signal.SIGKILL, done
    finish(lab)
    check_one(lab, repo)
    assert lab.kinds()[-3:] == ["snapshot_landed", "delivered", "promoted"]
    assert len(lab.kinds()) == 9
    lab.check_sound()
