"""A run that meets a fault at one place, what another supervisor makes of it, and what must hold."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autopack import housekeeping, wiring
from autopack.adapters.engine.local import LocalEngine
from autopack.adapters.git.discard import remove_empty, sweep
from autopack.app.host import Host
from autopack.app.supervise import Supervisor
from autopack.core.errors import Fault, OwnFault
from autopack.core.run import Run, RunState
from tests.lab import Lab, processes, until
from tests.recovery.ground import Story, assert_alike, story
from tests.repos import git

BACKOFF_SECONDS = 0.01
LIVES_MAX = 4
"""Supervisors that may be needed: one that met the fault, one that ends, and deliveries."""
DEFECTS = ("internal error", "Traceback", "Error(", "unexpected:")
"""Words that a user is never told when the machine refuses."""


@contextmanager
def supervisor(lab: Lab) -> Iterator[Supervisor]:
    """As `wiring.supervisor`, in this process; a failed command is tried again at once."""
    loaded = lab.loaded
    held = wiring.lock(loaded)
    assert held is not None, "another supervisor has the store"
    try:
        with wiring.writing(loaded) as store:
            sweep(loaded.folders.clones)
            housekeeping.keep_left(loaded, store, wiring.clock(loaded))
            projects = wiring.projects_of(loaded, alone=True)
            host = hasty(wiring.host(loaded, store, projects))
            clock = wiring.clock(loaded)
            try:
                yield Supervisor(
                    store, LocalEngine(), clock, host.perform, host.render, None, projects.busy
                )
            finally:
                projects.end()
            remove_empty(loaded.folders.clones)
    finally:
        held.release()


def hasty(host: Host) -> Host:
    """The host, whose worlds do not wait between tries."""
    world_of = host.world_of
    return replace(
        host, world_of=lambda spec: replace(world_of(spec), backoff_seconds=BACKOFF_SECONDS)
    )


@dataclass(frozen=True)
class Life:
    """How a supervisor ended, and what it wrote into its log."""

    fault: Fault | OSError | None
    log: str


def live(lab: Lab, broken: AbstractContextManager[Any] | None = None) -> Life:
    """One supervisor until no run is open, or until it can do nothing more."""
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        with broken or nullcontext(), supervisor(lab) as made:
            made.run(until_idle=True)
    except (Fault, OSError) as fault:
        return Life(fault, heard.getvalue())
    finally:
        root.removeHandler(handler)
    return Life(None, heard.getvalue())


def live_on(lab: Lab, first: Life) -> None:
    """Other supervisors, with the fault gone: the run ends and what it made is delivered."""
    if first.fault is not None:
        check_told(str(first.fault))
        assert not isinstance(first.fault, OwnFault), first
    for _ in range(LIVES_MAX):
        run = lab.load()
        if run.ended and (run.delivered == run.tip or "snapshot_landed" not in lab.kinds()):
            if clones_left(lab):  # one that could not be deleted goes with the next start
                live(lab)
            return
        if run.ended:
            check_told(run.delivery_refusal)
            with wiring.writing(lab.loaded) as store:
                store.ask("r", "deliver", "tester")
        again = live(lab)
        assert again.fault is None, (again.fault, first)


def check_point(lab: Lab, wanted: Story, *, may_fail: bool = False) -> Run:
    """The run ended as if nothing had happened; or, if it may, honestly by the machine's fault."""
    run = lab.load()
    check_honest(lab, run)
    check_whole(lab)
    if run.state is RunState.DONE_FAILED_ENVIRONMENT and may_fail:
        assert run.failure
        check_partial(lab, run, wanted)
        return run
    assert run.state is RunState.DONE_SUCCESS, run.failure
    found = story(lab)
    found = replace(found, events=_without_failures(found.events))
    for part in ("events", "bare", "user", "attempts"):
        assert_alike(getattr(found, part), getattr(wanted, part), part)
    return run


def check_partial(lab: Lab, run: Run, wanted: Story) -> None:
    """What landed before the machine failed is what would have landed, and it is all delivered."""
    run_refs = {ref: oid for ref, oid in lab.delivered().items() if "/tags/" in ref}
    assert run_refs.items() <= wanted.user.items()
    if "snapshot_landed" in lab.kinds():
        assert run.delivered == run.tip


def check_honest(lab: Lab, run: Run) -> None:
    """Nothing that a user reads tells of a defect of ours."""
    told = [str(event) for event in lab.of_kind("command_failed")]
    told += [run.delivery_refusal, run.failure.reason if run.failure else ""]
    artefacts = (lab.project / ".autonomous_runs").rglob("*.md")
    told += [path.read_text() for path in artefacts]
    for text in told:
        check_told(text)


def check_told(text: str) -> None:
    for word in DEFECTS:
        assert word not in text, text


def check_whole(lab: Lab) -> None:
    """Both repositories, the log and the folders are sound, and nothing half written is left."""
    until(lambda: not processes(lab.root), f"no process is left: {processes(lab.root)}")
    with wiring.reading(lab.loaded) as store:
        assert store is not None
        assert store.verify("r") == []
    lab.check_untouched()
    repositories = [lab.project / ".git"]
    if list((lab.disk / "data" / "projects").glob("lab-*/repo.git/autopack-ready")):
        repositories.append(lab.bare)
    for folder in repositories:
        git(folder, "fsck", "--strict", "--no-dangling", "--no-reflogs")
    assert not clones_left(lab)
    assert not scratch_left(lab)
    assert git(lab.project, "status", "--porcelain") == ""
    check_no_leftovers(lab.root)


def clones_left(lab: Lab) -> list[Path]:
    """Files below the folder of clones."""
    return [path for path in (lab.root / "state" / "clones").rglob("*") if path.is_file()]


def scratch_left(lab: Lab) -> list[Path]:
    """Private folders of calls that could not be deleted."""
    return list((lab.disk / "data" / "projects").glob("*/repo.git/autopack-scratch/*"))


def check_no_leftovers(root: Path) -> None:
    """No lock of git's and no temporary file, ours or git's."""
    names = ("*.lock", "tmp_*", "*.partial", "*.autopack-tmp")
    left = [path for name in names for path in root.rglob(name)]
    ours = {root / "data" / "autopack.db.lock"}
    ours |= {root / name / "supervisor.lock" for name in ("data", "state")}
    assert not set(left) - ours, left


def _without_failures(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events but for those of the fault itself and of its mending."""
    passing = ("command_failed", "delivery_refused", "delivery_requested")
    return [event for event in events if event["kind"] not in passing]
