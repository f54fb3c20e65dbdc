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

from autopack.core.errors import EnvironmentFault, StoreAway

if TYPE_CHECKING:
    from autopack.adapters.store.lock import SupervisorLock
    from autopack.settings import Loaded

LOCK_LOOKS_MAX: Final = 20
LOCK_LOOK_SECONDS: Final = 0.1
"""A watcher that looks whether the lock is free holds it for an instant: 2 s outlast any."""
AWAY_LOOKS_MAX: Final = 900
AWAY_LOOK_SECONDS: Final = 2.0
"""For half an hour a server that went away may come back; agents do not work meanwhile."""
OTHERS_LOOKS_MAX: Final = 25
"""A server may hold our own dead session for some 40 s: who has the lock for longer is another."""


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
    """Host all runs of the store until told to end; EnvironmentFault when another one does.

    A store whose server goes away is waited for: its lock is taken anew, as after a crash.
    """
    import logging

    from autopack import wiring
    from autopack.cli.logs import to_standard_error
    from autopack.settings import load

    loaded = load(Path.cwd(), os.environ)
    loaded.folders.make()
    held: SupervisorLock | None = _lock(loaded)
    log = logging.getLogger(__name__)
    to_standard_error()
    idle = False
    while held is not None:
        try:
            idle = _supervise(loaded, held, until_idle=until_idle)
            held = None
        except StoreAway as fault:
            log.warning("%s", fault)
            held = _lock_when_back(loaded, fault)
            log.warning(
                "the store is back" if held else "the store is back, with another supervisor"
            )
    if idle and wiring.has_work(loaded):
        # Recorded between the last look and the release, by someone who found the lock held.
        wiring.ensure_supervisor(loaded)


def _supervise(loaded: Loaded, held: SupervisorLock, *, until_idle: bool) -> bool:
    """Work until told to end; whether it was idleness that ended it."""
    from autopack import wiring
    from autopack.adapters.store.lock import Loss

    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in signals}
    loss = Loss()
    try:
        held.watch(loss)  # from now on: what comes before the first run takes its time
        with wiring.supervisor(loaded, held.check) as supervisor:
            loss.tell(supervisor.fail)
            for number in signals:
                signal.signal(number, lambda *_: supervisor.stop())
            gc.freeze()  # what is loaded stays: never looked at again
            gc.enable()
            supervisor.run(until_idle=until_idle)
            return not supervisor.stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        held.release()


def _lock_when_back(loaded: Loaded, away: StoreAway) -> SupervisorLock | None:
    """The lock once the server answers; None when another has it, the fault when none answers."""
    from autopack import wiring
    from autopack.adapters.store.alone import FoldersTaken

    refused = 0
    for _ in range(AWAY_LOOKS_MAX):
        time.sleep(AWAY_LOOK_SECONDS)
        try:
            held = wiring.lock(loaded)
        except StoreAway:
            continue
        except FoldersTaken:
            held = None
        refused += held is None
        if held is not None or refused > OTHERS_LOOKS_MAX:
            return held
    raise away


def _lock(loaded: Loaded) -> SupervisorLock:
    from autopack import wiring
    from autopack.adapters.store.alone import FoldersTaken

    taken: FoldersTaken | None = None
    for _ in range(LOCK_LOOKS_MAX):
        try:
            held, taken = wiring.lock(loaded), None
        except FoldersTaken as fault:
            held, taken = None, fault
        if held is not None:
            return held
        time.sleep(LOCK_LOOK_SECONDS)
    if taken is not None:
        raise taken
    holder = wiring.lock_holder(loaded)
    raise EnvironmentFault(
        f"another supervisor ({holder or 'ending now'}) has the store {loaded.folders.database}",
        "let it work, or end that process first: one supervisor a store",
    )


if __name__ == "__main__":
    main()
