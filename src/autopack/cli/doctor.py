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

from autopack.cli.options import Json, Repo
from autopack.core.errors import EnvironmentFault, Fault

if TYPE_CHECKING:
    from autopack.settings import Loaded

PYTHON_MIN: Final = (3, 11)
DISK_BYTES_MIN: Final = 1_000_000_000
"""Clones, environments and logs of an ordinary run; less is a warning."""
MARKS: Final = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@dataclass(frozen=True)
class Result:
    """One check: `status` is ok, warn or fail; `fix` what to do unless it is ok."""

    check: str
    status: str
    message: str
    fix: str = ""


def doctor(
    *,
    repo: Repo = None,
    tests: Annotated[
        bool, Parameter(negative="", help="Also run the base's CI, as a run would")
    ] = False,
    json: Json = False,
) -> int:
    """See what a run would miss here; leave with 3 when something is missing."""
    from autopack.cli import render

    folder = repo or Path.cwd()
    results: list[Result] = []
    for result in _results(folder, tests=tests):
        results.append(result)
        if not json:
            render.out(f"{MARKS[result.status]} {result.check}: {_one_line(result.message)}")
            if result.fix:
                render.out(f"     fix: {_one_line(result.fix)}")
    failed = any(result.status == "fail" for result in results)
    if json:
        render.data({"ok": not failed, "checks": [asdict(result) for result in results]})
    return EnvironmentFault.exit_code if failed else 0


def _results(folder: Path, *, tests: bool) -> Iterator[Result]:
    from autopack.settings import load

    yield _python()
    try:
        loaded = load(folder, os.environ)
    except Fault as fault:
        yield Result("settings", "fail", fault.what, fault.hint)
        return
    yield Result("settings", "ok", "`autopack config show` lists them")
    yield _check("git", lambda: _git(loaded))
    yield _check("sandbox", lambda: _sandbox(loaded))
    yield _check("store", lambda: _store(loaded))
    yield _disk(loaded)
    yield _check("agents", lambda: _agents(loaded))
    yield _check("repository", lambda: _repository(loaded, folder))
    if tests:
        yield _check("tests", lambda: _tests(loaded, folder))


def _check(name: str, look: Callable[[], Result]) -> Result:
    try:
        return look()
    except Fault as fault:
        return Result(name, "fail", fault.what, fault.hint)


def _python() -> Result:
    told = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= PYTHON_MIN:
        return Result("python", "ok", f"{told} in {sys.prefix}")
    return Result("python", "fail", told, "install Python 3.11 or newer")


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


def _store(loaded: Loaded) -> Result:
    from autopack import wiring

    database = loaded.folders.database
    with wiring.reading(loaded) as store:
        if store is None:
            return Result("store", "ok", f"none yet; {database} will be made")
        open_runs = len(store.runs(ended=False, limit=1000))
    return Result("store", "ok", f"{database}, {open_runs} runs under way")


def _disk(loaded: Loaded) -> Result:
    """The folder that is there already tells for those that will be made below it."""
    folders = (loaded.folders.data, loaded.folders.state, loaded.folders.cache)
    standing = [next(p for p in (each, *each.parents) if p.exists()) for each in folders]
    free, where = min((shutil.disk_usage(each).free, str(each)) for each in standing)
    message = f"{free / 1e9:.1f} GB free at {where}"
    if free < DISK_BYTES_MIN:
        return Result("disk", "warn", message, "free some, or move the folders (AUTOPACK_DATA_DIR)")
    return Result("disk", "ok", message)


def _agents(loaded: Loaded) -> Result:
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
    from autopack import wiring

    wiring.check_agents(loaded, settings.builder, settings.auditor)
    path = loaded.environ.get("PATH", os.defpath)
    for name, agent in sorted(settings.agents.items()):
        argv = agent.command.split() if isinstance(agent.command, str) else agent.command
        if argv and shutil.which(argv[0], path=path) is None:
            what = f"{name}: {argv[0]} is not found"
            return Result("agents", "fail", what, "install it, or write its whole path")
    if not settings.auditor:
        what = f"builder {settings.builder}, no auditor: phases that need one are refused"
        return Result("agents", "ok", what)
    return Result("agents", "ok", f"builder {settings.builder}, auditor {settings.auditor}")


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
                      "rename it: Autopack delivers autonomous/<run>")  # fmt: skip
    if source.facts.dirty:
        return Result("repository", "warn", f"{what}; changed files are not committed",
                      f"commit what runs shall see on {base}")  # fmt: skip
    return Result("repository", "ok", what)


def _tests(loaded: Loaded, folder: Path) -> Result:
    from autopack import wiring
    from autopack.core.event import CiVerdict

    tested = wiring.try_base(loaded, wiring.checkout(loaded, folder))
    if tested.verdict is CiVerdict.PASS:
        weak = "; by exit code alone, which is weak evidence" if tested.weak else ""
        return Result("tests", "ok", f"green, {tested.tests_run} tests{weak}")
    said = tested.error or (tested.evidence.summary if tested.evidence else tested.verdict.value)
    fix = "a run starts from this base: make it green there first"
    return Result("tests", "fail", f"{tested.verdict.value}: {said}", fix)


def _one_line(text: str) -> str:
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())
