"""Environments that CI and agents need: built once from a commit, kept by digest, read-only.

A folder of the cache counts only when `complete.json` is in it, which is written last and by
rename: a build that a crash cut short is thrown away. One builder at a time for each digest, under
a lock that dies with its process. Building has network and no secrets; nothing else here has.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import filelock

from autopack.adapters.ci.eviction import ENVIRONMENTS_MAX, evict, held, touch
from autopack.app.ports import Cancel, Repository
from autopack.core.errors import EnvironmentFault
from autopack.core.project import EnvironmentSpec, environment_key
from autopack.process.folders import borrowed_objects, clear, take_back
from autopack.process.limits import Ended, Finished, Limits
from autopack.process.workbench import Job, Prepared, Workbench

MARKER: Final = "complete.json"
OUTPUT_BYTES_MAX: Final = 16 << 20
SCRATCH_BYTES_MAX: Final = 4 << 30  # wheels are unpacked in /tmp
LOG_CHARACTERS_MAX: Final = 4_000
LOCK_POLL_SECONDS: Final = 0.2
CREDENTIALS: Final = re.compile(r"//[^/@\s]+@")


class PrepareFailed(EnvironmentFault):
    """A command of `[environment].prepare` failed."""

    code = "prepare_failed"


class PrepareCancelled(EnvironmentFault):
    """The run stopped while its environment was being built."""

    code = "prepare_cancelled"


@dataclass(frozen=True)
class Environments:
    """The cache of built environments below `root`.

    `env`: variables that building may see, such as a proxy's address; a value that holds
    credentials is never given to what a candidate changed. `in_use`: digests of open runs. With
    more than `environments_max`, the one used least recently goes when another has been built.
    """

    root: Path
    workbench: Workbench
    env: Mapping[str, str] = field(default_factory=dict)
    in_use: Callable[[], Collection[str]] = frozenset
    environments_max: int = ENVIRONMENTS_MAX

    def held(self, digest: str) -> AbstractContextManager[None]:
        """Keep an environment while it is looked for, built and used."""
        return held(self.root, digest)

    def key(self, repository: Repository, spec: EnvironmentSpec | None, commit: str) -> str:
        """The digest of the environment that a commit's inputs ask for."""
        paths = spec.inputs if spec else ()
        contents = {path: repository.read(commit, path) for path in paths}
        return environment_key(spec, contents, self._host() if spec else "")

    def find(self, digest: str) -> Prepared | None:
        """An environment that is built and whole; None when there is none of that digest."""
        folder = self.root / digest
        kept = _read_marker(folder / MARKER)
        if kept is None or not all(_is_folder(folder / "work" / path) for path in kept):
            return None
        touch(folder / MARKER)
        return Prepared(digest, folder / "work", kept)

    def build(
        self,
        repository: Repository,
        spec: EnvironmentSpec | None,
        base: str,
        cancel: Cancel,
        changed_by: str = "",
    ) -> Prepared:
        """The environment of a base commit, found or built.

        `changed_by`: a candidate whose inputs replace the base's, and nothing else of it does: what
        is built depends on its digest alone, so no refused candidate can spoil it for others.
        PrepareFailed when a command fails, PrepareCancelled, ProgramMissing, SandboxFailed.
        """
        digest = self.key(repository, spec, changed_by or base)
        if spec is None:
            return Prepared(digest)
        if found := self.find(digest):
            return found
        with self.held(digest), self._locked(digest, cancel):
            if found := self.find(digest):
                return found
            folder = self.root / digest
            clear(folder)
            folder.mkdir()
            try:
                repository.clone(base, folder / "work")
                take_back(folder / "work")
                if changed_by:
                    _replace_inputs(repository, spec, changed_by, folder / "work")
                self._fill(spec, folder, self._env(trusted=not changed_by), cancel)
            except BaseException:
                clear(folder)
                raise
            evict(self.root, MARKER, self.environments_max, {digest, *self.in_use()})
            return Prepared(digest, folder / "work", spec.cache)

    def _host(self) -> str:
        """What an environment depends on beside its inputs."""
        version = ".".join(map(str, sys.version_info[:3]))
        place = "fenced" if self.workbench.sandbox.fenced else "unfenced"
        return f"{sys.implementation.name}-{version}-{platform.machine()}-{place}"

    @contextmanager
    def _locked(self, digest: str, cancel: Cancel) -> Iterator[None]:
        lock = filelock.FileLock(self.root / f"{digest}.lock")
        while True:
            try:
                lock.acquire(timeout=0)
                break
            except filelock.Timeout:
                if cancel.wait(LOCK_POLL_SECONDS):
                    raise _cancelled() from None
        try:
            yield
        finally:
            lock.release()

    def _fill(
        self, spec: EnvironmentSpec, folder: Path, env: Mapping[str, str], cancel: Cancel
    ) -> None:
        work = folder / "work"
        for path in spec.cache:
            _make(work, path)
        objects = borrowed_objects(work)
        self.workbench.lend(work)
        cache = f"{self.workbench.place(work)}/{spec.cache[0]}"
        for argv in spec.prepare:
            words = tuple(word.replace("{cache}", cache) for word in argv)
            self._run(words, work, spec, env, objects, cancel)
        _keep_only(work, spec.cache)
        take_back(work)
        os.sync()  # the marker must not reach the disk before what it vouches for
        _write_marker(folder, {"kept": list(spec.cache)})

    def _env(self, *, trusted: bool) -> dict[str, str]:
        return {k: v for k, v in self.env.items() if trusted or not CREDENTIALS.search(v)}

    def _run(
        self,
        argv: tuple[str, ...],
        work: Path,
        spec: EnvironmentSpec,
        env: Mapping[str, str],
        objects: tuple[Path, ...],
        cancel: Cancel,
    ) -> None:
        # what an earlier command put into the kept paths is on PATH for the next
        prepared = Prepared("", work, spec.cache)
        path = ":".join(prepared.bins(self.workbench.place(work)))
        job = Job(
            argv=argv,
            folder=work,
            limits=Limits(spec.seconds_max, output_bytes_max=OUTPUT_BYTES_MAX),
            env=env,
            read_only=objects,
            path_first=path,
            network=True,
            scratch_bytes_max=SCRATCH_BYTES_MAX,
        )
        finished = self.workbench.run(job, cancel)
        if finished.ended is Ended.CANCELLED:
            raise _cancelled()
        if not finished.ok:
            raise PrepareFailed(_story(argv, finished), "mend [environment] or its inputs")


