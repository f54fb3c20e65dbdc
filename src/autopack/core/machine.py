"""The state machine: whatever changes a run is here, and nothing here does anything else.

`advance(run, happened)` answers with the next run and the commands it issues, or with a refusal
that changes nothing. It is pure and total: every pair of state and event has an answer, and TABLE
lists all that is not a refusal. The state diagram and the transition reference are made from TABLE.

How to read it. A run has a *stage*; while it is WORKING each of its phases has a *step*. A step
that waits for the world has exactly one pending command, and only an event that answers it by
number is taken: a second answer to the same command is refused, so that a command may be performed
twice and still counts once. After each event `core.schedule` starts what can start. Every loop
has a counter with a limit in the spec, so that every walk ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from autopack.core import budget, drafting, intake, landing, progress
from autopack.core.command import (
    INTERRUPTIBLE,
    Audit,
    Build,
    Check,
    Command,
    CompilePlan,
    Deliver,
    Land,
    Pending,
    PrepareBase,
    PrepareEnvironment,
    Reapply,
    Test,
    Wait,
)
from autopack.core.event import (
    AttemptEnded,
    AuditEnded,
    BasePrepared,
    CancelRequested,
    CandidateChecked,
    CandidateReapplied,
    CandidateTested,
    CommandFailed,
    Delivered,
    DeliveryRefused,
    DeliveryRequested,
    DurationSpent,
    EnvironmentPrepared,
    Event,
    Happened,
    IssueRecorded,
    PlanDrafted,
    PlanRejected,
    ReapplyConflicted,
    RunCreated,
    SnapshotLanded,
    Unparked,
)
from autopack.core.run import Run, Stage, Step
from autopack.core.schedule import schedule
from autopack.core.spec import RunSpec

ANSWERS: dict[type[Command], tuple[type[Event], ...]] = {
    PrepareBase: (BasePrepared, CommandFailed),
    PrepareEnvironment: (EnvironmentPrepared, CommandFailed),
    Build: (AttemptEnded, CommandFailed),
    Wait: (Unparked, CommandFailed),
    Check: (CandidateChecked, CommandFailed),
    CompilePlan: (PlanDrafted, PlanRejected, CommandFailed),
    Audit: (AuditEnded, CommandFailed),
    Test: (CandidateTested, CommandFailed),
    Reapply: (CandidateReapplied, ReapplyConflicted, CommandFailed),
    Land: (SnapshotLanded, CommandFailed),
    Deliver: (Delivered, DeliveryRefused, CommandFailed),
}
"""What may answer each command."""
UNASKED: tuple[type[Event], ...] = (
    CancelRequested,
    DeliveryRequested,
    IssueRecorded,
    DurationSpent,
)
"""Events that answer nothing."""
_BEGINS = "a run's log begins with run_created"


@dataclass(frozen=True)
class Rule:
    """One row: in this stage (and step, for a phase's event) this event may lead to `targets`."""

    stage: Stage
    step: Step | None
    event: type[Event]
    targets: tuple[Step | Stage, ...]
    note: str
    move: Callable[..., Run]


@dataclass(frozen=True)
class Advanced:
    """The next run and the commands that the event made it issue."""

    run: Run
    commands: tuple[Pending, ...]


@dataclass(frozen=True)
class Refusal:
    """The event is not allowed here; the run is as it was."""

    reason: str


def create(spec: RunSpec) -> Advanced:
    """A new run on its frozen spec; its first event is `RunCreated(spec)`."""
    stage = Stage.BOOTSTRAP if spec.drafting else Stage.CREATED
    run = Run(spec, stage, drafting.first_phases(spec), version=1, tip=spec.base_commit)
    run = progress.issue(run, PrepareBase())
    return Advanced(run, run.pending)


def advance(run: Run, happened: Happened) -> Advanced | Refusal:
    """Apply one event to a run."""
    event, pending = happened.event, _asked(run, happened.answers)
    problem = _problem(run, happened, pending)
    if problem:
        return Refusal(problem)
    phase_id = getattr(pending.command, "phase_id", "") if pending else ""
    step = run.phase(phase_id).step if phase_id else None
    rule = BY_KEY.get((run.stage, step, type(event)))
    if rule is None:
        where = f"{phase_id} is {step}" if step else f"run {run.run_id} is {run.stage}"
        return Refusal(f"{event.kind} is not allowed while {where}")
    moved = _count_time(run, happened.active_seconds)
    if pending:
        moved = replace(moved, pending=tuple(p for p in moved.pending if p is not pending))
    moved = rule.move(moved, event, pending)
    moved = replace(moved, tier_caps_hit=budget.tier_caps_hit(moved))
    moved = intake.settled(run, schedule(intake.take(moved, event, phase_id)))
    moved = replace(moved, version=run.version + 1)
    moved = _stamp(moved, run.commands_issued, happened.at)
    issued = tuple(p for p in moved.pending if p.number > run.commands_issued)
    return Advanced(moved, issued)


def _stamp(run: Run, known: int, at: int) -> Run:
    """Commands issued by an event carry its date, so that performing them again dates the same."""
    return replace(
        run,
        pending=tuple(
            replace(p, issued_at=at) if p.number > known and not p.retry else p for p in run.pending
        ),
    )


def replay(events: Iterable[Happened]) -> Run:
    """The run that a log of events makes; ValueError when the log is no walk of this machine."""
    last = None
    for run in walk(events):
        last = run
    if last is None:
        raise ValueError(_BEGINS)
    return last


def walk(events: Iterable[Happened]) -> Iterator[Run]:
    """The run after each event of its log; ValueError where the log is no walk of this machine."""
    run = None
    for happened in events:
        if run is None:
            if not isinstance(happened.event, RunCreated):
                raise ValueError(_BEGINS)
            run = create(happened.event.spec).run
        else:
            answer = advance(run, happened)
            if isinstance(answer, Refusal):
                msg = f"event {run.version + 1}: {answer.reason}"
                raise ValueError(msg)
            run = answer.run
        yield run


def pending(run: Run) -> tuple[Pending, ...]:
    """Every command that is issued and not answered: what a restart has to perform."""
    return run.pending


def interrupted(run: Run) -> tuple[Pending, ...]:
    """Pending commands that should end early: the run is stopping, or their answer is moot."""
    if run.stage is not Stage.STOPPING:
        return landing.moot(run)
    return tuple(p for p in run.pending if isinstance(p.command, INTERRUPTIBLE))


def _asked(run: Run, number: int) -> Pending | None:
    return next((p for p in run.pending if p.number == number), None)


def _problem(run: Run, happened: Happened, asked: Pending | None) -> str:
    event = happened.event
    if isinstance(event, RunCreated):
        return f"run {run.run_id} exists already"
    if isinstance(event, IssueRecorded) and (why := intake.problem(run, event)):
        return why
    if isinstance(event, UNASKED):
        return f"{event.kind} answers no command" if happened.answers else ""
    if asked is None:
        return f"{event.kind} answers command {happened.answers}, which is not pending"
    if type(event) not in ANSWERS[type(asked.command)]:
        return f"{event.kind} is no answer to {asked.command.kind}"
    named = getattr(event, "phase_id", None)
    if named is not None and named != getattr(asked.command, "phase_id", ""):
        return f"{event.kind} speaks of {named}, the command of another phase"
    return ""


def _count_time(run: Run, seconds: float) -> Run:
    seconds = max(0.0, seconds)
    if not budget.counted(run):
        return run
    if budget.parked(run):
        return replace(run, parked_seconds=run.parked_seconds + seconds)
    return replace(run, active_seconds=run.active_seconds + seconds)


def _rows() -> Iterable[Rule]:
    yield Rule(
        Stage.CREATED, None, BasePrepared, (Stage.QUEUEING,),
        "the base is in our repository, the branch stands on it", progress.base_prepared,
    )  # fmt: skip
    yield Rule(
        Stage.QUEUEING, None, EnvironmentPrepared, (Stage.WORKING, Stage.DONE),
        "CI's environment is built; the first phases start", progress.environment_prepared,
    )  # fmt: skip
    for stage in (Stage.BOOTSTRAP, Stage.CREATED, Stage.QUEUEING):
        yield Rule(
            stage, None, CommandFailed, (stage, Stage.DONE),
            "tried again up to infra_retries_max, then ENVIRONMENT", progress.run_command_failed,
        )  # fmt: skip
    for stage in (Stage.BOOTSTRAP, Stage.CREATED, Stage.QUEUEING, Stage.WORKING):
        yield Rule(
            stage, None, CancelRequested, (Stage.STOPPING,),
            "nothing new starts; what is under way ends early and answers", progress.cancelled,
        )  # fmt: skip
    for stage in (Stage.BOOTSTRAP, Stage.WORKING):
        yield Rule(
            stage, None, DurationSpent, (Stage.STOPPING,),
            "the run's minutes are spent: BUDGET_EXHAUSTED", progress.duration_spent,
        )  # fmt: skip
    for stage in (each for each in Stage if each is not Stage.BOOTSTRAP):  # a draft has no issue
        targets = (stage, Stage.STOPPING) if stage is Stage.WORKING else (stage,)
        yield Rule(
            stage, None, IssueRecorded, targets,
            "an issue of a phase; reopens nothing", intake.recorded,
        )  # fmt: skip
    yield from _delivery_rows()
    yield from _drafting_rows()
    yield from _phase_rows()
    yield from _stopping_rows()


def _drafting_rows() -> Iterable[Rule]:
    again = (Step.BUILDING, Step.FAILED)
    yield Rule(
        Stage.BOOTSTRAP, None, BasePrepared, (Stage.BOOTSTRAP,),
        "the base is there: an agent drafts the plan on it", drafting.base_prepared,
    )  # fmt: skip
    yield Rule(
        Stage.BOOTSTRAP, Step.BUILDING, AttemptEnded, (Step.CHECKING, Step.PARKED, *again),
        "a draft is compiled; another attempt while attempts and tokens last",
        progress.attempt_ended,
    )  # fmt: skip
    yield Rule(
        Stage.BOOTSTRAP, Step.PARKED, Unparked, (Step.BUILDING,),
        "the usage limit is over; costs no attempt", progress.unparked,
    )  # fmt: skip
    yield Rule(
        Stage.BOOTSTRAP, Step.CHECKING, PlanDrafted, (Step.COMPLETE,),
        "the plan compiles: the run begins on it, or ends when only a plan was asked for",
        drafting.drafted,
    )  # fmt: skip
    yield Rule(
        Stage.BOOTSTRAP, Step.CHECKING, PlanRejected, again,
        "what is wrong with the draft is the next attempt's evidence", drafting.rejected,
    )  # fmt: skip
    for step in (Step.BUILDING, Step.PARKED, Step.CHECKING):
        yield Rule(
            Stage.BOOTSTRAP, step, CommandFailed, (step, Step.FAILED),
            "tried again up to infra_retries_max, then ENVIRONMENT", progress.command_failed,
        )  # fmt: skip


def _delivery_rows() -> Iterable[Rule]:
    ends = (Stage.STOPPING, Stage.DONE)
    for stage, targets, failed in (
        (Stage.WORKING, (Stage.WORKING,), (Stage.WORKING,)),
        (Stage.STOPPING, (Stage.STOPPING,), ends),  # a command of the run's start may fail, too
        (Stage.CLOSING, (Stage.CLOSING, Stage.DONE), (Stage.CLOSING, Stage.DONE)),
        (Stage.DONE, (Stage.DONE,), (Stage.DONE,)),
    ):
        yield Rule(
            stage, None, Delivered, targets,
            "the user's repository has branch and tags up to this tip", progress.delivered,
        )  # fmt: skip
        for refused, to in ((DeliveryRefused, targets), (CommandFailed, failed)):
            yield Rule(
                stage, None, refused, to,
                "never fails a run: tried again at each snapshot and at the end",
                progress.delivery_refused,
            )  # fmt: skip

    for stage in (Stage.WORKING, Stage.DONE):
        yield Rule(
            stage,
            None,
            DeliveryRequested,
            (stage,),
            "one more delivery, whatever was delivered before; reopens nothing",
            progress.delivery_requested,
        )


def _phase_rows() -> Iterable[Rule]:
    again = (Step.BUILDING, Step.FAILED)
    queue = (Step.LANDING_QUEUED, Step.REAPPLYING, Step.TESTING)
    rows: tuple[tuple[Step, type[Event], tuple[Step, ...], str, Callable[..., Run]], ...] = (
        (Step.BUILDING, AttemptEnded, (Step.CHECKING, Step.PARKED, *again),
         "git's evidence decides; another attempt while attempts and tokens last",
         progress.attempt_ended),
        (Step.PARKED, Unparked, (Step.BUILDING,),
         "the usage limit is over; costs no attempt", progress.unparked),
        (Step.CHECKING, CandidateChecked, (*queue, Step.AUDITING, *again),
         "the gate lets it into the landing queue, asks the auditor, or refuses", progress.checked),
        (Step.AUDITING, AuditEnded, (*queue, Step.CHECKING, Step.AUDITING, *again),
         "approve, revise (one more attempt), escalate; no verdict is no approval",
         progress.audited),
        (Step.TESTING, CandidateTested, (*queue, Step.LANDING, *again),
         "only CI decides red or green; INFRA is tried again; red ahead of the branch is a doubt",
         progress.tested),
        (Step.REAPPLYING, CandidateReapplied, (Step.CHECKING,),
         "gated and tested on the work ahead of it", progress.reapplied),
        (Step.REAPPLYING, ReapplyConflicted, (*queue, *again),
         "back to the builder with the conflict as evidence; ahead of the branch it is a doubt",
         progress.conflicted),
        (Step.LANDING, SnapshotLanded, (Step.COMPLETE,),
         "branch and tag moved together to the tested commit", progress.landed),
    )  # fmt: skip
    for step, event, targets, note, move in rows:
        yield Rule(Stage.WORKING, step, event, targets, note, move)
    moot = {Step.CHECKING: queue, Step.TESTING: queue, Step.REAPPLYING: queue}
    for step in dict.fromkeys(row[0] for row in rows):
        yield Rule(
            Stage.WORKING, step, CommandFailed,
            tuple(dict.fromkeys((step, *moot.get(step, ()), Step.FAILED))),
            "tried again up to infra_retries_max, then ENVIRONMENT; not what is moot by now",
            progress.command_failed,
        )  # fmt: skip


def _stopping_rows() -> Iterable[Rule]:
    waiting: dict[Step, tuple[type[Event], ...]] = {
        Step.BUILDING: (AttemptEnded,),
        Step.PARKED: (Unparked,),
        Step.CHECKING: (CandidateChecked, PlanDrafted, PlanRejected),
        Step.AUDITING: (AuditEnded,),
        Step.TESTING: (CandidateTested,),
        Step.REAPPLYING: (CandidateReapplied, ReapplyConflicted),
    }
    for step, events in waiting.items():
        for event in (*events, CommandFailed):
            yield Rule(
                Stage.STOPPING, step, event, (Step.FAILED,),
                "the run stops; what was made is kept under its ref", progress.stopped,
            )  # fmt: skip
    yield Rule(
        Stage.STOPPING, Step.LANDING, SnapshotLanded, (Step.COMPLETE,),
        "a landing under way is finished", progress.landed,
    )  # fmt: skip
    yield Rule(
        Stage.STOPPING, Step.LANDING, CommandFailed, (Step.LANDING, Step.FAILED),
        "it may have happened: tried again up to infra_retries_max", progress.command_failed,
    )  # fmt: skip
    for answer in (BasePrepared, EnvironmentPrepared):
        yield Rule(
            Stage.STOPPING, None, answer, (Stage.DONE,),
            "the run was cancelled before its first phase", progress.answered_late,
        )  # fmt: skip


TABLE: tuple[Rule, ...] = tuple(_rows())
"""Every transition; what is not here is refused."""
BY_KEY: dict[tuple[Stage, Step | None, type[Any]], Rule] = {
    (rule.stage, rule.step, rule.event): rule for rule in TABLE
}
