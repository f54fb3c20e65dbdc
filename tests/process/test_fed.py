"""Limits that come just after the start, for programs that do nothing before they are fed."""

from __future__ import annotations

import sys
from pathlib import Path

from autopack.process.limits import Ended, Extra, Finished, Limits
from autopack.process.runner import run

PROGRAM = "import sys; exec(sys.stdin.read())"


def fed(text: str, limits: Limits, folder: Path) -> Finished:
    argv = [sys.executable, "-I", "-S", "-c", PROGRAM]
    return run(argv, env={}, cwd=folder, stdin=text.encode(), limits=limits, extra=Extra(fed=True))


def test_a_fed_program_is_held_to_its_memory(tmp_path: Path) -> None:
    limits = Limits(20, memory_bytes_max=128 << 20)
    done = fed("b = bytearray(512 << 20)", limits, tmp_path)
    assert b"MemoryError" in done.stderr
    assert fed("b = bytearray(1 << 20)", limits, tmp_path).ok


def test_a_fed_program_is_held_to_its_files(tmp_path: Path) -> None:
    limits = Limits(20, file_bytes_max=1000)
    done = fed("f = open('f', 'wb'); f.write(b'x' * 5000); f.close()", limits, tmp_path)
    assert not done.ok
    assert (tmp_path / "f").stat().st_size <= 1000


def test_a_program_that_ends_before_its_limits_come_is_no_fault(tmp_path: Path) -> None:
    limits = Limits(20, memory_bytes_max=128 << 20)
    for _ in range(20):
        done = run(["true"], env={"PATH": "/usr/bin:/bin"}, cwd=tmp_path, limits=limits,
                   extra=Extra(fed=True))  # fmt: skip
        assert done.ended is Ended.EXITED
