"""Where untrusted programs work: a clone at one stable place, with what they need around it.

Installed environments (virtualenvs above all) hold absolute paths, so every fence shows its clone
at `PLACE`: what was prepared there works there, and an editable install finds the clone at hand.
Adds the host's toolchain and a prepared environment, both read-only. Never decides limits.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from autopack.core.errors import AgentFault, EnvironmentFault
from autopack.core.redact import redact_bytes
from autopack.process.fence import PATH, SYSTEM, Fence
from autopack.process.folders import give
from autopack.process.network import Proof

if TYPE_CHECKING:
    import threading

    from autopack.app.ports import Cancel
    from autopack.process.limits import Finished, Limits
    from autopack.process.sandbox import Confinement

PLACE: Final = "/autopack/work"
BIN_FOLDERS: Final = ("bin", ".bin", "venv/bin", ".venv/bin")
"""Where, below a kept path, programs are found: a virtualenv, node_modules, `{cache}/venv`."""


class PlaceTaken(AgentFault):
    """A clone has something of its own where the prepared environment belongs."""

    code = "place_taken"


@dataclass(frozen=True)
class Toolchain:
    """Programs of the host outside the system folders: what to bind, where PATH finds them."""

    read_only: tuple[Path, ...] = ()
    bins: tuple[str, ...] = ()


def host_toolchain(tools: Sequence[Path] = ()) -> Toolchain:
    """The Python that runs us and `tools` (folders with programs, or with a `bin` of them)."""
    prefixes = [Path(sys.prefix), Path(sys.base_prefix), Path(sys.base_exec_prefix)]
    missing = [str(tool) for tool in tools if not tool.is_dir()]
    if missing:
        raise EnvironmentFault(f"no such folder: {', '.join(missing)}", "mend `read_only`")
    bins = [folder / "bin" if (folder / "bin").is_dir() else folder for folder in tools]
    # the links of a virtualenv lead over the interpreter's versions to its base prefix
    bins += [prefix / "bin" for prefix in prefixes]
    bound = dict.fromkeys(path for path in (*tools, *prefixes) if not _in_system(path))
    return Toolchain(tuple(bound), tuple(dict.fromkeys(map(str, bins))))


def _in_system(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in SYSTEM)


@dataclass(frozen=True)
class Prepared:
    """An environment that is built: `folder` holds the kept paths, relative as in a checkout."""

    digest: str
    folder: Path | None = None
    kept: tuple[str, ...] = ()

    def bins(self, place: str) -> Iterator[str]:
        """Folders for PATH, as seen from a clone at `place`."""
        for path in self.kept:
            for name in BIN_FOLDERS:
                if self.folder is not None and (self.folder / path / name).is_dir():
                    yield f"{place}/{path}/{name}"


@dataclass(frozen=True)
class Job:
    """One program in one clone; `env` comes beside HOME, PATH, TMPDIR and LANG."""

    argv: Sequence[str]
    folder: Path
    limits: Limits
    env: Mapping[str, str] = field(default_factory=dict)
    prepared: Prepared | None = None
    read_only: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    masked: tuple[str, ...] = ()
    network: bool = False
    work_read_only: bool = False
    stdin: bytes = b""
    path_first: str = ""
    """Folders for PATH before all others, as seen from inside."""
    scratch_bytes_max: int = 1 << 30


@dataclass(frozen=True)
class Workbench:
    """A sandbox (or none) and a toolchain: all that is needed to run a program in a clone.

    One for all runs of a process and a sandbox, so that `proof` is made once.
    """

    sandbox: Confinement
    toolchain: Toolchain = field(default_factory=host_toolchain)
    proof: Proof = field(default_factory=Proof, compare=False, repr=False)

    def place(self, folder: Path) -> str:
        """Where a program sees its clone."""
        return PLACE if self.sandbox.fenced else str(folder)

    def lend(self, folder: Path) -> None:
        """Give a folder, all of it, to the user that programs run as, unless it is theirs."""
        identity = self.sandbox.identity
        if identity is not None and folder.lstat().st_uid != identity.uid:
            give(folder, identity)

    def prove_closed(self) -> None:
        """See, once, that an offline job cannot leave the fence; NetworkOpen when it can."""
        if self.sandbox.fenced:
            self.proof.need(self.sandbox)

    def run(
        self,
        job: Job,
        cancel: Cancel | None = None,
        progress: Callable[[], object] | None = None,
    ) -> Finished:
        """Run a job, whose words come without secrets; what the sandbox raises, and PlaceTaken."""
        prepared = job.prepared.folder if job.prepared else None
        # without a fence the clone has links to it, and its user must get there
        links = () if self.sandbox.fenced or prepared is None else (prepared,)
        with self._mounted(job) as mounts:
            fence = Fence(
                work=job.folder,
                inside=PLACE if self.sandbox.fenced else None,
                read_only=(*self.toolchain.read_only, *job.read_only, *links),
                read_only_at=mounts,
                writable=job.writable,
                masked=job.masked,
                env={"PATH": self._path(job), **job.env},
                network=job.network,
                work_read_only=job.work_read_only and self.sandbox.fenced,
                scratch_bytes_max=job.scratch_bytes_max,
            )
            finished = self.sandbox.run(
                job.argv,
                fence,
                job.limits,
                stdin=job.stdin,
                cancel=cast("threading.Event | None", cancel),  # all it does is ask `is_set`
                progress=progress,
            )
        said = (redact_bytes(finished.stdout), redact_bytes(finished.stderr))
        return replace(finished, stdout=said[0], stderr=said[1])

    def _path(self, job: Job) -> str:
        own = job.prepared.bins(self.place(job.folder)) if job.prepared else ()
        first = [job.path_first] if job.path_first else []
        return ":".join((*first, *own, *self.toolchain.bins, PATH))

    @contextlib.contextmanager
    def _mounted(self, job: Job) -> Iterator[tuple[tuple[Path, str], ...]]:
        """The kept paths' mounts; without a fence links in the clone, gone afterwards."""
        prepared = job.prepared
        if prepared is None or prepared.folder is None:
            yield ()
            return
        points = [(prepared.folder / path, _point(job.folder, path)) for path in prepared.kept]
        if self.sandbox.fenced:
            for _, point in points:
                self._lend_new(point, job.folder)
            inside = (f"{PLACE}/{point.relative_to(job.folder)}" for _, point in points)
            yield tuple(zip((source for source, _ in points), inside, strict=True))
            return
        links = [point for source, point in points if _link(source, point)]
        try:
            yield ()
        finally:
            for link in links:
                link.unlink(missing_ok=True)

    def _lend_new(self, point: Path, top: Path) -> None:
        """Make a mount point, which bubblewrap cannot do in a read-only clone."""
        made = [folder for folder in (point, *point.parents) if not folder.exists()]
        point.mkdir(parents=True, exist_ok=True)
        identity = self.sandbox.identity
        for folder in made:
            if identity is not None and folder.is_relative_to(top):
                os.chown(folder, identity.uid, identity.gid)


def _point(folder: Path, path: str) -> Path:
    """Where a kept path belongs in a clone: nothing there, or folders; never through a link."""
    point = folder
    for part in Path(path).parts:
        point /= part
        if os.path.lexists(point) and not stat.S_ISDIR(os.lstat(point).st_mode):
            what = f"the candidate has a file or link at {point.relative_to(folder)}"
            raise PlaceTaken(what, "[environment].cache mounts a folder there; choose another path")
    return point


def _link(source: Path, point: Path) -> bool:
    """Put a link at `point`; False when the clone has a folder of its own there."""
    point.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        point.rmdir()
    if point.exists():
        return False
    point.symlink_to(source)
    return True
