"""Who works in a bare repository beside others: many share it, who clears or prunes has it alone.

The kernel's locks on a file in it, let go at death. Never waits for those who share.
"""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autopack.core.errors import EnvironmentFault, refusal
from autopack.process.folders import clear

if TYPE_CHECKING:
    from collections.abc import Iterator

_log = logging.getLogger(__name__)
FILE: Final = "autopack-shared"
"""Not `*.lock`: those are git's, and deleted when their git is dead."""
LOOKS_MAX: Final = 600
LOOK_SECONDS: Final = 0.1
"""Clearing takes moments, and up to ten seconds when a dead supervisor's git works on."""


@contextmanager
def shared(folder: Path) -> Iterator[None]:
    """Keep others from clearing and pruning there meanwhile; the folder is made when missing.

    For whoever does not hold the lock of the folders. EnvironmentFault when it is pruned for long.
    """
    with ExitStack() as opened:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = opened.enter_context(_opened(folder))
        except OSError as fault:
            raise refusal(fault, folder) from fault
        _share(descriptor, folder)
        yield


@contextmanager
def to_ourselves(folder: Path) -> Iterator[bool]:
    """Whether nobody shares the repository now; if so, nobody can until the end. Never waits."""
    if not folder.is_dir():
        yield True  # there is nothing to share
        return
    with _opened(folder) as descriptor:
        alone = False
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        yield alone


@contextmanager
def trial_folder(top: Path, prefix: str) -> Iterator[Path]:
    """A new folder for the clones of one trial, gone afterwards."""
    with (
        shared(top),
        tempfile.TemporaryDirectory(prefix=prefix, dir=top, ignore_cleanup_errors=True) as made,
    ):
        yield Path(made)


def sweep_trials(top: Path) -> None:
    """Delete what killed trials left, when none is under way."""
    with to_ourselves(top) as alone:
        for left in top.glob("*/") if alone else ():
            try:
                clear(left)
            except OSError as fault:
                _log.warning("%s was not deleted, the next start tries again: %s", left, fault)


def _share(descriptor: int, folder: Path) -> None:
    for _ in range(LOOKS_MAX):
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return
        time.sleep(LOOK_SECONDS)
    raise EnvironmentFault(f"{folder} is being cleaned up or packed", "try again when that is done")


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
