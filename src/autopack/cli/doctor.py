"""`autopack doctor`: one line per check, each failure with its fix. Changes nothing it looks at."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from autopack.app.sentences import count
from autopack.cli.exits import DONE, ENVIRONMENT, FAILED, USAGE
from autopack.cli.options import Json, Repo
from autopack.core.errors import Fault

if TYPE_CHECKING:
    from autopack.core.project import Project
    from autopack.settings import Loaded

PYTHON_MIN: Final = (3, 11)
DISK_BYTES_MIN: Final = 1_000_000_000
"""Clones, environments and logs of an ordinary run; less is a warning."""
SETTINGS_OK: Final = "`autopack config show` lists them"
DOUBTED: Final = "see that [environment] prepares it, or install it"
MARKS: Final = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@dataclass(frozen=True)
class Result:
    """One check: `status` is ok, warn or fail; `fix` what to do unless it is ok.

    `exit_code`: what a failure makes the command leave with.
    """

    check: str
    status: str
    message: str
    fix: str = ""
    exit_code: int = USAGE


def doctor(
    *,
    repo: Repo = None,
    tests: Annotated[
        bool, Parameter(negative="", help="Also run the base's CI, as a run would")
    ] = False,
    json: Json = False,
) -> int:
    """See what a run would miss here; leave with the gravest code of what failed."""
    from autopack.cli import render

    folder = repo or Path.cwd()
    results: list[Result] = []
    for result in _results(folder, tests=tests):
        results.append(result)
        if not json:
            render.out(f"{MARKS[result.status]} {result.check}: {_one_line(result.message)}")
            if result.fix:
                render.out(f"     fix: {_one_line(result.fix)}")
    failed = [result.exit_code for result in results if result.status == "fail"]
    if json:
        render.data({"ok": not failed, "checks": [_row(result) for result in results]})
    return max(failed, default=DONE)


def _row(result: Result) -> dict[str, str]:
    row = asdict(result)
    del row["exit_code"]  # of failures only, and the command leaves with the gravest
    return row


def _results(folder: Path, *, tests: bool) -> Iterator[Result]:
    yield _python()
    loaded, wrong = _settings(folder)
    yield _failed("settings", wrong) if wrong else Result("settings", "ok", SETTINGS_OK)
    if loaded is None:
        return
    yield _check("git", lambda: _git(loaded))
    yield _check("sandbox", lambda: _sandbox(loaded))
    store = _check("store", lambda: _store(loaded))
    yield store
    yield _disk(loaded)
    for name in loaded.settings.notify:
        yield _notify(loaded, name)
    if wrong is None:
        yield from _all_agents(loaded, folder)
    yield _check("repository", lambda: _repository(loaded, folder))
    yield _check("forge", lambda: _forge(loaded, folder))
    project = _project(loaded, folder)
    if project is not None:
        yield _check("gate", lambda: _gate(loaded, project[0]))
    if project is not None and store.status != "fail":
        yield _check("ruleset", lambda: _ruleset(loaded, *project))
    if tests:
        yield _check("tests", lambda: _tests(loaded, folder))


def _settings(folder: Path) -> tuple[Loaded | None, Fault | None]:
    """The settings and what is wrong with them; with a broken file of the work tree passed over."""
    from autopack.settings import load, load_for_store

    try:
        return load(folder, os.environ), None
    except Fault as wrong:
        try:
            return load_for_store(folder, os.environ), wrong
        except Fault:
            return None, wrong


def _check(name: str, look: Callable[[], Result]) -> Result:
    try:
        return look()
    except Fault as fault:
        return _failed(name, fault)


def _failed(name: str, fault: Fault) -> Result:
    hint = fault.hint or "correct what the message names"
    return Result(name, "fail", fault.what, hint, fault.exit_code)


def _python() -> Result:
    told = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= PYTHON_MIN:
        return Result("python", "ok", f"{told} in {sys.prefix}")
    return Result("python", "fail", told, "install Python 3.11 or newer", ENVIRONMENT)


def _git(loaded: Loaded) -> Result:
    from autopack import wiring

    return Result("git", "ok", ".".join(map(str, wiring.git(loaded).version)))


def _sandbox(loaded: Loaded) -> Result:
    from autopack.process.network import closed_network
    from autopack.process.sandbox import probe

    if loaded.settings.sandbox == "none":
        what = 'sandbox = "none": agents and tests see this machine and its network'
        return Result("sandbox", "warn", what, 'install bubblewrap and set sandbox = "bubblewrap"')
    closed_network(probe())
    return Result("sandbox", "ok", "bubblewrap works; no way out of it was found")


def _forge(loaded: Loaded, folder: Path) -> Result:
    """Where pull requests go, and whether it would take them; one of files is not touched."""
    from autopack import forging

    kind = loaded.settings.forge.kind
    if kind == "local":
        where = loaded.settings.runs_dir or ".autonomous_runs"
        return Result("forge", "ok", f"local: pull requests are files in {where}/pull_requests")
    return Result("forge", "ok", f"{kind}: {forging.looked_at(loaded, folder).check()}")


def _store(loaded: Loaded) -> Result:
    from autopack import wiring
    from autopack.cli import view

    database = loaded.folders.database
    with wiring.reading(loaded) as store:
        if store is None:
            return Result("store", "ok", f"none yet; {database} will be made")
        open_runs = store.open_ids()
    told = f"{database}, {count(len(open_runs), 'run')} under way"
    if open_runs and not view.supervised(loaded):
        fix = f"`autopack run watch {open_runs[0]}` starts one"
        return Result("store", "warn", f"{told} and no supervisor at work", fix)
    return Result("store", "ok", told)


def _disk(loaded: Loaded) -> Result:
    """The folder that is there already tells for those that will be made below it."""
    folders = (loaded.folders.data, loaded.folders.state, loaded.folders.cache)
    standing = [next(p for p in (each, *each.parents) if p.exists()) for each in folders]
    free, where = min((shutil.disk_usage(each).free, str(each)) for each in standing)
    message = f"{free / 1e9:.1f} GB free at {where}"
    if free < DISK_BYTES_MIN:
        return Result("disk", "warn", message, "free some, or move the folders (AUTOPACK_DATA_DIR)")
    return Result("disk", "ok", message)


def _notify(loaded: Loaded, name: str) -> Result:
    """It hinders no run, but nobody would be told."""
    from autopack import notifying

    (target,) = (each.target for each in notifying.recipients(loaded) if each.name == name)
    try:
        target.check()
    except Fault as fault:
        return _failed(f"notify {name}", fault)
    return Result(f"notify {name}", "ok", f"`autopack notify test {name}` sends it a notice")


def _all_agents(loaded: Loaded, folder: Path) -> Iterator[Result]:
    settings, prepares = loaded.settings, _prepares(loaded, folder)
    yield _check("agents", lambda: _agents(loaded, prepares=prepares))
    for name in sorted(settings.agents.keys() - {settings.builder, settings.auditor}):
        yield _other_agent(loaded, name, prepares=prepares)


def _project(loaded: Loaded, folder: Path) -> tuple[Project, Path] | None:
    """The project that runs from here have, and its top; what hinders them is another check's."""
    from autopack import wiring
    from autopack.app.start import find_base, read_project

    try:
        source = wiring.checkout(loaded, folder)
        return read_project(source, *find_base(source, "")), source.top
    except Fault:
        return None


