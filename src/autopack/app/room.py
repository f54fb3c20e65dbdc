"""Room on the disk before work begins: the reserve stays free, our data stay under their cap.

What may be cleaned up is cleaned up first; then the work waits or fails as ENVIRONMENT. Never
deletes anything itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from autopack.core.errors import EnvironmentFault


class Disk(Protocol):
    """What is seen of disks."""

    def free(self, folder: Path) -> int:
        """Bytes that may still be written on the folder's disk; EnvironmentFault."""
        ...

    def used(self, folder: Path) -> int:
        """Bytes on the disk of a file, or of all below a folder; 0 when it is not there."""
        ...


@dataclass(frozen=True)
class Room:
    """The room that must be there before an attempt starts; safe in threads.

    `relieve` cleans up what may be cleaned beside running work.
    """

    disk: Disk
    folders: tuple[Path, ...]
    """Each one's disk keeps `reserve_bytes` free."""
    reserve_bytes: int
    capped: tuple[Path, ...]
    """All below them stays under `bytes_max`; 0: no cap."""
    bytes_max: int
    relieve: Callable[[], None]
    _one: threading.Lock = field(default_factory=threading.Lock)

    def check(self) -> None:
        """EnvironmentFault when there is no room, also after a clean-up."""
        if not self._short():
            return
        with self._one:  # who waited finds what the first one freed
            if self._short():
                self.relieve()
                if short := self._short():
                    raise short

    def _short(self) -> EnvironmentFault | None:
        for folder in self.folders:
            free = self.disk.free(folder)
            if free < self.reserve_bytes:
                return EnvironmentFault(
                    f"the disk of {folder} has {free:,} bytes left; {self.reserve_bytes:,} must "
                    "stay free (disk_reserve_bytes)",
                    "free space there, or see what `autopack clean --dry-run` tells; nothing is "
                    "lost",
                )
        used = sum(self.disk.used(folder) for folder in self.capped) if self.bytes_max else 0
        if used > self.bytes_max:
            return EnvironmentFault(
                f"{' and '.join(map(str, self.capped))} hold {used:,} bytes; "
                f"{self.bytes_max:,} are allowed "
                "(data_bytes_max)",
                "see what `autopack clean --dry-run` tells, or allow more; nothing is lost",
            )
        return None
