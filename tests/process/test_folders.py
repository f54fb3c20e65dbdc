"""Folders handed over, taken back and removed, as the user who owns them: root may do anything."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import autopack
from autopack.process.folders import clear, give
from autopack.process.limits import Extra, Finished, Identity, Limits
from autopack.process.runner import run
from autopack.process.sandbox import default_identity
from tests.process.ground import give as give_one

SOURCE = Path(autopack.__file__).parents[1]
CLEAR = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from autopack.process.folders import clear
clear(Path(sys.argv[2]))
"""


def clear_as_owner(path: Path) -> Finished:
    argv = [sys.executable, "-B", "-c", CLEAR, str(SOURCE), str(path)]
    places = (sys.prefix, sys.base_prefix, str(SOURCE), str(path.parent))
    identity, reach = default_identity(), Extra(reach=places)
    return run(argv, env={}, cwd=Path("/"), limits=Limits(30.0), identity=identity, extra=reach)


def test_folders_closed_inside_closed_folders_are_removed(work: Path) -> None:
    top, outside = work / "top", work / "outside"
    deep = top / "a" / "b" / "c"
    deep.mkdir(parents=True)
    outside.mkdir()
    (outside / "kept").write_text("x")
    (deep / "file").write_text("x")
    (top / "a" / "link").symlink_to(outside)
    give(top, default_identity())
    give(outside, default_identity())
    for folder, mode in ((deep, 0), (deep.parent, 0o500), (top / "a", 0), (top, 0o100)):
        folder.chmod(mode)
    done = clear_as_owner(top)
    assert done.ok, done.stderr.decode()
    assert not top.exists()
    assert (outside / "kept").exists()


def test_a_folder_deeper_than_paths_and_recursion_go_is_removed(work: Path) -> None:
    top = work / "top"
    top.mkdir()
    identity = default_identity()
    owner = (identity.uid, identity.gid) if identity else (-1, -1)
    folder = os.open(top, os.O_RDONLY)
    for _ in range(2_500):
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.fchown(folder, *owner)
        os.fchmod(folder, 0o500)
        os.close(folder)
        folder = below
    os.fchown(folder, *owner)
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    done = clear_as_owner(top)
    assert done.ok, done.stderr.decode()
    assert not top.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file nobody else may remove")
def test_what_cannot_be_removed_is_told(work: Path) -> None:
    (work / "top" / "theirs").mkdir(parents=True)
    (work / "top" / "theirs" / "file").write_text("x")
    give_one(work / "top")
    done = clear_as_owner(work / "top")
    assert b"PermissionError" in done.stderr
    assert (work / "top" / "theirs" / "file").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_folder_is_given_with_all_below_it_and_no_link_is_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("x")
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "link").symlink_to(target)
    give(folder, Identity(54_321, 54_322))
    for path in (folder, folder / "sub", folder / "sub" / "link"):
        seen = path.lstat()
        assert (seen.st_uid, seen.st_gid) == (54_321, 54_322)
    assert target.stat().st_uid == 0
    give(folder, None)
    assert folder.stat().st_uid == 54_321
    clear(folder)
    assert target.exists()
