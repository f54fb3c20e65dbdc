"""Builds clean-up, salvage and undo from settings: what `wiring` is to runs. Never decides."""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autopack.core.errors import Fault
from autopack.settings import Loaded, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from autopack.adapters.files.artefacts import FileArtefacts
    from autopack.adapters.files.reproduction import Context
    from autopack.adapters.git.archive import GitArchive
    from autopack.adapters.git.remains import DiskRemains
    from autopack.adapters.git.wrapper import Store as GitStore
    from autopack.adapters.store.store import SqlStore
    from autopack.app.clean import Entry, House
    from autopack.app.ports import Clock, Store
    from autopack.app.room import Room
    from autopack.app.rulesets import Current
    from autopack.app.start import Source
    from autopack.app.undo import Branches
    from autopack.core.project import Project
    from autopack.core.run import Run
    from autopack.core.spec import Aging, RunSpec

_log = logging.getLogger(__name__)
IDLE_SECONDS_MIN: Final = 86_400
"""A supervisor that ends cleans up at most this often."""


def archive(loaded: Loaded, spec: RunSpec) -> GitArchive | None:
    """The kept work of a run's project; None when nothing was ever prepared there."""
    from autopack.adapters.git.archive import GitArchive

    store = _store(loaded, spec)
    return None if store is None else GitArchive(store)


def branches(loaded: Loaded, spec: RunSpec) -> Branches | None:
    """The branches of a run's project; None when nothing was ever prepared there."""
    from autopack.adapters.git.undo import GitBranches

    store = _store(loaded, spec)
    return None if store is None else GitBranches(store)


def _store(loaded: Loaded, spec: RunSpec) -> GitStore | None:
    from autopack.adapters.git.wrapper import Git
    from autopack.adapters.git.wrapper import Store as GitStore

    folder = loaded.folders.repository(spec.project_id, spec.repository)
    if not (folder / "autopack-ready").exists():
        return None
    return GitStore(Git(loaded.environ, owner=str(folder)), folder)


def remains(loaded: Loaded) -> DiskRemains:
    """What runs leave in the folders of these settings."""
    from autopack.adapters.git.remains import DiskRemains

    folders = loaded.folders
    return DiskRemains(folders.clones, folders.quarantine, folders.run_logs)


def artefacts(loaded: Loaded, spec: RunSpec) -> FileArtefacts:
    """The files of a run."""
    return _artefacts(loaded, spec.project_id, spec.repository)


def _artefacts(loaded: Loaded, project_id: str, repository: str) -> FileArtefacts:
    """The files of a project's runs, where the settings of its own repository put them."""
    from autopack.adapters.files.artefacts import FileArtefacts
    from autopack.adapters.git.checkout import tracked_below
    from autopack.adapters.git.wrapper import Git

    settings, folders = load(Path(repository), loaded.environ).settings, loaded.folders
    root = Path(settings.runs_dir) if settings.runs_dir else None
    kept = folders.repository(project_id, repository)
    tracked = partial(tracked_below, Git(loaded.environ))
    context = partial(_context, loaded)
    return FileArtefacts(Path(repository), root, folders.run_logs, kept, context, tracked)


def _context(loaded: Loaded, spec: RunSpec) -> Context:
    """What an incident tells of a run's surroundings; what cannot be read is left out."""
    from autopack.adapters.files.reproduction import Context
    from autopack.core.project import parse_project
    from autopack.core.reader import FILE_NAME

    store, project = _store(loaded, spec), None
    if store is not None:
        with suppress(Fault):
            text = store.output("cat-file", "blob", f"{spec.base_commit}:{FILE_NAME}")
            parsed = parse_project(text.decode(errors="replace"), spec.project_id)
            project = None if isinstance(parsed, tuple) else parsed
    return Context(project, _versions())


@cache
def _versions() -> dict[str, str]:
    """The programs of this machine that a run stands on."""
    import os
    import platform

    from autopack import __version__
    from autopack.process.limits import Limits
    from autopack.process.runner import run

    found = {"autopack": __version__, "python": platform.python_version()}
    for program in ("git", "bwrap"):
        with suppress(Fault):
            env = {"PATH": os.environ.get("PATH", os.defpath)}
            done = run([program, "--version"], env=env, cwd=Path("/"), limits=Limits(10.0))
            found[program] = done.stdout.decode(errors="replace").strip()
    return found


def remember(loaded: Loaded, store: SqlStore, run: Run) -> None:
    """Bring the backlog's file up to date with a run that saw or resolved issues."""
    spec = run.spec
    if run.issues_version or spec.known_issues:
        aging = _aging_now(loaded, store, spec)
        write_backlog(loaded, store, (spec.project_id, spec.repository), aging)


def project_aging(
    loaded: Loaded, store: SqlStore | None, source: Source
) -> tuple[Project, Current, Aging]:
    """The project that stands in a work tree, its ruleset now and the thresholds of its backlog.

    The same for the backlog's file and for who asks; no run's own safety profile counts.
    """
    from autopack.app.start import find_base, read_project
    from autopack.core.strategy import aging_of

    project = read_project(source, *find_base(source, ""))
    found = ruleset(loaded, source.top, store, None, project.project_id, reading=True)
    profile = project.run.safety_profile or found.ruleset.default_safety_profile
    return project, found, aging_of(profile, found.ruleset)


