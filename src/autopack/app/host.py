"""What a supervisor's runs work with: a world for each run, built when the run is first met.

Never builds anything itself and never advances a run.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from autopack.app.perform import Performer, World
from autopack.app.ports import Artefacts, Recorded
from autopack.app.supervise import Cancellation
from autopack.core.command import Pending
from autopack.core.errors import EnvironmentFault, OperatorFault
from autopack.core.event import Event
from autopack.core.run import Run, RunSpec

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

    def render(self, run: Run) -> None:
        """Write the run's artefacts into its repository; one that cannot be reached is told of.

        A deleted repository or a full disk must not end the runs of others: the files are made
        again with the next event.
        """
        try:
            if run.run_id not in self._artefacts:
                self._artefacts[run.run_id] = self.artefacts_of(run.spec)
            self._artefacts[run.run_id].render(run, self.log_of(run.run_id))
            if run.ended and run.run_id in self._performers:
                self.ended(run.spec)
        except (EnvironmentFault, OperatorFault, OSError) as fault:
            _log.warning("the files of run %s were not written: %s", run.run_id, fault)
