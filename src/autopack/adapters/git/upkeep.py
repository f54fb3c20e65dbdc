"""Upkeep of the supervisor's repository: many small objects become a few packs, nothing is lost.

Each apply leaves loose objects, and git gets slower with their number. `git repack --geometric`
copies all of them, those that nothing refers to as well, and deletes only what it has copied, so
that it may run beside captures, clones and deliveries. Never prunes and never touches a ref.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from autopack.adapters.git.wrapper import LONG_SECONDS_MAX, failed
from autopack.core.errors import EnvironmentFault
from autopack.process.limits import Ended, Extra, Limits

if TYPE_CHECKING:
    from pathlib import Path

    from autopack.adapters.git.wrapper import Store
    from autopack.app.ports import Cancel

LOOSE_OBJECTS_MAX: Final = 5_000
"""About; git's own limit is 6,700. A phase of ten files leaves some thirty."""
_SAMPLE: Final = (
    "17"  # one of the 256 folders that objects are spread over, as `git gc --auto` does
)
_log = logging.getLogger(__name__)


class Upkeep:
    """Packs one repository, in a thread of its own, at most one at a time."""

    def __init__(self, store: Store, loose_objects_max: int = LOOSE_OBJECTS_MAX) -> None:
        self._store = store
        self._loose_objects_max = loose_objects_max
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()

    def begin(self) -> None:
        """Start to pack when there is enough of it and nobody does; returns at once."""
        with self._lock:
            enough = loose_objects(self._store.folder) > self._loose_objects_max
            if self.busy or not enough or self._ending.is_set():
                return
            self._thread = threading.Thread(target=self._run, name="autopack-upkeep")
            self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether it packs at this moment."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def wait(self) -> None:
        """Return when what was begun is done."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def end(self) -> None:
        """Cut off what was begun and begin nothing more; git is gone on return.

        Nothing is lost: a repack deletes what it has copied, and only then.
        """
        self._ending.set()
        self.wait()

    def _run(self) -> None:
        try:
            pack(self._store, self._ending)
        except EnvironmentFault as fault:
            _log.warning("%s was not packed, the next run's end tries again: %s",
                         self._store.folder, fault)  # fmt: skip


def loose_objects(folder: Path) -> int:
    """About how many loose objects there are, by a look at one folder of 256."""
    sample = folder / "objects" / _SAMPLE
    return 256 * sum(1 for _ in sample.glob("*")) if sample.is_dir() else 0


def pack(store: Store, cancel: Cancel | None = None) -> None:
    """Pack what is loose, and small packs with it; GitFailed. Told to end, it is left for later."""
    said = store.run(
        "repack", "-q", "-d", "-l", "--geometric=2", "--no-write-bitmap-index",
        limits=Limits(LONG_SECONDS_MAX), extra=Extra(tied=True), cancel=cancel,
    )  # fmt: skip
    if not said.ok and said.ended is not Ended.CANCELLED:
        raise failed(f"packing {store.folder}", said)
