"""FakeDisk: the Disk port with numbers that a test sets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class FakeDisk:
    """One disk: `left` bytes are free; files as given, in bytes by path."""

    def __init__(self, left: int = 1 << 40, files: Mapping[Path, int] | None = None) -> None:
        self.left = left
        self.files = dict(files or {})

    def free(self, folder: Path) -> int:  # noqa: ARG002  there is one disk only
        """Bytes that may still be written."""
        return self.left

    def used(self, folder: Path) -> int:
        """Bytes of all files below a folder, or of that file."""
        return sum(size for path, size in self.files.items() if path.is_relative_to(folder))
