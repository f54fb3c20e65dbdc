"""What comes after a part of a series: the next run, recorded with the end of the one before.

In one write, so that no crash loses it and none makes it twice. Never starts it: the supervisor
finds it as it finds every new run.
"""

from __future__ import annotations

from dataclasses import replace

from autopack.app.ports import Store, Transaction
from autopack.core import backlog, machine, series
from autopack.core.event import Happened, RunCreated
from autopack.core.run import Run, Stage


def hand_over(before: Run, after: Run, happened: Happened, within: Transaction) -> str:
    """Record the run that goes on when an event ended this one well; its id, empty for none."""
    begun = None if before.stage is Stage.DONE else series.next_part(after)
    if begun is None:
        return ""
    known = backlog.backlog(within.facts(begun.project_id, begun.repository), begun.aging)
    spec = backlog.remembered_in(begun, known)
    for name in series.names(spec.series, spec.part):
        named = replace(spec, run_id=name)
        if within.create(machine.create(named).run, Happened(RunCreated(named), happened.at)):
            break
    return name


def next_run(store: Store, run: Run) -> Run | None:
    """The part that began when this one had succeeded; None when there is none."""
    if run.stage is not Stage.DONE or not run.spec.rest_phases:
        return None
    for run_id in store.continued(run.run_id):
        other = store.load(run_id)
        if other.spec.part > run.spec.part:  # a retry of a part is the same part
            return other
    return None


def retried(store: Store, run: Run) -> Run | None:
    """The retry of a part that failed, the last one; None when there is none."""
    if run.failure is None or not run.spec.series:
        return None
    others = [store.load(run_id) for run_id in store.continued(run.run_id)]
    again = [other for other in others if other.spec.part == run.spec.part]
    return again[-1] if again else None


def latest(store: Store, run: Run) -> Run:
    """The part of the series that stands for this run now: itself, or the last that began."""
    while (following := next_run(store, run)) is not None:
        run = following
    return run


def newest(store: Store, run: Run) -> Run:
    """The run that whoever watches this one ends at: as `latest`, through retries of parts, too."""
    while (following := next_run(store, run) or retried(store, run)) is not None:
        run = following
    return run


def goes_on(store: Store, run: Run) -> bool:
    """Whether another part follows, whatever is asked of this one now."""
    closing = run.stage is Stage.CLOSING and run.failure is None and bool(run.spec.rest_phases)
    return closing or next_run(store, run) is not None


def open_names(store: Store) -> frozenset[str]:
    """What parts will be called whose series are under way: no other run may take these names."""
    specs = (store.load(run_id).spec for run_id in store.open_ids())
    return frozenset(name for spec in specs for name in series.reserved(spec))
