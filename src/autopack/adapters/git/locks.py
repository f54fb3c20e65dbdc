"""What a killed git leaves in the supervisor's repository: lock files and half-written objects.

Never looks into anybody else's repository.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autopack.adapters.git.wrapper import OWNER_VARIABLE
from autopack.core.errors import EnvironmentFault

if TYPE_CHECKING:
    from collections.abc import Iterator

ORPHAN_SECONDS_MAX: Final = 10.0  # a dead supervisor's local git ends by itself well within
_POLL_SECONDS: Final = 0.05
_OBJECT_LEFTOVERS: Final = ("tmp_obj_*", "??/tmp_obj_*", "pack/tmp_*", "pack/.tmp-*")


def clear_stale_locks(folder: Path, *, wait_seconds_max: float = ORPHAN_SECONDS_MAX) -> list[Path]:
    """Wait for a dead supervisor's git, then delete its locks and leftovers; the locks deleted.

    Only for who holds the store's lock, when nobody else writes.
    EnvironmentFault when one still runs after the wait.
    """
    polls_left = round(wait_seconds_max / _POLL_SECONDS)
    while pids := list(orphans(folder)):
        if not polls_left:
            raise EnvironmentFault(
                f"git (pid {pids[0]}) of an earlier supervisor still works in {folder}",
                "wait for it to end, or end it, then start again",
            )
        polls_left -= 1
        time.sleep(_POLL_SECONDS)
    locks = [*folder.glob("*.lock"), *(folder / "refs").rglob("*.lock")]
    for lock in locks:
        lock.unlink(missing_ok=True)
    drop_half_written(folder)
    for entry in (folder / "autopack-scratch").glob("*"):
        _drop(entry)
    return locks


def drop_half_written(folder: Path) -> None:
    """Delete half-written objects that no process has open: git leaves them on a full disk.

    One that a git beside us closes in this instant may go too: that git fails, and is tried again.
    """
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
    mark = os.fsencode(f"{OWNER_VARIABLE}={folder}")
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            marked = mark in (entry / "environ").read_bytes().split(b"\0")
            if marked and f"\nPPid:\t{os.getpid()}\n" not in (entry / "status").read_text():
                yield int(entry.name)
        except OSError:
            continue  # it ended, or is somebody else's


def _drop(folder: Path) -> None:
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in files:
            Path(parent, name).unlink(missing_ok=True)
        for name in folders:
            with contextlib.suppress(OSError):
                Path(parent, name).rmdir()
    with contextlib.suppress(OSError):
        folder.rmdir()
