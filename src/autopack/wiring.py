"""The one room that builds everything: settings go in, stores, supervisors and agents come out.

Adapters are imported only when they are needed. Never decides and never prints.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autopack import forging, housekeeping, staffing
from autopack.core.errors import OperatorFault
from autopack.settings import Loaded, Server, load

if TYPE_CHECKING:
    from autopack.adapters.git.checkout import Checkout
    from autopack.adapters.git.projects import Projects
    from autopack.adapters.git.wrapper import Git
    from autopack.adapters.store.lock import SupervisorLock
    from autopack.adapters.store.store import SqlStore
    from autopack.app.draft import Drafted
    from autopack.app.host import Host
    from autopack.app.ports import (
        Clock,
        Store,
    )
    from autopack.app.supervise import Supervisor
    from autopack.app.world import (
        World,
    )
    from autopack.core.plan_draft import PlanDraft
    from autopack.core.run import Run
    from autopack.core.spec import (
        RunSpec,
    )
    from autopack.process.workbench import Prepared

_log = logging.getLogger(__name__)
LOG_BYTES_MAX: Final = 10_000_000
"""A supervisor's log is put aside once when it has grown to this."""
FOLDER_LOOKS_MAX: Final = 20
FOLDER_LOOK_SECONDS: Final = 0.1
"""Another store's command that only looks has the folders for an instant: 2 s outlast any."""


@contextmanager
def reading(loaded: Loaded) -> Iterator[SqlStore | None]:
    """The store, to look into; None when nothing was ever recorded. Makes no folder."""
    from autopack.adapters.store.open import NoStore

    with ExitStack() as opened:
        store: SqlStore | None = None
        with suppress(NoStore):
            store = opened.enter_context(_open(loaded, create=False))
        yield store


@contextmanager
def writing(loaded: Loaded) -> Iterator[SqlStore]:
    """The store, made when there is none, with the folders around it."""
    loaded.folders.make()
    loaded.folders.check_room()
    with _open(loaded) as store:
        yield store


@contextmanager
def _open(loaded: Loaded, *, create: bool = True) -> Iterator[SqlStore]:
    from autopack.adapters.store.open import open_store

    store = open_store(_place(loaded.folders.database), create=create)
    try:
        yield store
    finally:
        store.close()


def _place(database: Path | Server) -> Path | str:
    return database if isinstance(database, Path) else database.url


@dataclass(frozen=True)
class KnownRuns:
    """The ids that a store has taken, or keeps for parts of a series that is under way."""

    store: Store | None

    def __contains__(self, run_id: object) -> bool:
        if self.store is None or not isinstance(run_id, str):
            return False
        try:
            self.store.load(run_id)
        except OperatorFault:
            return run_id in self._reserved
        return True

    @cached_property
    def _reserved(self) -> frozenset[str]:
        from autopack.app.series import open_names

        return open_names(self.store) if self.store else frozenset()


def clock(loaded: Loaded) -> Clock:
    """The clock; it stands still under SOURCE_DATE_EPOCH."""
    from autopack.adapters.clock import SystemClock

    return SystemClock(loaded.settings.source_date_epoch)


def git(loaded: Loaded) -> Git:
    """git, in the environment of the one who started us."""
    from autopack.adapters.git.wrapper import Git

    return Git(loaded.environ)


def checkout(loaded: Loaded, folder: Path) -> Checkout:
    """The user's work tree that holds `folder`."""
    from autopack.adapters.git.checkout import open_checkout

    return open_checkout(git(loaded), folder)


def plan(path: Path) -> PlanDraft:
    """The plan in a file, as written."""
    from autopack.adapters.files.plan_file import read_plan

    return read_plan(path)


def lock(loaded: Loaded) -> SupervisorLock | None:
    """What makes us alone with the store and its folders; None when another has the store.

    FoldersTaken when a process of another store has the folders.
    """
    from autopack.adapters.store.alone import acquire

    folders = loaded.folders
    return acquire(_place(folders.lock), (folders.data, folders.state), str(folders.database))


def supervised(loaded: Loaded) -> bool:
    """Whether a supervisor has the store at this moment."""
    from autopack.adapters.store.lock import acquire

    free = acquire(_place(loaded.folders.lock))
    if free is not None:
        free.release()
    return free is None


