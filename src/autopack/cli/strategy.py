"""`autopack strategy`: what runs are held to, what a plan would be, what a ruleset changes."""

from __future__ import annotations

import json as encoding
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from autopack.app.sentences import count
from autopack.cli.options import Json, Repo, RunId
from autopack.core.spec import SafetyProfile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autopack.app.rulesets import Current
    from autopack.app.strategy import Difference

app = App(name="strategy", help="The ruleset of this project, and what it makes of runs and plans.")
RulesetFile = Annotated[
    Path | None, Parameter(name="--ruleset", help="A ruleset's JSON; default: the project's")
]


@app.command(name="show")
def show(run: RunId, /, *, json: Json = False) -> None:
    """Show the strategy that a run was frozen with."""
    from autopack import wiring
    from autopack.app.strategy import strategy_of
    from autopack.cli import render, view

    with wiring.reading(view.here(as_json=json)) as store:
        strategy = strategy_of(view.loaded_run(store, run).spec)
    if json:
        render.data({"strategy": strategy})
    else:
        render.out(*_sheet(strategy))


@app.command(name="dry-run")
def dry_run(
    plan: Annotated[Path, Parameter(name="PLAN", help="The plan: Markdown, TOML or JSON")],
    /,
    *,
    ruleset: RulesetFile = None,
    safety_profile: SafetyProfile | None = None,
    repo: Repo = None,
    json: Json = False,
) -> None:
    """Compile a plan and print its strategy, and what --ruleset would change; start nothing."""
    from autopack.app.start import Wish
    from autopack.app.strategy import differences, strategy_of
    from autopack.cli import launch, render
    from autopack.core.series import planned, whole

    wish = Wish(name=plan.stem, safety_profile=safety_profile)
    _, _, ready = launch.checked(plan, repo, wish, {}, ruleset)
    strategy, changed = strategy_of(whole(ready.spec)), None
    names, parts = planned(ready.spec.run_id, len(ready.plan.parts)), ready.plan.parts
    if ruleset is not None:
        _, _, now = launch.checked(plan, repo, wish, {})
        changed = differences(strategy_of(whole(now.spec)), strategy)
    render.warn(ready.warnings, as_json=json)
    if json:
        told = {} if changed is None else {"differences": [asdict(each) for each in changed]}
        runs = [{"run_id": name, "tiers": ids} for name, ids in zip(names, parts, strict=True)]
        render.data({"strategy": strategy, "runs": runs, **told})
        return
    render.out(*_sheet(strategy))
    if len(names) > 1:
        rows = [(name, " ".join(ids)) for name, ids in zip(names, parts, strict=True)]
        render.out("", *render.table(("RUN", "TIERS"), rows))
    if changed is not None:
        render.out("", *_changes(changed, "the current ruleset", str(ruleset)))
    render.note("nothing was started")


@app.command(name="diff")
def diff(
    run: Annotated[str, Parameter(name="RUN", help="A run; default: compare rulesets")] = "",
    /,
    *,
    ruleset: RulesetFile = None,
    repo: Repo = None,
    json: Json = False,
) -> None:
    """Tell what a ruleset would change: in the strategy of RUN, or in the current ruleset.

    Without RUN and --ruleset: what this project's ruleset changes in the built-in one.
    """
    from autopack.app.rulesets import BUILT_IN_CURRENT
    from autopack.app.strategy import ruleset_differences
    from autopack.cli import render

    if run:
        before, after, changed = _of_run(run, ruleset, as_json=json)
    else:
        now = _current(None, repo, as_json=json)
        new = now if ruleset is None else _current(ruleset, repo, as_json=json)
        old = BUILT_IN_CURRENT if ruleset is None else now
        before, after = old.origin, new.origin
        changed = ruleset_differences(old.ruleset, new.ruleset)
    if json:
        told = [asdict(each) for each in changed]
        render.data({"before": before, "after": after, "differences": told})
    else:
        render.out(*_changes(changed, before, after))


