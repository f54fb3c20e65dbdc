"""Folders we write into beside other people's files: atomic, and never through a planted symlink.

Every step below the anchor goes by an open folder, not by a path, so nothing can be swapped in
between. What we make belongs to the anchor's owner, also when we are root.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from autopack.core.errors import EnvironmentFault

TEMPORARY: Final = ".autopack-tmp"
"""End of the names of files that are being written; found later, they are leftovers."""
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC
_READ_BYTES_MAX = 10_000_000
_ROOT = 0


class Folder:
    """An open folder; `owner` is who shall own what is made in it (uid, gid)."""

    def __init__(self, descriptor: int, path: Path, owner: tuple[int, int]) -> None:
        self._descriptor = descriptor
        self.path = path
        self._owner = owner

    @contextlib.contextmanager
    def sub(self, name: str) -> Iterator[Folder]:
        """A folder in this one, made when it is not there; a symlink is an EnvironmentFault."""
        made = self._make(name)
        try:
            opened = os.open(name, _FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=self._descriptor)
        except NotADirectoryError as fault:
            raise EnvironmentFault(
                f"{self.path / name} is a symlink or a file, so nothing is written below it",
                "move it away, or set AUTONOMOUS_RUNS_DIR to the folder you mean",
            ) from fault
        try:
            if made:
                self._give(opened)
            yield Folder(opened, self.path / name, self._owner)
        finally:
            os.close(opened)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes that ask for the same lock out of the folder."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def names(self) -> list[str]:
        """What is in it, in no order."""
        return os.listdir(self._descriptor)  # noqa: PTH208  it is open, not named

    def read(self, name: str) -> bytes | None:
        """A regular file's bytes; None when it is absent or anything else."""
        found = self._stat(name)
        if found is None or not stat.S_ISREG(found.st_mode):
            return None
        try:
            opened = os.open(
                name, os.O_RDONLY | os.O_NONBLOCK | _FILE_FLAGS, dir_fd=self._descriptor
            )
        except OSError:  # swapped since, or not ours to read: it is replaced
            return None
        with os.fdopen(opened, "rb") as file:
            return file.read(_READ_BYTES_MAX)

    def write(self, name: str, content: bytes) -> bool:
        """Replace a file by one rename, keeping its permissions; False when it is the same."""
        if self.read(name) == content:
            return False
        before = self._stat(name)
        temporary = f".{os.getpid()}-{threading.get_ident()}{TEMPORARY}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE_FLAGS
        self._drop(temporary)  # of a process that died under our number
        try:
            opened = os.open(temporary, flags, 0o666, dir_fd=self._descriptor)
            with os.fdopen(opened, "wb") as file:
                self._give(file.fileno())
                if before and stat.S_ISREG(before.st_mode):
                    os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode) & 0o777)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        except OSError:
            self._drop(temporary)
            raise
        os.fsync(self._descriptor)
        return True

    def remove(self, name: str) -> None:
        """Delete a folder in this one with all below it; a symlink is no folder. OSError."""
        shutil.rmtree(name, dir_fd=self._descriptor)

    def sweep(self) -> None:
        """Remove what a killed writer left; only under `locked`."""
        for name in self.names():
            found = self._stat(name) if name.endswith(TEMPORARY) else None
            if found and not stat.S_ISDIR(found.st_mode):
                self._drop(name)

    def _make(self, name: str) -> bool:
        try:
            os.mkdir(name, 0o777, dir_fd=self._descriptor)
        except FileExistsError:
            return False
        return True

    def _drop(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._descriptor)

    def _stat(self, name: str) -> os.stat_result | None:
        try:
            return os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def _give(self, descriptor: int) -> None:
        """Hand a file or folder that root has just made to the anchor's owner."""
        if os.geteuid() == _ROOT and os.fstat(descriptor).st_uid == _ROOT:
            os.fchown(descriptor, *self._owner)


@contextlib.contextmanager
def anchored(anchor: Path) -> Iterator[Folder]:
    """An existing folder that is trusted as it is named, symlinks on the way included."""
    opened = os.open(anchor, _FOLDER_FLAGS)
    try:
        found = os.fstat(opened)
        yield Folder(opened, anchor, (found.st_uid, found.st_gid))
    finally:
        os.close(opened)


@contextlib.contextmanager
def below(anchor: Path, parts: tuple[str, ...]) -> Iterator[Folder]:
    """The folder at `parts` below an anchor, made as needed."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(anchored(anchor))
        for part in parts:
            folder = stack.enter_context(folder.sub(part))
        yield folder
