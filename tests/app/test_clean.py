"""What clean-up decides: days, open and unknown runs, what is told, when room is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from autopack.app.archive import Archive
from autopack.app.clean import ArtefactFolders, Entry, House, Retention, clean, drop, keep_left
from autopack.app.supervise import ENDED_RENDERED
from autopack.core import machine
from autopack.core.errors import EnvironmentFault, OperatorFault, StoreAway
from autopack.core.event import CancelRequested, CommandFailed, Happened, RunCreated
from autopack.core.run import (
    Run,
)
from autopack.core.spec import (
    RunSpec,
)
from autopack.testing import (
    FakeDisk,
    MemoryArchive,
    MemoryRepository,
    MemoryStore,
    Objects,
    UserRepository,
)
from autopack.testing.archive import OBJECTS
from autopack.testing.clock import EPOCH
from tests.core.walk import phase_spec, run_spec
from tests.repos import write

DAY = 86_400
KEPT = Retention(attempts_days=4, logs_days=3, quarantine_days=2, artefacts_days=1)


class Folders:
    """Artefacts of runs below a folder."""

    def __init__(self, top: Path) -> None:
        self.top = top

    def folder(self, run_id: str) -> Path:
        return self.top / run_id

    def remove(self, run_id: str) -> None:
        if run_id == "stuck":
            raise EnvironmentFault("somebody holds it")
        self.folder(run_id).rename(self.top / f"removed-{run_id}")


@dataclass
class Ground:
    """A store, a repository and what runs left; the fake of Remains too."""

    tmp_path: Path
    left: list[tuple[str, str, Path]] = field(default_factory=list)
    aside: list[tuple[str, str, Path]] = field(default_factory=list)
    log_folders: list[tuple[str, Path]] = field(default_factory=list)
    did: list[str] = field(default_factory=list)
    lenders: dict[Path, tuple[Path, ...]] = field(default_factory=dict)
    now: int = EPOCH

    def __post_init__(self) -> None:
        self.user = UserRepository(Objects())
        self.base = self.user.commit({b"README.md": b"a project\n"})
        self.repository = MemoryRepository({"/repository": self.user})
        self.archive = MemoryArchive(self.repository)
        self.store = MemoryStore()

    # --- what was left --------------------------------------------------------------------------

    def run(self, run_id: str = "r", *, ended: bool = True) -> Run:
        """A run in the store, which was cancelled at EPOCH when it has ended."""
        phase = phase_spec("P1")
        spec = replace(run_spec(phase), run_id=run_id, base_commit=self.base)
        run = machine.create(spec).run
        self.store.create(run, Happened(RunCreated(spec), EPOCH - DAY))
        happenings = [Happened(CancelRequested("us"), EPOCH)] if ended else []
        while happenings:
            happened = happenings.pop(0)
            answer = machine.advance(run, happened)
            assert not isinstance(answer, machine.Refusal), answer
            before, run = run, answer.run
            self.store.save(run, happened, expected_version=before.version, within=lambda _: None)
            happenings += [
                Happened(CommandFailed("no"), EPOCH, pending.number) for pending in run.pending[:1]
            ]  # fmt: skip
        assert run.ended is ended
        return run

    def attempt(self, run_id: str = "r", text: bytes = b"work\n", *, taken: bool = False) -> str:
        """An attempt's ref; `taken`: the user has the same files on a branch."""
        files = {b"README.md": b"a project\n", b"work": text}
        tree = self.repository.objects.add_tree(files)
        ref = f"refs/autopack/{run_id}/P1/1"
        self.repository.commit(tree, self.base, run_id, 1, ref)
        if taken:
            self.user.refs["refs/heads/topic"] = self.user.refs["refs/heads/main"]
            self.user.commit(files, "refs/heads/topic")
        return ref

    def clone(self, run_id: str, name: str = "attempt-1") -> tuple[str, str, Path]:
        folder = self.tmp_path / run_id / name
        write(folder, {"README.md": "a project\n", "rescued": f"{run_id} {name}\n"})
        return run_id, "P1", folder

    # --- Remains --------------------------------------------------------------------------------

    def clones(self) -> list[tuple[str, str, Path]]:
        return self.left

    def quarantined(self) -> list[tuple[str, str, Path]]:
        return self.aside

    def borrows(self, folder: Path) -> tuple[Path, ...]:
        return self.lenders.get(folder, ())

    def finish(self) -> None:
        self.did.append("finished")

    def drop(self, folder: Path) -> None:
        self.did.append(f"dropped {folder.name}")

    def set_aside(self, run_id: str, phase_id: str, folder: Path) -> Path:
        return Path(f"/quarantine/{run_id}/{phase_id}/{folder.name}")

    def logs(self) -> list[tuple[str, Path]]:
        return self.log_folders

    def remove(self, folder: Path) -> None:
        self.did.append(f"removed {folder}")

    # --- what is asked --------------------------------------------------------------------------

    def house(
        self,
        archive_of: Callable[[RunSpec], Archive | None] | None = None,
        artefacts_of: Callable[[RunSpec], ArtefactFolders] | None = None,
    ) -> House:
        return House(
            store=self.store,
            archive_of=archive_of or (lambda _spec: self.archive),
            artefacts_of=artefacts_of or (lambda _spec: Folders(self.tmp_path / "runs")),
            remains=self,
            disk=FakeDisk(files={Path("/logs/r/file"): 70}),
            retention=KEPT,
            now=self.now,
        )

    def clean(self, *, alone: bool = True, dry: bool = False) -> dict[str, Entry]:
        return {entry.place: entry for entry in clean(self.house(), alone=alone, dry=dry)}


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


