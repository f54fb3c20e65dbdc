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
from autopack.settings.model import SQLITE, Settings

ROOM_BYTES_MIN = 4 << 20
"""A supervisor writes its log, the store's log, an index: with less it ends at its start."""


@dataclass(frozen=True)
class Folders:
    """Where things live; all absolute, none made yet."""

    data: Path
    state: Path
    cache: Path
    database: Path

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def clones(self) -> Path:
        """Disposable checkouts of agents and CI."""
        return self.state / "clones"

    @property
    def environments(self) -> Path:
        return self.cache / "environments"

    @property
    def lock(self) -> Path:
        """Held by the one supervisor of the store, so it lies beside the store."""
        return self.database.with_name(self.database.name + ".lock")

    def repository(self, project_id: str, source: str) -> Path:
        """The supervisor's bare repository for `source`; two projects may have one name."""
        which = hashlib.sha256(source.encode(errors="surrogateescape")).hexdigest()[:8]
        return self.data / "projects" / f"{project_id}-{which}" / "repo.git"

    def make(self) -> None:
        """Create them, closed to others."""
        for folder in (self.data, self.state, self.cache, self.database.parent, self.logs,
                       self.clones, self.environments):  # fmt: skip
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as fault:
                what = f"the folder {folder} cannot be made: {fault.strerror}"
                hint = "name others: AUTOPACK_DATA_DIR, AUTOPACK_STATE_DIR, AUTOPACK_CACHE_DIR"
                raise EnvironmentFault(what, hint) from fault

    def check_room(self) -> None:
        """EnvironmentFault when a disk is so full that nothing could be written down."""
        for folder in (self.database.parent, self.data, self.state):
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
        for name, path in (("data_dir", self.data), ("state_dir", self.state),
                           ("cache_dir", self.cache), ("database", self.database)):  # fmt: skip
            told = name == "database" and data and path.is_relative_to(self.data)
            if path.resolve().is_relative_to(top) and not told:
                yield name, path


def folders_of(
    settings: Settings, environ: Mapping[str, str], origins: Mapping[str, str]
) -> Folders:
    """The folders that settings name, and the defaults of the XDG specification."""

    def folder(given: str, variable: str, default: str) -> Path:
        where = Path(given).expanduser() if given else xdg(environ, variable, default)
        return where.absolute()

    data = folder(settings.data_dir, "XDG_DATA_HOME", ".local/share")
    state = folder(settings.state_dir, "XDG_STATE_HOME", ".local/state")
    cache = folder(settings.cache_dir, "XDG_CACHE_HOME", ".cache")
    return Folders(data, state, cache, _database(settings.database_url, data, origins))


def _database(url: str, data: Path, origins: Mapping[str, str]) -> Path:
    if url == SQLITE:
        return data / "autopack.db"
    where = f"database_url (from {origins.get('database_url', 'default')})"
    own = "AUTOPACK_DATABASE_URL=sqlite names Autopack's own and wins over DATABASE_URL"
    scheme, _, rest = url.partition("://")
    if scheme != SQLITE:
        raise OperatorFault(f"{where}: {scheme!r} is no database Autopack can use yet", own)
    if not rest.startswith("//"):
        raise OperatorFault(f"{where}: the path is not absolute", f"sqlite:////path/x.db; or {own}")
    return Path(rest[1:])


def xdg(environ: Mapping[str, str], variable: str, default: str) -> Path:
    """Our folder below an XDG one; a relative value is ignored, as the specification says."""
    given = environ.get(variable, "")
    home = Path(environ.get("HOME") or "~").expanduser()
    return (Path(given) if given.startswith("/") else home / default) / "autopack"
