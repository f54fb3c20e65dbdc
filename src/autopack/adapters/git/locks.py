"""What a killed git leaves in the supervisor's repository: lock files and half-written objects.

Never looks into anybody else's repository.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autopack.adapters.git import sharing
from autopack.adapters.git.wrapper import OWNER_VARIABLE
from autopack.core.errors import EnvironmentFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from autopack.adapters.git.wrapper import Store
    from autopack.process.limits import Finished

ORPHAN_SECONDS_MAX: Final = 10.0  # a dead supervisor's local git ends by itself well within
_POLL_SECONDS: Final = 0.05
_IN_THE_WAY: Final = re.compile(rb"Unable to create '[^\n]*\.lock': File exists")
_clearing: Final = threading.Lock()
_OBJECT_LEFTOVERS: Final = ("tmp_obj_*", "??/tmp_obj_*", "pack/tmp_*", "pack/.tmp-*")


def clear_stale_locks(folder: Path, *, wait_seconds_max: float = ORPHAN_SECONDS_MAX) -> list[Path]:
    """Wait for a dead supervisor's git, then delete its locks and leftovers; the locks deleted.

    Only for who is alone with the folders. Beside those who share the repository, as a backtest
    does, only locks of dead gits go, and nobody's git is waited for.
    EnvironmentFault when a dead supervisor's still runs after the wait.
    """
    with sharing.to_ourselves(folder) as alone:
        if alone:
            return _clear(folder, wait_seconds_max)
    return clear_dead_locks(folder, wait_seconds_max=wait_seconds_max)


def _clear(folder: Path, wait_seconds_max: float) -> list[Path]:
    polls_left = round(wait_seconds_max / _POLL_SECONDS)
    while pids := list(orphans(folder)):
        if not polls_left:
            raise EnvironmentFault(
                f"git (pid {pids[0]}) of an earlier supervisor still works in {folder}",
                "wait for it to end, or end it, then start again",
            )
        polls_left -= 1
        time.sleep(_POLL_SECONDS)
    locks = _locks(folder)
    for lock in locks:
        lock.unlink(missing_ok=True)
    _drop_half_written(folder)
    for entry in (folder / "autopack-scratch").glob("*"):
        _drop(entry)
    return locks


def past_dead_locks(store: Store, call: Callable[[], Finished]) -> Finished:
    """Make a call; once more when locks of dead gits stood in its way and we may delete them."""
    said = call()
    if store.alone and _IN_THE_WAY.search(said.stderr) and clear_dead_locks(store.folder):
        return call()
    return said


def clear_dead_locks(folder: Path, *, wait_seconds_max: float = ORPHAN_SECONDS_MAX) -> list[Path]:
    """Delete locks whose git is dead, while others work beside us; the locks deleted.

    Only for who holds the store's lock. Whoever made a lock that is there now either lives now or
    is dead. So when all gits that live now have ended, a lock that is still the same file is
    nobody's: it has kept every other git away. None is deleted when they do not end.
    """
    with _clearing:  # two of us: the second would delete what a git made in the place of the first
        seen = {lock: _identity(lock) for lock in _locks(folder)}
        living = set(_gits(folder)) if seen else set()
        polls_left = round(wait_seconds_max / _POLL_SECONDS)
        while same := [lock for lock, found in seen.items() if found and _identity(lock) == found]:
            living &= set(_gits(folder))
            if not living:
                for lock in same:
                    lock.unlink(missing_ok=True)
                return same
            if not polls_left:
                break
            polls_left -= 1
            time.sleep(_POLL_SECONDS)
        return []


def _locks(folder: Path) -> list[Path]:
    return [*folder.glob("*.lock"), *(folder / "refs").rglob("*.lock")]


def _identity(lock: Path) -> tuple[int, int, int] | None:
    """What tells a file from a later one of its name; None when it is gone."""
    try:
        seen = lock.lstat()
    except OSError:
        return None
    return seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns


def drop_half_written(folder: Path) -> None:
    """Delete half-written objects that no process has open: git leaves them on a full disk.

    None while others share the repository. One that a git of ours closes in this instant may go
    too: that git fails, and is tried again.
    """
    with sharing.to_ourselves(folder) as alone:
        if alone:
            _drop_half_written(folder)


def _drop_half_written(folder: Path) -> None:
    leftovers = [path for name in _OBJECT_LEFTOVERS for path in (folder / "objects").glob(name)]
    held = _open_files() if leftovers else set()
    for path in leftovers:
        if os.fspath(path.resolve()) not in held:
            with contextlib.suppress(OSError):  # only room is lost when it stays
                path.unlink()


def _open_files() -> set[str]:
    found = set()
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):  # ended, or somebody else's
            found.add(os.fspath(entry.readlink()))
    return found


def orphans(folder: Path) -> Iterator[int]:
    """Processes of git that were started for this repository and are not our children."""
    for pid in _gits(folder):
        with contextlib.suppress(OSError):  # it ended
            if f"\nPPid:\t{os.getpid()}\n" not in Path(f"/proc/{pid}/status").read_text():
                yield pid


def _gits(folder: Path) -> Iterator[int]:
    """Processes of git that were started for this repository, whoever started them."""
    mark = os.fsencode(f"{OWNER_VARIABLE}={folder}")
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended, or is somebody else's
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)


def _drop(folder: Path) -> None:
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in files:
            Path(parent, name).unlink(missing_ok=True)
        for name in folders:
            with contextlib.suppress(OSError):
                Path(parent, name).rmdir()
    with contextlib.suppress(OSError):
        folder.rmdir()
