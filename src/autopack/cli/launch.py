"""Start, watch and steer runs: checks first, then records, then watches to the end.

Only the supervisor advances runs; this asks it, and starts one when none is there.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from autopack import housekeeping, staffing, wiring
from autopack.app.estimate import forecast_of
from autopack.app.plan import DryRun, dry_run
from autopack.app.planning import Machine
from autopack.app.ports import Store
from autopack.app.report import RunView, run_view
from autopack.app.retry import (
    successor,
)
from autopack.app.rulesets import Current
from autopack.app.sentences import count
from autopack.app.start import (
    Ready,
    Source,
    Wish,
    new_run,
    nothing_known,
    read_project,
)
from autopack.app.supervise import create_run
from autopack.cli import render, sheet, view, wire
from autopack.cli.alert import Alert
from autopack.cli.exits import DONE, FAILED, INTERRUPTED
from autopack.cli.sheets import forecast_sheet
from autopack.cli.watch import follow
from autopack.core.errors import OperatorFault
from autopack.core.forecast import Forecast
from autopack.core.reader import FILE_NAME
from autopack.core.run import (
    Run,
)
from autopack.core.spec import (
    RunSpec,
)
from autopack.core.words import nearest
from autopack.settings import Loaded, load

ANSWERS_MAX: Final = 3
"""How often Ctrl-C's question is asked before silence is taken as `detach`."""
COMMANDS: Final = ("list", "view", "watch", "cancel", "retry", "deliver")


@dataclass(frozen=True)
class How:
    """What to do with a run that may begin."""

    dry_run: bool = False
    detach: bool = False
    as_json: bool = False


def start(
    path: Path, repo: Path | None, wish: Wish, flags: Mapping[str, str | None], how: How
) -> int:
    """Check everything, then record the run, see to a supervisor and watch."""
    _refuse_command(path)
    loaded, source, ready = checked(path, repo, wish, flags)
    if not how.as_json:
        render.note(*(f"warning: {warning}" for warning in ready.warnings))
    _check_world(loaded, ready.spec, source, as_json=how.as_json)
    if how.dry_run:
        _print_dry_run(loaded, ready, as_json=how.as_json)
        return DONE
    return _begin(loaded, ready.spec, how, ready.ruleset)


def checked(
    path: Path,
    repo: Path | None,
    wish: Wish,
    flags: Mapping[str, str | None],
    ruleset: Path | None = None,
) -> tuple[Loaded, Source, Ready]:
    """The run that a plan would become, with the settings and the repository it is for.

    `ruleset`: a file to compile it with, instead of the project's.
    """
    folder = repo or Path.cwd()
    loaded = load(folder, os.environ, flags)
    source = wiring.checkout(loaded, folder)
    loaded.folders.check_outside(source.top)
    draft = wiring.plan(path)
    with wiring.reading(loaded) as store:
        rulesets = partial(housekeeping.ruleset, loaded, source.top, store, ruleset)
        remembered = store.memory().facts if store is not None else nothing_known
        ready = new_run(_wish(wish, loaded), machine(loaded), source, draft,
                        wiring.KnownRuns(store), rulesets, remembered)  # fmt: skip
    return loaded, source, ready


def foreseen(loaded: Loaded, ready: Ready) -> Forecast:
    """What such a run will cost, told from the project's past runs."""
    with wiring.reading(loaded) as store:
        return forecast_of(store, ready.spec)


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
                  "sandbox": run.spec.sandbox}  # fmt: skip
        given = {key: value for key, value in flags.items() if value is not None}
        loaded = load(repository, os.environ, {**chosen, **given})
        source = wiring.checkout(loaded, repository)
        loaded.folders.check_outside(source.top)
        here = replace(machine(loaded), fixed=frozenset(given))
        remembered = store.memory().facts if store is not None else nothing_known
        spec = successor(run, source, here, wiring.KnownRuns(store), onto,
                         token_cap=token_cap, remembered=remembered)  # fmt: skip
    _check_world(loaded, spec, source, as_json=how.as_json)
    return _begin(loaded, spec, how)


def _refuse_second(store: Store | None, run_id: str) -> None:
    """Two runs at a time from one snapshot would do the same work twice."""
    open_ids = store.open_ids() if store else []
    for other in open_ids:
        if store and store.load(other).spec.predecessor == run_id:
            what = f"run {other} continues {run_id} and is still under way"
            raise OperatorFault(what, f"`autopack run watch {other}`, or cancel it first")


