"""Alone with a store and with this machine's folders: what a supervisor and a clean-up hold.

The store's lock keeps others from its runs, on whatever machine. A lock in each folder keeps other
stores from the clones and repositories that lie there. Never waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from autopack.adapters.store import lock
from autopack.adapters.store.lock import FileLock, SupervisorLock
from autopack.core.errors import EnvironmentFault

LOCK_NAME: Final = "supervisor.lock"


class FoldersTaken(EnvironmentFault):
    """Another store's supervisor or clean-up works in these folders."""


class Alone:
    """A SupervisorLock on a store and on folders."""

    def __init__(self, store: SupervisorLock, folders: Sequence[FileLock]) -> None:
        self._store, self._folders = store, folders

    def watch(self, lost: Callable[[EnvironmentFault], None]) -> None:
        """Have `lost` called, from another thread, when the store's lock may be gone."""
        self._store.watch(lost)

    def check(self) -> None:
        """StoreAway when the store's lock is not ours any more."""
        self._store.check()

    def release(self) -> None:
        """Let others in; harmless when repeated."""
        for each in self._folders:  # first: who gets the store's lock expects them free
            each.release()
        self._store.release()


def acquire(place: Path | str, folders: Sequence[Path], store: str) -> SupervisorLock | None:
    """Take the lock of the store at `place`, and those of the folders; `store` is its name to show.

    None when another process has the store; FoldersTaken when one of another store has a folder.
    """
    held = lock.acquire(place)
    if held is None:
        return None
    locked: list[FileLock] = []
    try:
        for folder in dict.fromkeys(folder.resolve() for folder in folders):
            mine = lock.acquire_file(folder / LOCK_NAME, store)
            if mine is None and lock.note(folder / LOCK_NAME) == store:
                return None  # its holder has lost the same store, and is ending
            if mine is None:
                raise _taken(folder, store)
            locked.append(mine)
        made = Alone(held, tuple(locked))
        locked, held = [], None
        return made
    finally:
        for each in locked:
            each.release()
        if held is not None:
            held.release()


def _taken(folder: Path, store: str) -> FoldersTaken:
    holder = lock.holder(folder / LOCK_NAME) or "another process"
    other = lock.note(folder / LOCK_NAME) or "its own"
    return FoldersTaken(
        f"{folder} is in use for another store: {holder} works there on {other},"
        f" and this one is {store}",
        "let it end; two stores at once need folders of their own: AUTOPACK_DATA_DIR and"
        " AUTOPACK_STATE_DIR for one of them",
    )
