"""Two stores with the same folders: who works there is alone, and nobody touches its clones."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from autopack import wiring
from autopack.core.run import RunState
from tests.lab import Done, Lab, phase, until
from tests.process.ground import alive, new_mark
from tests.recovery.ground import finish


def _second(lab: Lab, url: str) -> Lab:
    """The same project and folders with another store, which has a run of the same id."""
    other = Lab(lab.root, AUTOPACK_DATABASE_URL=url)
    return other.record(phase("F1", "do: write src/two.txt two"))


def _at_work(lab: Lab, mark: str) -> subprocess.Popen[bytes]:
    """A supervisor whose agent hangs."""
    lab.make().record(phase("F1", "do: write src/one.txt one", f"do: hang {mark}"))
    supervisor = lab.start("supervise", "--until-idle")
    until(lambda: alive(mark), "the agent works")
    return supervisor


def _clone(lab: Lab) -> Path:
    (clone,) = (lab.root / "state" / "clones").glob("r/F1/attempt-*[0-9]")
    return clone


def _check_refused(done: Done, first: Lab, second: Lab) -> None:
    assert done.code == 3, done
    assert str(first.loaded.folders.database) in done.err
    assert str(second.loaded.folders.database) in done.err
    assert "AUTOPACK_STATE_DIR" in done.err
    assert "AUTOPACK_DATA_DIR" in done.err


def _check_apart(first: Lab, url: str) -> None:
    """The second store is refused while the first one's agent works; then both get done."""
    mark = new_mark()
    supervisor, clone = _at_work(first, mark), _clone(first)
    before = sorted(first.root.glob("state/clones/**/*"))
    second = _second(first, url)
    _check_refused(second.cli("supervise", "--until-idle"), first, second)
    _check_refused(second.cli("run", "watch", "r"), first, second)
    _check_refused(second.cli("run", second.root / "work.md", "--run-id", "s"), first, second)
    assert [run["run_id"] for run in second.cli("run", "list", "--json").data["runs"]] == ["r"]
    cleaned = second.cli("clean", "--json")
    assert (cleaned.code, cleaned.data["alone"]) == (0, False)
    assert sorted(first.root.glob("state/clones/**/*")) == before, "the live clone is untouched"
    assert (clone / "src" / "one.txt").exists()
    assert not (first.root / "state" / "quarantine").exists()
    (pid,) = alive(mark)
    os.kill(pid, signal.SIGTERM)  # the agent hangs no more
    assert supervisor.wait(40) == 0
    assert first.load().state is RunState.DONE_SUCCESS
    assert first.load().phase("F1").attempts_used == 1
    assert second.load().version == 1, "nobody has begun the second store's run"


@pytest.mark.slow
def test_a_second_file_beside_a_living_supervisor_is_refused(lab: Lab) -> None:
    _check_apart(lab, f"sqlite:///{lab.root}/other.db")


@pytest.mark.slow
def test_a_server_beside_a_file_is_refused(lab: Lab, database: str) -> None:
    _check_apart(lab, database)


@pytest.mark.slow
def test_a_file_beside_a_server_is_refused(server_lab: Lab) -> None:
    _check_apart(server_lab, f"sqlite:///{server_lab.root}/other.db")


def test_with_folders_of_its_own_a_second_store_works_beside(lab: Lab, tmp_path: Path) -> None:
    mark = new_mark()
    supervisor = _at_work(lab, mark)
    second = Lab(lab.root, disk=tmp_path / "second")
    second.record(phase("F2", "do: write src/two.txt two"))
    assert finish(second).ended
    assert alive(mark)
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(20) == 0


@pytest.mark.slow
def test_a_dead_supervisor_s_clone_is_left_to_its_own_store(lab: Lab) -> None:
    """The second store's supervisor may work once the first one is dead, and knows no such run."""
    mark = new_mark()
    supervisor = _at_work(lab, mark)
    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait(20)
    clone = _clone(lab)
    second = Lab(lab.root, AUTOPACK_DATABASE_URL=f"sqlite:///{lab.root}/other.db")
    with wiring.writing(second.loaded):
        pass  # a store without a run
    assert second.cli("supervise", "--until-idle").code == 0
    assert second.cli("clean").code == 0
    assert (clone / "src" / "one.txt").exists()
    (lab.tools / "go").touch()
    assert finish(lab).state is RunState.DONE_SUCCESS
