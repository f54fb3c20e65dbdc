"""`autopack report`: what runs cost, what ended them, what they leave, what a plan will cost."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import App, Parameter

from autopack.cli.options import Json, Repo, RunId

if TYPE_CHECKING:
    from autopack.cli.sheet import Sheet

app = App(name="report", help="What runs cost, what ended them and what a plan will cost.")
LIMIT: Final = 50
Markdown = Annotated[bool, Parameter(name="--markdown", negative="", help="Print Markdown")]
State = Annotated[str, Parameter(name="--state", help="Only runs in this state")]
Project = Annotated[str, Parameter(name="--project", help="Only runs of the project of this id")]
Limit = Annotated[
    int,
    Parameter(
        help="Runs to look at, newest first", validator=lambda _type, value: _positive(value)
    ),
]


def _positive(value: int) -> None:
    if value < 1:
        raise ValueError("must be 1 or more")


@app.command(name="runs")
def report_runs(
    *,
    state: State = "",
    project: Project = "",
    limit: Limit = LIMIT,
    json: Json = False,
    markdown: Markdown = False,
) -> None:
    """Runs in numbers: tokens of their cap, minutes, phases by state, CI runs, issues, debt."""
    from autopack import wiring
    from autopack.app.metrics import run_metrics
    from autopack.app.past import Choice, past_runs
    from autopack.cli import view
    from autopack.cli.sheets import runs_sheet

    choice = Choice(project_id=project, state=_state(state))
    with wiring.reading(view.here(as_json=json)) as store:
        found = past_runs(store, choice, limit) if store else []
        runs = [run_metrics(run, store) for run in found]
    record = {"total_runs": len(runs), "runs": [asdict(run) for run in runs]}
    _tell(record, runs_sheet(runs), as_json=json, as_markdown=markdown)


@app.command(name="tiers")
def report_tiers(run: RunId, /, *, json: Json = False, markdown: Markdown = False) -> None:
    """The tiers of a run: phases by state, tokens, CI runs, issues, cleanliness."""
    from autopack import wiring
    from autopack.app.metrics import tier_metrics
    from autopack.cli import view
    from autopack.cli.sheets import tiers_sheet

    with wiring.reading(view.here(as_json=json)) as store:
        tiers = tier_metrics(view.loaded_run(store, run))
    record = {"run_id": run, "tier_count": len(tiers), "tiers": [asdict(tier) for tier in tiers]}
    _tell(record, tiers_sheet(run, tiers), as_json=json, as_markdown=markdown)


@app.command(name="backlog")
def report_backlog(*, repo: Repo = None, json: Json = False, markdown: Markdown = False) -> None:
    """The backlog of this project in short: how much is open, what ages, what comes back."""
    from autopack.app.backlog_summary import backlog_summary
    from autopack.cli.backlog import remembered
    from autopack.cli.sheets import backlog_sheet

    here = remembered(repo, as_json=json)
    summary = backlog_summary(here.project[0], here.entries)
    _tell(asdict(summary), backlog_sheet(summary), as_json=json, as_markdown=markdown)


@app.command(name="budget")
def report_budget(
    *,
    project: Project = "",
    limit: Limit = LIMIT,
    json: Json = False,
    markdown: Markdown = False,
) -> None:
    """Which limits ended runs and phases, and what kinds of work met them."""
    from autopack import wiring
    from autopack.app.overruns import budget_analysis
    from autopack.app.past import Choice, past_runs
    from autopack.cli import view
    from autopack.cli.sheets import budget_sheet

    with wiring.reading(view.here(as_json=json)) as store:
        runs = past_runs(store, Choice(project_id=project), limit) if store else []
    budget = budget_analysis(runs)
    _tell(asdict(budget), budget_sheet(budget), as_json=json, as_markdown=markdown)


@app.command(name="run")
def report_run(run: RunId, /, *, json: Json = False, markdown: Markdown = False) -> None:
    """One run: its numbers, tiers and phases, what each attempt cost and what was wasted."""
    from autopack import wiring
    from autopack.app.review import run_review
    from autopack.cli import view
    from autopack.cli.sheets import run_sheet

    with wiring.reading(view.here(as_json=json)) as store:
        found = view.loaded_run(store, run)
        review = run_review(store, found) if store else None
    if review is not None:
        _tell(asdict(review), run_sheet(review), as_json=json, as_markdown=markdown)


@app.command(name="forecast")
def report_forecast(
    plan: Annotated[Path, Parameter(name="PLAN", help="The plan: Markdown, TOML or JSON")],
    /,
    *,
    repo: Repo = None,
    json: Json = False,
    markdown: Markdown = False,
) -> None:
    """What PLAN will cost in tokens and minutes, told from this project's past runs."""
    from autopack.app.start import Wish
    from autopack.cli import launch, render
    from autopack.cli.sheets import forecast_sheet

    loaded, _, ready = launch.checked(plan, repo, Wish(name=plan.stem), {}, reading=True)
    render.warn(ready.ruleset.warnings, as_json=json)
    forecast = launch.foreseen(loaded, ready)
    record = {"project_id": ready.spec.project_id, "plan": plan.stem, "forecast": asdict(forecast)}
    _tell(record, forecast_sheet(plan.stem, forecast), as_json=json, as_markdown=markdown)


def _state(state: str) -> str:
    """A state as it is written; OperatorFault when there is none of that name."""
    from autopack.core.errors import OperatorFault
    from autopack.core.run import RunState
    from autopack.core.words import nearest

    known = [each.value for each in RunState]
    if state and state.upper() not in known:
        meant = nearest(state.upper(), known)
        hint = f"did you mean {meant}?" if meant else f"one of {', '.join(known)}"
        raise OperatorFault(f"there is no state {state}", hint)
    return state.upper()


def _tell(record: dict[str, Any], sheet: Sheet, *, as_json: bool, as_markdown: bool) -> None:
    from autopack.cli import render
    from autopack.cli import sheet as paper

    if as_json:
        render.data(record)
    elif as_markdown:
        render.out(*paper.markdown(sheet))
    else:
        render.out(*paper.text(sheet))
