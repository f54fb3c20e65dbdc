"""Small real repositories for tests: made with git through our own runner."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from autopack.adapters.git.repository import BareRepository
from autopack.adapters.git.wrapper import Git
from autopack.process.limits import Limits
from autopack.process.runner import run

LIMITS = Limits(wall_seconds_max=50)
ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "HOME": "/dev/null",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_NAME": "somebody" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "somebody@localhost" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_DATE": "@1000000000 +0000" for who in ("AUTHOR", "COMMITTER")},
}
FILES = {
    "README.md": "a project\n",
    "src/app.py": "def one():\n    return 1\n",
    "src/deep/er.py": "x = 1\n",
    "run.sh": "#!/bin/sh\n",
}


def git(folder: Path, *args: str, stdin: bytes = b"", **more: str) -> str:
    """What git prints in `folder`; fails the test when git does."""
    argv = ["git", "-c", "init.defaultBranch=main", *args]
    done = run(argv, env={**ENVIRONMENT, **more}, cwd=folder, stdin=stdin, limits=LIMITS)
    assert done.ok, (args, done.stderr.decode())
    return done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")


def write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Files below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def commit_all(folder: Path, message: str = "work") -> str:
    """Commit everything; the commit."""
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def user_repository(folder: Path, files: Mapping[str, str | bytes] | None = None) -> str:
    """A repository with one commit on `main`; the commit."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q")
    write(folder, FILES if files is None else files)
    if files is None:
        (folder / "run.sh").chmod(0o755)
    return commit_all(folder, "first")


def bare(tmp_path: Path) -> BareRepository:
    """The supervisor's repository."""
    return BareRepository.create(tmp_path / "bare", Git())


def refs(folder: Path) -> dict[str, str]:
    """Every ref with its object."""
    said = git(folder, "for-each-ref", "--format=%(refname) %(objectname)")
    return dict(line.split(" ") for line in said.splitlines())