def _cancelled() -> PrepareCancelled:
    return PrepareCancelled("cancelled while the environment was being built")


def _story(argv: tuple[str, ...], finished: Finished) -> str:
    end = f"exit code {finished.exit_code}" if finished.exit_code is not None else finished.ended
    said = (finished.stdout + b"\n" + finished.stderr).decode(errors="replace").strip()
    return f"[environment].prepare: {' '.join(argv)}: {end}\n{said[-LOG_CHARACTERS_MAX:]}"


def _replace_inputs(repository: Repository, spec: EnvironmentSpec, commit: str, work: Path) -> None:
    for path in spec.inputs:
        content = repository.read(commit, path)
        _make(work, str(Path(path).parent))
        clear(work / path)
        if content is not None:
            (work / path).write_bytes(content)


def _make(work: Path, path: str) -> None:
    """A folder at `path`, whatever the commit has there instead."""
    point = work
    for part in Path(path).parts:
        point /= part
        if not _is_folder(point):
            point.unlink(missing_ok=True)
        point.mkdir(exist_ok=True)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _keep_only(work: Path, kept: tuple[str, ...]) -> None:
    """Remove the checkout around the kept paths; what ran there may have left links in its way."""
    wanted = [work / path for path in kept]
    for path in wanted:
        way = [path, *path.parents]
        if not all(map(_is_folder, way[: way.index(work)])):
            what = f"[environment].prepare left no folder at {path.relative_to(work)}"
            raise PrepareFailed(what, "mend `prepare` or `cache`")

    def visit(folder: Path) -> None:
        for entry in list(folder.iterdir()):
            if entry in wanted:
                continue
            if any(path.is_relative_to(entry) for path in wanted):
                visit(entry)
            else:
                clear(entry)

    visit(work)


def _read_marker(path: Path) -> tuple[str, ...] | None:
    """The kept paths; None when the marker is not there, or not what `_write_marker` writes."""
    try:
        kept = json.loads(path.read_bytes())["kept"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if not isinstance(kept, list) or not all(isinstance(each, str) for each in kept):
        return None
    return tuple(kept)


def _write_marker(folder: Path, value: object) -> None:
    partial = folder / f"{MARKER}.partial"
    with partial.open("w") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(folder / MARKER)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
