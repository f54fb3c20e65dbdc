"""Start, watch and steer runs: checks first, then records, then watches to the end.

Only the supervisor advances runs; this asks it, and starts one when none is there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from autopack import forging, housekeeping, staffing, wiring
from autopack.app.estimate import forecast_of
from autopack.app.planning import Machine, self_audits
from autopack.app.ports import Store
from autopack.app.report import run_view
from autopack.app.retry import (
    successor,
)
from autopack.app.rulesets import Current
from autopack.app.series import latest, next_run, retried
from autopack.app.start import (
    Ready,
    Source,
    Wish,
    new_draft,
    new_run,
    nothing_known,
    read_project,
)
from autopack.app.supervise import create_run
from autopack.cli import promote, render, view, wire
from autopack.cli.alert import Alert
from autopack.cli.attend import attend, ensured, tell, tell_end, tell_next
from autopack.cli.course import print_dry_run
from autopack.cli.exits import DONE, FAILED
from autopack.cli.given import Given
from autopack.core.draft import Draft
from autopack.core.errors import OperatorFault
from autopack.core.forecast import Forecast
from autopack.core.reader import FILE_NAME
from autopack.core.run import (
    Run,
)
from autopack.core.series import whole
from autopack.core.spec import (
    PromoteMode,
    RunSpec,
)
from autopack.settings import Loaded, load


@dataclass(frozen=True)
class How:
    """What to do with a run that may begin."""

    dry_run: bool = False
    detach: bool = False
    as_json: bool = False
    no_wait: bool = False
    """Refuse a run that would wait for a promotion to be reviewed."""


def start(
    given: Given, repo: Path | None, wish: Wish, flags: Mapping[str, str | None], how: How
) -> int:
    """Check everything, then record the run, see to a supervisor and watch."""
    asked, path = given.draft, given.plan
    if asked is not None and how.dry_run:
        hint = "--plan-only has the plan drafted and starts nothing else"
        raise OperatorFault("--dry-run needs a plan, and a goal has none yet", hint)
    if path is None or asked is not None:
        return _draft(asked or Draft(""), repo, wish, flags, how)
    loaded, source, ready = checked(path, repo, wish, flags)
    render.warn(ready.warnings, as_json=how.as_json)
    _check_world(loaded, ready.spec, source, as_json=how.as_json)
    if how.dry_run:
        print_dry_run(ready, foreseen(loaded, ready), as_json=how.as_json)
        return DONE
    return _begin(loaded, ready.spec, how, ready.ruleset)


def _draft(
    asked: Draft, repo: Path | None, wish: Wish, flags: Mapping[str, str | None], how: How
) -> int:
    """Check everything that can be checked without a plan, then as `start`."""
    folder = repo or Path.cwd()
    loaded = load(folder, os.environ, flags)
    source = wiring.checkout(loaded, folder)
    loaded.folders.check_outside(source.top)
    with wiring.reading(loaded) as store:
        rulesets = partial(housekeeping.ruleset, loaded, source.top, store, None)
        ready = new_draft(_wish(wish, loaded), machine(loaded), source, asked,
                          wiring.KnownRuns(store), rulesets)  # fmt: skip
    if not how.as_json:
        render.note(*(f"warning: {warning}" for warning in ready.warnings))
    _check_world(loaded, ready.spec, source, as_json=how.as_json)
    return _begin(loaded, ready.spec, how, ready.ruleset)


def checked(
    path: Path,
    repo: Path | None,
    wish: Wish,
    flags: Mapping[str, str | None],
    ruleset: Path | None = None,
    *,
    reading: bool = False,
) -> tuple[Loaded, Source, Ready]:
    """The run that a plan would become, with the settings and the repository it is for.

    `ruleset`: a file to compile it with, instead of the project's. `reading`: the run is only told
    of, so that a wrong ruleset refuses nothing.
    """
    folder = repo or Path.cwd()
    loaded = load(folder, os.environ, flags)
    source = wiring.checkout(loaded, folder)
    loaded.folders.check_outside(source.top)
    draft = wiring.plan(path)
    with wiring.reading(loaded) as store:
        rulesets = partial(housekeeping.ruleset, loaded, source.top, store, ruleset,
                           reading=reading)  # fmt: skip
        remembered = store.memory().facts if store is not None else nothing_known
        ready = new_run(_wish(wish, loaded), machine(loaded), source, draft,
                        wiring.KnownRuns(store), rulesets, remembered)  # fmt: skip
    return loaded, source, ready


def foreseen(loaded: Loaded, ready: Ready) -> Forecast:
    """What such a run will cost, told from the project's past runs."""
    with wiring.reading(loaded) as store:
        return forecast_of(store, whole(ready.spec))


