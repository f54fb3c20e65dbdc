"""Tests on a disk that is small enough to be filled: a file system of its own, in memory.

Mounting needs no privilege inside bubblewrap, so a test starts itself once more in there.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from autopack.process.limits import Limits
from autopack.process.runner import run
from tests.lab import Lab

ROOT: Final = Path(__file__).parents[2]
VARIABLE: Final = "SMALL_DISK"
Story = Callable[["Disk", Lab], None]


class Disk:
    """A mounted file system of a few megabytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ballast = folder / "ballast"

    @property
    def free(self) -> int:
        """Bytes."""
        return shutil.disk_usage(self.folder).free

    def fill(self) -> None:
        """Take what is left."""
        with suppress(OSError), self.ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        assert self.free == 0

    def relieve(self) -> None:
        """Give it back."""
        self.ballast.unlink()


def small_disk(megabytes: int) -> Callable[[Story], Callable[..., None]]:
    """The test gets a disk of this size and a lab whose data, state and cache are on it."""

    def decorate(story: Story) -> Callable[..., None]:
        def test(request: pytest.FixtureRequest, tmp_path: Path) -> None:
            if place := os.environ.get(VARIABLE):
                lab = Lab(tmp_path, Path(place), AUTOPACK_DISK_RESERVE_BYTES="0")
                try:
                    story(Disk(Path(place)), lab)
                finally:
                    lab.close()
            else:
                _again(request.node.nodeid, tmp_path, megabytes)

        functools.update_wrapper(test, story)
        del test.__wrapped__  # type: ignore[attr-defined]  # pytest would ask for its arguments
        return test

    return decorate


def _again(test: str, folder: Path, megabytes: int) -> None:
    bwrap = shutil.which("bwrap")
    assert bwrap, "the sandbox was seen working, and bubblewrap is not on PATH"
    disk = folder / "disk"
    disk.mkdir()
    fence = [bwrap, "--bind", "/", "/", "--dev", "/dev", "--die-with-parent",
             "--size", str(megabytes << 20), "--tmpfs", str(disk)]  # fmt: skip
    plugins = ["-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist"]
    argv = [sys.executable, "-m", "pytest", "-q", *plugins, f"--basetemp={folder / 'inside'}", test]
    env = {**os.environ, VARIABLE: str(disk)}
    done = run([*fence, "--", *argv], env=env, cwd=ROOT, limits=Limits(120))
    assert done.ok, done.stdout.decode() + done.stderr.decode()
