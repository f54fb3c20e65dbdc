"""Where this machine keeps runs: store, repositories, logs, clones, environments.

Never creates a folder unless it is told to `make` them.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from autopack.core.errors import EnvironmentFault, OperatorFault
from autopack.settings.database import Server, database_of
from autopack.settings.model import Settings

ROOM_BYTES_MIN = 4 << 20
"""A supervisor writes its log, the store's log, an index: with less it ends at its start."""


@dataclass(frozen=True)
class Folders:
    """Where things live; all absolute, none made yet."""

    data: Path
    state: Path
    cache: Path
    database: Path | Server

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def clones(self) -> Path:
        """Disposable checkouts of agents and CI."""
        return self.state / "clones"

    @property
    def trials(self) -> Path:
        """Clones of backtests and of `doctor --tests`."""
        return self.state / "trials"

    @property
    def quarantine(self) -> Path:
        """Clones whose work could not be captured."""
        return self.state / "quarantine"

    @property
    def run_logs(self) -> Path:
        """What agents and CI printed, by run and phase."""
        return self.logs / "runs"

    @property
    def environments(self) -> Path:
        return self.cache / "environments"

    @property
    def lock(self) -> Path | Server:
        """Held by the one supervisor of the store: a file beside the store, or in its server."""
        store = self.database
        return store.with_name(store.name + ".lock") if isinstance(store, Path) else store

    @property
    def _written(self) -> tuple[Path, ...]:
        """Where a supervisor must be able to write at its start."""
        store = (self.database.parent,) if isinstance(self.database, Path) else ()
        return (*store, self.data, self.state)

    def repository(self, project_id: str, source: str) -> Path:
        """The supervisor's bare repository for `source`; two projects may have one name."""
        which = hashlib.sha256(source.encode(errors="surrogateescape")).hexdigest()[:8]
        return self.data / "projects" / f"{project_id}-{which}" / "repo.git"

    def make(self) -> None:
        """Create them, closed to others."""
        for folder in (*self._written, self.cache, self.logs, self.clones, self.environments):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as fault:
                what = f"the folder {folder} cannot be made: {fault.strerror}"
                hint = "name others: AUTOPACK_DATA_DIR, AUTOPACK_STATE_DIR, AUTOPACK_CACHE_DIR"
                raise EnvironmentFault(what, hint) from fault

    def check_room(self) -> None:
        """EnvironmentFault when a disk is so full that nothing could be written down."""
        for folder in self._written:
            free = shutil.disk_usage(folder).free
            if free < ROOM_BYTES_MIN:
                what = f"the disk of {folder} is full: {free:,} bytes are left"
                raise EnvironmentFault(what, "free some space there and try again; nothing is lost")

    def check_outside(self, top: Path) -> None:
        """OperatorFault when one lies in this work tree: `git clean` there would delete runs."""
        wrong = list(self._inside(top.resolve()))
        if wrong:
            listed = "\n".join(f"{name} = {path}" for name, path in wrong)
            what = f"these folders lie inside the work tree {top} that is to be run:\n{listed}"
            hint = "name others, outside of it, in the user's file or as AUTOPACK_DATA_DIR, "
            hint += "AUTOPACK_STATE_DIR, AUTOPACK_CACHE_DIR, AUTOPACK_DATABASE_URL"
            raise OperatorFault(what, hint)

    def _inside(self, top: Path) -> Iterator[tuple[str, Path]]:
        data = self.data.resolve().is_relative_to(top)
        store = self.database if isinstance(self.database, Path) else self.data
        for name, path in (("data_dir", self.data), ("state_dir", self.state),
                           ("cache_dir", self.cache), ("database", store)):  # fmt: skip
            told = name == "database" and data and path.is_relative_to(self.data)
            if path.resolve().is_relative_to(top) and not told:
                yield name, path


def folders_of(
    settings: Settings, environ: Mapping[str, str], origins: Mapping[str, str]
) -> Folders:
    """The folders that settings name, and the defaults of the XDG specification."""

    def folder(key: str, variable: str, default: str) -> Path:
        given = getattr(settings, key)
        if not given:
            return xdg(environ, variable, default).absolute()
        try:
            path = at_home(given, environ)
        except ValueError as fault:
            what = f"{key} (from {origins.get(key, 'default')}): {fault}"
            raise OperatorFault(what, "write the whole path") from fault
        if not path.is_absolute():  # a file's paths are relative to it, and whole by now
            what = f"{key} (from {origins.get(key, 'default')}): {given!r} is relative"
            hint = f"it would be another place in every folder: write {str(path.absolute())!r}"
            raise OperatorFault(what, hint)
        return path

    data = folder("data_dir", "XDG_DATA_HOME", ".local/share")
    state = folder("state_dir", "XDG_STATE_HOME", ".local/state")
    cache = folder("cache_dir", "XDG_CACHE_HOME", ".cache")
    return Folders(data, state, cache, _database(settings.database_url, data, origins))


def _database(url: str, data: Path, origins: Mapping[str, str]) -> Path | Server:
    try:
        return database_of(url, data)
    except ValueError as fault:
        where = f"database_url (from {origins.get('database_url', 'default')})"
        own = "AUTOPACK_DATABASE_URL=sqlite names Autopack's own and wins over DATABASE_URL"
        raise OperatorFault(f"{where}: {fault}", own) from fault


def at_home(path: str, environ: Mapping[str, str]) -> Path:
    """A path whose `~` is HOME of this environment; ValueError for the home of nobody."""
    first, _, rest = path.partition("/")
    if first == "~" and environ.get("HOME"):
        return Path(environ["HOME"], rest)
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"{path!r}: nobody's home is {first}") from None


def xdg(environ: Mapping[str, str], variable: str, default: str) -> Path:
    """Our folder below an XDG one; a relative value is ignored, as the specification says."""
    given = environ.get(variable, "")
    home = Path(environ.get("HOME") or "~").expanduser()
    return (Path(given) if given.startswith("/") else home / default) / "autopack"
