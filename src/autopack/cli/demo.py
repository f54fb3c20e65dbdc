"""`autopack demo`: the main job on a small broken package, with recorded agents and real machinery.

Makes a folder of its own with a git repository, a store and everything else in it; touches nothing
outside. The agents are patches and verdicts recorded in `autopack.demo`, and one of its tests is
flaky in each demo alike; the rest is what `autopack run` does.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import unquote, urlsplit

from cyclopts import Parameter

from autopack import staffing, wiring
from autopack.app.start import Wish
from autopack.cli import launch, render
from autopack.cli.given import Given
from autopack.core.blame import Blamed
from autopack.core.errors import OperatorFault
from autopack.core.event import (
    AuditEnded,
    CandidateChecked,
    CandidateReapplied,
    CandidateTested,
    CiVerdict,
    Event,
    GateVerdict,
    Recommendation,
)
from autopack.core.run import Run
from autopack.settings import load

RUN_ID: Final = "demo"
PARALLEL_MAX: Final = 2
SANDBOXES: Final = ("bubblewrap", "none")
EPOCH_SECONDS: Final = "1767225600"
"""2026-01-01, the date of every commit: the same demo makes the same trees and commits."""


def demo(
    *,
    folder: Annotated[
        Path | None, Parameter(help="New folder to work in; default: a temporary one, kept")
    ] = None,
    sandbox: Annotated[str | None, Parameter(help="bubblewrap (default) or none")] = None,
) -> int:
    """Drive two tiers and five phases through a small broken package; needs no key, no network."""
    if sandbox not in (None, *SANDBOXES):
        what = f"sandbox {sandbox!r}: must be one of {', '.join(SANDBOXES)}"
        raise OperatorFault(what, "nothing was made")
    staffing.check_sandbox(sandbox or SANDBOXES[0])
    place = _place(folder)
    _settle(place)
    repository = place / "toolbox"
    clock = wiring.clock(load(repository, os.environ))
    began = clock.monotonic()
    _make_repository(repository)
    render.note(f"demo in {place}", "")
    flags = {"sandbox": sandbox}
    wish = Wish(name=RUN_ID, run_id=RUN_ID, parallel_max=PARALLEL_MAX)
    result = launch.start(Given(place / "plan.md"), repository, wish, flags, launch.How())
    loaded = load(repository, os.environ)
    with wiring.reading(loaded) as store:
        if store is None:
            return result
        run = store.load(RUN_ID)
        events = [recorded.happened.event for recorded in store.events(RUN_ID)]
    render.out("", *summary(run, events, clock.monotonic() - began))
    shown = "autopack" if shutil.which("autopack") else str(Path(sys.argv[0]).absolute())
    settle = f". {shlex.quote(str(place / 'environment'))}"
    render.out(f"next: ({settle}; cd {shlex.quote(str(repository))} && {shown} run view {RUN_ID})")
    return result


def _place(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="autopack-demo-"))
    if folder.exists() and any(folder.iterdir()):
        what = f"{folder} is not empty: the demo makes a folder of its own"
        raise OperatorFault(what, "name a folder that does not exist yet")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()


def _settle(place: Path) -> None:
    """Lay out repository, recordings and plan; keep store, state and cache inside the folder."""
    data = resources.files("autopack.demo")
    with resources.as_file(data) as source:
        shutil.copytree(source / "repository", place / "toolbox", ignore=_compiled)
        for recorded in ("patches", "verdicts"):
            shutil.copytree(source / recorded, place / recorded)
        shutil.copyfile(source / "plan.md", place / "plan.md")
    kept = {
        f"AUTOPACK_{kind.upper()}_DIR": str(place / kind) for kind in ("data", "state", "cache")
    }
    kept["SOURCE_DATE_EPOCH"] = EPOCH_SECONDS
    lines = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in kept.items())
    (place / "environment").write_text(lines, encoding="utf-8")
    for name in [name for name in os.environ if name.startswith(("AUTOPACK_", "RUN_"))]:
        del os.environ[name]  # the demo is the same whatever its user has configured
    os.environ.update(kept, DATABASE_URL="sqlite", AUTONOMOUS_RUNS_DIR="")


def _compiled(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "__pycache__"]


def _make_repository(repository: Path) -> None:
    """Commit the broken package on `main`."""
    git = wiring.git(load(repository, os.environ))
    (repository / ".gitignore").write_text(".env\n__pycache__/\n", encoding="utf-8")
    who = {"user.name": "Demo", "user.email": "demo@localhost"}
    when = f"{EPOCH_SECONDS} +0000"
    dates = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
    for arguments in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "--all"),
        ("commit", "--quiet", "--message=A small package with two mistakes"),
    ):
        finished = git.run(*arguments, cwd=repository, config=who, variables=dates)
        if not finished.ok:
            said = finished.stderr.decode(errors="replace").strip()
            raise OperatorFault(f"git {arguments[0]} failed in {repository}: {said}")


def summary(run: Run, events: Sequence[Event], seconds: float) -> list[str]:
    """Nine lines about what happened, read from the run and its events."""
    landed = len(run.snapshots)
    tested = f"{run.ci_runs_used} CI runs, {landed} snapshot tags"
    tests = sum(each.tests_run for each in events if isinstance(each, CandidateTested))
    where = "not delivered" if run.undelivered else "delivered"
    return [
        f"{run.state.value}: {landed} of {len(run.phases)} phases landed in {seconds:.1f} s",
        f"refused by policy: {_told(_refused(events))}",
        f"red, then mended:  {_told(_red(events))}",
        f"auditor said no:   {_told(_revised(events))}",
        f"flaky, no charge:  {_told(_flaky(run, events))}",
        f"issue, once each:  {_told(_issues(run))}",
        f"side by side:      {_told(_moved(events))}",
        f"evidence:          {tests} tests in {tested}, {run.spec.branch} {where}, main untouched",
        f"pull request:      {_pull(run)}",
    ]


def _told(found: Iterator[str]) -> str:
    return "; ".join(found) or "nothing"


def _refused(events: Sequence[Event]) -> Iterator[str]:
    for event in events:
        match event:
            case CandidateChecked(phase_id, GateVerdict.FAIL, findings):
                yield f"{phase_id}: {findings[0].path} ({findings[0].rule}), tried again"
            case _:
                continue


def _red(events: Sequence[Event]) -> Iterator[str]:
    for event in events:
        match event:
            case CandidateTested(phase_id, CiVerdict.FAIL, evidence):
                named = evidence.findings[0].message if evidence and evidence.findings else "red"
                yield f"{phase_id}: {named.splitlines()[0][:80]}"
            case _:
                continue


def _revised(events: Sequence[Event]) -> Iterator[str]:
    for event in events:
        match event:
            case AuditEnded(phase_id, Recommendation.REVISE):
                yield f"{phase_id}: {event.notes.splitlines()[0][:80]}"
            case _:
                continue


def _flaky(run: Run, events: Sequence[Event]) -> Iterator[str]:
    for event in events:
        if isinstance(event, CandidateTested):
            for each in event.exonerated:
                if each.kind is Blamed.FLAKY:
                    attempts = run.phase(event.phase_id).attempts_used
                    name = each.test.rpartition("::")[2]
                    yield f"{event.phase_id}: {name} ({each.reason}), landed by attempt {attempts}"


def _issues(run: Run) -> Iterator[str]:
    """Every distinct issue of the run, with how often it was seen."""
    seen: dict[str, int] = {}
    for issue in (issue for phase in run.phases for issue in phase.issues):
        seen[issue.issue_key] = seen.get(issue.issue_key, 0) + issue.occurrence_count
    for key, times in sorted(seen.items(), key=lambda pair: -pair[1]):
        yield f"{key} (seen {times} times)" if times > 1 else key


def _moved(events: Sequence[Event]) -> Iterator[str]:
    for event in events:
        if isinstance(event, CandidateReapplied):
            yield f"{event.phase_id} was made again on the phase ahead of it, and tested there"


def _pull(run: Run) -> str:
    """The file that is the pull request, with its evidence page; or why there is none."""
    made = run.promotion
    if not made.number:
        return f"none: {made.refusal}" if made.refusal else "none"
    return unquote(urlsplit(made.url).path)
