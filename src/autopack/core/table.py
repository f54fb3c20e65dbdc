"""The table of the machine: in which stage and step which event may happen, and where it leads.

What is not here is refused. The state diagram and the transition reference are made from TABLE.
Never advances a run: that is `core.machine`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from autopack.core import attempts, drafting, intake, progress, promoting, verdict
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
    IssueRecorded,
    PlanDrafted,
    PlanRejected,
    Promoted,
    PromotionRefused,
    PromotionRequested,
    PromotionsFull,
    ReapplyConflicted,
    RoomAwaited,
    SnapshotLanded,
    Unparked,
)
from autopack.core.run import Run, Stage, Step


@dataclass(frozen=True)
class Rule:
    """One row: in this stage (and step, for a phase's event) this event may lead to `targets`."""

    stage: Stage
    step: Step | None
    event: type[Event]
    targets: tuple[Step | Stage, ...]
    note: str
    move: Callable[..., Run]


def _rows() -> Iterable[Rule]:
    yield Rule(
        Stage.CREATED, None, BasePrepared, (Stage.QUEUEING,),
        "the base is in our repository, the branch stands on it", progress.base_prepared,
    )  # fmt: skip
    yield Rule(
        Stage.QUEUEING, None, EnvironmentPrepared, (Stage.WORKING, Stage.CLOSING, Stage.DONE),
        "CI's environment is built; the first phases start, or all landed before",
        progress.environment_prepared,
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
    yield from _promotion_rows()
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
                promoting.command_failed if refused is CommandFailed else progress.delivery_refused,
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


def _promotion_rows() -> Iterable[Rule]:
    for stage in (Stage.BOOTSTRAP, Stage.CREATED):
        yield Rule(
            stage, None, PromotionsFull, (stage,),
            "it waits until a promotion was reviewed, before it spends anything",
            promoting.promotions_full,
        )  # fmt: skip
        yield Rule(
            stage, None, RoomAwaited, (stage, Stage.DONE),
            "there is room, and it begins; or it took too long", promoting.room_awaited,
        )  # fmt: skip
    for stage, targets in (
        (Stage.CLOSING, (Stage.CLOSING, Stage.DONE)),
        (Stage.DONE, (Stage.DONE,)),
    ):
        yield Rule(
            stage, None, Promoted, (Stage.DONE,),
            "its work is one pull request, or a person is done with it", promoting.promoted,
        )  # fmt: skip
        yield Rule(
            stage, None, PromotionRefused, targets,
            "never fails a run; somebody may ask again", promoting.refused,
        )  # fmt: skip
    yield Rule(
        Stage.DONE, None, PromotionRequested, (Stage.DONE,),
        "one more try, where the run is eligible; reopens nothing", promoting.requested,
    )  # fmt: skip


def _phase_rows() -> Iterable[Rule]:
    again = (Step.BUILDING, Step.AUDITING, Step.FAILED)
    queue = (Step.LANDING_QUEUED, Step.REAPPLYING, Step.TESTING)
    rows: tuple[tuple[Step, type[Event], tuple[Step, ...], str, Callable[..., Run]], ...] = (
        (Step.BUILDING, AttemptEnded, (Step.CHECKING, Step.PARKED, *again),
         "git's evidence decides; another attempt, or the auditor when they end alike or are spent",
         progress.attempt_ended),
        (Step.PARKED, Unparked, (Step.BUILDING,),
         "the usage limit is over; costs no attempt", progress.unparked),
        (Step.CHECKING, CandidateChecked, (*queue, *again),
         "the gate lets it into the landing queue, asks the auditor, or refuses", progress.checked),
        (Step.AUDITING, AuditEnded, (*queue, Step.LANDING, Step.CHECKING, *again),
         "approve, revise (one more attempt or its own patch), escalate; no verdict is no approval",
         attempts.audited),
        (Step.TESTING, CandidateTested, (*queue, Step.LANDING, *again),
         "only CI decides red or green; red ahead of the branch is a doubt; green may be audited",
         verdict.tested),
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
    for answer in (BasePrepared, EnvironmentPrepared, PromotionsFull, RoomAwaited):
        yield Rule(
            Stage.STOPPING, None, answer, (Stage.DONE,),
            "the run was cancelled before its first phase", progress.answered_late,
        )  # fmt: skip


TABLE: tuple[Rule, ...] = tuple(_rows())
"""Every transition; what is not here is refused."""
BY_KEY: dict[tuple[Stage, Step | None, type[Any]], Rule] = {
    (rule.stage, rule.step, rule.event): rule for rule in TABLE
}
