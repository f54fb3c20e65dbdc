"""Clones put away: renamed at once, deleted by one thread, so that no phase waits for a deletion.

What a killed supervisor left renamed is deleted when the next one starts. Never touches a clone
that has its own name.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Final

from autopack.adapters.git.clone import discard, saved_index
from autopack.core.errors import EnvironmentFault

if TYPE_CHECKING:
    from pathlib import Path

GONE: Final = ".gone"
"""End of the names of clones that are being deleted."""
PENDING_MAX: Final = 8
"""Clones that may wait for their deletion; with more, the caller deletes: the disk is finite."""
SPARE_BYTES_MIN: Final = 64 << 20
"""A fuller disk gets its clone's room back at once: what comes next must be written down."""
_log = logging.getLogger(__name__)


class Discards:
    """Deletes clones in the background; the process does not end before that is done."""

    def __init__(self) -> None:
        self._slots = threading.BoundedSemaphore(PENDING_MAX)

    @cached_property
    def _thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, "autopack-discard")

    def discard(self, folder: Path) -> None:
        """Free the clone's name; EnvironmentFault when it cannot be freed."""
        gone = folder.with_name(folder.name + GONE)
        discard(gone)  # of a try before a crash, or still being deleted
        if not os.path.lexists(folder) or _tight(folder) or not self._slots.acquire(blocking=False):
            discard(folder)
            return
        try:
            saved_index(folder).unlink(missing_ok=True)
            folder.rename(gone)
        except OSError:
            self._slots.release()
            discard(folder)
            return
        self._thread.submit(self._delete, gone)

    def _delete(self, gone: Path) -> None:
        try:
            discard(gone)
        except EnvironmentFault as fault:
            _log.warning("%s was not deleted, the next start tries again: %s", gone, fault)
        finally:
            self._slots.release()

    def wait(self) -> None:
        """Return when all is deleted."""
        self._thread.submit(int).result()


def _tight(folder: Path) -> bool:
    return shutil.disk_usage(folder.parent).free < SPARE_BYTES_MIN


def sweep(clones: Path) -> None:
    """Delete what a killed supervisor put away; only for who holds the store's lock."""
    for gone in clones.glob(f"*/*/*{GONE}"):
        try:
            discard(gone)
        except EnvironmentFault as fault:
            _log.warning("%s was not deleted: %s", gone, fault)
    remove_empty(clones)


def remove_empty(clones: Path) -> None:
    """Remove folders of phases and runs that hold no clone.

    Of clones only for who holds the store's lock; in quarantine beside others, who try again.
    """
    for folder in (*clones.glob("*/*"), *clones.glob("*")):
        with contextlib.suppress(OSError):  # not empty, or no folder
            folder.rmdir()
