"""A run's files under `.autonomous_runs/<run>/`, made again from the run and its events.

Each file is replaced whole or not at all, and only when its text changed. Never read back: the
store is the truth.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from autopack.adapters.files.documents import PLAN, documents
from autopack.adapters.files.escape import file_part
from autopack.adapters.files.evidence_page import FILE_CHARACTERS_MAX, evidence_page
from autopack.adapters.files.exclude import exclude
from autopack.adapters.files.folder import below
from autopack.adapters.files.incident import (
    LOG_BYTES_TOLD,
    LOG_HEAD_BYTES,
    LOGS_TOLD,
    incident,
    spec_json,
)
from autopack.adapters.files.papers import EVIDENCE, page_of
from autopack.adapters.files.reproduction import Context, Log, Logs
from autopack.adapters.files.summaries import run_files
from autopack.app.outcome import Places
from autopack.app.ports import Recorded
from autopack.app.report import RunView, run_view
from autopack.app.strategy import strategy_text
from autopack.core.errors import EnvironmentFault, refusal
from autopack.core.run import Run
from autopack.core.spec import RunSpec

ROOT: Final = Path(".autonomous_runs")
INCIDENT: Final = "incident.md"
SPEC: Final = "spec.json"
STRATEGY: Final = "project_implementation_strategy_v1.json"
LOG_FILES_MAX: Final = 500
"""The most log files of a phase that an incident lists."""


class FileArtefacts:
    """Artefacts in a repository, or below `root`: absolute, or relative to the repository.

    `logs`: the folder of `<run>/<phase>/…` logs that an incident tells from; `kept`: the
    supervisor's bare repository; `context`: what an incident tells of a run's surroundings. A
    `root` inside the user's repository is made and entered without following symlinks; one outside
    is taken as named. `tracked`: paths below a folder that the user's work tree tracks; these are
    the user's, once a promotion that holds them is merged, and are not made again.
    """

    def __init__(
        self,
        repository: Path,
        root: Path | None = None,
        logs: Path | None = None,
        kept: Path | None = None,
        context: Callable[[RunSpec], Context] = lambda _spec: Context(),
        tracked: Callable[[Path], frozenset[str]] = lambda _folder: frozenset(),
    ) -> None:
        self._repository = repository.absolute()
        self._root = Path(os.path.normpath(self._repository / (root or ROOT)))
        self._logs = logs
        self._kept = kept
        self._context = context
        self._tracked = tracked

    def folder(self, run_id: str) -> Path:
        """Where a run's files are."""
        return self._root / file_part(run_id)

    def places(self, run_id: str) -> Places:
        """Where a run can be looked into, whether or not anything is there yet."""
        folder = self.folder(run_id)
        return Places(
            artefacts=str(folder),
            incident=str(folder / "incident" / INCIDENT),
            logs=str(self._logs / run_id) if self._logs else "",
            repository=str(self._kept) if self._kept else "",
            plan=str(folder / PLAN),
        )

    def render(self, run: Run, events: Iterator[Recorded] | Sequence[Recorded]) -> None:
        """Bring all files of a run up to date; EnvironmentFault when the disk does not let us."""
        log = list(events)
        view = run_view(run, log)
        made = {("", name): text for name, text in documents(run.spec).items()}
        files = {("", STRATEGY): strategy_text(run.spec), **made, **run_files(view)}
        if run.ended and run.snapshots:
            page = evidence_page(page_of(run, log, run.promotion.notes), FILE_CHARACTERS_MAX)
            files = {("", EVIDENCE): page, **files}
        if run.failure:
            files = {**self._incident(run, view, log), **files}
        if run.promotion.number:
            theirs = self._tracked(self.folder(run.run_id))
            files = {
                key: t for key, t in files.items() if "/".join(filter(None, key)) not in theirs
            }
        try:
            self._write(view, files)
        except OSError as fault:
            raise EnvironmentFault(
                f"cannot write the files of run {view.run_id} below {self._root}: {fault}",
                "free the path or the disk; the files are made again with the next event",
            ) from fault

    def _write(self, view: RunView, files: dict[tuple[str, str], str]) -> None:
        anchor, parts = self._anchor()
        if self._root.is_relative_to(self._repository):
            whole = self._root != self._repository
            exclude(self._root if whole else self.folder(view.run_id))
        with below(anchor, (*parts, file_part(view.run_id))) as folder, folder.locked():
            folders = {"": folder}
            folder.sweep()
            with contextlib.ExitStack() as stack:
                for (name, file), text in files.items():
                    if name not in folders:
                        folders[name] = stack.enter_context(folder.sub(name))
                        folders[name].sweep()
                    folders[name].write(file, text.encode(errors="backslashreplace"))

    def write_beside(self, name: str, text: str) -> Path:
        """Replace a file of the whole project beside the runs' folders; EnvironmentFault."""
        anchor, parts = self._anchor()
        try:
            if self._root.is_relative_to(self._repository):
                whole = self._root != self._repository
                exclude(self._root if whole else self._root / name)
            with below(anchor, parts) as root, root.locked():
                root.write(name, text.encode(errors="backslashreplace"))
        except OSError as fault:
            raise refusal(fault, self._root / name) from fault
        return self._root / name

    def remove(self, run_id: str) -> None:
        """Delete the folder of a run; EnvironmentFault."""
        anchor, parts = self._anchor()
        try:
            with below(anchor, parts) as root:
                root.remove(file_part(run_id))
        except OSError as fault:
            raise refusal(fault, self.folder(run_id)) from fault

    def _anchor(self) -> tuple[Path, tuple[str, ...]]:
        """The folder that is trusted as named, and what we make below it."""
        if self._root != self._repository and self._root.is_relative_to(self._repository):
            return self._repository, self._root.relative_to(self._repository).parts
        anchor = self._root
        while not anchor.is_dir() and anchor != anchor.parent:
            anchor = anchor.parent
        return anchor, self._root.relative_to(anchor).parts

    def _incident(
        self, run: Run, view: RunView, log: Sequence[Recorded]
    ) -> dict[tuple[str, str], str]:
        places, context = self.places(run.run_id), self._context(run.spec)
        text = incident(run, view, log, self._log_index(view), places, context)
        return {("incident", INCIDENT): text, ("incident", SPEC): spec_json(run)}

    def _log_index(self, view: RunView) -> Logs:
        """The logs of every phase; the last ones of phases that failed say something, too."""
        if self._logs is None:
            return {}
        top, left = self._logs / view.run_id, LOGS_TOLD
        found: dict[str, list[Log]] = {}
        for phase in view.phases:
            logs = _listed(top / phase.phase_id)
            told = min(left, len(logs)) if phase.failure else 0
            left -= told
            found[phase.phase_id] = [
                Log(path, size, _told(Path(path)) if number >= len(logs) - told else "")
                for number, (path, size) in enumerate(logs)
            ]
        return found


def _listed(top: Path) -> list[tuple[str, int]]:
    """Regular files below a folder by path, with their sizes; symlinks are not followed."""
    found: list[tuple[str, int]] = []
    for parent, folders, names in os.walk(top):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if len(found) < LOG_FILES_MAX and not path.is_symlink() and path.is_file():
                with contextlib.suppress(FileNotFoundError):  # a phase at work clears its logs
                    found.append((str(path), path.stat().st_size))
    return found


def _told(path: Path) -> str:
    """Head and end of a log as text; empty when it cannot be read any more."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            size = os.fstat(descriptor).st_size
            if size <= LOG_BYTES_TOLD:
                return file.read(LOG_BYTES_TOLD).decode(errors="replace")
            head = file.read(LOG_HEAD_BYTES).decode(errors="replace")
            end = LOG_BYTES_TOLD - LOG_HEAD_BYTES
            file.seek(size - end)
            tail = file.read(end).decode(errors="replace")
    except OSError:
        return ""
    return f"{head}\n… {size - LOG_BYTES_TOLD:,} bytes more\n{tail}"
