"""Locks that a killed git left: deleted only in our own repository, only by who is alone, and only
when no living git can hold them.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autopack.adapters.git.locks import clear_dead_locks
from autopack.adapters.git.repository import BareRepository
from autopack.adapters.git.wrapper import OWNER_VARIABLE, Git, GitFailed
from tests.repos import git, refs, user_repository

BRANCH = "autonomous/r"
TAG = f"{BRANCH}/tier-T1/phase-F1"


@contextmanager
def prepared(folder: Path, ref: str, commit: str) -> Iterator[subprocess.Popen[bytes]]:
    """A git of ours that has taken a ref's lock and lives."""
    env = {"PATH": os.environ["PATH"], "GIT_DIR": str(folder), OWNER_VARIABLE: str(folder)}
    child = subprocess.Popen(
        ["git", "update-ref", "--stdin"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin
    assert child.stdout
    child.stdin.write(f"start\ncreate {ref} {commit}\nprepare\n".encode())
    child.stdin.flush()
    assert child.stdout.readline() == b"start: ok\n"
    assert child.stdout.readline() == b"prepare: ok\n"
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


@pytest.fixture
def user(tmp_path: Path) -> Path:
    user_repository(tmp_path / "user")
    return tmp_path / "user"


def opened(tmp_path: Path, user: Path, *, alone: bool) -> tuple[BareRepository, str]:
    """The repository with the user's commit, and no branch yet."""
    repository = BareRepository.create(tmp_path / "bare", Git(), alone=alone)
    base = git(user, "rev-parse", "HEAD")
    git(repository.folder, "fetch", "-q", str(user), f"{base}:refs/source/commits/{base}")
    return repository, base


def lock_of(repository: BareRepository) -> Path:
    return repository.folder / "refs" / "heads" / f"{BRANCH}.lock"


def test_a_lock_of_a_living_git_stays_and_goes_with_it(tmp_path: Path, user: Path) -> None:
    repository, base = opened(tmp_path, user, alone=True)
    lock = lock_of(repository)
    with prepared(repository.folder, f"refs/heads/{BRANCH}", base) as child:
        assert lock.exists()
        assert clear_dead_locks(repository.folder, wait_seconds_max=0.2) == []
        assert lock.exists()
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert lock.exists(), "a killed git leaves its lock"
        assert clear_dead_locks(repository.folder, wait_seconds_max=0.2) == [lock]
    assert not lock.exists()


def test_a_dead_git_s_lock_stays_while_any_git_of_ours_lives(tmp_path: Path, user: Path) -> None:
    """It cannot be known which of them made it."""
    repository, base = opened(tmp_path, user, alone=True)
    dead = repository.folder / "packed-refs.lock"
    dead.touch()
    with prepared(repository.folder, "refs/autopack/other", base):
        assert clear_dead_locks(repository.folder, wait_seconds_max=0.2) == []
    assert dead.exists()
    found = clear_dead_locks(repository.folder, wait_seconds_max=0.2)
    assert dead in found
    assert not list(repository.folder.rglob("*.lock"))


def test_a_git_that_was_killed_beside_us_stops_nothing(tmp_path: Path, user: Path) -> None:
    repository, base = opened(tmp_path, user, alone=True)
    with prepared(repository.folder, f"refs/heads/{BRANCH}", base) as child:
        child.kill()
        child.wait()
    assert lock_of(repository).exists()
    repository.prepare(str(user), "main", base, BRANCH)
    assert refs(repository.folder)[f"refs/heads/{BRANCH}"] == base
    assert not lock_of(repository).exists()


def test_who_is_not_alone_deletes_no_lock(tmp_path: Path, user: Path) -> None:
    repository, base = opened(tmp_path, user, alone=False)
    lock = lock_of(repository)
    lock.parent.mkdir(parents=True)
    lock.touch()
    with pytest.raises(GitFailed, match=r"r\.lock': File exists"):
        repository.prepare(str(user), "main", base, BRANCH)
    assert lock.exists()


@pytest.mark.parametrize("name", ["config.lock", "HEAD.lock", "index.lock", "packed-refs.lock"])
def test_a_creation_that_was_killed_is_begun_again(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "bare"
    BareRepository.create(folder, Git(), alone=True)
    (folder / "autopack-ready").unlink()
    (folder / name).touch()
    BareRepository.create(folder, Git(), alone=True)
    assert (folder / "autopack-ready").exists()
    assert not (folder / name).exists()


@pytest.mark.parametrize("ref", [f"heads/{BRANCH}", f"tags/{TAG}"])
def test_a_lock_in_the_user_s_repository_is_told_and_left(
    tmp_path: Path, user: Path, ref: str
) -> None:
    repository, base = opened(tmp_path, user, alone=True)
    repository.prepare(str(user), "main", base, BRANCH)
    assert repository.land(BRANCH, base, base, TAG, "green", 1) == base
    lock = user / ".git" / "refs" / f"{ref}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    before = refs(user)
    why = repository.deliver(str(user), "r", base, "")
    assert str(lock) in why, why
    assert "delete it when no git works there" in why, why
    assert refs(user) == before
    assert lock.exists()
    lock.unlink()
    assert repository.deliver(str(user), "r", base, "") == ""
    assert refs(user)[f"refs/heads/{BRANCH}"] == base
