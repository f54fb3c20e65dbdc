"""Clones that are set aside: never deleted, whatever the disk or a clean-up beside it does."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from autopack.adapters.git.clone import left, saved_index, set_aside
from autopack.adapters.git.remains import DiskRemains
from autopack.core.errors import EnvironmentFault

Step = Callable[[str, tuple[Any, ...]], None]
_armed: list[Step] = []
_hooked: list[bool] = []


@contextmanager
def before_each_step(act: Step) -> Iterator[None]:
    """`act` is told of each step on files, just before the system is asked."""
    if not _hooked:
        sys.addaudithook(lambda step, given: [each(step, given) for each in _armed[:]] and None)
        _hooked.append(True)
    _armed.append(act)
    try:
        yield
    finally:
        _armed.clear()


@contextmanager
def refused(step: str, below: Path, number: int = errno.ENOSPC) -> Iterator[None]:
    """One kind of step fails on all that `below` holds."""

    def act(at: str, given: tuple[Any, ...]) -> None:
        if at == step and str(given[0]).startswith(str(below)):
            raise OSError(number, os.strerror(number), str(given[0]))

    with before_each_step(act):
        yield


def a_clone(top: Path) -> Path:
    folder = top / "clones" / "r" / "P1" / "attempt-1"
    folder.mkdir(parents=True)
    (folder / "work").write_text("done")
    saved_index(folder).write_text("index")
    return folder


def remains(top: Path) -> DiskRemains:
    return DiskRemains(top / "clones", top / "quarantine", top / "logs")


def test_without_room_for_a_folder_it_is_renamed_in_its_place(tmp_path: Path) -> None:
    folder, to = a_clone(tmp_path), tmp_path / "quarantine" / "r" / "P1" / "attempt-1"
    with refused("os.mkdir", tmp_path / "quarantine"):
        place = set_aside(folder, to, b"a patch")
    assert place == folder.with_name("attempt-1-2")
    assert (place / "work").read_text() == "done"
    assert saved_index(place).read_text() == "index"
    assert place.with_name("attempt-1-2.patch").read_bytes() == b"a patch"
    assert not left(folder)
    assert remains(tmp_path).clones() == [("r", "P1", place)]
    saved_index(place).unlink()
    assert remains(tmp_path).clones() == [("r", "P1", place)], "it was whole when it was renamed"


def test_when_nothing_can_be_moved_it_stays_as_it_is(tmp_path: Path) -> None:
    folder, to = a_clone(tmp_path), tmp_path / "quarantine" / "r" / "P1" / "attempt-1"
    with refused("os.rename", tmp_path), pytest.raises(EnvironmentFault, match="and stays"):
        set_aside(folder, to, None)
    assert left(folder)
    assert (folder / "work").read_text() == "done"


def test_without_its_index_it_is_set_aside_all_the_same(tmp_path: Path) -> None:
    folder, to = a_clone(tmp_path), tmp_path / "quarantine" / "r" / "P1" / "attempt-1"
    with refused("os.rename", saved_index(folder)):
        assert set_aside(folder, to, None) == to
    assert (to / "work").read_text() == "done"
    assert not list(folder.parent.iterdir())


def test_a_patch_that_cannot_be_written_is_told_of_and_no_half_of_it_stays(tmp_path: Path) -> None:
    folder, to = a_clone(tmp_path), tmp_path / "quarantine" / "r" / "P1" / "attempt-1"
    to.parent.mkdir(parents=True)
    told = f"is kept in {to}; its patch could not be written"
    with refused("open", to.parent), pytest.raises(EnvironmentFault, match=told):
        set_aside(folder, to, b"a patch")
    assert (to / "work").read_text() == "done"
    assert not to.with_name("attempt-1.patch").exists()


def test_a_clean_up_that_removes_the_new_folder_is_only_overtaken(tmp_path: Path) -> None:
    folder, to = a_clone(tmp_path), tmp_path / "quarantine" / "r" / "P1" / "attempt-1"
    finished: list[str] = []

    def finish(step: str, given: tuple[Any, ...]) -> None:
        if step == "os.rename" and str(given[0]) == str(folder) and not finished:
            finished.append(step)
            remains(tmp_path).finish()

    with before_each_step(finish):
        assert set_aside(folder, to, None) == to
    assert finished
    assert (to / "work").read_text() == "done"
    assert saved_index(to).exists()


def test_a_clean_up_that_is_overtaken_goes_on(tmp_path: Path) -> None:
    folder, to = a_clone(tmp_path), tmp_path / "quarantine" / "r" / "P1" / "attempt-1"
    to.parent.mkdir(parents=True)
    moved: list[str] = []

    def move(step: str, given: tuple[Any, ...]) -> None:
        if step == "os.rmdir" and str(given[0]) == str(to.parent) and not moved:
            moved.append(step)
            set_aside(folder, to, None)

    with before_each_step(move):
        remains(tmp_path).finish()
    assert moved
    assert (to / "work").read_text() == "done"
