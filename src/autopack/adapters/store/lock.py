"""The lock of a store's one supervisor: in a file, let go by the kernel; or in a server.

Never waits, never removes the file (unlinking would split contenders over two files).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import filelock

from autopack.core.errors import EnvironmentFault

_END: Final = "\n"


class SupervisorLock(Protocol):
    """Held; who dies lets go."""

    def watch(self, lost: Callable[[EnvironmentFault], None]) -> None:
        """Have `lost` called, from another thread, when the lock may be gone."""
        ...

    def check(self) -> None:
        """StoreAway when it is not ours any more."""
        ...

    def release(self) -> None:
        """Let others in; harmless when repeated."""
        ...


class Loss:
    """Hears of a lock's loss, and tells who asks for it later."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fault: EnvironmentFault | None = None
        self._who: Callable[[EnvironmentFault], None] | None = None

    def __call__(self, fault: EnvironmentFault) -> None:
        """The lock may be gone."""
        with self._lock:
            self._fault, who = fault, self._who
        if who is not None:
            who(fault)

    def tell(self, who: Callable[[EnvironmentFault], None]) -> None:
        """Have `who` called: at once when the lock is lost already."""
        with self._lock:
            self._who, fault = who, self._fault
        if fault is not None:
            who(fault)


class FileLock:
    """A SupervisorLock that cannot be lost: the kernel keeps it for the process."""

    def __init__(self, held: filelock.FileLock) -> None:
        self._held = held

    def watch(self, lost: Callable[[EnvironmentFault], None]) -> None:
        """Nothing to look at."""

    def check(self) -> None:
        """It is ours."""

    def release(self) -> None:
        """Let others in; harmless when repeated."""
        self._held.release(force=True)


def acquire(place: Path | str) -> SupervisorLock | None:
    """Take the lock for this process: in a file, or in the server of a URL.

    None when another one has it.
    """
    if isinstance(place, Path):
        return acquire_file(place)
    from autopack.adapters.store import advisory  # noqa: PLC0415  its driver

    return advisory.acquire(place)


def holder(place: Path | str) -> str | None:
    """Who holds the lock, or held it last; for messages only."""
    if isinstance(place, Path):
        return _holder(place)
    from autopack.adapters.store import advisory  # noqa: PLC0415  its driver

    return advisory.holder(place)


def acquire_file(path: Path, note: str = "") -> FileLock | None:
    """Take the lock in a file, and leave a note in it; None when another one has it."""
    # A soft lock would outlive kill -9: rather fail where the system has no flock.
    lock = filelock.FileLock(
        path, blocking=False, mode=0o600, fallback_to_soft=False, is_singleton=False
    )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock.acquire()
        path.write_text(f"{os.getpid()}\n{note}\n", encoding="utf-8")
    except filelock.Timeout:
        return None
    except OSError as error:
        hint = "make the folder exist and writable for this user"
        raise EnvironmentFault(f"cannot lock {path}: {error.strerror}", hint) from error
    return FileLock(lock)


def _holder(path: Path) -> str | None:
    try:
        return f"process {int(path.read_text(encoding='utf-8').partition(_END)[0])}"
    except (OSError, ValueError):
        return None


def note(path: Path) -> str:
    """What the holder of a file's lock left there; empty when nothing."""
    try:
        return path.read_text(encoding="utf-8").partition(_END)[2].strip()
    except (OSError, ValueError):
        return ""