def lock_holder(loaded: Loaded) -> str | None:
    """The supervisor that has the store, or had it last: its process and machine."""
    from autopack.adapters.store.lock import holder

    return holder(_place(loaded.folders.lock))


def check_folders(loaded: Loaded) -> bool:
    """Whether a supervisor could begin now, False when one has the store; else FoldersTaken."""
    from autopack.adapters.store.alone import FoldersTaken

    for looks_left in reversed(range(FOLDER_LOOKS_MAX)):
        try:
            free = lock(loaded)
        except FoldersTaken:
            if not looks_left:
                raise
            time.sleep(FOLDER_LOOK_SECONDS)
            continue
        if free is not None:
            free.release()
        return free is not None
    return False


def ensure_supervisor(loaded: Loaded) -> int | None:
    """Start a background supervisor if none has the store; its pid, None when one is there."""
    if not check_folders(loaded):
        return None
    loaded.folders.check_room()
    return spawn_supervisor(loaded)


def has_work(loaded: Loaded) -> bool:
    """Whether a run is open or something is asked of the supervisor."""
    with reading(loaded) as store:
        return store is not None and bool(store.runs(ended=False, limit=1) or store.requests())


def spawn_supervisor(loaded: Loaded) -> int:
    """Start a supervisor that outlives us and ends when no run is open; its pid."""
    from autopack.process.runner import spawn_detached

    log = supervisor_log(loaded)
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_suffix(".log.1"))
    argv = [sys.executable, "-m", "autopack.cli.hosting"]
    return spawn_detached(argv, env=_told(loaded), cwd=loaded.folders.state, log=log)


def _told(loaded: Loaded) -> dict[str, str]:
    """The environment of a supervisor: it stands elsewhere, and must find the same store."""
    folders, settings = loaded.folders, loaded.settings
    database = folders.database
    return {
        **loaded.environ,
        "AUTOPACK_DATABASE_URL": (
            f"sqlite:///{database}" if isinstance(database, Path) else database.url
        ),
        "AUTOPACK_DATA_DIR": str(folders.data),
        "AUTOPACK_STATE_DIR": str(folders.state),
        "AUTOPACK_CACHE_DIR": str(folders.cache),
        "AUTOPACK_WORKERS_MAX": str(settings.workers_max),
        **(
            {"AUTOPACK_SOURCE_DATE_EPOCH": str(settings.source_date_epoch)}
            if settings.source_date_epoch is not None
            else {}
        ),
    }


def supervisor_log(loaded: Loaded) -> Path:
    """Where background supervisors write."""
    return loaded.folders.logs / "supervisor.log"


@contextmanager
def supervisor(
    loaded: Loaded, still_alone: Callable[[], None] = lambda: None
) -> Iterator[Supervisor]:
    """A supervisor over the store and its engine; only for the holder of the store's lock.

    `still_alone` is asked before anything of a dead one is touched: StoreAway when it is lost.
    """
    from autopack import notifying
    from autopack.adapters.engine.local import LocalEngine
    from autopack.adapters.git.discard import remove_empty, sweep
    from autopack.adapters.git.sharing import sweep_trials
    from autopack.app.supervise import Supervisor

    with writing(loaded) as store, notifying.notifier(loaded, store.outbox()) as notifier:
        still_alone()
        sweep(loaded.folders.clones)
        sweep_trials(loaded.folders.trials)
        housekeeping.keep_left(loaded, store, clock(loaded), still_alone)
        projects = projects_of(loaded, alone=True)
        hosted = host(loaded, store, projects)
        made = Supervisor(
            store,
            LocalEngine(),
            clock(loaded),
            hosted.perform,
            hosted.render,
            notifier,
            projects.busy,
        )
        try:
            yield made
            if not made.stopped:
                housekeeping.tidy(loaded, store, clock(loaded), still_alone)
        finally:
            projects.end()  # the next supervisor must not meet a git of ours
        remove_empty(loaded.folders.clones)


def host(loaded: Loaded, store: SqlStore, projects: Projects) -> Host:
    """What the runs of a store work with."""
    from autopack.app.host import Host
    from autopack.app.report import log_of

    return Host(
        _worlds(loaded, store, projects),
        partial(housekeeping.artefacts, loaded),
        partial(log_of, store),
        ended=lambda spec: projects.repository(spec).tend(),
        remember=partial(housekeeping.remember, loaded, store),
    )


