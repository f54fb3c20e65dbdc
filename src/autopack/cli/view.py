"""Runs as text or JSON, for reading. Changes no run, and makes no store."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from autopack import housekeeping, wiring
from autopack.app.report import log_of, run_view
from autopack.app.series import newest, next_run
from autopack.cli import render, telling, wire
from autopack.core.draft import PHASE
from autopack.core.errors import EnvironmentFault, Fault, OperatorFault
from autopack.core.names import printable
from autopack.core.run import Run
from autopack.settings import Loaded, load_for_store

if TYPE_CHECKING:
    from autopack.app.outcome import Places
    from autopack.app.ports import Store
    from autopack.app.report import RunView


def here(*, as_json: bool, folder: Path | None = None) -> Loaded:
    """The settings of the store, for commands that need no more of them than that."""
    loaded = load_for_store(folder or Path.cwd(), os.environ)
    render.warn(loaded.warnings, as_json=as_json)
    return loaded


def who(loaded: Loaded) -> str:
    """Who asks, as far as the environment tells."""
    said = loaded.environ.get("USER") or loaded.environ.get("LOGNAME")
    return said or "somebody at the command line"


def list_runs(*, active: bool, limit: int, as_json: bool) -> None:
    """Print runs, newest first."""
    loaded = here(as_json=as_json)
    with wiring.reading(loaded) as store:
        found = store.runs(ended=False if active else None, limit=limit) if store else []
    runs = [run_view(run) for run in found]
    if as_json:
        render.data({"runs": [wire.row(run) for run in runs]})
        return
    if not runs:
        none = "no run is under way" if active else "no runs yet"
        render.note(f"{none}: `autopack run PLAN` starts one")
        return
    header: tuple[str, ...] = ("RUN", "STATE", "PHASES", "TOKENS", "REPOSITORY")
    rows = [_row(run) for run in runs]
    if any(run.series for run in runs):
        header = (*header[:2], "PART", *header[2:])
        parts = [f"{s.part}/{s.parts} of {s.series}" if (s := run.series) else "" for run in runs]
        rows = [(*row[:2], part, *row[2:]) for row, part in zip(rows, parts, strict=True)]
    render.out(*render.table(header, rows, render.width()))
    _tell_idle(loaded, [run.run_id for run in runs if not run.ended])


def view_run(run_id: str, *, as_json: bool) -> None:
    """Print one run."""
    loaded = here(as_json=as_json)
    with wiring.reading(loaded) as store:
        found = loaded_run(store, run_id)
        run, places = looked_at(loaded, store, found)
        _make_again(loaded, store, found, places)
    stands = branch_now(loaded, run)
    if as_json:
        render.data({"run": wire.detail(run, places) | {"branch_now": stands}})
    else:
        cell = telling.CELL_CHARS_MAX if sys.stdout.isatty() else sys.maxsize
        render.out(*telling.lines(run, places, stands, cell))
        _tell_idle(loaded, [] if run.ended else [run_id])


def branch_now(loaded: Loaded, run: RunView) -> str | None:
    """The commit of the run's branch in the user's repository, empty: no branch; None: unknown."""
    folder = Path(run.repository)
    if not run.delivered or not folder.is_dir():
        return None
    ref = f"refs/heads/{run.branch}"
    with suppress(Fault, OSError):
        found = wiring.git(loaded).run("for-each-ref", "--format=%(objectname)", ref, cwd=folder)
        return found.stdout.decode().strip() if found.ok else None
    return None


def supervised(loaded: Loaded) -> bool:
    """Whether a supervisor has the store, as far as can be seen; starts none."""
    try:
        return wiring.supervised(loaded)
    except EnvironmentFault:  # a folder that only lets us read
        return True


def _make_again(loaded: Loaded, store: Store | None, run: Run, places: Places | None) -> None:
    """The files of an ended run, where they are missing and can be made; else its view is all."""
    if store is None or places is None or not run.ended:
        return
    told = [Path(places.artefacts, "run_summary.md")]
    told += [Path(places.incident)] if run.failure else []
    if not all(path.exists() for path in told):
        with suppress(Fault, OSError):
            housekeeping.artefacts(loaded, run.spec).render(run, log_of(store, run.run_id))


def _tell_idle(loaded: Loaded, open_ids: list[str]) -> None:
    """Say when nobody works on what is open."""
    if open_ids and not supervised(loaded):
        render.note(f"warning: no supervisor is at work, so {', '.join(open_ids)} stands still",
                    f"  next: autopack run watch {open_ids[0]}")  # fmt: skip


def loaded_run(store: Store | None, run_id: str) -> Run:
    """The run, or an OperatorFault that says where to find ids."""
    if store is None:
        told = printable(run_id.encode("utf-8", "backslashreplace"))
        raise OperatorFault(f"there is no run {told}: no run was ever started here",
                            "`autopack run PLAN` starts one")  # fmt: skip
    return store.load(run_id)


def looked_at(loaded: Loaded, store: Store | None, run: Run) -> tuple[RunView, Places | None]:
    """The run with its log, and where its files are; None while its own settings are broken."""
    following = next_run(store, run) if store else None
    begun = following.run_id if following else ""
    last = newest(store, following) if store and following else None
    view = run_view(run, log_of(store, run.run_id) if store else (), begun, last)
    try:
        places = housekeeping.artefacts(loaded, run.spec).places(run.run_id)
    except OperatorFault:
        return view, None
    places = replace(places, plan="") if run.spec.drafting else places
    return view, places if run.failure else replace(places, incident="")


def _row(run: RunView) -> tuple[str, ...]:
    landed = f"{len(run.snapshots) + run.landed_before}/{len(run.phases)}"
    if run.plan_only or any(tier.tier_id == PHASE for tier in run.tiers):
        landed = "plan" if run.plan_only else "no plan"
    tokens = run.budget("tokens")
    return (run.run_id, run.state, landed, f"{tokens.used:,.0f}", run.repository)
