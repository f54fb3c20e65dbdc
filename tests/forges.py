"""What tests of forges stand on: a user's repository with a run's branch, and our own beside it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from autopack.adapters.forge import github
from autopack.adapters.forge.github import GitHubForge
from autopack.adapters.git.remote import GitRemote
from autopack.adapters.git.repository import BareRepository
from autopack.adapters.git.wrapper import Git, Store
from autopack.app.forge import ForgeContext, ForgeOptions
from autopack.testing import FakeClock
from tests.double.hub import WRITER
from tests.double.server import Double
from tests.repos import git, user_repository

HEAD = "autonomous/r1"
NAME = "owner/name"


@dataclass
class Patience:
    """A Cancel that nobody gives, whose waiting costs no time: `waited` has the seconds."""

    clock: FakeClock = field(default_factory=FakeClock)
    waited: list[float] = field(default_factory=list)
    told_to_end: bool = False

    def is_set(self) -> bool:
        return self.told_to_end

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout or 0.0)
        self.clock.advance(timeout or 0.0)
        return self.told_to_end


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


def github_forge(
    place: Ground,
    double: Double,
    client: str,
    token: str = WRITER,
    *,
    name: str = NAME,
    **options: object,
) -> tuple[GitHubForge, Patience]:
    """The forge of the double's repository, and who waits for it."""
    patience = Patience()
    environ = {"PATH": os.environ["PATH"], "HOME": "/dev/null"}
    if client == "gh":
        environ |= double.gh(token)
    elif token:
        environ["GH_ENTERPRISE_TOKEN"] = token
    api = "https://api.github.com" if client == "gh" else double.url
    given = {"wait_seconds_max": 300.0, "seconds_max": 30.0, "remote": double.remote(NAME)}
    context = ForgeContext(
        repository=place.user, runs_root=place.user, remote=place.remote, origin=lambda: "",
        clock=patience.clock, cancel=patience, chance=lambda: 0.0, environ=environ,
        options=ForgeOptions(name, api, client=client, **{**given, **options}),  # type: ignore[arg-type]  # a test's own words
    )  # fmt: skip
    assert urlsplit(double.url).hostname == "127.0.0.1"
    return github.factory(context), patience


def statuses_of(runs: Path, commit: str, context: str) -> str:
    """What the local forge's file says."""
    said = json.loads((runs / "pull_requests" / "statuses.json").read_text())[commit][context]
    return f"{said['state']} {said['description']}"