def _planned(
    loaded: Loaded, store: SqlStore, projects: Projects, run: Run, text: str
) -> Drafted | tuple[str, ...]:
    """A run on the plan in a drafted text, with the ruleset and the backlog as they are now."""
    from autopack.adapters.files.plan_markdown import parse_markdown
    from autopack.app.draft import Drafted
    from autopack.app.planning import Ground, Machine, plan_run
    from autopack.core import draft
    from autopack.core.backlog import backlog
    from autopack.core.series import called, whole
    from autopack.core.strategy import aging_of

    spec, asked = replace(run.spec, tiers=(), phases=()), run.spec.draft
    here = load(Path(spec.repository), loaded.environ)
    found = housekeeping.ruleset(here, Path(spec.repository), store, None, spec.project_id)
    entries = backlog(store.memory().facts(spec.project_id, spec.repository),
                      aging_of(spec.safety_profile, found.ruleset))  # fmt: skip
    fixed = frozenset(asked.fixed if asked else ())
    machine = Machine(
        frozenset(here.settings.agents),
        spec.builder,
        spec.auditor,
        spec.sandbox,
        spec.verifier,
        fixed,
    )
    repository = projects.repository(spec)
    ground = Ground(
        spec, found, machine,
        entries=() if asked and asked.plan_only else tuple(entries),  # they are added when it runs
        has=lambda path: repository.read(spec.base_commit, path) is not None,
        tokens_spent=0 if asked and asked.plan_only else run.tokens_spent,
    )  # fmt: skip
    made = plan_run(ground, parse_markdown(text, draft.FILE))
    if isinstance(made, tuple):
        return made
    only = asked is not None and asked.plan_only
    spec = called(whole(made.spec), run.run_id) if only else made.spec
    return Drafted(spec, (*found.warnings, *made.notes))


def projects_of(loaded: Loaded, *, alone: bool) -> Projects:
    """The bare repositories of the store's projects. `alone`: the store's lock is ours."""
    from autopack.adapters.git.projects import Projects
    from autopack.process.sandbox import default_identity

    def folder_of(spec: RunSpec) -> Path:
        return loaded.folders.repository(spec.project_id, spec.repository)

    return Projects(folder_of, git(loaded), default_identity(), alone=alone)


def _worlds(loaded: Loaded, store: SqlStore, projects: Projects) -> Callable[[RunSpec], World]:
    """Builds a run's world; its machine part is that of its own repository as it is then."""
    from autopack.adapters.ci.environment import Environments
    from autopack.adapters.ci.registry import load_verifier
    from autopack.adapters.files.starts import FileStarts
    from autopack.app.apply import rules_of
    from autopack.app.turns import Slots
    from autopack.app.world import (
        World,
    )

    folders = loaded.folders
    variables = staffing.given(loaded.environ, staffing.PREPARE_VARIABLES)
    room = housekeeping.room(loaded, store, clock(loaded))
    slots = Slots(loaded.settings.workers_max)
    workbench_of = cache(
        staffing.workbench_of
    )  # one for all runs, so that its fence is proven closed once

    def world_of(spec: RunSpec) -> World:
        workbench = workbench_of(spec.sandbox)
        environments = Environments(folders.environments, workbench, variables)
        context = staffing.verifier_context(loaded, store, projects, workbench)

        def prepared(run_id: str) -> Prepared | None:
            digest = store.load(run_id).environment_digest
            return environments.find(digest) if digest else None

        here = load(Path(spec.repository), loaded.environ)
        return World(
            repository=projects.repository,
            rules=lambda spec, phase: rules_of(projects.repository(spec), spec, phase),
            agents=staffing.agents_of(here, spec.agents, workbench, prepared),
            verifier=load_verifier(spec.verifier, context),
            clock=clock(loaded),
            starts=FileStarts(),
            checks=staffing.checks_of(context, folders.clones, folders.run_logs),
            planned=partial(_planned, loaded, store, projects),
            scratch=folders.clones,
            quarantine=folders.quarantine,
            logs=folders.run_logs,
            room=room,
            slots=slots,
            forge=partial(forging.forge_of, loaded, projects),
            papers=partial(forging.papers, store),
        )

    return world_of