def watch(run_id: str, *, as_json: bool, notify: bool = False) -> int:
    """Watch a run to its end; its result as exit code. `notify`: also ring at this terminal."""
    loaded = view.here(as_json=as_json)
    with wiring.reading(loaded) as store:
        run = view.loaded_run(store, run_id)
        if store is None or run.ended:
            return _tell_end(loaded, store, run, as_json=as_json)
        alert = Alert(run, loaded.environ) if notify else None
        return _watch(loaded, store, run_id, as_json=as_json, alert=alert)


def cancel(run_id: str, *, as_json: bool) -> None:
    """Ask the supervisor to end a run."""
    loaded = view.here(as_json=as_json)
    with wiring.reading(loaded) as store:
        run = view.loaded_run(store, run_id)
        if run.ended or store is None:
            what = f"run {run_id} has ended: {run.state.value}"
            raise OperatorFault(what, f"`autopack run view {run_id}`")
        store.ask(run_id, "cancel", view.who(loaded))
    wiring.ensure_supervisor(loaded)
    if as_json:
        render.data({"run_id": run_id, "asked": "cancel"})
    else:
        render.note(f"asked: {run_id} ends soon, what has landed stays",
                    f"  next: autopack run watch {run_id}")  # fmt: skip


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

        run = _ensured(loaded, store, run_id, answered, seen=run.version)
        _tell(loaded, store, run, as_json=as_json)
    return FAILED if run.undelivered else DONE


def machine(loaded: Loaded) -> Machine:
    """What this computer offers to a run."""
    settings = loaded.settings
    agents, files = frozenset(settings.agents), (FILE_NAME, "default")
    fixed = (role for role in ("builder", "auditor")
             if not loaded.origins.get(role, "default").endswith(files))  # fmt: skip
    return Machine(agents, settings.builder, settings.auditor, settings.sandbox, frozenset(fixed))


def _refuse_command(path: Path) -> None:
    """`autopack run lits` names no plan: a misspelt command, most likely."""
    if not path.suffix and not path.exists():
        meant = nearest(str(path), COMMANDS)
        hint = f"did you mean `autopack run {meant}`?" if meant else "`autopack run --help`"
        raise OperatorFault(f"{path}: neither a plan nor a command of `autopack run`", hint)


def _wish(wish: Wish, loaded: Loaded) -> Wish:
    """A wish with what the environment says where no flag did."""
    settings = loaded.settings
    return replace(
        wish,
        token_cap=wish.token_cap or settings.run_token_cap,
        phases_max=wish.phases_max or settings.run_max_phases,
        duration_minutes_max=wish.duration_minutes_max or settings.run_max_duration_minutes,
    )


def _check_world(loaded: Loaded, spec: RunSpec, source: Source, *, as_json: bool) -> None:
    """What would fail the run at its first command: sandbox, agents' configuration and programs."""
    staffing.check_sandbox(spec.sandbox)
    project = read_project(source, spec.base_ref, spec.base_commit)
    prepares = project.environment is not None
    own = ((spec.builder_of(each.phase_id), spec.auditor_of(each.phase_id)) for each in spec.phases)
    doubts = dict.fromkeys(
        doubt
        for builder, auditor in dict.fromkeys(((spec.builder, spec.auditor), *own))
        for doubt in staffing.check_agents(loaded, builder, auditor, prepares=prepares)
    )
    if not as_json:
        render.note(*(f"warning: {doubt}" for doubt in doubts))


def _begin(loaded: Loaded, spec: RunSpec, how: How, ruleset: Current | None = None) -> int:
    wiring.check_folders(loaded)  # before anything is recorded that nobody could work on
    with wiring.writing(loaded) as store:
        run = create_run(store, wiring.clock(loaded), spec)
        if ruleset is not None:
            housekeeping.keep_ruleset(store, spec, ruleset, wiring.clock(loaded))
        if not how.detach:
            return _watch(loaded, store, run.run_id, as_json=how.as_json)
        wiring.ensure_supervisor(loaded)
    if how.as_json:
        render.data({"run": wire.detail(run_view(run))})
    else:
        render.out(run.run_id)
        render.note(f"  next: autopack run watch {run.run_id}")
    return 0


def _watch(
    loaded: Loaded, store: Store, run_id: str, *, as_json: bool, alert: Alert | None = None
) -> int:
    while True:
        try:
            wiring.ensure_supervisor(loaded)
            run = _ensured(loaded, store, run_id, lambda now: now.ended, alert=alert)
            return _tell_end(loaded, store, run, as_json=as_json)
        except KeyboardInterrupt:
            if not _goes_on(loaded, store, run_id):
                return INTERRUPTED


def _ensured(
    loaded: Loaded,
    store: Store,
    run_id: str,
    rests: Callable[[Run], bool],
    seen: int = 0,
    alert: Alert | None = None,
) -> Run:
    return follow(store, run_id, lambda: wiring.ensure_supervisor(loaded), rests, seen, alert)