@pytest.mark.parametrize(
    ("days", "goes"),
    [(0, set()), (2, {"clone"}), (3, {"clone", "logs"}), (4, {"clone", "logs", "attempt"})],
)
def test_each_thing_goes_after_its_own_days(ground: Ground, days: int, goes: set[str]) -> None:
    ground.run()
    ground.attempt(taken=True)
    ground.log_folders = [("r", Path("/logs/r"))]
    ground.aside = [ground.clone("r")]
    ground.now = EPOCH + days * DAY
    found = ground.clean()
    things = {entry.what.value: entry for entry in found.values() if entry.what.value != "room"}
    assert {what for what, entry in things.items() if entry.goes} == goes
    assert things["logs"].bytes == 70
    if not goes:
        assert things["attempt"].why == "4 more days (retention_days = 4)"
    assert ("refs/autopack/r/P1/1" in ground.repository.refs) is ("attempt" not in goes)


def test_a_moment_too_early_is_too_early(ground: Ground) -> None:
    ground.run()
    ground.attempt(taken=True)
    ground.now = EPOCH + 4 * DAY - 1
    (entry,) = ground.clean().values()
    assert (entry.goes, entry.why) == (False, "1 more days (retention_days = 4)")


def test_what_an_open_or_unknown_run_left_stays(ground: Ground) -> None:
    ground.run("open", ended=False)
    for name in ("open", "unknown"):
        ground.attempt(name, name.encode(), taken=True)
        ground.aside.append(ground.clone(name))
        ground.log_folders.append((name, Path(f"/logs/{name}")))
    ground.now = EPOCH + 400 * DAY
    found = ground.clean()
    assert not any(entry.goes for entry in found.values())
    assert {entry.why for entry in found.values() if entry.run_id == "open"} == {"its run is open"}
    assert {entry.why for entry in found.values() if entry.run_id == "unknown"} == {
        "the store knows no such run"
    }
    assert ground.did == ["finished"]


def test_a_dry_run_does_nothing_and_tells_the_same(ground: Ground) -> None:
    ground.run()
    ground.attempt(taken=True)
    ground.aside, ground.log_folders = [ground.clone("r")], [("r", Path("/logs/r"))]
    ground.now = EPOCH + 400 * DAY
    before = dict(ground.repository.refs)
    planned = ground.clean(dry=True)
    assert ground.did == []
    assert ground.repository.refs == before
    found = ground.clean()
    gone = {place for place, entry in found.items() if entry.goes and entry.what.value != "room"}
    assert {place for place, entry in planned.items() if entry.goes} == gone


def test_artefacts_go_by_age_but_for_the_last_runs(ground: Ground) -> None:
    names = ["stuck", "old", *(f"new{number}" for number in range(ENDED_RENDERED))]
    for name in names:
        ground.run(name)
        (ground.tmp_path / "runs" / name).mkdir(parents=True)
    ground.now = EPOCH + DAY
    found = {entry.run_id: entry for entry in ground.clean().values()}
    assert {name for name, entry in found.items() if entry.goes} == {"old"}
    assert found["stuck"].why == "somebody holds it"
    assert "10 runs that ended last" in found["new0"].why
    assert (ground.tmp_path / "runs" / "removed-old").exists()


