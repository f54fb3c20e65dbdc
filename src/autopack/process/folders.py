"""Folders that untrusted programs fill: handed over, watched, logged into, taken back, removed.

Never follows a link; meant for times when nothing runs in the folder any more.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autopack.core.errors import refusal
from autopack.process.limits import Identity

if TYPE_CHECKING:
    from types import TracebackType

    from autopack.process.limits import Finished

ENTRIES_MAX: Final = 5_000
ALTERNATES_BYTES_MAX: Final = 1 << 14
LOG_BYTES_MAX: Final = 1 << 20
LEFT_OUT: Final = "# ... the middle is left out"
"""Stands in a log where something is."""


def give(folder: Path, identity: Identity | None) -> None:
    """Change the owner of a folder and all below it, unless there is nobody to give it to.

    Links themselves, never their targets.
    """
    if identity is None:
        return
    owner = identity.uid, identity.gid
    os.lchown(folder, *owner)
    for _, folders, files, descriptor in os.fwalk(folder, follow_symlinks=False):
        for name in (*folders, *files):
            os.chown(name, *owner, dir_fd=descriptor, follow_symlinks=False)


def take_back(folder: Path) -> None:
    """Make a folder and all below it ours again."""
    give(folder, Identity(os.geteuid(), os.getegid()))


MACHINE_ERRORS: Final = frozenset({errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What no program can make of a file that it leaves: the machine fails."""


class Unreadable(ValueError):
    """A file that an untrusted program should have left cannot be used, and why.

    `machine`: that is not the program's doing.
    """

    def __init__(self, why: str, *, machine: bool = False) -> None:
        super().__init__(why)
        self.machine = machine


def _unreadable(fault: OSError) -> Unreadable:
    return Unreadable(f"not readable: {fault.strerror}", machine=fault.errno in MACHINE_ERRORS)


def read_left(path: Path, bytes_max: int) -> bytes:
    """A file that an untrusted program left: no link followed, no pipe waited for, bounded."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise Unreadable("missing") from None
    except OSError as fault:
        raise _unreadable(fault) from fault
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unreadable("not a regular file")
        content = b""
        while len(content) <= bytes_max and (part := os.read(descriptor, bytes_max + 1)):
            content += part
    except OSError as fault:
        raise _unreadable(fault) from fault
    finally:
        os.close(descriptor)
    if len(content) > bytes_max:
        raise Unreadable(f"larger than {bytes_max:,} bytes")
    return content


def borrowed_objects(clone: Path) -> tuple[Path, ...]:
    """Git objects that a fresh clone borrows from elsewhere, which a fence must show too.

    Ask before anything untrusted has run in the clone: it could name any folder of the host.
    """
    try:
        content = read_left(clone / ".git/objects/info/alternates", ALTERNATES_BYTES_MAX)
    except Unreadable:
        return ()
    return tuple(Path(os.fsdecode(line)) for line in content.splitlines() if line)


def clear(path: Path) -> None:
    """Remove a file or folder that hostile programs filled; a folder without rights too."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    try:
        shutil.rmtree(path, onerror=_open_and_clear)
    except (RecursionError, OSError) as fault:
        too_deep = (errno.EMFILE, errno.ENAMETOOLONG)
        if isinstance(fault, OSError) and fault.errno not in too_deep:
            raise
        _flatten(path)
        shutil.rmtree(path, onerror=_open_and_clear)


def _flatten(top: Path) -> None:
    """Move every folder below `top` into a new one there: `rmtree` recurses, and paths end."""
    top.chmod(stat.S_IRWXU)
    heap = tempfile.mkdtemp(dir=top)
    todo, number = [os.fspath(top)], 0
    while todo:
        folder = todo.pop()
        with os.scandir(folder) as entries:
            below = [e.path for e in entries if e.is_dir(follow_symlinks=False) and e.path != heap]
        for path in below:
            number += 1
            place = os.path.join(heap, str(number))
            os.chmod(path, stat.S_IRWXU)  # or it cannot be moved and read
            os.rename(path, place)
            todo.append(place)


_Info = tuple[type[BaseException], BaseException, "TracebackType"]


def _open_and_clear(_act: object, name: str, info: _Info) -> None:
    """What could not be removed, once more with rights; the refusal when they were there."""
    opened = False
    for folder in (os.path.dirname(name), name):
        with contextlib.suppress(FileNotFoundError):
            mode = os.lstat(folder).st_mode
            if stat.S_ISDIR(mode) and mode & stat.S_IRWXU != stat.S_IRWXU:
                os.chmod(folder, stat.S_IRWXU)
                opened = True
    if not os.path.lexists(name):
        return
    if not opened:
        raise info[1]
    clear(Path(name))


def activity(folder: Path) -> tuple[int, int]:
    """What changes when a program works in `folder`: entries and their newest time (ns).

    Looks at the first `ENTRIES_MAX` entries; a clone can be big, and this is asked every second.
    """
    seen = newest = 0
    todo = [os.fspath(folder)]
    while todo and seen < ENTRIES_MAX:
        with contextlib.suppress(OSError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                seen += 1
                newest = max(newest, entry.stat(follow_symlinks=False).st_mtime_ns)
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
    return seen, newest


def write_log(path: Path, argv: Sequence[str], finished: Finished, said: str = "") -> None:
    """Keep what a program said, the middle left out where it is long, and what we say of it.

    EnvironmentFault.
    """
    end = finished.ended if finished.exit_code is None else f"exit code {finished.exit_code}"
    try:
        with path.open("wb") as log:
            log.write(f"$ {' '.join(argv)}\n# {end}, {finished.seconds:.1f} s\n".encode())
            for name, content in (("stdout", finished.stdout), ("stderr", finished.stderr)):
                log.write(f"# {name}, {len(content)} bytes\n".encode())
                log.write(_shortened(content) + b"\n")
            if said:
                log.write(f"# {said}\n".encode())
    except OSError as fault:
        raise refusal(fault, path) from fault


def _shortened(content: bytes) -> bytes:
    if len(content) <= LOG_BYTES_MAX:
        return content
    half = LOG_BYTES_MAX // 2
    return content[:half] + f"\n{LEFT_OUT}\n".encode() + content[-half:]
