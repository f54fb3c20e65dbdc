"""Room before an attempt: the reserve and the cap, what is cleaned up first, what is then said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autopack.app.agents import (
    Agents,
)
from autopack.app.perform import (
    Performer,
)
from autopack.app.room import Room
from autopack.app.supervise import Cancellation
from autopack.app.world import (
    World,
)
from autopack.core import machine
from autopack.core.command import Build, Pending
from autopack.core.errors import EnvironmentFault
from autopack.core.event import AttemptEnded
from autopack.core.policy import Rules
from autopack.testing import (
    FakeBuilder,
    FakeClock,
    FakeDisk,
    FakeVerifier,
    MemoryRepository,
    MemoryStarts,
    Objects,
    UserRepository,
)
from tests.core.walk import phase_spec, run_spec

DATA, STATE = Path("/data"), Path("/state")


def room(disk: FakeDisk, relieved: list[int], frees: int = 0, bytes_max: int = 0) -> Room:
    """A reserve of 100 bytes; a clean-up frees so many, and counts itself."""

    def relieve() -> None:
        relieved.append(frees)
        disk.left += frees
        disk.files = {}

    return Room(disk, (DATA, STATE), 100, (DATA, STATE), bytes_max, relieve)


def test_with_room_nothing_is_cleaned_up() -> None:
    relieved: list[int] = []
    room(FakeDisk(100), relieved).check()
    room(FakeDisk(100, {DATA / "db": 50, Path("/other"): 900}), relieved, bytes_max=50).check()
    assert relieved == []


def test_a_clean_up_that_frees_enough_lets_the_attempt_start() -> None:
    relieved: list[int] = []
    room(FakeDisk(99), relieved, frees=1).check()
    room(FakeDisk(100, {DATA / "db": 51}), relieved, bytes_max=50).check()
    room(FakeDisk(100, {DATA / "db": 50, STATE / "clone": 1}), relieved, bytes_max=50).check()
    assert relieved == [1, 0, 0]


@pytest.mark.parametrize(
    ("disk", "words"),
    [
        (FakeDisk(99), ("/data has 99 bytes left", "100 must stay free", "disk_reserve_bytes")),
        (FakeDisk(100, {DATA / "db": 2_000}), ("2,000 bytes", "1,000 are", "data_bytes_max")),
    ],
    ids=["reserve", "cap"],
)
def test_without_it_is_told_where_and_what_to_do(disk: FakeDisk, words: tuple[str, ...]) -> None:
    relieved: list[int] = []
    tight = replace(room(disk, relieved, bytes_max=1_000), relieve=lambda: relieved.append(0))
    with pytest.raises(EnvironmentFault) as told:
        tight.check()
    for word in (*words, "autopack clean --dry-run", "nothing is lost"):
        assert word in str(told.value)
    assert relieved == [0]


def test_an_attempt_does_not_start_without_room_and_starts_with_it(tmp_path: Path) -> None:
    user = UserRepository(Objects())
    base = user.commit({b"README.md": b"a project\n"})
    repository = MemoryRepository({"/repository": user})
    disk, builder, starts = FakeDisk(99), FakeBuilder(), MemoryStarts()
    performer = Performer(
        World(
            repository=lambda _spec: repository,
            rules=lambda _spec, phase: Rules(scope=phase.scope),
            agents=Agents({"scripted": builder}, {}),
            verifier=FakeVerifier(),
            clock=FakeClock(),
            starts=starts,
            planned=lambda _run, _text: ("no plan is asked for here",),
            scratch=tmp_path / "clones",
            quarantine=tmp_path / "quarantine",
            logs=tmp_path / "logs",
            backoff_seconds=0.0,
            room=room(disk, []),
        )
    )
    run = machine.create(replace(run_spec(phase_spec("P1")), base_commit=base)).run
    asked = Pending(9, Build("P1", 1, base, 100), issued_at=1_000)
    with pytest.raises(EnvironmentFault, match="disk_reserve_bytes"):
        performer(run, asked, Cancellation())
    assert starts.noted(tmp_path / "logs" / "r" / "P1" / "attempt-1", 9) == ()
    assert not (tmp_path / "clones").exists()
    disk.left = 100
    assert isinstance(performer(run, asked, Cancellation()), AttemptEnded)
