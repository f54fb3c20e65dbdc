"""Starts of agents, one line each in a file of the log folder, on the disk before the agent runs.

A line holds the tokens that the try before had used. Never removed: logs are kept.
"""

from __future__ import annotations

import os
from pathlib import Path

from autopack.core.errors import EnvironmentFault


class FileStarts:
    """Implements `app.agents.Starts`."""

    def noted(self, log_folder: Path, command: int) -> tuple[int, ...]:
        """The tokens on each line; a line that a crash or a hand spoilt is a start all the same."""
        try:
            lines = _file(log_folder, command).read_bytes().splitlines()
        except FileNotFoundError:
            return ()
        except OSError as fault:
            raise _refused(log_folder, fault) from fault
        return tuple(int(line) if line.isdigit() and len(line) < 20 else 0 for line in lines)

    def note(self, log_folder: Path, command: int, tokens: int) -> None:
        """Append a line; file and folder reach the disk first. EnvironmentFault."""
        try:
            log_folder.mkdir(parents=True, exist_ok=True)
            with _file(log_folder, command).open("ab") as file:
                file.write(b"%d\n" % tokens)
                file.flush()
                os.fsync(file.fileno())
            descriptor = os.open(log_folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as fault:
            raise _refused(log_folder, fault) from fault


def _file(log_folder: Path, command: int) -> Path:
    return log_folder / f"starts-{command}"


def _refused(log_folder: Path, fault: OSError) -> EnvironmentFault:
    what = f"the start of an agent could not be noted in {log_folder}: {fault}"
    return EnvironmentFault(what, "check the disk and the folder; no agent starts without it")
