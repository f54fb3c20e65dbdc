"""A git killed at any moment, then the same thing again: the same refs, no lock, nothing twice."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from autopack.adapters.git.locks import clear_stale_locks, drop_half_written, orphans
from autopack.adapters.git.repository import BareRepository
from autopack.adapters.git.wrapper import OWNER_VARIABLE, Git, environmental
from autopack.app.ports import Clone
from autopack.core.errors import EnvironmentFault
from autopack.process.limits import Ended, Finished
from autopack.process.runner import spawn_detached
from tests.repos import git, refs, user_repository, write

TAG = "autonomous/r1/tier-T/phase-p"


def whole_phase(repository: BareRepository, user: Path, base: str, folder: Path) -> None:
    """Everything that a phase asks of git."""
    repository.prepare(str(user), "main", base, "autonomous/r1")
    clone: Clone = repository.clone(base, folder)
    write(clone.folder, {"src/app.py": "edited\n", "new": "x\n"})
    tree = repository.capture(clone, ())
    assert isinstance(tree, str)
    commit = repository.commit(tree, base, "m\n", 1_000, "refs/autopack/r1/p/1")
    repository.land("autonomous/r1", commit, base, TAG, "m", 1_000)
    assert repository.deliver(str(user), "r1", commit, "") == ""


@pytest.mark.parametrize("survives", range(16))
def test_a_git_killed_and_done_again_changes_nothing(tmp_path: Path, survives: int) -> None:
    """The n-th call and all later ones die after 2 ms, somewhere in their work."""
    user = tmp_path / "user"
    base = user_repository(user)
    real = shutil.which("git")
    count = tmp_path / "count"
    killer = tmp_path / "killer"
    killer.write_text(
        f"#!/bin/sh\necho >> {count}\n"
        f'[ $(wc -l < {count}) -le {survives} ] && exec {real} "$@"\n'
        f'exec timeout -s KILL 0.002 {real} "$@"\n'
    )
    killer.chmod(0o755)
    repository = BareRepository.create(tmp_path / "bare", Git())
    dying = BareRepository(tmp_path / "bare", Git(program=str(killer)))
    died = False
    try:
        whole_phase(dying, user, base, tmp_path / "clone")
    except (EnvironmentFault, AssertionError):
        died = True
    clear_stale_locks(repository.folder)
    for lock in (user / ".git").rglob("*.lock"):  # the user's to remove; told as a reason
        lock.unlink()
    whole_phase(repository, user, base, tmp_path / "clone")
    expected = tmp_path / "expected"
    other = BareRepository.create(expected / "bare", Git())
    user_repository(expected / "user")
    whole_phase(other, expected / "user", base, expected / "clone")
    assert refs(repository.folder) == refs(other.folder)
    assert refs(user) == refs(expected / "user")
    assert git(repository.folder, "fsck", "--strict", "--no-dangling") == ""
    assert not list(repository.folder.rglob("*.lock"))
    assert died or survives > 0


def test_a_git_of_a_dead_supervisor_is_waited_for(tmp_path: Path) -> None:
    repository = BareRepository.create(tmp_path / "bare", Git())
    assert list(orphans(repository.folder)) == []
    env = {"PATH": os.environ["PATH"], OWNER_VARIABLE: str(repository.folder)}
    pid = spawn_detached(["sleep", "50"], env=env, cwd=tmp_path, log=tmp_path / "log")
    try:
        assert list(orphans(repository.folder)) == [pid]
        lock = repository.folder / "packed-refs.lock"
        lock.touch()
        with pytest.raises(EnvironmentFault, match=f"pid {pid}"):
            clear_stale_locks(repository.folder, wait_seconds_max=0.1)
        assert lock.exists()
    finally:
        os.kill(pid, signal.SIGKILL)
    clear_stale_locks(repository.folder)
    assert not lock.exists()


def test_half_written_objects_go_unless_a_process_has_them_open(tmp_path: Path) -> None:
    repository = BareRepository.create(tmp_path / "bare", Git())
    folder = repository.folder / "objects" / "ab"
    folder.mkdir()
    dead, written = folder / "tmp_obj_dead", folder / "tmp_obj_written"
    dead.touch()
    with written.open("wb"):
        drop_half_written(repository.folder)
        assert (dead.exists(), written.exists()) == (False, True)
    drop_half_written(repository.folder)
    assert not written.exists()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"fatal: sha1 file '/bare/scratch/index.lock' write error. Out of diskspace\n", True),
        (b"error: file write error: No space left on device\n", True),
        (b"error: 'write error. Out of diskspace' is not a path\n", False),
        (b"fatal: sha1 file 'a\n' write error. Out of diskspace in it\n", False),
    ],
)
def test_a_full_disk_is_told_from_names_that_speak_of_one(said: bytes, expected: bool) -> None:
    finished = Finished(Ended.EXITED, 128, b"", said, 0.1)
    assert environmental(finished) is expected
