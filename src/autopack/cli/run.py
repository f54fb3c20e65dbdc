"""`autopack run`: the commands' names and options. What they do is in `launch`, `watch`, `view`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from autopack.cli.options import Json, Repo, RunId
from autopack.core.spec import (
    OnPhaseFailure,
    PromoteMode,
    SafetyProfile,
)

app = App(name="run", help="Start a run of PLAN, or look after runs.")

Detach = Annotated[
    bool, Parameter(name="--detach", negative="", help="Return at once; the run goes on")
]
Builder = Annotated[str | None, Parameter(help="Name of the [agents.*] that builds")]
Auditor = Annotated[str | None, Parameter(help="Name of the [agents.*] that audits")]
Count = Annotated[int | None, Parameter(validator=lambda _type, value: _positive(value))]


def _positive(value: int | None) -> None:
    if value is not None and value < 1:
        raise ValueError("must be 1 or more")


@app.default
def start(  # noqa: PLR0913  every option of a run, by name only
    plan: Annotated[
        Path | None, Parameter(name="PLAN", help="The plan: Markdown, TOML or JSON")
    ] = None,
    /,
    *,
    goal: Annotated[str | None, Parameter(help="Instead of PLAN: an agent drafts one")] = None,
    goal_file: Annotated[Path | None, Parameter(help="The same, out of a text file")] = None,
    plan_only: Annotated[
        bool, Parameter(negative="", help="With a goal: end when the plan is there")
    ] = False,
    repo: Repo = None,
    base: Annotated[str, Parameter(help="Where the run starts; default: the default branch")] = "",
    run_id: Annotated[str, Parameter(help="Default: the plan's name and a number")] = "",
    builder: Builder = None,
    auditor: Auditor = None,
    sandbox: Literal["bubblewrap", "none"] | None = None,
    parallel: Annotated[Count, Parameter(help="Phases at a time, at most")] = None,
    safety_profile: SafetyProfile | None = None,
    on_phase_failure: OnPhaseFailure | None = None,
    token_cap: Annotated[Count, Parameter(help="Tokens the whole run may spend")] = None,
    max_phases: Annotated[Count, Parameter(help="Phases a run may have; more are split")] = None,
    max_duration_minutes: Annotated[Count, Parameter(help="Minutes of work")] = None,
    promote: Annotated[
        PromoteMode | None, Parameter(help="A good run becomes a pull request by itself, or not")
    ] = None,
    no_wait: Annotated[
        bool,
        Parameter(name="--no-wait", negative="", help="Start nothing while too many are open"),
    ] = False,
    dry_run: Annotated[
        bool, Parameter(negative="", help="Print order and worst-case budgets; start nothing")
    ] = False,
    detach: Detach = False,
    json: Json = False,
) -> int:
    """Run PLAN: check everything first, then start it and watch it to its end."""
    from autopack.app.start import Wish
    from autopack.cli import launch
    from autopack.cli.given import Given

    given = Given(plan, goal, goal_file, plan_only=plan_only)
    wish = Wish(
        name=given.name,
        base=base,
        run_id=run_id,
        safety_profile=safety_profile,
        on_phase_failure=on_phase_failure,
        parallel_max=parallel,
        token_cap=token_cap,
        phases_max=max_phases,
        duration_minutes_max=max_duration_minutes,
        promote=promote,
    )
    flags = {"builder": builder, "auditor": auditor, "sandbox": sandbox}
    how = launch.How(dry_run=dry_run, detach=detach, as_json=json, no_wait=no_wait)
    return launch.start(given, repo, wish, flags, how)


@app.command(name="list")
def list_runs(
    *,
    active: Annotated[bool, Parameter(negative="", help="Only runs that have not ended")] = False,
    limit: Annotated[Count, Parameter(help="Runs to show, newest first")] = 50,
    json: Json = False,
) -> None:
    """List runs, newest first."""
    from autopack.cli import view

    view.list_runs(active=active, limit=limit or 50, as_json=json)


@app.command(name="view")
def view_run(run: RunId, /, *, json: Json = False) -> None:
    """Show a run: tiers, phases, budgets, why it failed and what to do next."""
    from autopack.cli import view

    view.view_run(run, as_json=json)


@app.command(name="watch")
def watch_run(
    run: RunId,
    /,
    *,
    notify: Annotated[
        bool, Parameter(negative="", help="Ring at the end, when it waits, at 80 % of a budget")
    ] = False,
    json: Json = False,
) -> int:
    """Watch a run to its end; leave with its result."""
    from autopack.cli import launch

    return launch.watch(run, as_json=json, notify=notify)


@app.command(name="cancel")
def cancel_run(run: RunId, /, *, json: Json = False) -> None:
    """End a run: what has landed stays, what is under way is dropped."""
    from autopack.cli import launch

    launch.cancel(run, as_json=json)


@app.command(name="retry")
def retry_run(
    run: RunId,
    /,
    *,
    onto: Annotated[str, Parameter(help="Begin on this ref instead of the last snapshot")] = "",
    builder: Builder = None,
    auditor: Auditor = None,
    token_cap: Annotated[Count, Parameter(help="Default: the cap of the run before")] = None,
    detach: Detach = False,
    json: Json = False,
) -> int:
    """Make the successor of a failed run, from its last good snapshot, and watch it.

    `--onto` also makes a run that succeeded again, on another base.
    """
    from autopack.cli import launch

    flags = {"builder": builder, "auditor": auditor}
    how = launch.How(detach=detach, as_json=json)
    return launch.retry(run, onto, flags, how, token_cap)


@app.command(name="deliver")
def deliver_run(run: RunId, /, *, json: Json = False) -> int:
    """Bring a run's branch and tags into your repository, when that was refused before."""
    from autopack.cli import launch

    return launch.deliver(run, as_json=json)
