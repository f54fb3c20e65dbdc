"""The lock of a store's one supervisor: held by a process, let go by the kernel when it dies.

Never waits, never removes the file (unlinking would split contenders over two files).
"""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock, Timeout

from autopack.core.errors import EnvironmentFault


class SupervisorLock:
    """Held; `release` lets others in."""

    def __init__(self, held: FileLock) -> None:
        self._held = held

    def release(self) -> None:
        """Let go; harmless when repeated."""
        self._held.release(force=True)


def acquire(path: Path) -> SupervisorLock | None:
    """Take the lock in the file `path` for this process; None when another one has it."""
    # A soft lock would outlive kill -9: rather fail where the system has no flock.
    lock = FileLock(path, blocking=False, mode=0o600, fallback_to_soft=False, is_singleton=False)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock.acquire()
        path.write_text(f"{os.getpid()}\n", encoding="ascii")
    except Timeout:
        return None
    except OSError as error:
        hint = "make the folder exist and writable for this user"
        raise EnvironmentFault(f"cannot lock {path}: {error.strerror}", hint) from error
    return SupervisorLock(lock)


def holder(path: Path) -> int | None:
    """The pid of the process that holds the lock, or held it last; for messages only."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
