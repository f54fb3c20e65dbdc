"""A command of ours on a real pseudo-terminal, with somebody who reads and types."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from tests.lab import Lab, until

CTRL_C: Final = "\x03"
TRAMPOLINE: Final = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "autopack.cli.main", *sys.argv[1:]])
"""
"""A session of its own, whose terminal turns typed control characters into signals."""


class Terminal:
    """One command on a terminal of its own."""

    def __init__(self, lab: Lab, *arguments: str | Path) -> None:
        self._ours, theirs = pty.openpty()
        os.set_blocking(self._ours, False)
        self.shown = ""
        argv = [sys.executable, "-c", TRAMPOLINE, *map(str, arguments)]
        self.process = subprocess.Popen(
            argv, env={**lab.environment, "TERM": "xterm"}, cwd=lab.project,
            stdin=theirs, stdout=theirs, stderr=theirs,
        )  # fmt: skip
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        os.close(self._ours)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def read(self) -> str:
        """All that was shown so far."""
        with suppress(BlockingIOError, OSError):  # the second: nobody has the other end any more
            while part := os.read(self._ours, 1 << 16):
                self.shown += part.decode(errors="replace")
        return self.shown

    def expect(self, words: str, times: int = 1) -> None:
        """Wait until words were shown so many times."""
        until(lambda: self.read().count(words) >= times, f"{words!r} is shown, not {self.shown!r}")

    def wait(self) -> int:
        """The command's exit code; all that it says is read."""
        until(lambda: self.read() is not None and self.process.poll() is not None, "it ends")
        self.read()
        return self.process.wait()
