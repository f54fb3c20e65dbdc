"""Clean-up: what of ended runs may go, what stays and why; then it goes.

Work goes only with proof that the user's repository has it, a clone only when its whole work tree
is kept under a ref; what cannot be proven or kept stays and is told. Never touches what an open run
uses, and nothing of a run that the store does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from autopack.app.archive import Archive, Left, Work
from autopack.app.ports import Refused, Store
from autopack.app.room import Disk
from autopack.app.supervise import ENDED_RENDERED
from autopack.core.errors import Fault, OperatorFault, StoreAway, refusal
from autopack.core.spec import (
    RunSpec,
)

DAY_SECONDS: Final = 86_400
PAGE: Final = 200
UNKNOWN: Final = "the store knows no such run"
NAMED: Final = "you named it, with all that it holds"
PLACES_TOLD_MAX: Final = 10


class What(StrEnum):
    """What may be cleaned up."""

    ATTEMPT = "attempt"
    CLONE = "clone"
    LOGS = "logs"
    ARTEFACTS = "artefacts"
    ROOM = "room"
    """In Autopack's own repository, of what nothing refers to any more."""


@dataclass(frozen=True)
class Retention:
    """How many days after its run's end each is kept at least."""

    attempts_days: int
    logs_days: int
    quarantine_days: int
    artefacts_days: int


@dataclass(frozen=True)
class Entry:
    """One thing that goes or stays, and why; `bytes` on the disk, 0 for a ref."""

    what: What
    run_id: str
    place: str
    goes: bool
    why: str
    bytes: int = 0


class Remains(Protocol):
    """What runs leave on the disk outside of repositories."""

    def clones(self) -> list[tuple[str, str, Path]]:
        """(run, phase, folder) of attempts' clones that a supervisor left when it died."""
        ...

    def quarantined(self) -> list[tuple[str, str, Path]]:
        """(run, phase, folder) of clones in quarantine."""
        ...

    def borrows(self, folder: Path) -> tuple[Path, ...]:
        """The folders of objects that a clone says it borrows."""
        ...

    def finish(self) -> None:
        """Delete what an interrupted clean-up had begun to delete."""
        ...

    def drop(self, folder: Path) -> None:
        """Delete a clone with what lies beside it; begun, it is not looked at again."""
        ...

    def set_aside(self, run_id: str, phase_id: str, folder: Path) -> Path:
        """Move a clone into quarantine; where it is now."""
        ...

    def logs(self) -> list[tuple[str, Path]]:
        """(run, folder) of what agents and CI printed."""
        ...

    def remove(self, folder: Path) -> None:
        """Delete a folder of logs."""
        ...


class ArtefactFolders(Protocol):
    """The folders of runs in a repository."""

    def folder(self, run_id: str) -> Path: ...

    def remove(self, run_id: str) -> None: ...


@dataclass(frozen=True)
class House:
    """What is to be cleaned up, and how long things stay. `now` in Unix seconds."""

    store: Store
    archive_of: Callable[[RunSpec], Archive | None]
    """None: nothing was ever prepared there."""
    artefacts_of: Callable[[RunSpec], ArtefactFolders]
    remains: Remains
    disk: Disk
    retention: Retention
    now: int
    still_alone: Callable[[], None] = lambda: None
    """Asked before anything goes: StoreAway when what made us alone is lost."""


def keep_left(house: House) -> list[Entry]:
    """Keep what a dead supervisor's clones hold; only for who holds the store's lock.

    A clone whose work cannot be kept under a ref goes to quarantine. One of a run that this store
    does not know stays where it is: another store's supervisor looks for it there.
    """
    return list(_Cleaning(house, alone=True, dry=False).left_clones())


def clean(house: House, *, alone: bool, dry: bool) -> list[Entry]:
    """Everything that is looked at, in order; what goes is gone, unless `dry`.

    `alone`: the store's lock is held. Otherwise clones of attempts are left alone and no room is
    made in repositories.
    """
    cleaning = _Cleaning(house, alone=alone, dry=dry)
    found = [*cleaning.left_clones()] if alone else []
    if not dry:
        house.remains.finish()
    found += [
        *cleaning.quarantined(),
        *cleaning.attempts(),
        *cleaning.logs(),
        *cleaning.artefacts(),
    ]
    if alone and not dry:
        found += [*cleaning.pack(found)]
    return found


