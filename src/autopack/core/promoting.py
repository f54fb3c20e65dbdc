"""What the rows of the machine's table do to a run for its promotion.

Called by `core.machine` and `core.schedule` alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from autopack.core import moves, progress, promotion
from autopack.core.command import AwaitRoom, Deliver, PrepareBase, Promote
from autopack.core.run import Cause, Failure, Run

if TYPE_CHECKING:
    from autopack.core.command import Pending
    from autopack.core.event import (
        CommandFailed,
        Promoted,
        PromotionRefused,
        PromotionRequested,
        PromotionsFull,
        RoomAwaited,
    )


def landed_tip(run: Run) -> str:
    """The commit that CI proved last, below what a promotion puts on the branch."""
    return run.snapshots[-1].commit if run.snapshots else run.spec.base_commit


def begin(run: Run) -> Run:
    """Have the run promoted, unless that is under way."""
    if any(isinstance(p.command, Promote) for p in run.pending):
        return run
    return moves.issue(run, Promote(landed_tip(run), run.promotion.dated))


def promoted(run: Run, event: Promoted, asked: Pending) -> Run:
    """Branch and pull request are there, or a person is done with them."""
    made = replace(
        _tried(run, asked).promotion,
        number=event.number,
        url=event.url,
        state=event.state,
        commit=event.tip if event.tip != landed_tip(run) else "",
        notes=event.notes,
        refusal="",
    )
    return replace(run, promotion=made, tip=event.tip, delivered=event.tip, delivery_refusal="")


def refused(run: Run, event: PromotionRefused, asked: Pending) -> Run:
    """The branch may have its summaries by now, which the user's repository may lack."""
    made = replace(_tried(run, asked).promotion, refusal=event.reason)
    if not event.tip:
        return replace(run, promotion=made)
    if event.tip != landed_tip(run):
        made = replace(made, commit=event.tip)
    arrived = event.delivered == event.tip
    return replace(
        run,
        promotion=made,
        tip=event.tip,
        delivered=event.delivered or run.delivered,
        delivery_refusal="" if arrived else event.reason,
    )


def command_failed(run: Run, event: CommandFailed, asked: Pending) -> Run:
    """A promotion or a delivery that the environment refused: neither fails a run."""
    if not isinstance(asked.command, Promote):
        return progress.delivery_refused(run, event, asked)
    made = replace(_tried(run, asked).promotion, refusal=event.reason)
    return replace(run, promotion=made)


def requested(run: Run, _event: PromotionRequested, _asked: None) -> Run:
    """One more try; a run that is not eligible keeps why."""
    why = promotion.reasons(run)
    if any(isinstance(p.command, Deliver) for p in run.pending):
        why = ("a delivery is under way: ask again",)
    if why:
        return replace(run, promotion=replace(run.promotion, refusal="; ".join(why)))
    return begin(run)


def _tried(run: Run, asked: Pending) -> Run:
    """What a promotion makes keeps the date of its first try."""
    dated = run.promotion.dated or asked.issued_at
    return replace(run, promotion=replace(run.promotion, tried=True, dated=dated))


# --- before a run begins ------------------------------------------------------------------------


def promotions_full(run: Run, event: PromotionsFull, _asked: Pending) -> Run:
    return moves.issue(run, AwaitRoom(event.most))


def room_awaited(run: Run, event: RoomAwaited, _asked: Pending) -> Run:
    if event.found:
        return moves.issue(run, PrepareBase(waited=True))
    minutes = run.spec.parked_seconds_max / 60
    reason = f"waited parked_minutes_max = {minutes:g} minutes for a promotion to be reviewed"
    return moves.stop(run, Failure(Cause.REQUIRES_HUMAN_REVIEW, reason))
