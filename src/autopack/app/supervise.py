"""Drive runs to their end: save event, state and commands in one transaction, perform, repeat.

Intent, act, re-observe, record. A restart performs what is saved and unanswered; there is no other
recovery. Only this room advances runs. Never decides (that is `core.machine`), never touches git,
an agent or the clock itself.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol
from weakref import WeakValueDictionary

from autopack.app import recording, series
from autopack.app.notify import Notifier
from autopack.app.ports import Clock, Engine, Request, Store, Transaction
from autopack.core import budget, machine
from autopack.core.command import Pending, command_id, is_inline, split_command_id
from autopack.core.errors import Fault, OperatorFault, OwnFault, refusal
from autopack.core.event import (
    CancelRequested,
    CommandFailed,
    DeliveryRequested,
    DurationSpent,
    Event,
    Happened,
    PromotionRequested,
    RunCreated,
)
from autopack.core.redact import cleaned
from autopack.core.run import Run, Stage
from autopack.core.spec import RunSpec

_log = logging.getLogger(__name__)
ENDED_RENDERED = 10
"""Runs that ended last, whose artefacts are looked at again when a supervisor starts."""
RENDER_SECONDS = 0.5
"""The artefacts of an open run are written at most this often: each event would cost a phase."""
RENDER_AGAIN_SECONDS = 2.0
"""The pause before artefacts are tried again that could not be written."""
RENDER_AGAIN_SECONDS_MAX = 10.0
"""Then they are left to the run's next event, or to the next supervisor."""


class Cancellation(threading.Event):
    """Set when a command should end early."""

    cut_off = False
    """The supervisor stops: leave no trace, the next start performs the command again."""

    def __init__(self) -> None:
        super().__init__()
        self._told: tuple[Callable[[], None], ...] = ()

    def tell(self, who: Callable[[], None]) -> None:
        """Have `who` called when it is set, for what waits for something else as well."""
        self._told = (*self._told, who)

    def set(self) -> None:
        """End the command early; harmless when repeated."""
        super().set()
        for who in self._told:
            who()


class CutOff(Exception):
    """A command was cut off because the supervisor stops; the next start performs it again."""


class Performer(Protocol):
    """Performs one command and answers with its event; a Fault when it cannot."""

    def __call__(self, run: Run, pending: Pending, cancel: Cancellation) -> Event: ...


def create_run(store: Store, clock: Clock, spec: RunSpec) -> Run:
    """Record a new run; the supervisor finds it and performs its first command."""
    run = machine.create(spec).run
    store.create(run, Happened(RunCreated(spec), clock.now()))
    return run