def retry(
    run_id: str,
    onto: str,
    flags: Mapping[str, str | None],
    how: How,
    token_cap: int | None = None,
) -> int:
    """Record the successor of a run that ended and watch it."""
    with wiring.reading(view.here(as_json=how.as_json)) as store:
        run = view.loaded_run(store, run_id)
        _refuse_second(store, run_id)
        repository = Path(run.spec.repository)
        chosen = {"builder": run.spec.builder, "auditor": run.spec.auditor or None,
                  "sandbox": run.spec.sandbox, "verifier": run.spec.verifier}  # fmt: skip
        given = {key: value for key, value in flags.items() if value is not None}
        loaded = load(repository, os.environ, {**chosen, **given})
        source = wiring.checkout(loaded, repository)
        loaded.folders.check_outside(source.top)
        here = replace(machine(loaded), fixed=frozenset(given))
        remembered = store.memory().facts if store is not None else nothing_known
        spec = successor(run, source, here, wiring.KnownRuns(store), onto,
                         token_cap=token_cap, remembered=remembered,
                         goes_on=latest(store, run).run_id if store else "")  # fmt: skip
    if spec.part > 1 and not source.is_ancestor(run.spec.base_commit, spec.base_commit):
        lacks = f"{spec.base_ref} does not hold what {run_id} began on, the work of earlier parts"
        render.warn([lacks], as_json=how.as_json)
    render.warn(self_audits(whole(spec)), as_json=how.as_json)
    _check_world(loaded, spec, source, as_json=how.as_json)
    return _begin(loaded, spec, how)


def _refuse_second(store: Store | None, run_id: str) -> None:
    """Two runs at a time from one snapshot would do the same work twice; so would two series."""
    for other in store.continued(run_id) if store else []:
        last = latest(store, store.load(other)) if store else None
        if last is not None and not last.ended:
            what = f"run {last.run_id} continues {run_id} and is still under way"
            raise OperatorFault(what, f"`autopack run watch {last.run_id}`, or cancel it first")


def watch(run_id: str, *, as_json: bool, notify: bool = False) -> int:
    """Watch a run to its end, and the parts of its series after it; the last result as exit code.

    `notify`: also ring at this terminal.
    """
    loaded = view.here(as_json=as_json)
    with wiring.reading(loaded) as store:
        run = view.loaded_run(store, run_id)
        while store and (following := next_run(store, run) or retried(store, run)):
            tell_next(run, following)
            run = following
        if store is None or run.ended:
            return tell_end(loaded, store, run, as_json=as_json)
        alert = Alert(run, loaded.environ) if notify else None
        return attend(loaded, store, run.run_id, as_json=as_json, alert=alert)


def cancel(run_id: str, *, as_json: bool) -> None:
    """Ask the supervisor to end a run."""
    loaded = view.here(as_json=as_json)
    with wiring.reading(loaded) as store:
        run = view.loaded_run(store, run_id)
        if run.ended or store is None:
            raise _not_open(store, run)
        store.ask(run_id, "cancel", view.who(loaded))
    wiring.ensure_supervisor(loaded)
    if as_json:
        render.data({"run_id": run_id, "asked": "cancel"})
    else:
        rest = " and with it its series" if run.spec.rest_tiers else ""
        render.note(f"asked: {run_id} ends soon{rest}, what has landed stays",
                    f"  next: autopack run watch {run_id}")  # fmt: skip