def _goes_on(loaded: Loaded, store: Store, run_id: str) -> bool:
    """What Ctrl-C means: a terminal is asked; without one the run goes on alone."""
    choice = _choice() if sys.stdin.isatty() and sys.stderr.isatty() else "d"
    if choice == "w":
        return True
    if choice == "c":
        store.ask(run_id, "cancel", view.who(loaded))
    wiring.ensure_supervisor(loaded)  # Ctrl-C may have reached one that was only starting
    if choice == "c":
        render.note(f"{run_id} is being cancelled; what has landed stays")
    else:
        render.note(f"{run_id} goes on in the background",
                    f"  cancel: autopack run cancel {run_id}")  # fmt: skip
    render.note(f"  next: autopack run watch {run_id}")
    return False


def _choice() -> str:
    """`d`, `c` or `w` as somebody answers; `d` too for silence and after too many other answers."""
    render.note("", "the run goes on in the background unless you cancel it")
    for left in reversed(range(ANSWERS_MAX)):
        try:
            sys.stderr.write("[d]etach, [c]ancel the run, [w]atch on? (d) ")
            sys.stderr.flush()
            line = sys.stdin.readline()
        except KeyboardInterrupt:
            line = ""
        if not line:  # Ctrl-C once more, or the end of input: neither ends the line that was asked
            render.note("")
        said = line.strip().lower()
        for word in ("detach", "cancel", "watch"):
            if word.startswith(said or "d"):
                return word[0]
        render.note(f"{said!r} is no answer" + ("" if left else "; detaching"))
    return "d"


def _tell_end(loaded: Loaded, store: Store | None, run: Run, *, as_json: bool) -> int:
    ended = _tell(loaded, store, run, as_json=as_json)
    return FAILED if ended.failure or ended.undelivered else DONE


def _tell(loaded: Loaded, store: Store | None, run: Run, *, as_json: bool) -> RunView:
    shown, places = view.looked_at(loaded, store, run)
    if as_json:
        render.data({"run": wire.detail(shown, places)})
    else:
        render.out(*view.summary(shown, places))
    return shown


def _print_dry_run(loaded: Loaded, ready: Ready, *, as_json: bool) -> None:
    course, forecast = dry_run(ready.plan), foreseen(loaded, ready)
    if as_json:
        told = {"dry_run": asdict(course), "forecast": asdict(forecast)}
        render.data({"run_id": ready.spec.run_id, **told})
        return
    render.out(*_course(ready.spec, course))
    render.out("", *sheet.text(forecast_sheet(ready.spec.run_id, forecast)), "")
    render.out(f"nothing was started; next: {_again()}")


def _course(spec: RunSpec, course: DryRun) -> list[str]:
    where = f"{spec.base_ref} ({spec.base_commit[:12]}), {spec.parallel_max} at a time"
    size = f"{count(course.phases, 'phase')} in {count(course.tiers, 'tier')}"
    lines = [f"{spec.run_id}: {size} on {where}"]
    header = ("", "PHASE", "CATEGORY", "COMPLEXITY", "ATTEMPTS", "TOKENS", "NEEDS", "SCOPE")
    for tier_id, tier_name in dict.fromkeys(
        (wave.tier_id, wave.tier_name) for wave in course.waves
    ):
        lines += ["", f"{tier_id} {tier_name}"]
        rows = [
            ("", phase.phase_id, phase.category, phase.complexity,
             str(phase.builder_attempts_max), f"{phase.incident_token_cap:,}",
             " ".join(phase.needs), " ".join(phase.scope))
            for wave in course.waves
            if wave.tier_id == tier_id
            for phase in wave.phases
        ]  # fmt: skip
        lines += render.table(header, rows)
    tries = ", ".join(
        (
            count(course.builder_attempts_max, "attempt"),
            count(course.auditor_attempts_max, "audit"),
            count(course.ci_runs_max, "CI run"),
        )
    )
    lines += [
        "",
        f"order: {' '.join(course.order)}",
        f"critical path: {' '.join(course.critical_path)} ({course.critical_path_tokens:,} tokens)",
        f"at worst: {course.tokens_max:,} tokens, {tries}",
    ]
    if course.incident_tokens > course.tokens_max:
        lines.append(
            f"the phases' caps add up to {course.incident_tokens:,}: the run's cap is less"
        )
    if course.needs_auditor:
        lines.append(f"land only with an auditor: {' '.join(course.needs_auditor)}")
    return lines


def _again() -> str:
    """The same command without `--dry-run`."""
    return shlex.join(["autopack", *(word for word in sys.argv[1:] if word != "--dry-run")])
