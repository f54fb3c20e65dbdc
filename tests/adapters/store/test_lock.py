"""The supervisor's lock: one at a time, and never a stale one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autopack.adapters.store.lock import acquire, holder
from autopack.core.errors import EnvironmentFault

HOLD = (
    "import sys, pathlib; from autopack.adapters.store.lock import acquire;"
    "lock = acquire(pathlib.Path(sys.argv[1])); print('held' if lock else 'refused', flush=True);"
    "sys.stdin.read()"
)


def hold(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_a_second_holder_is_refused_and_told_the_first(tmp_path: Path) -> None:
    path = tmp_path / "state" / "supervisor.lock"
    first = acquire(path)
    assert first is not None
    assert acquire(path) is None
    assert holder(path) == f"process {os.getpid()}"
    first.release()
    first.release()
    second = acquire(path)
    assert second is not None
    second.release()


def test_another_process_is_refused_and_reads_the_holder(tmp_path: Path) -> None:
    path = tmp_path / "supervisor.lock"
    with hold(path) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert acquire(path) is None
        assert holder(path) == f"process {other.pid}"
        other.send_signal(signal.SIGKILL)
        other.wait(20)
    mine = acquire(path)
    assert mine is not None
    assert holder(path) == f"process {os.getpid()}"
    mine.release()


def test_nobody_ever_held_it(tmp_path: Path) -> None:
    assert holder(tmp_path / "supervisor.lock") is None


def test_a_folder_that_cannot_be_made_is_named() -> None:
    with pytest.raises(EnvironmentFault, match="/proc/autopack"):
        acquire(Path("/proc/autopack/supervisor.lock"))
