"""A user's machine for a test: a home, folders, a small repository, and `autopack` on it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autopack.process.limits import Finished, Limits
from autopack.process.runner import run

PLAN = """\
## Tier T1: fix

### Phase F1.1: mend add
- category: tests
- complexity: low
- scope: a.py

Make `add` add.
"""
SETTINGS = """\
builder = "recorded"
[agents.recorded]
type = "scripted"
patches = "../patches"
[ci.normal]
commands = [{ run = "python -m unittest -q test_a" }]
"""
PATCH = """\
diff --git a/a.py b/a.py
--- a/a.py
+++ b/a.py
@@ -1,2 +1,2 @@
 def add(a, b):
-    return a - b
+    return a + b
"""
TEST = """\
import unittest

from a import add


class TestAdd(unittest.TestCase):
    def test_add(self):
        self.assertEqual(add(1, 2), 3)
"""


@dataclass
class World:
    """Everything lies below `root`; `env` is the whole environment of what is run."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    plan_name: str = "plan.md"

    def __post_init__(self) -> None:
        for folder in (self.home, self.repo, self.root / "patches" / "F1.1"):
            folder.mkdir(parents=True)
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "USER": "tester",
            "LC_ALL": "C.UTF-8",
            "AUTOPACK_DATA_DIR": str(self.root / "data"),
            "AUTOPACK_STATE_DIR": str(self.root / "state"),
            "AUTOPACK_CACHE_DIR": str(self.root / "cache"),
            "AUTOPACK_RUN_PROMOTE": "manual",
        }
        self.plan.write_text(PLAN)
        (self.root / "patches" / "F1.1" / "1.patch").write_text(PATCH)

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def repo(self) -> Path:
        return self.root / "toy"

    @property
    def plan(self) -> Path:
        return self.root / self.plan_name

    @property
    def lock(self) -> Path:
        return self.root / "data" / "autopack.db.lock"

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        identity = {"GIT_AUTHOR_NAME": "T", "GIT_AUTHOR_EMAIL": "t@example.org",
                    "GIT_COMMITTER_NAME": "T", "GIT_COMMITTER_EMAIL": "t@example.org"}  # fmt: skip
        env = {"PATH": os.environ["PATH"], "HOME": str(self.home), **identity}
        argv = ["git", "-c", "protocol.file.allow=always", *arguments]
        done = run(argv, env=env, cwd=cwd or self.repo, limits=Limits(30))
        assert done.ok, done.stderr.decode()
        return done.stdout.decode().strip()

    def commit(self, files: Mapping[str, str]) -> str:
        """Commit files on the current branch, in a repository that is made if need be."""
        if not (self.repo / ".git").exists():
            self.git("init", "--quiet", "--initial-branch=main")
        for name, text in files.items():
            path = self.repo / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=files")
        return self.git("rev-parse", "HEAD")

    def toy(self, settings: str = SETTINGS) -> str:
        """The small repository with its mistake; its commit."""
        return self.commit(
            {
                "autopack.toml": settings,
                "a.py": "def add(a, b):\n    return a - b\n",
                "test_a.py": TEST,
            }
        )

    def autopack(self, *arguments: str, cwd: Path | None = None, seconds: float = 50) -> Finished:
        """The real program, to its end."""
        argv = [sys.executable, "-m", "autopack.cli.main", *arguments]
        return run(argv, env=self.env, cwd=cwd or self.repo, limits=Limits(seconds))

    def read(self, *arguments: str) -> dict[str, Any]:
        """The JSON of a command that works."""
        done = self.autopack(*arguments, "--json")
        assert done.ok, done.stderr.decode()
        return dict(json.loads(done.stdout))

    def shadow(self, program: str, script: str) -> None:
        """A program of this name that does something else, first on PATH."""
        folder = self.root / "bin"
        folder.mkdir()
        (folder / program).write_text(f"#!/bin/sh\n{script}\n")
        (folder / program).chmod(0o755)
        self.env["PATH"] = f"{folder}:{self.env['PATH']}"

    def path_with(self, *programs: str) -> str:
        """A PATH with only these programs (and Python) on it."""
        folder = self.root / "bin"
        folder.mkdir()
        for name in programs:
            found = shutil.which(name)
            assert found is not None, f"{name} is needed by this test"
            (folder / name).symlink_to(found)
        return str(folder)


def contents(*folders: Path) -> dict[str, bytes | str]:
    """Every path below the folders with its content: equal before and after means untouched."""
    found: dict[str, bytes | str] = {}
    for folder in folders:
        for path in sorted([folder, *folder.rglob("*")]):
            if path.is_symlink():
                found[str(path)] = str(path.readlink())
            elif path.is_file():
                found[str(path)] = path.read_bytes()
            elif path.exists():
                found[str(path)] = oct(path.stat().st_mode)
    return found