class Supervisor:
    """The one process that advances the runs of a store."""

    def __init__(
        self,
        store: Store,
        engine: Engine,
        clock: Clock,
        perform: Performer,
        render: Callable[[Run], bool],
        notifier: Notifier | None = None,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """`render` says whether it worked; `busy`: something beside the runs is not done yet."""
        self._store = store
        self._engine = engine
        self._clock = clock
        self._perform = perform
        self._render = render
        self._notifier = notifier
        self._busy = busy
        self._lock = threading.Lock()
        # Weak: a lock is there as long as somebody holds it or waits for it.
        self._run_locks: WeakValueDictionary[str, threading.RLock] = WeakValueDictionary()
        self._last: dict[str, float] = {}
        self._cancels: dict[str, Cancellation] = {}
        self._open: dict[str, Run] = {}
        self._adopted: set[str] = set()
        self._stale_artefacts: set[str] = set()
        self._rendered: dict[str, float] = {}
        self._unwritten: dict[str, tuple[float, float]] = {}
        """Since when a run's artefacts cannot be written, and when they are tried again."""
        self._wake = threading.Event()
        self._told_to_stop = False
        self._cutting_off = False
        self.fault: Fault | None = None

    # --- the host's loop ------------------------------------------------------------------------

    def run(self, *, until_idle: bool, poll_seconds: float = 0.1) -> None:
        """Host all open runs until `stop`, or until none is open; raises what stopped it."""
        with self._lock:  # a kill may have come between a run's end and its last rendering
            ended = self._store.runs(ended=True, limit=ENDED_RENDERED)
            self._stale_artefacts.update(run.run_id for run in ended)
        self._engine.start(self.perform)
        try:
            while not self._told_to_stop:
                self._wake.clear()
                self.tick()
                if self.fault is not None:
                    raise self.fault
                if until_idle and self._rests():
                    break
                self._wake.wait(poll_seconds)
        finally:
            self._interrupt_all()
            self._engine.stop()

    def stop(self) -> None:
        """End the loop; what is under way is cut off and stays unanswered, for the next start.

        For signal handlers: it takes no lock, since the thread it interrupts may hold any.
        """
        self._told_to_stop = True

    def fail(self, fault: Fault) -> None:
        """End the loop, as `stop`; `run` raises the first of such faults."""
        self.fault = self.fault or fault
        self._wake.set()

    @property
    def stopped(self) -> bool:
        """It was told to end, so that open runs are no reason to start another."""
        return self._told_to_stop

    def tick(self) -> None:
        """One turn of the loop: new runs, requests, spent durations, artefacts."""
        for request in self._store.requests():
            self._carry_out(request)
        for run in self._adopt():
            self._engine.recover(_queued_ids(run))
        with self._lock:
            hosted, due = list(self._open.values()), self._due()
        for run in hosted:
            self._check_duration(run)
        for run_id in due:
            self._render_one(self._store.load(run_id))

    def _rests(self) -> bool:
        """Nothing is left to do, or only what the next supervisor can do as well."""
        lingers = self._notifier is not None and self._notifier.lingers()
        return not (self._open or self._stale_artefacts or lingers or self._busy())

    def _due(self) -> list[str]:
        """Runs whose artefacts are to be written now: ended, or not written for a while."""
        now = self._clock.monotonic()
        latest = now - RENDER_SECONDS
        due = [
            run_id
            for run_id in sorted(self._stale_artefacts)
            if self._unwritten.get(run_id, (now, now))[1] <= now
            and (run_id not in self._open or self._rendered.get(run_id, latest) <= latest)
        ]
        self._stale_artefacts.difference_update(due)
        self._rendered.update(dict.fromkeys(due, now))
        return due

    def _render_one(self, run: Run) -> None:
        """Write a run's artefacts; what cannot be written is tried again, for a while."""
        written, now = self._render(run), self._clock.monotonic()
        with self._lock:
            since, _ = self._unwritten.pop(run.run_id, (now, now))
            if not written and now - since < RENDER_AGAIN_SECONDS_MAX:
                self._unwritten[run.run_id] = (since, now + RENDER_AGAIN_SECONDS)
                self._stale_artefacts.add(run.run_id)
            elif run.ended:
                self._rendered.pop(run.run_id, None)

    def _adopt(self) -> list[Run]:
        """Runs of the store that this supervisor does not host yet, with their inline commands."""
        found = [run_id for run_id in self._store.open_ids() if run_id not in self._adopted]
        return [self._adopt_one(run_id) for run_id in found]

    def _adopt_one(self, run_id: str) -> Run:
        """Host a run as it stands now: the engine may have moved it since it was listed."""
        with self._run_lock(run_id):
            run = self._store.load(run_id)
            with self._lock:
                self._stale_artefacts.add(run_id)
                if not run.ended:  # a request alone, before this, opens a run too
                    self._adopted.add(run_id)
                    self._last.setdefault(run_id, self._clock.monotonic())
                    self._open[run_id] = run
            for pending in machine.pending(run):
                if _inline(pending):
                    self.perform(command_id(run_id, pending.number))
        return run

    def _carry_out(self, request: Request) -> None:
        try:
            if request.kind == "cancel":
                # A part may have ended, and the next one begun, since it was asked.
                meant = series.latest(self._store, self._store.load(request.run_id))
                run = self.submit(meant.run_id, CancelRequested(request.by))
                if series.goes_on(self._store, run):
                    return  # carried out when the next part is there
            elif request.kind == "deliver":
                self.submit(request.run_id, DeliveryRequested(request.by))
            elif request.kind == "promote":
                self.submit(request.run_id, PromotionRequested(request.by))
            elif request.kind == recording.KIND:
                self.submit(request.run_id, recording.event_of(request))
        except (OperatorFault, ValueError) as fault:  # it must not stop the others
            _log.warning("request %s of run %s: %s", request.kind, request.run_id, fault)
        self._store.answered(request.number)

    def _check_duration(self, run: Run) -> None:
        now = self._clock.monotonic()
        since = now - self._last.get(run.run_id, now)
        counts = run.stage is not Stage.STOPPING and budget.counted(run)
        if counts and budget.seconds_left(run) - since <= 0:
            self.submit(run.run_id, DurationSpent())

    # --- one event ------------------------------------------------------------------------------

    def submit(self, run_id: str, event: Event, answers: int = 0) -> Run:
        """Advance the run by an event and perform its short commands; a refused event is dropped.

        Refused is normal: a command that was performed twice answers twice.
        """
        todo: deque[tuple[Event, int]] = deque([(event, answers)])
        with self._run_lock(run_id):
            run = self._store.load(run_id)
            while todo:
                run, commands = self._record(run, *todo.popleft())
                for pending in commands:
                    if _inline(pending):
                        todo.append((self._attempt(run, pending), pending.number))
        if run.ended:  # the loop may end; all else waits for its next turn, and shares it
            self._wake.set()
        return run

    def _record(self, before: Run, event: Event, answers: int) -> tuple[Run, tuple[Pending, ...]]:
        run_id = before.run_id
        now, event = self._clock.monotonic(), cleaned(event)
        happened = Happened(event, self._clock.now(), answers, now - self._last.get(run_id, now))
        answer = machine.advance(before, happened)
        if isinstance(answer, machine.Refusal):
            _log.info("run %s: %s", run_id, answer.reason)
            return before, ()
        run = answer.run
        queued = [
            command_id(run_id, pending.number)
            for pending in answer.commands
            if not _inline(pending)
        ]

        def within(transaction: Transaction) -> None:
            if self._notifier is not None:
                self._notifier.note(before, happened, run, transaction)
            if queued:
                self._engine.enqueue(queued, transaction)
            if following := series.hand_over(before, run, happened, transaction):
                transaction.on_commit(lambda: self._expect(following))

        saved = self._store.save(run, happened, expected_version=before.version, within=within)
        if not saved:
            msg = f"run {run_id} was changed by another process while this supervisor held its lock"
            raise OwnFault(msg, "stop the other process; `autopack events verify` checks the run")
        self._note(run, now)
        return run, answer.commands

    def _expect(self, run_id: str) -> None:
        """A run that the next turn adopts: the host does not rest before."""
        with self._lock:
            self._stale_artefacts.add(run_id)

    def _note(self, run: Run, now: float) -> None:
        with self._lock:
            self._stale_artefacts.add(run.run_id)
            if run.ended:
                self._forget(run.run_id)
            else:
                self._open[run.run_id] = run
                self._last[run.run_id] = now
        for pending in machine.interrupted(run):
            self._cancel_of(command_id(run.run_id, pending.number)).set()

    def _forget(self, run_id: str) -> None:
        """Drop what is kept of a run while it is open."""
        self._open.pop(run_id, None)
        self._last.pop(run_id, None)
        self._adopted.discard(run_id)
        for name in [name for name in self._cancels if split_command_id(name)[0] == run_id]:
            del self._cancels[name]

    # --- one command ----------------------------------------------------------------------------

    def perform(self, name: str) -> None:
        """Perform a command by its id and record the answer; an answered one does nothing."""
        try:
            self._perform_pending(name)
        except CutOff:
            raise
        except Exception as error:
            # Not the command's doing: its answer could not be recorded. The host must not go on.
            self.fail(error if isinstance(error, Fault) else OwnFault(f"{name}: {error!r}"))
            raise

    def _perform_pending(self, name: str) -> None:
        run_id, number = split_command_id(name)
        run = self._store.load(run_id)
        pending = next((p for p in machine.pending(run) if p.number == number), None)
        if pending is None:
            return
        if pending in machine.interrupted(run):
            self._cancel_of(name).set()
        self.submit(run_id, self._attempt(run, pending), number)

    def _attempt(self, run: Run, pending: Pending) -> Event:
        """The command's event. Whatever goes wrong here must become one: a run always ends."""
        name = command_id(run.run_id, pending.number)
        try:
            return self._perform(run, pending, self._cancel_of(name))
        except CutOff:
            raise
        except Fault as fault:
            _log.warning("%s (%s): %s", name, pending.command.kind, fault)
            return CommandFailed(str(fault))
        except OSError as fault:  # a full or closed disk, met where no adapter waits for it
            told = refusal(fault, pending.command.kind)
            _log.warning("%s (%s): %s", name, pending.command.kind, told, exc_info=True)
            return CommandFailed(str(told))
        except Exception as error:  # noqa: BLE001  a defect ends its command, not the host
            _log.exception("%s (%s) met a defect of ours", name, pending.command.kind)
            return CommandFailed(f"internal error in {pending.command.kind}: {error!r}")
        finally:
            with self._lock:
                self._cancels.pop(name, None)

    def _cancel_of(self, name: str) -> Cancellation:
        with self._lock:
            cancel = self._cancels.setdefault(name, Cancellation())
            if self._cutting_off:
                cancel.cut_off = True
                cancel.set()
            return cancel

    def _run_lock(self, run_id: str) -> threading.RLock:
        with self._lock:
            return self._run_locks.setdefault(run_id, threading.RLock())

    def _interrupt_all(self) -> None:
        with self._lock:
            self._cutting_off = True  # also for what is taken from the queue from now on
            cancels = list(self._cancels.values())
        for cancel in cancels:
            cancel.cut_off = True
            cancel.set()


def _queued_ids(run: Run) -> list[str]:
    return [
        command_id(run.run_id, pending.number)
        for pending in machine.pending(run)
        if not _inline(pending)
    ]


def _inline(pending: Pending) -> bool:
    """Performed at once by who made the transition; a retry waits, so it queues like the rest."""
    return is_inline(pending.command) and not pending.retry
