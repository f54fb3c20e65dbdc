"""A real supervisor that kills itself, as `kill -9` would, before or after its n-th save.

`after` is between the commit and what hears of it: the commands are saved and not enqueued.

`host.py before|after N`; N = 0 never kills. Prints how many saves it made.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autopack import wiring
from autopack.adapters.engine.local import LocalEngine
from autopack.app.ports import Transaction
from autopack.app.supervise import Supervisor
from autopack.core.event import Happened
from autopack.core.run import Run
from autopack.settings import load


class MortalStore:
    """The real store, whose n-th save is the process's last act."""

    def __init__(self, store: Any, when: str, number: int) -> None:  # noqa: ANN401  it stands in
        self._store, self._when, self._number = store, when, number
        self.saves = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  all but `save` is the real one's
        return getattr(self._store, name)

    def save(
        self,
        run: Run,
        happened: Happened,
        *,
        expected_version: int,
        within: Callable[[Transaction], None],
    ) -> bool:
        self.saves += 1
        last = self.saves == self._number
        if last and self._when == "before":
            os.kill(os.getpid(), signal.SIGKILL)

        def mortally(transaction: Transaction) -> None:
            transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))
            within(transaction)

        saved: bool = self._store.save(
            run, happened, expected_version=expected_version, within=mortally if last else within
        )
        return saved


def main(when: str, number: int) -> None:
    loaded = load(Path.cwd(), os.environ)
    lock = wiring.lock(loaded)
    assert lock is not None, "another supervisor has the store"
    with wiring.writing(loaded) as store:
        mortal: Any = MortalStore(store, when, number)
        engine = LocalEngine()
        host = wiring.host(loaded, store, wiring.projects_of(loaded, alone=False))
        Supervisor(mortal, engine, wiring.clock(loaded), host.perform, host.render).run(
            until_idle=True
        )
    print(mortal.saves)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
