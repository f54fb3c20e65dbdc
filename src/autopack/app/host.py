"""What a supervisor's runs work with: a world for each run, built when the run is first met.

Never builds anything itself and never advances a run.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from autopack.app.perform import (
    Performer,
)
from autopack.app.ports import Artefacts, Recorded
from autopack.app.supervise import Cancellation
from autopack.app.world import (
    World,
)
from autopack.core.command import Pending
from autopack.core.errors import EnvironmentFault, OperatorFault
from autopack.core.event import Event
from autopack.core.run import (
    Run,
)
from autopack.core.spec import (
    RunSpec,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Host:
    """Performs and renders the runs of a store, each in its own world; safe in threads."""

    world_of: Callable[[RunSpec], World]
    """Builds a run's world; called once for each run, and never twice at the same time."""
    artefacts_of: Callable[[RunSpec], Artefacts]
    log_of: Callable[[str], Iterator[Recorded]]
    """A run's events, all of them."""
    ended: Callable[[RunSpec], None]
    """Told when a run that was performed here has ended; returns at once."""
    remember: Callable[[Run], None]
    """Brings what the run's project remembers up to date."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _performers: dict[str, Performer] = field(default_factory=dict)
    _artefacts: dict[str, Artefacts] = field(default_factory=dict)

    def perform(self, run: Run, pending: Pending, cancel: Cancellation) -> Event:
        """Perform a command in the run's own world."""
        with self._lock:
            if run.run_id not in self._performers:
                self._performers[run.run_id] = Performer(self.world_of(run.spec))
            performer = self._performers[run.run_id]
        return performer(run, pending, cancel)

    def render(self, run: Run) -> bool:
        """Write the run's artefacts into its repository; whether it worked, which is told if not.

        A deleted repository or a full disk must not end the runs of others. Of an ended run no
        more is kept here than it takes to try again.
        """
        written = self._tried(run.run_id, lambda: self._write(run), "files were not written")
        if run.ended:
            with self._lock:
                performed = self._performers.pop(run.run_id, None) is not None
            if performed:
                self._tried(run.run_id, lambda: self.ended(run.spec), "end was not followed up")
            self._artefacts.pop(run.run_id, None)
        return written

    def _write(self, run: Run) -> None:
        if run.run_id not in self._artefacts:
            self._artefacts[run.run_id] = self.artefacts_of(run.spec)
        self._artefacts[run.run_id].render(run, self.log_of(run.run_id))
        self.remember(run)

    def _tried(self, run_id: str, act: Callable[[], None], otherwise: str) -> bool:
        try:
            act()
        except (EnvironmentFault, OperatorFault, OSError) as fault:
            _log.warning("run %s: its %s: %s", run_id, otherwise, fault)
            return False
        return True
