"""The disks of this machine, as the kernel tells of them. Only looks, never writes."""

from __future__ import annotations

import os
from pathlib import Path

from autopack.core.errors import EnvironmentFault


class SystemDisk:
    """Implements `app.room.Disk`; a folder that is not there yet is looked for above it."""

    def free(self, folder: Path) -> int:
        """Bytes that this user may still write on the folder's disk; EnvironmentFault."""
        try:
            seen = os.statvfs(_standing(folder))
        except OSError as fault:
            raise EnvironmentFault(f"the disk of {folder} cannot be seen: {fault}") from fault
        return seen.f_bavail * seen.f_frsize

    def used(self, folder: Path) -> int:
        """Bytes on the disk of a file, or of all below a folder; no link is followed."""
        total, todo = 0, [os.fspath(folder)]
        while todo:
            path = todo.pop()
            try:
                total += os.lstat(path).st_blocks * 512
                with os.scandir(path) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            todo.append(entry.path)
                        else:
                            total += entry.stat(follow_symlinks=False).st_blocks * 512
            except OSError:  # a file; or it went, or is closed to us: then nothing of it is ours
                continue
        return total


def _standing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())