def _prepares(loaded: Loaded, folder: Path) -> bool:
    """Whether runs from here make an environment."""
    found = _project(loaded, folder)
    return found is not None and found[0].environment is not None


def _agents(loaded: Loaded, *, prepares: bool) -> Result:
    """The default builder and auditor: without them no run starts."""
    from autopack import staffing

    settings = loaded.settings
    if not settings.builder:
        known = ", ".join(sorted(settings.agents)) or "none configured"
        what = f"no builder is chosen (agents: {known})"
        return Result("agents", "fail", what, "set builder, or give --builder; see `autopack init`")
    for role, name in (("builder", settings.builder), ("auditor", settings.auditor)):
        if name and name not in settings.agents:
            return Result(
                "agents", "fail", f"{role} {name}: no [agents.{name}]", f"add it as {role}"
            )
    doubts = staffing.check_agents(loaded, settings.builder, settings.auditor, prepares=prepares)
    if doubts:
        return Result("agents", "warn", "; ".join(doubts), DOUBTED)
    if not settings.auditor:
        what = f"builder {settings.builder}, no auditor: phases that need one are refused"
        return Result("agents", "ok", what)
    told = f"builder {settings.builder}, auditor {settings.auditor}"
    if settings.auditor == settings.builder:
        return Result("agents", "warn", f"{told}: it audits its own work", "name another auditor")
    return Result("agents", "ok", told)


