"""What is told of a run's promotion, at its end and in its view. Never reads a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autopack.app.report import RunView


def promotion_lines(run: RunView, *, whole: bool = False) -> Iterator[str]:
    """Its pull request, or why there is none; `whole`: also where that goes without saying.

    A failed run, or one for a plan only, is not told that it is not promoted.
    """
    made = run.promotion
    if made.waits:
        yield "  waits: as many promotion pull requests are open as may be; merge or close one"
    if made.number:
        yield f"  pull request {made.told}"
        yield from (f"    {note}" for note in made.notes)
    if made.refusal:
        yield f"  not promoted: {_line(made.refusal)}"
    elif run.ended and not made.number and made.eligible:
        yield f"  promotion: eligible; `autopack promote {run.run_id}` opens one, if there is room"
    elif run.ended and not made.number and (whole or _expected(run)):
        reasons = [reason for reason in made.reasons if whole or "delivered" not in reason]
        yield from (f"  not eligible for promotion: {reason}" for reason in reasons)


def _expected(run: RunView) -> bool:
    """Who reads of its end may wait for a pull request."""
    last = run.series is None or not run.series.rest
    return run.failure is None and bool(run.work_branch) and last


def _line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "")