def drop(house: House, place: Path, *, dry: bool) -> Entry:
    """Delete one clone in quarantine, kept elsewhere or not, because the user names it.

    OperatorFault when there is none at that place.
    """
    there = {folder: run_id for run_id, _, folder in house.remains.quarantined()}
    if place not in there:
        known = "; ".join(str(folder) for folder in list(there)[:PLACES_TOLD_MAX])
        raise OperatorFault(f"{place} is no clone in quarantine", f"there are: {known or 'none'}")
    size = house.disk.used(place)
    if not dry:
        house.remains.drop(place)
    return Entry(What.CLONE, there[place], str(place), goes=True, why=NAMED, bytes=size)


@dataclass(frozen=True)
class _Known:
    """A run as clean-up sees it."""

    spec: RunSpec
    ended: bool
    version: int

    @property
    def project(self) -> tuple[str, str]:
        return self.spec.project_id, self.spec.repository


class _Cleaning:
    """One clean-up."""

    def __init__(self, house: House, *, alone: bool, dry: bool) -> None:
        self._house, self._alone, self._dry = house, alone, dry
        self._runs = dict(_runs(house.store))
        self._archives: dict[tuple[str, str], Archive | None] = {}

    # --- clones ---------------------------------------------------------------------------------

    def left_clones(self) -> Iterator[Entry]:
        """Clones of attempts that nobody will answer any more."""
        for run_id, phase_id, folder in self._house.remains.clones():
            entry = self._clone(run_id, phase_id, folder)
            if not entry.goes and not self._dry and run_id in self._runs:  # else another store's
                self._house.still_alone()
                try:
                    place = self._house.remains.set_aside(run_id, phase_id, folder)
                    entry = replace(entry, place=str(place))
                except Fault as fault:
                    entry = replace(entry, why=f"{entry.why}; {fault.what}")
            yield entry

    def quarantined(self) -> Iterator[Entry]:
        """Clones that were set aside."""
        for run_id, phase_id, folder in self._house.remains.quarantined():
            known = self._runs.get(run_id)
            days = self._house.retention.quarantine_days
            if known and (why := self._early(known, days, "quarantine_retention_days")):
                size = self._house.disk.used(folder)
                yield Entry(What.CLONE, run_id, str(folder), goes=False, why=why, bytes=size)
            else:
                yield self._clone(run_id, phase_id, folder)

    def _clone(self, run_id: str, phase_id: str, folder: Path) -> Entry:
        """A clone that goes once its whole work tree is kept."""
        entry = Entry(What.CLONE, run_id, str(folder), goes=False, why=UNKNOWN,
                      bytes=self._house.disk.used(folder))  # fmt: skip
        known = self._runs.get(run_id)
        archive = self._archive(known) if known else None
        if known is None or archive is None:
            return entry
        if self._dry:
            return replace(entry, goes=True, why="its work tree is kept under a ref first")
        self._house.still_alone()
        try:
            left = Left(folder, run_id, phase_id, known.spec.base_commit)
            refs = archive.secure(left, self._house.now)
            if isinstance(refs, Refused):
                said = "; ".join(f"{each.path} {each.message}".strip() for each in refs.findings)
                return replace(entry, why=f"its work tree cannot be kept under a ref: {said}")
            self._house.remains.drop(folder)
        except Fault as fault:
            return replace(entry, why=f"its work tree is not kept: {fault.what}")
        except OSError as fault:
            return replace(entry, why=f"its work tree is not kept: {refusal(fault, folder).what}")
        where = f"kept as {' and '.join(refs)}" if refs else "it holds what its parent holds"
        return replace(entry, goes=True, why=where)

    # --- attempts -------------------------------------------------------------------------------

    def attempts(self) -> Iterator[Entry]:
        """Refs of attempts."""
        first = {known.project: known for known in self._runs.values()}
        for known in first.values():
            archive = self._archive(known)
            by_run: dict[str, list[Work]] = {}
            for work in archive.works() if archive else ():
                by_run.setdefault(work.run_id, []).append(work)
            for run_id, works in by_run.items():
                if archive is not None:
                    yield from self._attempts(archive, run_id, works)

    def _attempts(self, archive: Archive, run_id: str, works: list[Work]) -> Iterator[Entry]:
        known = self._runs.get(run_id)
        days = self._house.retention.attempts_days
        why = self._early(known, days, "retention_days") if known else UNKNOWN
        proofs: Mapping[str, str] = {}
        if known and not why:
            why = "your repository does not have it"
            try:
                proofs = archive.proofs(works, known.spec.repository, known.spec.base_commit)
                if not self._dry:
                    self._house.still_alone()
                    archive.forget([work for work in works if work.ref in proofs])
            except StoreAway:
                raise
            except Fault as fault:
                proofs, why = {}, fault.what
        for work in works:
            proof = proofs.get(work.ref, "")
            yield Entry(
                What.ATTEMPT, run_id, work.ref, goes=bool(proof),
                why=f"{work.commit[:12]} {proof}" if proof else why,
            )  # fmt: skip

    # --- files ----------------------------------------------------------------------------------

    def logs(self) -> Iterator[Entry]:
        """What agents and CI printed."""
        for run_id, folder in self._house.remains.logs():
            days = self._house.retention.logs_days
            yield self._files(What.LOGS, run_id, folder, days, "logs_retention_days",
                              partial(self._house.remains.remove, folder))  # fmt: skip

    def artefacts(self) -> Iterator[Entry]:
        """Runs' folders; a supervisor's start would make those of the last runs again."""
        for run_id, known in self._runs.items():
            try:
                folders = self._house.artefacts_of(known.spec)
            except Fault:
                continue  # its settings are broken: they say where its folders are
            folder = folders.folder(run_id)
            if not folder.is_dir():
                continue
            days = self._house.retention.artefacts_days
            if run_id in self._last:
                why, size = f"among the {ENDED_RENDERED} runs that ended last", 0
                yield Entry(What.ARTEFACTS, run_id, str(folder), goes=False, why=why, bytes=size)
                continue
            yield self._files(
                What.ARTEFACTS, run_id, folder, days, "artefacts_retention_days",
                partial(folders.remove, run_id),
            )  # fmt: skip

    @property
    def _last(self) -> list[str]:
        """The runs that ended last, as a supervisor takes them."""
        return [run_id for run_id, known in self._runs.items() if known.ended][:ENDED_RENDERED]

    def _files(
        self, what: What, run_id: str, folder: Path, days: int, key: str, go: Callable[[], None]
    ) -> Entry:
        known = self._runs.get(run_id)
        why = self._early(known, days, key) if known else UNKNOWN
        size = self._house.disk.used(folder)
        if not why and not self._dry:
            self._house.still_alone()
            try:
                go()
            except Fault as fault:
                why = fault.what
            except OSError as fault:
                why = refusal(fault, folder).what
        return Entry(what, run_id, str(folder), not why, why or f"older than {key} = {days}", size)

    # --- what all ask ---------------------------------------------------------------------------

    def pack(self, found: list[Entry]) -> Iterator[Entry]:
        """Make room in repositories that lost refs, where no run is open and no clone borrows."""
        stays = [entry for entry in found if not entry.goes and entry.what is What.CLONE]
        unknown = [Path(entry.place) for entry in stays if entry.run_id not in self._runs]
        borrowed = [each for folder in unknown for each in self._house.remains.borrows(folder)]
        lost = {entry.run_id for entry in found if entry.goes and entry.what is What.ATTEMPT}
        busy = {known.project for known in self._runs.values() if not known.ended}
        busy |= {self._runs[entry.run_id].project for entry in stays if entry.run_id in self._runs}
        for project in {self._runs[run_id].project for run_id in lost} - busy:
            archive = self._archives.get(project)
            if archive is None or archive.lends(borrowed):
                continue
            why = "nothing refers to it any more"
            self._house.still_alone()
            try:
                archive.pack()
            except Fault as fault:
                yield Entry(What.ROOM, "", project[1], goes=False, why=fault.what)
            else:
                yield Entry(What.ROOM, "", project[1], goes=True, why=why)

    def _archive(self, known: _Known) -> Archive | None:
        if known.project not in self._archives:
            self._archives[known.project] = self._house.archive_of(known.spec)
        return self._archives[known.project]

    def _early(self, known: _Known, days: int, key: str) -> str:
        """Why it is too early; empty when it is not."""
        if not known.ended:
            return "its run is open"
        last = self._house.store.events(known.spec.run_id, after=known.version - 1, limit=1)
        ended_at = last[-1].happened.at if last else self._house.now
        if self._house.now < ended_at + days * DAY_SECONDS:
            left = -(-(ended_at + days * DAY_SECONDS - self._house.now) // DAY_SECONDS)
            return f"{left} more days ({key} = {days})"
        return ""


def _runs(store: Store) -> Iterator[tuple[str, _Known]]:
    """All runs, newest first."""
    after = ""
    while page := store.runs(after=after, limit=PAGE):
        for run in page:
            yield run.run_id, _Known(run.spec, run.ended, run.version)
        after = page[-1].run_id
