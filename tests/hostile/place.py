"""One clone in an attacker's hands: what it does there, never writing outside by itself."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.repos import git

Name = bytes | str


@dataclass(frozen=True)
class Place:
    """A clone, what lies outside of it, and the program whose run would be seen."""

    folder: Path
    outside: Path
    program: Path

    def at(self, name: Name) -> Path:
        return Path(os.fsdecode(os.fsencode(self.folder) + b"/" + os.fsencode(name)))

    def write(self, name: Name, content: bytes = b"x\n") -> Path:
        path = self.at(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def edit(self) -> Path:
        """Ordinary work, to be captured whatever else is done."""
        return self.write("new.py", b"1\n")

    def link(self, name: Name, target: Name | Path) -> Path:
        path = self.at(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(os.fsdecode(target))
        return path

    def git(self, *args: str) -> str:
        """The agent's own git, which obeys the clone."""
        return git(self.folder, *args)

    def config(self, key: str, value: str = "") -> None:
        """A key of the clone's configuration, by default one that starts the program."""
        self.git("config", "--add", key, value or os.fspath(self.program))
        self.edit()

    def meta(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """A file of the clone's own .git."""
        self.write(f".git/{name}", content).chmod(mode)
        self.edit()

    def deep(self, depth: int) -> None:
        """A file below more folders than a path has room for."""
        with self._deepest(depth) as folder:
            os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=folder))

    @contextlib.contextmanager
    def _deepest(self, depth: int) -> Iterator[int]:
        folder = os.open(self.folder, os.O_RDONLY)
        for _ in range(depth):
            os.mkdir("d", dir_fd=folder)
            below = os.open("d", os.O_RDONLY, dir_fd=folder)
            os.close(folder)
            folder = below
        yield folder
        os.close(folder)
