"""Runs as text or JSON, for reading. Never changes anything, and makes no store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from autopack import wiring
from autopack.cli import render, wire
from autopack.core.errors import OperatorFault
from autopack.core.run import Cleanliness, Run
from autopack.core.tier import tiers
from autopack.settings import load

if TYPE_CHECKING:
    from autopack.app.ports import Store


def list_runs(*, active: bool, limit: int, as_json: bool) -> None:
    """Print runs, newest first."""
    loaded = load(Path.cwd(), os.environ)
    with wiring.reading(loaded) as store:
        runs = store.runs(ended=False if active else None, limit=limit) if store else []
    if as_json:
        render.data({"runs": [wire.row(run) for run in runs]})
        return
    if not runs:
        none = "no run is under way" if active else "no runs yet"
        render.note(f"{none}: `autopack run PLAN` starts one")
        return
    rows = [_row(run) for run in runs]
    render.out(*render.table(("RUN", "STATE", "PHASES", "TOKENS", "REPOSITORY"), rows))


def view_run(run_id: str, *, as_json: bool) -> None:
    """Print one run."""
    loaded = load(Path.cwd(), os.environ)
    with wiring.reading(loaded) as store:
        run = loaded_run(store, run_id)
    if as_json:
        render.data({"run": wire.detail(run)})
    else:
        render.out(*lines(run))


def loaded_run(store: Store | None, run_id: str) -> Run:
    """The run, or an OperatorFault that says where to find ids."""
    if store is None:
        raise OperatorFault(f"there is no run {run_id}: no run was ever started here",
                            "`autopack run PLAN` starts one")  # fmt: skip
    return store.load(run_id)


def summary(run: Run) -> list[str]:
    """How a run ended and what to do next: at most five lines."""
    landed = len(run.snapshots)
    spent = f"{run.tokens_spent:,} of {run.spec.token_cap:,} tokens"
    said = [
        f"{run.run_id}: {run.state.value}",
        f"  {landed} of {len(run.phases)} phases landed, {spent}, {run.ci_runs_used} CI runs",
    ]
    if run.failure:
        where = f"{run.failure.phase_id}: " if run.failure.phase_id else ""
        said.append(f"  why: {where}{run.failure.reason}")
    if run.delivery_refusal and run.delivered != run.tip:
        said.append(f"  not delivered: {run.delivery_refusal}")
    elif run.delivered:
        said.append(f"  branch: {run.spec.branch} at {run.delivered[:12]}")
    return [*said, f"  next: {next_step(run)}"]


def next_step(run: Run) -> str:
    """The command that most likely comes next."""
    if not run.ended:
        return f"autopack run watch {run.run_id}"
    if run.failure:
        return f"autopack run view {run.run_id}; then autopack run retry {run.run_id}"
    if run.delivered != run.tip:
        return f"autopack run deliver {run.run_id}"
    return f"git log --oneline {run.spec.base_ref}..{run.spec.branch}"


def lines(run: Run) -> list[str]:
    """The whole run as text."""
    spec = run.spec
    minutes, most = run.active_seconds / 60, spec.duration_seconds_max / 60
    shown = [
        *summary(run),
        "",
        f"repository {spec.repository}, base {spec.base_ref} ({spec.base_commit[:12]})",
        f"builder {spec.builder}, auditor {spec.auditor or 'none'}, sandbox {spec.sandbox}",
        f"{minutes:.1f} of {most:.0f} minutes, {spec.parallel_max} phases at a time",
    ]
    for tier in tiers(run):
        mark = "" if tier.cleanliness is Cleanliness.CLEAN else ", not clean"
        shown += ["", f"{tier.spec.tier_id} {tier.spec.name}: {tier.state.value}{mark}"]
        rows = [
            (
                f"  {phase.phase_id}",
                phase.state.value,
                f"{phase.attempts_used} attempts",
                f"{phase.tokens_spent:,} tokens",
                phase.failure.reason if phase.failure else phase.skipped_because,
            )
            for phase in tier.phases
        ]
        shown += render.table(("",) * 5, rows)[1:]
    return shown


def _row(run: Run) -> tuple[str, ...]:
    landed = f"{len(run.snapshots)}/{len(run.phases)}"
    return (run.run_id, run.state.value, landed, f"{run.tokens_spent:,}", run.spec.repository)
