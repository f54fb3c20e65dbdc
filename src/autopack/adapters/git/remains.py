"""What runs leave on the disk outside of repositories: clones, quarantine, logs.

Deletes what it is told to, one thing at a time: renamed first, so that what a killed clean-up had
begun is finished by the next one and taken for nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from autopack.adapters.git.clone import discard, move, saved_index
from autopack.adapters.git.discard import GONE, remove_empty
from autopack.adapters.git.secure import patch_beside
from autopack.core.errors import EnvironmentFault, refusal
from autopack.process.folders import borrowed_objects, clear

if TYPE_CHECKING:
    from collections.abc import Iterator

ATTEMPT = "attempt-"
"""Begin of the names of clones that hold an agent's work; those of CI and auditors hold none."""


class DiskRemains:
    """Implements `app.clean.Remains` in the folders of the settings."""

    def __init__(self, clones: Path, quarantine: Path, logs: Path) -> None:
        self._clones, self._quarantine, self._logs = clones, quarantine, logs

    def clones(self) -> list[tuple[str, str, Path]]:
        """Clones of attempts that were checked out to the end; others hold no work."""
        return [found for found in _clones(self._clones) if _whole(found[2])]

    def quarantined(self) -> list[tuple[str, str, Path]]:
        """Clones in quarantine."""
        return list(_clones(self._quarantine))

    def borrows(self, folder: Path) -> tuple[Path, ...]:
        """The folders of objects that a clone says it borrows; an agent may have changed that."""
        return borrowed_objects(folder)

    def finish(self) -> None:
        """Delete what an interrupted clean-up had begun to delete."""
        for gone in self._quarantine.glob(f"*/*/*{GONE}"):
            folder = gone.with_name(gone.name.removesuffix(GONE))
            if not folder.exists():  # what lies beside is of the clone that is gone
                _drop_beside(folder)
            self._clear(gone)
        for gone in self._logs.glob(f"*{GONE}"):
            self._clear(gone)
        remove_empty(self._quarantine)

    def drop(self, folder: Path) -> None:
        """Delete a clone with what lies beside it."""
        gone = self._rename(folder)
        _drop_beside(folder)
        discard(gone)

    def set_aside(self, run_id: str, phase_id: str, folder: Path) -> Path:
        """Move a clone into quarantine."""
        return move(folder, self._quarantine / run_id / phase_id / folder.name)

    def logs(self) -> list[tuple[str, Path]]:
        """Folders of runs' logs."""
        found = sorted(self._logs.glob("*"))
        return [(path.name, path) for path in found if path.is_dir() and path.suffix != GONE]

    def remove(self, folder: Path) -> None:
        """Delete a folder of logs."""
        self._clear(self._rename(folder))

    def _rename(self, folder: Path) -> Path:
        gone = folder.with_name(folder.name + GONE)
        self._clear(gone)
        try:
            folder.rename(gone)
        except OSError as fault:
            raise refusal(fault, folder) from fault
        return gone

    def _clear(self, gone: Path) -> None:
        try:
            clear(gone)
        except OSError as fault:
            raise EnvironmentFault(f"{gone} could not be deleted: {fault}") from fault


def _drop_beside(folder: Path) -> None:
    for path in (patch_beside(folder), saved_index(folder)):
        path.unlink(missing_ok=True)


def _whole(folder: Path) -> bool:
    """Checked out to the end: its index was saved, or it was renamed in its place since."""
    return saved_index(folder).exists() or "-" in folder.name.removeprefix(ATTEMPT)


def _clones(top: Path) -> Iterator[tuple[str, str, Path]]:
    for folder in sorted(top.glob(f"*/*/{ATTEMPT}*")):
        mine = folder.name.removeprefix(ATTEMPT).replace("-", "").isdigit()
        if mine and folder.is_dir() and not folder.is_symlink():
            yield folder.parts[-3], folder.parts[-2], folder