def _aging_now(loaded: Loaded, store: SqlStore, spec: RunSpec) -> Aging:
    """The thresholds of a run's project; the run's own where it cannot be read any more."""
    from autopack.adapters.git.checkout import open_checkout
    from autopack.adapters.git.wrapper import Git

    here = load(Path(spec.repository), loaded.environ)
    try:
        source = open_checkout(Git(loaded.environ), Path(spec.repository))
        return project_aging(here, store, source)[2]
    except Fault:
        return spec.aging


def write_backlog(loaded: Loaded, store: SqlStore, project: tuple[str, str], aging: Aging) -> None:
    """Write what a project (its id and repository) remembers beside the folders of its runs."""
    from autopack.adapters.files.backlog import FILE, backlog_text
    from autopack.app.memory import entries_of

    text = backlog_text(project[0], entries_of(store.memory(), project, aging), aging)
    _artefacts(loaded, *project).write_beside(FILE, text)


def ruleset(
    loaded: Loaded,
    repository: Path,
    store: SqlStore | None,
    file: Path | None,
    project_id: str,
    *,
    reading: bool = False,
) -> Current:
    """The ruleset of a project; `file`: one to take instead of that beside its runs.

    `reading`: nothing is started by it, so that a wrong one refuses nothing.
    """
    from autopack.adapters.files.ruleset_file import read_ruleset, ruleset_path
    from autopack.app.rulesets import RulesetFile, current, from_file, tolerated

    if file is not None:
        return from_file(RulesetFile(str(file), partial(read_ruleset, file)), project_id)
    runs_dir = loaded.settings.runs_dir
    path = ruleset_path(repository, Path(runs_dir) if runs_dir else None, project_id)
    kept = None if store is None else store.rulesets()
    given = RulesetFile(str(path), partial(read_ruleset, path))
    holding = tolerated if reading else current
    return holding(given, project_id, str(repository), kept)


def keep_ruleset(store: SqlStore, spec: RunSpec, found: Current, clock: Clock) -> None:
    """Keep the ruleset that a run starts with as the last good one of its project."""
    from autopack.core.ruleset import digest_of

    if found.text:
        digest = digest_of(found.ruleset)
        kept = store.rulesets()
        kept.keep(spec.project_id, spec.repository, digest, found.text, clock.now())


def house(
    loaded: Loaded, store: Store, clock: Clock, still_alone: Callable[[], None] = lambda: None
) -> House:
    """Everything that a clean-up looks at; `still_alone` is asked before anything goes."""
    from autopack.adapters.disk import SystemDisk
    from autopack.app.clean import House, Retention

    settings = loaded.settings
    return House(
        store=store,
        archive_of=cache(partial(archive, loaded)),
        artefacts_of=partial(artefacts, loaded),
        remains=remains(loaded),
        disk=SystemDisk(),
        retention=Retention(
            attempts_days=settings.retention_days,
            logs_days=settings.logs_retention_days,
            quarantine_days=settings.quarantine_retention_days,
            artefacts_days=settings.artefacts_retention_days,
        ),
        now=clock.now(),
        still_alone=still_alone,
    )


def room(loaded: Loaded, store: Store, clock: Clock) -> Room:
    """The room that an attempt needs on these folders' disks."""
    from autopack.adapters.disk import SystemDisk
    from autopack.app.clean import clean
    from autopack.app.room import Room

    settings, folders = loaded.settings, loaded.folders
    inside = folders.state.is_relative_to(folders.data)
    return Room(
        disk=SystemDisk(),
        folders=(folders.data, folders.state),
        reserve_bytes=settings.disk_reserve_bytes,
        capped=(folders.data, *([] if inside else [folders.state])),
        bytes_max=settings.data_bytes_max,
        relieve=lambda: _told(clean(house(loaded, store, clock), alone=False, dry=False)),
    )


def keep_left(
    loaded: Loaded, store: Store, clock: Clock, still_alone: Callable[[], None] = lambda: None
) -> None:
    """Keep what clones of a dead supervisor hold; only for who holds the store's lock."""
    if remains(loaded).clones():
        from autopack.app.clean import keep_left

        for entry in keep_left(house(loaded, store, clock, still_alone)):
            _log.warning("a dead supervisor's clone %s: %s", entry.place, entry.why)


def tidy(
    loaded: Loaded, store: Store, clock: Clock, still_alone: Callable[[], None] = lambda: None
) -> None:
    """Clean up when the last clean-up was a day ago; only for who holds the store's lock."""
    from autopack.app.clean import clean

    stamp, now = loaded.folders.state / "cleaned", clock.now()
    try:
        if abs(now - _read(stamp)) >= IDLE_SECONDS_MIN:  # somebody may have set the clock back
            _told(clean(house(loaded, store, clock, still_alone), alone=True, dry=False))
            stamp.write_text(f"{now}\n", encoding="ascii")
    except (Fault, OSError) as fault:
        _log.warning("the clean-up was not done: %s", fault)


def _told(entries: list[Entry]) -> None:
    for entry in entries:
        if entry.goes:
            _log.info("cleaned up: %s %s: %s", entry.what, entry.place, entry.why)


def _read(stamp: Path) -> int:
    try:
        return int(stamp.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return -IDLE_SECONDS_MIN
