"""Tell targets of what happened to runs: owed with the event itself, sent until they have it.

What is owed is written in the transaction of its event, so that nothing is lost and nothing is
told that did not happen. One thread per target sends in order, so that none waits for another and
no run waits for any. Delivered at least once: a kill between an answer and its record sends again,
under the same id. Never fails a run, never decides what is told (that is `core.notice`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from autopack.app.ports import Cancel, Clock, Transaction
from autopack.core.errors import Fault
from autopack.core.event import Happened
from autopack.core.notice import NoticeKind, Owed, cloud_event, notices
from autopack.core.run import Run

_log = logging.getLogger(__name__)
LINGER_SECONDS_MAX: Final = 5.0
"""A supervisor without runs stays this long for what is owed, counted anew with each notice."""
STOP_SECONDS_MAX: Final = 2.0
"""What is being sent when a supervisor ends may take this long to notice."""
RETRY_SECONDS_MIN: Final = 1.0
RETRY_SECONDS_MAX: Final = 600.0
"""Doubled from the least to the most: 20 attempts are spread over two hours and a half."""
ROUND: Final = 100
"""Notices of one round; a target that was away for long is not flooded at once."""


@dataclass(frozen=True)
class Told:
    """How one attempt ended. `said`: for people; holds no secret and nothing that moves a terminal.

    `heard`: it answered, and only this notice is refused: the next one may be tried.
    """

    delivered: bool
    said: str
    heard: bool


class Target(Protocol):
    """Somebody who is told. One attempt a call; never raises for what the target does."""

    def tell(self, notice_id: str, body: str, cancel: Cancel) -> Told: ...

    def check(self) -> None:
        """OperatorFault when it cannot work as it is configured; tells nobody anything."""
        ...


class Outbox(Protocol):
    """What is owed to whom. Durable, as the store it lies in."""

    def owe(self, owed: Sequence[Owed], within: Transaction) -> None:
        """Note notices in an open write of the store."""
        ...

    def owed(self, target: str, *, after: int = 0, limit: int = ROUND) -> list[Owed]:
        """What a target has not had yet, oldest first, behind the place `after`."""
        ...

    def delivered(self, owed: Owed) -> None:
        """It was told: never owed again."""
        ...

    def failed(self, owed: Owed, said: str, *, given_up: bool) -> None:
        """Count an attempt; `given_up`: it was the last."""
        ...


@dataclass(frozen=True)
class Recipient:
    """A target under its name, and what it wants to hear."""

    name: str
    target: Target
    kinds: frozenset[NoticeKind]
    details: bool
    """Also the text of a failure, which others may have written."""
    attempts_max: int


class Courier:
    """Brings one recipient what it is owed."""

    def __init__(
        self, recipient: Recipient, outbox: Outbox, clock: Clock, stopping: threading.Event
    ) -> None:
        self.recipient = recipient
        self._outbox = outbox
        self._clock = clock
        self._stopping = stopping
        self._news = threading.Event()
        self._news.set()
        self._idle = threading.Event()
        self._place = 0  # of the notice that was tried last
        self._away = False
        self._refused = False
        self._retry_at = 0.0
        self._wait = RETRY_SECONDS_MIN

    @property
    def idle(self) -> bool:
        """The recipient has had everything."""
        return self._idle.is_set() and not self._news.is_set()

    def wake(self) -> None:
        """Something more is owed, or everything ends."""
        self._news.set()

    def run(self) -> None:
        """Send until told to stop; waits longer and longer while the target is away."""
        while not self._stopping.is_set():
            self._news.clear()
            if self.round():
                self._idle.set()
                self._news.wait()
                self._idle.clear()
            else:  # who is away is left alone; who refused one notice may take the next
                left = self._retry_at - self._clock.monotonic()
                (self._stopping if self._away else self._news).wait(max(left, 0.0))

    def round(self) -> bool:
        """Try once what is owed, or what is new while the rest is not due; whether all is told."""
        due = self._away or self._clock.monotonic() >= self._retry_at
        if due:
            self._place, self._refused = 0, False
        try:
            self._away = not self._send()
        except Fault as fault:  # the store is out of reach: as long as it is, runs wait for it too
            _log.warning("notices for %s: %s", self.recipient.name, fault)
            self._away = True
        if not self._away and not self._refused:
            self._retry_at, self._wait = 0.0, RETRY_SECONDS_MIN
            return True
        if due or self._away:
            self._retry_at = self._clock.monotonic() + self._wait
            self._wait = min(self._wait * 2, RETRY_SECONDS_MAX)
        return False

    def _send(self) -> bool:
        """Everything behind the last place, in order; False as soon as the recipient is away."""
        while batch := self._outbox.owed(self.recipient.name, after=self._place):
            for owed in batch:
                told = self._tell(owed)
                if self._stopping.is_set() and not told.delivered:
                    return False  # cut off by our end: no attempt
                settled = self._note(owed, told)
                self._refused = self._refused or not settled
                if not told.delivered and not told.heard:
                    return False
                self._place = owed.number
        return True

    def _tell(self, owed: Owed) -> Told:
        try:
            return self.recipient.target.tell(owed.notice_id, owed.body, self._stopping)
        except Exception as error:  # noqa: BLE001  a defect of a target ends no supervisor
            _log.exception("notify.%s met a defect of ours", self.recipient.name)
            return Told(delivered=False, said=f"internal error: {error!r}", heard=False)

    def _note(self, owed: Owed, told: Told) -> bool:
        """Record the attempt; whether the notice is settled."""
        name = self.recipient.name
        if told.delivered:
            self._outbox.delivered(owed)
            return True
        tries = owed.attempts + 1
        given_up = tries >= self.recipient.attempts_max
        self._outbox.failed(owed, told.said, given_up=given_up)
        ends = "; given up" if given_up else ""
        _log.warning(
            "notice %s of run %s was not delivered to %s, attempt %d: %s%s",
            *(owed.notice_id, owed.run_id, name, tries, told.said, ends),
        )
        return given_up


class Notifier:
    """All couriers of a supervisor, and the supervisor's way to them."""

    def __init__(self, outbox: Outbox, recipients: Sequence[Recipient], clock: Clock) -> None:
        self._outbox = outbox
        self._recipients = tuple(recipients)
        self._clock = clock
        self._stopping = threading.Event()
        self._couriers = [Courier(each, outbox, clock, self._stopping) for each in recipients]
        self._threads: list[threading.Thread] = []
        self._lingers_from: float | None = None

    def note(self, before: Run, happened: Happened, after: Run, within: Transaction) -> None:
        """Owe what an event gives to tell, in the event's own transaction."""
        owed = self._due(before, happened, after)
        if owed:
            self._outbox.owe(owed, within)
            within.on_commit(self._wake)

    def _due(self, before: Run, happened: Happened, after: Run) -> list[Owed]:
        try:
            return [
                Owed(each.name, notice.notice_id, notice.run_id, body)
                for notice in notices(before, happened, after)
                for each in self._recipients
                if notice.kind in each.kinds
                for body in (cloud_event(notice, details=each.details),)
            ]
        except Exception:  # noqa: BLE001  a run goes on, whatever cannot be said of it
            _log.exception("event %d of run %s met a defect of ours", after.version, after.run_id)
            return []

    def start(self) -> None:
        """Begin to send, also what an earlier supervisor left."""
        for courier in self._couriers:
            name = f"notify-{courier.recipient.name}"
            self._threads.append(threading.Thread(target=courier.run, name=name, daemon=True))
            self._threads[-1].start()

    def lingers(self) -> bool:
        """Whether a supervisor without runs should stay: something new is owed, not for long."""
        now = self._clock.monotonic()
        if self._lingers_from is None:
            self._lingers_from = now
        if now - self._lingers_from >= LINGER_SECONDS_MAX:
            return False
        return not all(courier.idle for courier in self._couriers)

    def stop(self) -> None:
        """End what is being sent; what is owed stays owed, and is told of."""
        self._stopping.set()
        for courier in self._couriers:
            courier.wake()
        for thread in self._threads:
            thread.join(STOP_SECONDS_MAX)
        for recipient in self._recipients:
            try:
                left = len(self._outbox.owed(recipient.name))
            except Fault:  # the store is out of reach, which others have told
                return
            if left:
                _log.warning(
                    "%s%d notices for %s are left: the next supervisor sends them",
                    *("at least " if left == ROUND else "", left, recipient.name),
                )

    def _wake(self) -> None:
        self._lingers_from = None
        for courier in self._couriers:
            courier.wake()
