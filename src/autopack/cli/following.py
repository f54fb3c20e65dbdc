"""The command that most likely comes next after a run, as text. Never reads a store."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from autopack.core.run import Cause, RunState

if TYPE_CHECKING:
    from autopack.app.place import SeriesView
    from autopack.app.report import RunView


def next_step(
    run: RunView, *, viewed: bool = False, stands: str | None = None, plan: str = ""
) -> str:
    """The command that most likely comes next; `viewed`: the reader has `run view` before him.

    `stands`: as `branch_now` tells; a branch that is elsewhere would show something else.
    `plan`: where its plan is.
    """
    if not run.ended:
        return f"autopack run watch {run.run_id}"
    view = "" if viewed else f"autopack run view {run.run_id}; then "
    if run.failure and not run.all_landed:
        first = "autopack doctor; then " if run.failure.cause == Cause.ENVIRONMENT.value else view
        return f"{first}autopack run retry {run.run_id}"
    if run.plan_only:
        return f"autopack run {shlex.quote(plan)}" if plan else f"autopack run view {run.run_id}"
    if run.series and run.series.next_run:
        return _later(run.series)
    if run.undelivered:
        first = "what is said above; then " if "`git " in run.delivery_refusal else ""
        return f"{first}autopack run deliver {run.run_id}"
    if run.failure:
        look = f"{view}autopack report run {run.run_id} and autopack issues list"
        return f"{look}; every phase has landed, so git merge {run.branch} if you take it as it is"
    if not run.snapshots and not run.delivered:
        return _work(run.work_branch) or f"{view}autopack report run {run.run_id}"
    moved = stands is not None and stands != run.delivered
    return f"git log --oneline {run.base_ref}..{run.delivered[:12] if moved else run.branch}"


def _later(series: SeriesView) -> str:
    """The next command for a part that others have followed."""
    if series.latest_ended and series.latest_state == RunState.DONE_SUCCESS.value:
        return _work(series.work_branch) or f"autopack run view {series.latest}"
    if series.latest_ended:
        return f"autopack run view {series.latest}"
    return f"autopack run watch {series.latest or series.next_run}"


def _work(branch: str) -> str:
    """Shows what a merge would bring; empty when there is no branch."""
    return f"git log --oneline HEAD..{branch}" if branch else ""
