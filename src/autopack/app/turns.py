"""Waiting that costs nobody else his turn: for a slot, for a date, after a failure.

Real work takes one of `workers_max` slots; a parked phase or a back-off takes none. Whoever waits
watches its cancellation. Never performs anything.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from autopack.app.ports import Clock
from autopack.app.supervise import Cancellation, CutOff
from autopack.core.command import Audit, Build, Command, Test, Wait
from autopack.core.event import (
    AttemptEnded,
    AuditEnded,
    CandidateTested,
    CiVerdict,
    CommandFailed,
    Event,
    Outcome,
    Recommendation,
    Unparked,
)

NAP_SECONDS_MAX = 60.0
"""A parked phase looks at the wall clock at least this often, so that a clock jump is noticed."""


class Slots:
    """How much real work is under way at once; who came first is next. Safe in threads."""

    def __init__(self, workers_max: int) -> None:
        self._free = workers_max
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, cancel: Cancellation) -> Iterator[bool]:
        """One slot, once there is one; False, and none, when told to end before that."""
        taken = self._take(cancel)
        try:
            yield taken
        finally:
            if taken:
                with self._changed:
                    self._free += 1
                    self._changed.notify_all()

    def _take(self, cancel: Cancellation) -> bool:
        ticket = object()
        cancel.tell(self._look)
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(
                    lambda: cancel.is_set() or (self._free and self._waiting[0] is ticket)
                )
                if cancel.is_set():
                    return False
                self._free -= 1
                return True
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()  # the next one may begin, too

    def _look(self) -> None:
        with self._changed:
            self._changed.notify_all()


def unbegun(asked: Command, lost: int) -> Event:
    """The answer of work that was told to end before it began; `lost`: tokens of tries before."""
    match asked:
        case Build():
            return AttemptEnded(asked.phase_id, asked.attempt, Outcome.CANCELLED, lost)
        case Audit():
            invalid = Recommendation.INVALID
            return AuditEnded(asked.phase_id, invalid, lost, "cancelled", reason=asked.reason)
        case Test():
            return CandidateTested(asked.phase_id, CiVerdict.CANCELLED)
        case _:
            return CommandFailed("cancelled before it began")


def until(wait: Wait, clock: Clock, cancel: Cancellation) -> Unparked:
    """Return when the limit is over or it was told to end; CutOff when the supervisor ends."""
    began, began_at = clock.monotonic(), clock.now()
    while not cancel.is_set():
        now = clock.now()
        left = wait.until - now
        if now == began_at:  # it stands still (SOURCE_DATE_EPOCH), or this second is not over
            left -= clock.monotonic() - began
        if left <= 0:
            break
        cancel.wait(min(left, NAP_SECONDS_MAX))
    leave_if_cut_off(cancel)
    return Unparked(wait.phase_id, clock.monotonic() - began)


def leave_if_cut_off(cancel: Cancellation) -> None:
    """CutOff when the supervisor ends: then the next one performs the command again."""
    if cancel.cut_off:
        raise CutOff
