"""Hand-made hostile clones: what is captured is the files that are there, or nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from autopack.adapters.git.repository import BareRepository
from autopack.adapters.git.wrapper import Git
from autopack.app.ports import Clone
from tests.hostile.clones import CLONES
from tests.hostile.ground import ACCEPT, REFUSE, Ground, Met, new_ground
from tests.hostile.place import Place
from tests.hostile.shapes import CloneShape

SOMEBODY = 54_321


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with new_ground() as made:
        yield made


@pytest.mark.parametrize("shape", CLONES, ids=lambda shape: shape.name)
def test_a_clone_meets_its_rule(ground: Ground, shape: CloneShape) -> None:
    if shape.needs == "root" and os.geteuid() != 0:
        pytest.skip("only root can do that")
    if shape.needs == "user" and os.geteuid() == 0:
        with new_ground() as other, as_somebody(other.root):
            met = captured(other, shape)
    else:
        met = captured(ground, shape)
    assert (met.verdict, {f.rule for f in met.findings}) == (shape.verdict, shape.rules), met
    assert met.told >= set(shape.told), met


def captured(ground: Ground, shape: CloneShape) -> Met:
    clone = ground.clone()
    shape.act(Place(clone.folder, ground.outside, ground.program))
    return raced(ground, clone, shape.race) if shape.race else ground.captured(clone)


def raced(ground: Ground, clone: Clone, command: str) -> Met:
    """A capture by a git that gives the attacker a turn before files are stored."""
    program = ground.root / "git"
    real = shutil.which("git")
    program.write_text(
        f"#!/bin/sh\nCLONE={clone.folder}\nOUTSIDE={ground.outside}\n"
        f'case "$*" in *" update-index "*" --add "*) {command};; esac\nexec {real} "$@"\n'
    )
    program.chmod(0o755)
    slow = BareRepository(ground.repository.folder, Git(program=os.fspath(program)))
    with ground.untouched():
        met = ground.judged(slow.capture(clone, ()))
    if met.verdict == ACCEPT:
        assert ground.entries(met.tree) == ground.model(clone)
    return met


@contextlib.contextmanager
def as_somebody(folder: Path) -> Iterator[None]:
    """Not root for a while: root may read everything."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, SOMEBODY, SOMEBODY, follow_symlinks=False)
    os.setresuid(SOMEBODY, SOMEBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, 0, 0, follow_symlinks=False)


def test_capture_opens_nothing_outside(ground: Ground) -> None:
    """The content test once more, from what the system was asked for."""
    clone, secret = ground.clone(), ground.outside / "secret"
    place = Place(clone.folder, ground.outside, ground.program)
    place.link("l", secret)
    place.link("src/app.py", "../../outside/secret")
    os.utime(secret, ns=(0, secret.stat().st_mtime_ns))
    assert ground.captured(clone).verdict == REFUSE
    assert secret.stat().st_atime_ns == 0
    secret.read_bytes()
    if secret.stat().st_atime_ns == 0:
        pytest.skip("this file system does not tell when a file was read")


def test_what_must_not_happen_would_be_seen(ground: Ground) -> None:
    clone = ground.clone()
    place = Place(clone.folder, ground.outside, ground.program)
    place.config("core.fsmonitor")
    with pytest.raises(AssertionError, match="a program of theirs ran"), ground.untouched():
        place.git("status")
    for canary in ground.canaries.iterdir():
        canary.unlink()
    for folder in (ground.repository.folder / "refs", ground.user / ".git", ground.root):
        with pytest.raises(AssertionError, match="planted"), ground.untouched():
            (folder / "planted").touch()
        (folder / "planted").unlink()
