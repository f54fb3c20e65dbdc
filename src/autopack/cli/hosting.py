"""The life of a supervisor's process: lock, log, signals, work, and who comes after it.

`python -m autopack.cli.hosting` is `autopack supervise --until-idle` for background supervisors: no
command line to read, so it starts without the parser. Never decides what is done.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from autopack.core.errors import EnvironmentFault

if TYPE_CHECKING:
    from autopack.adapters.store.lock import SupervisorLock
    from autopack.settings import Loaded

LOCK_LOOKS_MAX: Final = 20
LOCK_LOOK_SECONDS: Final = 0.1
"""A watcher that looks whether the lock is free holds it for an instant: 2 s outlast any."""


def main() -> NoReturn:
    """Host all runs of the store until none is open; leave with the exit code of the command."""
    gc.disable()  # nothing that is loaded is garbage: looking for some costs a start 25 ms
    try:
        host(until_idle=True)
    except (Exception, KeyboardInterrupt) as fault:  # noqa: BLE001  the last place to answer
        from autopack.cli.ending import answer

        sys.exit(answer(fault, as_json=False))
    sys.exit(0)


def host(*, until_idle: bool) -> None:
    """Host all runs of the store until told to end; EnvironmentFault when another one does."""
    import logging

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
            gc.freeze()  # what is loaded stays: never looked at again
            gc.enable()
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


if __name__ == "__main__":
    main()