def _not_open(store: Store | None, run: Run) -> OperatorFault:
    """Why an ended run cannot be cancelled, and what to cancel when its series goes on."""
    what = f"run {run.run_id} has ended: {run.state.value}"
    now = latest(store, run) if store else run
    if now.run_id == run.run_id:
        return OperatorFault(what, f"`autopack run view {run.run_id}`")
    if now.ended:
        what += f"; its series ended in {now.run_id}: {now.state.value}"
        return OperatorFault(what, f"`autopack run view {now.run_id}`")
    what += f"; its series is under way in {now.run_id}"
    return OperatorFault(what, f"`autopack run cancel {now.run_id}` ends it there")


def deliver(run_id: str, *, as_json: bool) -> int:
    """Ask for another delivery and wait for its answer."""
    loaded = view.here(as_json=as_json)
    with wiring.reading(loaded) as store:
        run = view.loaded_run(store, run_id)
        if store is None or not run.snapshots:
            hint = f"`autopack run view {run_id}`"
            raise OperatorFault(f"run {run_id} has no snapshot to deliver", hint)
        if not run.ended:
            hint = "it delivers at each snapshot and at its end"
            raise OperatorFault(f"run {run_id} is still under way", hint)
        store.ask(run_id, "deliver", view.who(loaded))
        wiring.ensure_supervisor(loaded)

        def answered(now: Run) -> bool:
            asked = any(request.run_id == run_id for request in store.requests())
            return now.ended and not asked

        run = ensured(loaded, store, run_id, answered, seen=run.version)
        tell(loaded, store, run, as_json=as_json)
    return FAILED if run.undelivered else DONE


def machine(loaded: Loaded) -> Machine:
    """What this computer offers to a run."""
    settings = loaded.settings
    agents, files = frozenset(settings.agents), (FILE_NAME, "default")
    fixed = (role for role in ("builder", "auditor")
             if not loaded.origins.get(role, "default").endswith(files))  # fmt: skip
    return Machine(
        agents, settings.builder, settings.auditor, settings.sandbox, settings.verifier,
        frozenset(fixed),
    )  # fmt: skip


def _wish(wish: Wish, loaded: Loaded) -> Wish:
    """A wish with what the environment says where no flag did."""
    settings, asked = loaded.settings, loaded.settings.run_promote
    return replace(
        wish,
        token_cap=wish.token_cap or settings.run_token_cap,
        phases_max=wish.phases_max or settings.run_max_phases,
        duration_minutes_max=wish.duration_minutes_max or settings.run_max_duration_minutes,
        promote=wish.promote or (PromoteMode(asked) if asked else None),
    )


def _check_world(loaded: Loaded, spec: RunSpec, source: Source, *, as_json: bool) -> None:
    """What would fail the run at its first command: sandbox, agents' configuration and programs."""
    staffing.check_sandbox(spec.sandbox)
    project = read_project(source, spec.base_ref, spec.base_commit)
    staffing.check_gate(project)
    staffing.check_verifier(loaded, spec)
    if spec.promote is PromoteMode.AUTO:
        forging.check(loaded, Path(spec.repository))
    prepares = project.environment is not None
    own = (
        (each.builder or spec.builder, each.auditor or spec.auditor)
        for each in (*spec.phases, *spec.rest_phases)
    )
    doubts = dict.fromkeys(
        doubt
        for builder, auditor in dict.fromkeys(((spec.builder, spec.auditor), *own))
        for doubt in staffing.check_agents(loaded, builder, auditor, prepares=prepares)
    )
    render.warn(tuple(doubts), as_json=as_json)


def _begin(loaded: Loaded, spec: RunSpec, how: How, ruleset: Current | None = None) -> int:
    wiring.check_folders(loaded)  # before anything is recorded that nobody could work on
    if how.no_wait:
        promote.check_room(loaded, spec)
    with wiring.writing(loaded) as store:
        run = create_run(store, wiring.clock(loaded), spec)
        if ruleset is not None:
            housekeeping.keep_ruleset(store, spec, ruleset, wiring.clock(loaded))
        if not how.detach:
            return attend(loaded, store, run.run_id, as_json=how.as_json)
        wiring.ensure_supervisor(loaded)
    if how.as_json:
        render.data({"run": wire.detail(run_view(run))})
    else:
        render.out(run.run_id)
        render.note(f"  next: autopack run watch {run.run_id}")
    return 0