def _of_run(run_id: str, file: Path | None, *, as_json: bool) -> tuple[str, str, list[Difference]]:
    """A run's strategy, as it is and as its repository's ruleset (or a file's) would have it."""
    from autopack import housekeeping, wiring
    from autopack.app.strategy import differences, recompiled, strategy_of
    from autopack.cli import render, view
    from autopack.settings import load

    here = view.here(as_json=as_json)
    with wiring.reading(here) as store:
        spec = view.loaded_run(store, run_id).spec
        repository = Path(spec.repository)
        loaded = load(repository, here.environ)
        found = housekeeping.ruleset(loaded, repository, store, file, spec.project_id)
    render.warn(found.warnings, as_json=as_json)
    changed = differences(strategy_of(spec), strategy_of(recompiled(spec, found)))
    return f"run {run_id}", found.origin, changed


def _current(file: Path | None, repo: Path | None, *, as_json: bool) -> Current:
    """The ruleset of the project that stands here, or a file's for it."""
    from autopack import housekeeping, wiring
    from autopack.app.start import find_base, read_project
    from autopack.cli import render, view

    loaded = view.here(as_json=as_json, folder=repo)
    source = wiring.checkout(loaded, repo or Path.cwd())
    project_id = read_project(source, *find_base(source, "")).project_id
    with wiring.reading(loaded) as store:
        found = housekeeping.ruleset(loaded, source.top, store, file, project_id)
    render.warn(found.warnings, as_json=as_json)
    return found


# --- tables ---------------------------------------------------------------------------------------


def _sheet(strategy: dict[str, Any]) -> list[str]:
    """A strategy for people."""
    from autopack.cli import render

    aging = strategy["aging"]
    lines = [
        (
            f"{strategy['run_id']}: ruleset {strategy['ruleset']}, {strategy['safety_profile']},"
            f" {strategy['run_scope']}, at a failed phase {strategy['on_phase_failure']}"
        ),
        (
            f"run: {strategy['run_token_cap']:,} tokens, {strategy['run_max_phases']} phases,"
            f" {strategy['run_max_duration_minutes']} minutes,"
            f" {_shown(strategy['max_minor_issues_total'])} minor issues"
        ),
        *_aging(aging["runs"], aging["tiers"]),
        *(f"warning: {each}" for each in strategy["warnings"]),
        "",
    ]
    lines += render.table(
        ("TIER", "PHASES", "TOKENS", "CI RUNS", "MINOR", "MAJOR"),
        [
            (name, str(len(tier["phases"])), f"{tier['token_cap']:,}", str(tier["ci_run_cap"]),
             _shown(tier["minor_issues_max"]), str(tier["major_issues_max"]))
            for name, tier in strategy["tier_strategies"].items()
        ],
    )  # fmt: skip
    lines.append("")
    return lines + render.table(
        ("PHASE", "CATEGORY", "COMPLEXITY", "MODE", "CI", "ATTEMPTS", "AUDITS", "TOKENS", "FILES",
         "LINES", "SEVERITY", "AUTO", "BUILDER", "AUDITOR", "REVIEW"),
        [
            (name, phase["task_category"], phase["complexity"], phase["builder_mode"],
             phase["ci_profile"], str(phase["builder_attempts_max"]),
             str(phase["auditor_attempts_max"]), f"{phase['incident_token_cap']:,}",
             str(phase["files_max"]), f"{phase['changed_lines_max']:,}", phase["issue_severity"],
             "yes" if phase["auto_apply"] else "no", phase["builder"], phase["auditor"],
             phase["auditor_profile"])
            for name, phase in strategy["phase_strategies"].items()
        ],
    )  # fmt: skip


def _aging(runs: int, tiers: int) -> list[str]:
    """The rule that `core.backlog` holds issues to."""
    if runs <= 2 or tiers <= 2:  # two runs are two pairs, at least
        when = "seen in 2 runs"
    else:
        when = f"seen in {runs} runs, or in 2 runs and {tiers} (run, tier) pairs"
    thresholds = f"thresholds: {count(runs, 'run')}, {count(tiers, '(run, tier) pair')}"
    return [
        f"aging: a minor issue needs cleanup when {when} ({thresholds}; never in its first run)"
    ]


def _changes(changed: Sequence[Difference], before: str, after: str) -> list[str]:
    from autopack.cli import render

    if not changed:
        return [f"nothing differs between {before} and {after}"]
    rows = [(each.path, _shown(each.before), _shown(each.after)) for each in changed]
    return [f"from {before} to {after}", *render.table(("FIELD", "FROM", "TO"), rows)]


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else encoding.dumps(value)
