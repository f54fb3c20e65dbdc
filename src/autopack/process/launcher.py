"""Our side of `launch.py`: what it is told, how it answers, which error that answer is.

It never starts anything itself: `runner` does.
"""

from __future__ import annotations

import contextlib
import functools
import io
import marshal
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autopack.process import launch, tree
from autopack.process.limits import (
    Extra,
    Identity,
    LaunchFailed,
    Limits,
    ProgramMissing,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import CodeType

    from autopack.core.errors import EnvironmentFault

BOOT: Final = """
import marshal, os, sys
with os.fdopen(int(sys.argv[1]), "rb") as file:
    code, spec = marshal.load(file)
names = {"__name__": "launch"}
exec(code, names)
names["main"](spec, int(sys.argv[2]))
"""
"""Starts `launch.py`, compiled by us: both ends are the same Python."""


@functools.cache
def _launch_code() -> CodeType:
    path = Path(launch.__file__)
    return compile(path.read_bytes(), path.name, "exec", dont_inherit=True)


def start_fault(program: str, cwd: str, why: str) -> EnvironmentFault:
    """The error for a program that the kernel would not execute."""
    if not os.path.isdir(cwd):
        return LaunchFailed(f"{program} cannot start in {cwd}: {why}", "check that folder")
    hint = f"install {program}, or put its folder on PATH"
    return ProgramMissing(f"{program} cannot be executed: {why}", hint)


def needs_kernel(limits: Limits) -> bool:
    """Whether a limit asked for is one that only the kernel can hold."""
    wanted = (limits.memory_bytes_max, limits.processes_max, limits.file_bytes_max)
    return any(value is not None for value in wanted)


def specification(
    argv: list[str], env: dict[str, str], cwd: str, limits: Limits, identity: Identity | None,
    extra: Extra,
) -> dict[str, object]:  # fmt: skip
    """What `launch.py` shall do before it executes `argv`."""
    return {
        "argv": argv, "env": env, "cwd": cwd, "parent": os.getpid(),
        "rlimits": kernel_limits(limits, identity, extra),
        "uid": identity and identity.uid, "gid": identity and identity.gid,
        "reach": list(extra.reach), "no_new_privs": extra.no_new_privs, "detach": False,
        "namespace_tasks": limits.processes_max if extra.namespace else None,
    }  # fmt: skip


def kernel_limits(limits: Limits, identity: Identity | None, extra: Extra) -> dict[int, int]:
    """What the kernel holds a program to, by its number of each limit."""
    rlimits = {resource.RLIMIT_CORE: 0}
    if limits.memory_bytes_max is not None:
        rlimits[resource.RLIMIT_DATA] = limits.memory_bytes_max
    if limits.file_bytes_max is not None:
        rlimits[resource.RLIMIT_FSIZE] = limits.file_bytes_max
    if limits.processes_max is not None and not extra.namespace:
        uid = os.getuid() if identity is None else identity.uid
        rlimits[resource.RLIMIT_NPROC] = tree.tasks_of(uid) + limits.processes_max
    return rlimits


def limit(pid: int, rlimits: Mapping[int, int]) -> None:
    """Hold a child that has begun to limits; one that has ended needs none."""
    with contextlib.suppress(ProcessLookupError):
        for number, value in rlimits.items():
            hard = resource.prlimit(pid, number)[1]
            most = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.prlimit(pid, number, (most, most))


@contextlib.contextmanager
def through_launch(
    spec: Mapping[str, object],
) -> Iterator[tuple[list[str], list[int], Report]]:
    """The command that runs `launch.py` on `spec`, the descriptors it inherits, its report.

    Both travel in an unnamed file: arguments are public in /proc, environments are obeyed by the
    dynamic loader while the launcher is still privileged, and a script would be compiled each time.
    """
    report = Report()
    try:
        with tempfile.TemporaryFile() as file:
            file.write(marshal.dumps((_launch_code(), dict(spec))))
            file.flush()
            file.seek(0)
            fds = [file.fileno(), report.child_end]
            python = [sys.executable, "-I", "-S", "-B", "-c", BOOT]
            yield [*python, *map(str, fds)], fds, report
    finally:
        report.close()


class Report:
    """The launcher's way back: empty when the program was executed, else which step failed."""

    def __init__(self) -> None:
        self._ours, self.child_end = os.pipe()
        self._child_end_open = True

    def close_child_end(self) -> None:
        if self._child_end_open:
            os.close(self.child_end)
            self._child_end_open = False

    def close(self) -> None:
        self.close_child_end()
        os.close(self._ours)

    def raise_fault(self, program: str, cwd: str, *, killed: bool) -> int | None:
        """Raise what the launcher reported; else the pid of a detached program, if it is one.

        `killed`: something ended it early, so that silence proves nothing.
        """
        pid: int | None = None
        reached = ""
        for kind, value in self._entries():
            if kind == "pid":
                pid = int(value)
            elif kind == "step":
                reached = value
            else:
                raise _launch_fault(reached, program, cwd, value)
        if reached != "exec" and not killed:
            raise _launch_fault(reached, program, cwd, "the launcher ended without a word")
        return pid

    def _entries(self) -> Iterator[tuple[str, str]]:
        content = b""
        while part := os.read(self._ours, 1 << 16):
            content += part
        source = io.BytesIO(content)
        while source.tell() < len(content):
            yield marshal.load(source)


def _launch_fault(step: str, program: str, cwd: str, why: str) -> EnvironmentFault:
    if step == "exec":
        return start_fault(program, "/", why)
    hint = {
        "become": "run as the user that shall own the work, or as full root",
        "cwd": f"check that {cwd} exists and that the user may enter it",
    }.get(step, "report this")
    what = f"{program} could not be started in {cwd} (step {step or 'none'}): {why}"
    return LaunchFailed(what, hint)