def test_settings_that_are_broken_keep_artefacts_and_nothing_else(ground: Ground) -> None:
    ground.run()
    ground.log_folders = [("r", Path("/logs/r"))]
    ground.now = EPOCH + 400 * DAY

    def broken(_spec: RunSpec) -> ArtefactFolders:
        raise OperatorFault("not TOML")

    (entry,) = clean(ground.house(artefacts_of=broken), alone=True, dry=False)
    assert (entry.what.value, entry.goes) == ("logs", True)


def test_clones_of_a_dead_supervisor_are_kept_or_set_aside(ground: Ground) -> None:
    ground.run(ended=False)
    nested = ground.clone("r", "attempt-2")
    write(nested[2], {"inner/.git/HEAD": "x\n"})
    ground.left = [ground.clone("r"), nested, ground.clone("unknown", "attempt-3")]
    first, second, third = keep_left(ground.house())
    assert first.goes
    assert first.why == "kept as refs/autopack/_quarantine/r/P1/attempt-1"
    assert (second.goes, second.place) == (False, "/quarantine/r/P1/attempt-2")
    assert (third.goes, third.place) == (False, str(ground.left[2][2])), "another store's, perhaps"
    assert ground.did == ["dropped attempt-1"]
    assert ground.clean(alone=False) == {
        work.ref: Entry(first.what.ATTEMPT, "r", work.ref, goes=False, why="its run is open")
        for work in ground.archive.works()
    }


def test_who_is_no_longer_alone_touches_nothing(ground: Ground) -> None:
    ground.run()
    ref = ground.attempt(taken=True)
    ground.left = [ground.clone("r")]
    ground.log_folders = [("r", Path("/logs/r"))]
    ground.now = EPOCH + 400 * DAY

    def lost() -> None:
        raise StoreAway("the lock is gone")

    house = replace(ground.house(), still_alone=lost)
    with pytest.raises(StoreAway):
        keep_left(house)
    with pytest.raises(StoreAway):
        clean(house, alone=True, dry=False)
    ground.left = []
    with pytest.raises(StoreAway):
        clean(house, alone=True, dry=False)
    assert ref in ground.repository.refs
    assert not [did for did in ground.did if did != "finished"]


def test_room_is_made_alone_and_where_nothing_is_open_or_borrowed(ground: Ground) -> None:
    ground.run()
    ground.attempt(taken=True)
    ground.now = EPOCH + 400 * DAY
    ground.clean(alone=False)
    assert ground.archive.packed == 0
    ground.attempt(text=b"again\n", taken=True)
    ground.run("open", ended=False)
    ground.clean()
    assert ground.archive.packed == 0
    other = Ground(ground.tmp_path / "other", now=ground.now)
    other.run()
    other.attempt(taken=True)
    nested = other.clone("r")
    write(nested[2], {"inner/.git/HEAD": "x\n"})
    other.aside = [nested]
    other.clean()
    assert other.archive.packed == 0
    other.aside = []
    other.attempt(text=b"again\n", taken=True)
    assert other.clean()["/repository"].goes
    assert other.archive.packed == 1


def test_a_clone_of_an_unknown_run_stops_only_what_it_borrows_from(ground: Ground) -> None:
    ground.run()
    ground.now = EPOCH + 400 * DAY
    lost = ground.clone("unknown")
    ground.aside, ground.lenders = [lost], {lost[2]: (OBJECTS,)}
    ground.attempt(taken=True)
    ground.clean()
    assert ground.archive.packed == 0
    ground.lenders = {lost[2]: (Path("/other/objects"),)}
    ground.attempt(text=b"again\n", taken=True)
    ground.clean()
    assert ground.archive.packed == 1


def test_only_the_clone_that_is_named_is_dropped(ground: Ground) -> None:
    ground.run()
    ground.aside = [ground.clone("r"), ground.clone("unknown", "attempt-2")]
    for _, _, folder in ground.aside:
        entry = drop(ground.house(), folder, dry=True)
        assert (entry.goes, entry.place) == (True, str(folder))
    assert ground.did == []
    drop(ground.house(), ground.aside[1][2], dry=False)
    assert ground.did == ["dropped attempt-2"]
    with pytest.raises(OperatorFault, match="no clone in quarantine") as told:
        drop(ground.house(), ground.tmp_path, dry=False)
    assert str(ground.aside[0][2]) in told.value.hint
    assert ground.did == ["dropped attempt-2"]
