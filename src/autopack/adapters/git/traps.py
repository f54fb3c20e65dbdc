"""What git opens in a clone by its name, and must not: it would lead out, or never end.

While it lists a work tree, git reads each `.gitattributes`, and to tell whether a folder is a
repository of its own also `HEAD`, `commondir` and refs below its `.git`. A pipe there makes it wait
for ever, an endless device makes it fill the memory, a pointer makes it look outside. Nothing is
opened here but small regular files inside the clone.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

POINTER_BYTES_MAX: Final = 1 << 20
"""Bytes of a file that only says where something is; git reads it whole."""


@dataclass(frozen=True)
class Trap:
    """A path, told from the clone's folder, and why git must not come there."""

    rule: str
    path: bytes
    message: str


def traps(top: Path) -> Iterator[Trap]:
    """All in the folder `top`, whose own `.git` git is not shown."""
    real, start = top.resolve(), os.fsencode(top)
    for folder, attributes in _folders(start):
        path = folder[len(start) + 1 :]
        if attributes:
            name = path + b"/.gitattributes" if path else b".gitattributes"
            yield Trap("file-kind", name, "is neither file nor link; remove it")
        elif _is_trap(Path(os.fsdecode(folder)), real):
            message = (
                "has a .git that leads out, or holds a pipe, a device or a huge file: remove it"
            )
            yield Trap("nested-repository", path, message)


def _folders(top: bytes) -> Iterator[tuple[bytes, bool]]:
    """Folders with odd attributes (told True), and those with a `.git` but the top one."""
    todo = [top]
    while todo:
        folder = todo.pop()
        nested = odd = False
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name == b".git":
                        nested = folder != top
                    elif entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    elif entry.name == b".gitattributes":
                        odd = not entry.is_symlink() and not entry.is_file()
        except OSError:
            continue  # closed or too deep: git cannot look into it either, and capture tells it
        if odd:
            yield folder, True
        if nested:
            yield folder, False


def _is_trap(folder: Path, top: Path) -> bool:
    git = folder / ".git"
    if _endless(git, top):
        return True
    git = _pointed(folder, git) or git
    if _endless(git / "commondir", top):
        return True
    common = _pointed(git, git / "commondir") or git
    return any(_endless(file, top) for place in {git, common} for file in _opened(place))


def _pointed(here: Path, pointer: Path) -> Path | None:
    """Where a file that is no trap says that something is."""
    if not pointer.is_file():
        return None
    content = pointer.read_bytes().partition(b"\0")[0].removeprefix(b"gitdir:")
    return here / os.fsdecode(content.strip())


def _opened(git: Path) -> Iterator[Path]:
    """What git may open of a repository to read where its `HEAD` stands."""
    yield from (git, git / "HEAD", git / "commondir", git / "packed-refs", git / "refs")
    for folder, folders, names in os.walk(git / "refs"):
        yield from (Path(folder, name) for name in (*folders, *names))


def _endless(path: Path, top: Path) -> bool:
    """Whether reading it may take for ever or leads out; links count as what they lead to."""
    try:
        real = path.resolve()
        kind = real.lstat()
    except (OSError, RuntimeError):
        return False  # not there, or a circle: git cannot open it either
    if not real.is_relative_to(top):
        return True
    if stat.S_ISREG(kind.st_mode):
        return kind.st_size > POINTER_BYTES_MAX and path.name != "packed-refs"
    return not stat.S_ISDIR(kind.st_mode)