def _other_agent(loaded: Loaded, name: str, *, prepares: bool) -> Result:
    """An agent that only a flag would choose: what it lacks hinders no other run."""
    from autopack import staffing

    try:
        doubts = staffing.check_agents(loaded, name, "", prepares=prepares)
    except Fault as fault:
        return Result(f"agent {name}", "warn", fault.what, fault.hint)
    if doubts:
        return Result(f"agent {name}", "warn", doubts[0], DOUBTED)
    return Result(f"agent {name}", "ok", "is there, and not chosen by default")


def _repository(loaded: Loaded, folder: Path) -> Result:
    from autopack import wiring
    from autopack.app.start import find_base, read_project

    source = wiring.checkout(loaded, folder)
    loaded.folders.check_outside(source.top)
    base, commit = find_base(source, "")
    read_project(source, base, commit)
    what = f"{source.top}, runs start from {base} ({commit[:12]})"
    if source.facts.in_the_way(""):
        return Result("repository", "fail", f"{what}; a ref named 'autonomous' is in the way",
                      "`git branch -m autonomous <new-name>` (a tag: `git tag -d autonomous`); "
                      "Autopack delivers autonomous/<run>")  # fmt: skip
    if source.facts.dirty:
        return Result("repository", "warn", f"{what}; changed files are not committed",
                      f"commit what runs shall see on {base}")  # fmt: skip
    return Result("repository", "ok", what)


def _ruleset(loaded: Loaded, project: Project, top: Path) -> Result:
    """The ruleset that the next run would have, and the agents that it names."""
    from autopack import housekeeping, wiring
    from autopack.app.planning import strangers
    from autopack.app.rulesets import BUILT_IN_ORIGIN
    from autopack.core.reader import FILE_NAME

    with wiring.reading(loaded) as store:
        found = housekeeping.ruleset(loaded, top, store, None, project.project_id)
    if strange := strangers(found.ruleset, loaded.settings.agents):
        fix = f"add what it names to {FILE_NAME}, or correct it in {found.origin}"
        return Result("ruleset", "fail", "\n".join((*found.warnings, *strange)), fix)
    if found.warnings:
        return Result("ruleset", "warn", "\n".join(found.warnings), "correct the file")
    if found.origin == BUILT_IN_ORIGIN:
        return Result("ruleset", "ok", "the built-in one")
    return Result("ruleset", "ok", f"{found.ruleset.label}, {found.origin}")


def _gate(loaded: Loaded, project: Project) -> Result:
    """The checks that the base names: one that nobody brings hinders every run; and programs."""
    from autopack import staffing

    staffing.check_gate(project)
    programs = dict.fromkeys(each.argv[0] for each in project.gate.commands)
    path = loaded.environ.get("PATH")
    missing = [each for each in programs if "/" not in each and not shutil.which(each, path=path)]
    if missing:
        what = f"not on PATH: {', '.join(missing)}; without it no phase can be judged"
        return Result("gate", "warn", what, "install it, unless [environment] prepare brings it")
    said = f"{count(len(project.gate.commands), 'static command')}; all checks are there"
    return Result("gate", "ok", said)


def _tests(loaded: Loaded, folder: Path) -> Result:
    from autopack import trials, wiring
    from autopack.core.event import CiVerdict

    tested = trials.try_base(loaded, wiring.checkout(loaded, folder))
    if tested.verdict is CiVerdict.PASS and tested.weak and not tested.tests_run:
        what = "green by exit code alone: tests not counted, so none may have run"
        return Result("tests", "warn", what, 'let a command write JUnit: report = "junit"')
    if tested.verdict is CiVerdict.PASS:
        weak = ", and a command by exit code alone" if tested.weak else ""
        return Result("tests", "ok", f"green, {count(tested.tests_run, 'test')}{weak}")
    said = tested.error or (tested.evidence.summary if tested.evidence else tested.verdict.value)
    fix = "a run starts from this base: make it green there first"
    code = ENVIRONMENT if tested.error else FAILED
    return Result("tests", "fail", f"{tested.verdict.value}: {said}", fix, code)


def _one_line(text: str) -> str:
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())
