"""Couriers and what is owed: with the event, in order, again and again, but not for ever."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from autopack.app.notify import (
    LINGER_SECONDS_MAX,
    RETRY_SECONDS_MAX,
    RETRY_SECONDS_MIN,
    Courier,
    Notifier,
    Recipient,
    Told,
)
from autopack.app.supervise import Cancellation, Supervisor, create_run
from autopack.core.command import Pending
from autopack.core.event import CommandFailed, Event
from autopack.core.notice import TOLD_OF_RUNS, NoticeKind, Owed
from autopack.core.run import Run
from autopack.testing import FakeClock, MemoryStore, MemoryTransaction
from autopack.testing.notify import FakeTarget, MemoryOutbox
from tests import cloudevents
from tests.core.walk import phase_spec, run_spec
from tests.simulation.engine import SimulatedEngine

AWAY = Told(delivered=False, said="no route", heard=False)
REFUSED = Told(delivered=False, said="HTTP 400", heard=True)
DONE = Told(delivered=True, said="HTTP 204", heard=True)


class Scene:
    """A courier with three notices to bring."""

    def __init__(self, *answers: Told, attempts_max: int = 20) -> None:
        self.clock, self.outbox = FakeClock(), MemoryOutbox()
        self.stopping = threading.Event()
        self.target = FakeTarget([*answers])
        recipient = Recipient("ops", self.target, frozenset(TOLD_OF_RUNS), False, attempts_max)
        self.courier = Courier(recipient, self.outbox, self.clock, self.stopping)
        self.owe("a", "b", "c")

    def owe(self, *names: str) -> None:
        transaction = MemoryTransaction()
        self.outbox.owe([Owed("ops", name, "r", "{}") for name in names], transaction)
        for callback in transaction.callbacks:
            callback()

    @property
    def heard(self) -> str:
        return "".join(name for name, _body in self.target.heard)


def test_everything_is_told_once_and_in_order() -> None:
    scene = Scene()
    assert scene.courier.round()
    assert scene.heard == "abc"
    assert scene.courier.round()
    assert scene.heard == "abc"


def test_who_is_away_is_asked_for_one_notice_only_and_gets_all_in_order_later() -> None:
    scene = Scene(AWAY, AWAY)
    assert not scene.courier.round()
    assert not scene.courier.round()
    assert scene.courier.round()
    assert scene.heard == "aaabc"
    assert [owed.attempts for owed in scene.outbox.settled] == [2, 0, 0]


def test_a_refused_notice_does_not_hold_up_the_others() -> None:
    scene = Scene(DONE, REFUSED)
    assert not scene.courier.round()
    assert scene.heard == "abc"
    (left,) = scene.outbox.owed("ops")
    assert (left.notice_id, left.attempts, left.said) == ("b", 1, "HTTP 400")


def test_new_notices_do_not_use_up_the_attempts_of_a_refused_one() -> None:
    scene = Scene(REFUSED)
    assert not scene.courier.round()
    scene.owe("d")
    assert not scene.courier.round()
    assert scene.heard == "abcd"
    scene.clock.advance(RETRY_SECONDS_MIN)
    assert scene.courier.round()
    assert scene.heard == "abcda"


def test_the_attempts_of_a_notice_are_bounded_and_their_end_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene(*[REFUSED] * 3, *[DONE] * 0, attempts_max=1)
    assert scene.courier.round()
    assert scene.outbox.owed("ops") == []
    assert [owed.said for owed in scene.outbox.settled] == ["HTTP 400"] * 3
    assert caplog.text.count("given up") == 3


def test_the_time_between_rounds_doubles_up_to_a_limit() -> None:
    scene = Scene(*[REFUSED, DONE, DONE], *[REFUSED] * 30, attempts_max=100)
    waits = []
    for _ in range(20):
        assert not scene.courier.round()
        before = scene.heard
        waited = 0.0
        while scene.heard == before:
            scene.clock.advance(1.0)
            waited += 1.0
            if scene.courier.round() or waited > RETRY_SECONDS_MAX * 2:
                break
        waits.append(waited)
    assert waits[:4] == [1.0, 2.0, 4.0, 8.0]
    assert max(waits) == RETRY_SECONDS_MAX


def test_an_attempt_that_our_end_cuts_off_does_not_count() -> None:
    scene = Scene()
    scene.stopping.set()
    assert not scene.courier.round()
    assert [owed.attempts for owed in scene.outbox.owed("ops")] == [0, 0, 0]


def test_a_target_with_a_defect_ends_nothing() -> None:
    class Broken(FakeTarget):
        def tell(self, *_arguments: object) -> Told:
            raise ZeroDivisionError

    scene = Scene()
    recipient = Recipient("ops", Broken(), frozenset(TOLD_OF_RUNS), False, 5)
    courier = Courier(recipient, scene.outbox, scene.clock, scene.stopping)
    assert not courier.round()
    assert "internal error" in scene.outbox.owed("ops")[0].said


REASON = "prepare_base of r: no disk at /home/me/secret"


def fail_all(run: Run, pending: Pending, cancel: Cancellation) -> Event:
    assert not cancel.is_set()
    return CommandFailed(f"{pending.command.kind} of {run.run_id}: no disk at /home/me/secret")


class Hosting:
    """A supervisor with one run that fails, and who is told of it."""

    def __init__(self, *recipients: Recipient) -> None:
        self.store, self.clock, self.outbox = MemoryStore(), FakeClock(), MemoryOutbox()
        self.notifier = Notifier(self.outbox, recipients, self.clock)
        spec = replace(run_spec(phase_spec("P1")), infra_retries_max=0)
        create_run(self.store, self.clock, spec)
        engine = SimulatedEngine(durable=False)
        self.supervisor = Supervisor(
            self.store, engine, self.clock, fail_all, lambda _run: True, self.notifier
        )
        self.supervisor.tick()
        self.supervisor.perform("r:1")


def recipient(name: str, *kinds: NoticeKind, details: bool = False) -> Recipient:
    return Recipient(name, FakeTarget(), frozenset(kinds or TOLD_OF_RUNS), details, 20)


def test_what_is_owed_is_written_with_the_event_for_who_wants_to_hear_it() -> None:
    here = Hosting(
        recipient("all"), recipient("parking", NoticeKind.RUN_PARKED), recipient("d", details=True)
    )
    assert here.store.load("r").ended
    assert here.outbox.owed("parking") == []
    (owed,) = here.outbox.owed("all")
    event = cloudevents.read(owed.body)
    assert event["id"] == owed.notice_id
    assert event["data"]["state"] == "DONE_FAILED_ENVIRONMENT"
    assert "/home" not in owed.body
    (detailed,) = here.outbox.owed("d")
    assert detailed.notice_id == owed.notice_id
    assert json.loads(detailed.body)["data"]["reason"] == REASON


def test_a_supervisor_without_runs_lingers_for_what_is_owed_but_not_for_long() -> None:
    here = Hosting(recipient("all"))
    assert here.notifier.lingers()
    here.clock.advance(LINGER_SECONDS_MAX)
    assert not here.notifier.lingers()


def test_how_long_it_lingers_counts_from_its_first_idle_moment() -> None:
    here = Hosting(recipient("all"))
    here.clock.advance(LINGER_SECONDS_MAX)
    assert here.notifier.lingers()


def test_nobody_is_waited_for_where_nobody_is_told() -> None:
    here = Hosting()
    assert not here.notifier.lingers()
    assert here.outbox.owed("all") == []


def test_threads_bring_everything_and_the_supervisor_may_end_at_once() -> None:
    here = Hosting(recipient("all"), recipient("d"))
    here.notifier.start()
    here.supervisor.run(until_idle=True, poll_seconds=0.01)
    assert not here.notifier.lingers()
    here.notifier.stop()
    assert [owed.target for owed in here.outbox.settled] in (["all", "d"], ["d", "all"])


def test_what_is_left_is_told_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    here = Hosting(recipient("all"))
    here.notifier.stop()
    assert "1 notices for all are left: the next supervisor sends them" in caplog.text
