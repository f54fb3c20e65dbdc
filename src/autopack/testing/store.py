"""MemoryStore: the Store port in a dictionary, for tests of what stands on it.

Same contract as the real one, tampering excepted: nobody else can reach its rows.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from autopack.app.ports import Recorded, Request, Transaction
from autopack.core import intake, machine
from autopack.core.backlog import Cleanup, Facts, Settled, Sighting
from autopack.core.errors import OperatorFault, OwnFault
from autopack.core.event import Happened
from autopack.core.names import printable
from autopack.core.run import Phase, PhaseState, Run


@dataclass
class MemoryTransaction:
    """An open write: what is to happen when it commits, and the runs as it leaves them."""

    callbacks: list[Callable[[], None]] = field(default_factory=list)
    runs: dict[str, tuple[Run, int]] = field(default_factory=dict)
    """Every run of the store in the order of creation, with the date of its last event."""
    made: list[tuple[Run, Happened]] = field(default_factory=list)
    """New runs with their first events."""

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Have it called once the write is kept; never when it is not."""
        self.callbacks.append(callback)

    def create(self, run: Run, happened: Happened) -> bool:
        """Record a new run with its first event; False, and nothing written, when it is taken."""
        _check_version(run, 0)
        if run.run_id in self.runs:
            return False
        self.runs[run.run_id] = (run, happened.at)
        self.made.append((run, happened))
        return True

    def facts(self, project_id: str, repository: str) -> Facts:
        """What is known of a project's issues, with what this write says of them."""
        mine = [
            (number, run, at)
            for number, (run, at) in enumerate(self.runs.values(), 1)
            if (run.spec.project_id, run.spec.repository) == (project_id, repository)
        ]
        return Facts(
            [
                Sighting(number, run.run_id, phase.spec.tier_id, phase.phase_id, at, issue)
                for number, run, at in mine
                for phase in run.phases
                for issue in phase.issues
            ],
            [
                Settled(number, run.run_id, key, intake.known_occurrences(run).get(key, 0))
                for number, run, _ in mine
                for key in run.resolved
            ],
            [
                Cleanup(
                    *(number, run.run_id, phase.spec.cleans, phase.occurrences_known),
                    failed=phase.state is PhaseState.FAILED,
                )
                for number, run, _ in mine
                for phase in run.phases
                if phase.spec.cleans and _tried(phase)
            ],
        )


def _tried(phase: Phase) -> bool:
    failed = phase.state is PhaseState.FAILED and phase.occurrences_known > 0
    return phase.state is PhaseState.COMPLETE or failed


class MemoryStore:
    """Runs, events and requests of one process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._runs: dict[str, Run] = {}
        self._events: dict[str, list[Recorded]] = {}
        self._requests: dict[int, Request] = {}
        self._requests_made = 0
        self._green: dict[str, str] = {}

    def create(self, run: Run, happened: Happened) -> None:
        """Record a new run with its first event; OperatorFault when the id is taken."""
        _check_version(run, 0)
        with self._lock:
            if run.run_id in self._runs:
                raise OperatorFault(f"there is a run {run.run_id} already", "choose another id")
            self._runs[run.run_id] = run
            self._events[run.run_id] = [_recorded(run, happened, "")]

    def load(self, run_id: str) -> Run:
        """The run as its last event left it; OperatorFault when unknown."""
        with self._lock:
            if run_id not in self._runs:
                raise _unknown(run_id)
            return self._runs[run_id]

    def save(
        self,
        run: Run,
        happened: Happened,
        *,
        expected_version: int,
        within: Callable[[Transaction], None],
    ) -> bool:
        """Append the event and replace the run; False, nothing written, on another version."""
        _check_version(run, expected_version)
        with self._lock:
            if self.load(run.run_id).version != expected_version:
                return False
            known = {
                run_id: (each, self._events[run_id][-1].happened.at)
                for run_id, each in self._runs.items()
            }
            known[run.run_id] = (run, happened.at)
            transaction = MemoryTransaction(runs=known)
            within(transaction)
            log = self._events[run.run_id]
            log.append(_recorded(run, happened, log[-1].digest))
            self._runs[run.run_id] = run
            for new, first in transaction.made:
                self.create(new, first)
        for callback in transaction.callbacks:
            callback()
        return True

    def runs(self, *, ended: bool | None = None, after: str = "", limit: int = 50) -> list[Run]:
        """Runs, newest first, after the run of id `after`; only (not) ended ones when asked."""
        with self._lock:
            newest = list(self._runs.values())[::-1]
            if after:
                newest = newest[newest.index(self.load(after)) + 1 :]
        return [run for run in newest if ended is None or run.ended == ended][:limit]

    def open_ids(self) -> list[str]:
        """Ids of the runs that have not ended, newest first."""
        with self._lock:
            return [run.run_id for run in self._runs.values() if not run.ended][::-1]

    def continued(self, run_id: str) -> list[str]:
        """Ids of the runs whose predecessor that run is, oldest first."""
        with self._lock:
            return [run.run_id for run in self._runs.values() if run.spec.predecessor == run_id]

    def events(self, run_id: str, *, after: int = 0, limit: int = 1000) -> list[Recorded]:
        """A run's events in order, after the sequence number `after`."""
        with self._lock:
            return self._events.get(run_id, [])[after : after + limit]

    def verify(self, run_id: str) -> list[str]:
        """Whether the events make the run that is stored."""
        run = self.load(run_id)
        replayed = machine.replay(
            entry.happened for entry in self.events(run_id, limit=run.version)
        )
        return [] if replayed == run else [f"run {run_id}: its events make another run"]

    def ask(self, run_id: str, kind: str, by: str, body: str = "") -> int:
        """Leave a request for the supervisor; its number. OperatorFault when the run is unknown."""
        with self._lock:
            self.load(run_id)
            self._requests_made += 1
            number = self._requests_made
            self._requests[number] = Request(number, run_id, kind, by, body)
            return number

    def requests(self) -> list[Request]:
        """Requests that were not answered, oldest first."""
        with self._lock:
            return list(self._requests.values())

    def answered(self, number: int) -> None:
        """Drop a request that was carried out."""
        with self._lock:
            self._requests.pop(number, None)

    def green(self, key: str) -> str | None:
        """The JSON of a cached green CI result."""
        return self._green.get(key)

    def remember_green(self, key: str, result: str) -> None:
        """Keep a green CI result; a later one of the same key replaces it."""
        self._green[key] = result

    def close(self) -> None:
        """Nothing to close; what was kept stays readable."""


def _recorded(run: Run, happened: Happened, previous: str) -> Recorded:
    text = f"{previous}{run.run_id}{run.version}{happened!r}"
    digest = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
    return Recorded(run.run_id, run.version, happened, digest)


def _check_version(run: Run, expected_version: int) -> None:
    if run.version != expected_version + 1:
        raise OwnFault(
            f"run {run.run_id} at version {run.version} cannot follow version {expected_version}"
        )


def _unknown(run_id: str) -> OperatorFault:
    told = printable(run_id.encode("utf-8", "backslashreplace"))
    return OperatorFault(f"there is no run {told}", "`autopack run list` shows the runs")
