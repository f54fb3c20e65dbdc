"""`autopack supervise`: host the runs of the store in this process, alone."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from autopack.cli.hosting import host


def supervise(
    *,
    until_idle: Annotated[bool, Parameter(negative="", help="End when no run is open")] = False,
) -> None:
    """Host all runs of the store until interrupted; a second supervisor is refused (exit 3)."""
    host(until_idle=until_idle)
