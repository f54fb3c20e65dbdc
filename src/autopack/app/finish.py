"""When a run ended: not when it was last heard of, for issues and deliveries may come later.

Only reads.
"""

from __future__ import annotations

from typing import Final

from autopack.app.ports import Store
from autopack.app.report import log_of
from autopack.core import machine
from autopack.core.event import (
    CommandFailed,
    Delivered,
    DeliveryRefused,
    DeliveryRequested,
    IssueRecorded,
    Promoted,
    PromotionRefused,
    PromotionRequested,
)
from autopack.core.run import Run

TAIL: Final = 8
"""Events read from a log's end before the whole of it is walked."""
_LATER: Final = (DeliveryRequested, PromotionRequested, IssueRecorded)
"""What people may ask of a run that has ended."""
_LAST: Final = (Delivered, DeliveryRefused, Promoted, PromotionRefused, CommandFailed)
"""What may end a run and may answer them."""


def ended_at(run: Run, store: Store) -> int | None:
    """Unix seconds; None while it goes on, or when its log cannot be followed."""
    if not run.ended:
        return None
    tail = store.events(run.run_id, after=max(run.version - TAIL, 0))
    for recorded in reversed(tail):
        if isinstance(recorded.happened.event, _LATER):
            break
        if not isinstance(recorded.happened.event, _LAST):
            return tail[-1].happened.at
    return _walked(store, run.run_id)


def _walked(store: Store, run_id: str) -> int | None:
    log = [recorded.happened for recorded in log_of(store, run_id)]
    try:
        for happened, then in zip(log, machine.walk(log), strict=True):
            if then.ended:
                return happened.at
    except ValueError:
        return None
    return None
