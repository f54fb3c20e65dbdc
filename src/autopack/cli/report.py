"""`autopack report`: what runs cost, what ended them, what they leave, what a plan will cost."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import App, Parameter

from autopack.cli.options import Json, Repo, RunId

if TYPE_CHECKING:
    from autopack.app.past import Choice
    from autopack.app.ports import Store
    from autopack.cli.sheet import Sheet
    from autopack.settings import Loaded

app = App(name="report", help="What runs cost, what ended them and what a plan will cost.")
LIMIT: Final = 50
Markdown = Annotated[bool, Parameter(name="--markdown", negative="", help="Print Markdown")]
State = Annotated[str, Parameter(name="--state", help="Only runs in this state")]
Project = Annotated[
    str, Parameter(name="--project", help="Runs of the project of this id; default: the one here")
]
AllProjects = Annotated[
    bool, Parameter(name="--all-projects", negative="", help="Runs of all projects of the store")
]
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
    all_projects: AllProjects = False,
    limit: Limit = LIMIT,
    json: Json = False,
    markdown: Markdown = False,
) -> None:
    """Runs in numbers: tokens of their cap, minutes, phases by state, CI runs, issues, debt."""
    from autopack import wiring
    from autopack.app.metrics import run_metrics
    from autopack.app.past import past_runs
    from autopack.cli import view
    from autopack.cli.sheets import runs_sheet

    _one_form(json, markdown)
    wanted, loaded = _state(state), view.here(as_json=json)
    with wiring.reading(loaded) as store:
        choice = _choice(loaded, store, project, all_projects)
        found = past_runs(store, replace(choice, state=wanted), limit) if store else []
        runs = [run_metrics(run, store) for run in found]
    record = {"project_id": choice.project_id or None, "total_runs": len(runs),
              "runs": [asdict(run) for run in runs]}  # fmt: skip
    _tell(record, runs_sheet(runs, _whose(choice)), as_json=json, as_markdown=markdown)


@app.command(name="tiers")
def report_tiers(run: RunId, /, *, json: Json = False, markdown: Markdown = False) -> None:
    """The tiers of a run: phases by state, tokens, CI runs, issues, cleanliness."""
    from autopack import wiring
    from autopack.app.metrics import tier_metrics
    from autopack.cli import view
    from autopack.cli.sheets import tiers_sheet

    _one_form(json, markdown)
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

    _one_form(json, markdown)
    here = remembered(repo, as_json=json)
    summary = backlog_summary(here.project[0], here.entries)
    _tell(asdict(summary), backlog_sheet(summary), as_json=json, as_markdown=markdown)


@app.command(name="budget")
def report_budget(
    *,
    project: Project = "",
    all_projects: AllProjects = False,
    limit: Limit = LIMIT,
    json: Json = False,
    markdown: Markdown = False,
) -> None:
    """Which limits ended runs and phases, and what kinds of work met them."""
    from autopack import wiring
    from autopack.app.overruns import budget_analysis
    from autopack.app.past import past_runs
    from autopack.cli import view
    from autopack.cli.sheets import budget_sheet

    _one_form(json, markdown)
    loaded = view.here(as_json=json)
    with wiring.reading(loaded) as store:
        choice = _choice(loaded, store, project, all_projects)
        runs = past_runs(store, choice, limit) if store else []
    budget = budget_analysis(runs)
    record = {"project_id": choice.project_id or None, **asdict(budget)}
    _tell(record, budget_sheet(budget, _whose(choice)), as_json=json, as_markdown=markdown)


@app.command(name="run")
def report_run(run: RunId, /, *, json: Json = False, markdown: Markdown = False) -> None:
    """One run: its numbers, tiers and phases, what each attempt cost and what was wasted."""
    from autopack import wiring
    from autopack.app.review import run_review
    from autopack.cli import view
    from autopack.cli.sheets import run_sheet

    _one_form(json, markdown)
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

    _one_form(json, markdown)
    loaded, _, ready = launch.checked(plan, repo, Wish(name=plan.stem), {}, reading=True)
    render.warn(ready.ruleset.warnings, as_json=json)
    forecast = launch.foreseen(loaded, ready)
    record = {"project_id": ready.spec.project_id, "plan": plan.stem, "forecast": asdict(forecast)}
    _tell(record, forecast_sheet(plan.stem, forecast), as_json=json, as_markdown=markdown)


def _one_form(as_json: bool, as_markdown: bool) -> None:  # noqa: FBT001  two flags of one kind
    """OperatorFault when both forms are asked for."""
    from autopack.core.errors import OperatorFault

    if as_json and as_markdown:
        raise OperatorFault("--json and --markdown: a report has one form", "leave one out")


def _choice(loaded: Loaded, store: Store | None, project: str, all_projects: bool) -> Choice:  # noqa: FBT001  a flag as given
    """Runs of the project that is named, of all, or of the one in whose folder we are."""
    from autopack import wiring
    from autopack.app.past import Choice, project_ids
    from autopack.app.start import find_base, read_project
    from autopack.core.errors import OperatorFault
    from autopack.core.words import nearest

    if all_projects:
        if project:
            raise OperatorFault("--project and --all-projects: which?", "leave one out")
        return Choice()
    if project:
        known = project_ids(store) if store else []
        if project not in known:
            meant = nearest(project, known)
            hint = f"did you mean {meant}?" if meant else "`--all-projects` shows those that have"
            raise OperatorFault(f"no run is of a project {project}", hint)
        return Choice(project)
    try:
        source = wiring.checkout(loaded, Path.cwd())
        return Choice(read_project(source, *find_base(source, "")).project_id, str(source.top))
    except OperatorFault:
        return Choice()


def _whose(choice: Choice) -> str:
    here = " of this folder" if choice.repository else ""
    return f"project {choice.project_id}{here}" if choice.project_id else "all projects"


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
        render.out(*paper.text(sheet, render.width()))
