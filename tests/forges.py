"""What tests of forges stand on: a user's repository with a run's branch, and our own beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from autopack.adapters.git.remote import GitRemote
from autopack.adapters.git.repository import BareRepository
from autopack.adapters.git.wrapper import Git, Store
from tests.repos import git, user_repository

HEAD = "autonomous/r1"


@dataclass
class Ground:
    """`user`: the repository of the forge, with `main` at `base` and the run's branch at `tip`."""

    user: Path
    bare: BareRepository
    base: str
    tip: str

    def git(self, *args: str) -> str:
        return git(self.user, *args)

    def remote(self, url: str, token: str = "") -> GitRemote:
        return GitRemote(lambda: Store(self.bare.git, self.bare.folder), url, token)

    def commit(self, branch: str) -> str:
        """One commit more on a branch, made on the run's tip when it is not there."""
        ref = f"refs/heads/{branch}"
        there = self.git("for-each-ref", "--format=%(objectname)", ref) or self.tip
        return _commit(self.user, there, ref, f"on {branch} after {there}")


def _commit(folder: Path, parent: str, ref: str, message: str) -> str:
    made = git(folder, "commit-tree", f"{parent}^{{tree}}", "-p", parent, "-m", message)
    git(folder, "update-ref", ref, made)
    return made


def ground(tmp_path: Path) -> Ground:
    """A repository with a run's branch, all of whose commits our own has too."""
    user = tmp_path / "user"
    base = user_repository(user)
    tip = _commit(user, base, f"refs/heads/{HEAD}", "work of the run")
    ours = BareRepository.create(tmp_path / "bare", Git())
    git(ours.folder, "fetch", "-q", str(user), "refs/heads/*:refs/source/*")
    return Ground(user, ours, base, tip)


def statuses_of(runs: Path, commit: str, context: str) -> str:
    """What the local forge's file says."""
    said = json.loads((runs / "pull_requests" / "statuses.json").read_text())[commit][context]
    return f"{said['state']} {said['description']}"
