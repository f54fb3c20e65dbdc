"""MemoryStarts: the Starts port in a dictionary; keep it where a process would keep its disk."""

from __future__ import annotations

from pathlib import Path


class MemoryStarts:
    """Notes of agents' starts."""

    def __init__(self) -> None:
        self._notes: dict[tuple[Path, int], tuple[int, ...]] = {}

    def noted(self, log_folder: Path, command: int) -> tuple[int, ...]:
        """For each start so far the tokens that the try before it had used."""
        return self._notes.get((log_folder, command), ())

    def note(self, log_folder: Path, command: int, tokens: int) -> None:
        """Note one more start."""
        self._notes[log_folder, command] = (*self.noted(log_folder, command), tokens)
