"""The state machine: whatever changes a run is here, and nothing here does anything else.

`advance(run, happened)` answers with the next run and the commands it issues, or with a refusal
that changes nothing. It is pure and total: every pair of state and event has an answer, and
`core.table.TABLE` lists all that is not a refusal.

How to read it. A run has a *stage*; while it is WORKING each of its phases has a *step*. A step
that waits for the world has exactly one pending command, and only an event that answers it by
number is taken: a second answer to the same command is refused, so that a command may be performed
twice and still counts once. After each event `core.schedule` starts what can start. Every loop
has a counter with a limit in the spec, so that every walk ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from autopack.core import budget, drafting, intake, landing, moves
from autopack.core.command import (
    Audit,
    AwaitRoom,
    Build,
    Check,
    Command,
    CompilePlan,
    Deliver,
    Land,
    Pending,
    PrepareBase,
    PrepareEnvironment,
    Promote,
    Reapply,
    Test,
    Wait,
    is_interruptible,
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
    Promoted,
    PromotionRefused,
    PromotionRequested,
    PromotionsFull,
    ReapplyConflicted,
    RoomAwaited,
    RunCreated,
    SnapshotLanded,
    Unparked,
)
from autopack.core.run import Run, Stage
from autopack.core.schedule import schedule
from autopack.core.spec import RunSpec
from autopack.core.table import BY_KEY

ANSWERS: dict[type[Command], tuple[type[Event], ...]] = {
    PrepareBase: (BasePrepared, PromotionsFull, CommandFailed),
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
    AwaitRoom: (RoomAwaited, CommandFailed),
    Promote: (Promoted, PromotionRefused, CommandFailed),
}
"""What may answer each command."""
UNASKED: tuple[type[Event], ...] = (
    CancelRequested,
    DeliveryRequested,
    PromotionRequested,
    IssueRecorded,
    DurationSpent,
)
"""Events that answer nothing."""
_BEGINS = "a run's log begins with run_created"


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
    run = moves.issue(run, PrepareBase())
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
    if (hit := budget.tier_caps_hit(moved)) != moved.tier_caps_hit:
        moved = replace(moved, tier_caps_hit=hit)
    moved = intake.settled(run, schedule(intake.take(moved, event, phase_id)))
    pending_now = _stamped(moved, run.commands_issued, happened.at)
    moved = replace(moved, version=run.version + 1, pending=pending_now)
    issued = tuple(p for p in moved.pending if p.number > run.commands_issued)
    return Advanced(moved, issued)


def _stamped(run: Run, known: int, at: int) -> tuple[Pending, ...]:
    """Commands issued by an event carry its date, so that performing them again dates the same."""
    return tuple(
        replace(p, issued_at=at) if p.number > known and not p.retry else p for p in run.pending
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
    return tuple(p for p in run.pending if is_interruptible(p.command))


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
