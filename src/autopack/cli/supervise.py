"""`autopack supervise`: host the runs of the store in this process, alone."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from autopack.core.errors import EnvironmentFault

if TYPE_CHECKING:
    from autopack.adapters.store.lock import SupervisorLock
    from autopack.settings import Loaded

LOCK_LOOKS_MAX: Final = 20
LOCK_LOOK_SECONDS: Final = 0.1
"""A watcher that looks whether the lock is free holds it for an instant: 2 s outlast any."""


def supervise(
    *,
    until_idle: Annotated[bool, Parameter(negative="", help="End when no run is open")] = False,
) -> None:
    """Host all runs of the store until interrupted; a second supervisor is refused (exit 3)."""
    from autopack import wiring
    from autopack.settings import load

    loaded = load(Path.cwd(), os.environ)
    loaded.folders.make()
    held = _lock(loaded)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of each migration
    try:
        with wiring.supervisor(loaded) as supervisor:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, lambda *_: supervisor.stop())
            supervisor.run(until_idle=until_idle)
            idle = not supervisor.stopped
    finally:
        held.release()
    if idle and wiring.has_work(loaded):
        # Recorded between the last look and the release, by someone who found the lock held.
        wiring.ensure_supervisor(loaded)


def _lock(loaded: Loaded) -> SupervisorLock:
    from autopack import wiring

    for _ in range(LOCK_LOOKS_MAX):
        held = wiring.lock(loaded)
        if held is not None:
            return held
        time.sleep(LOCK_LOOK_SECONDS)
    pid = wiring.lock_holder(loaded)
    raise EnvironmentFault(
        f"another supervisor (process {pid}) has the store {loaded.folders.database}",
        "let it work, or end that process first: one supervisor a store",
    )
