"""Start a program, feed it, listen to it, and end it: on time, within limits, with its group.

One selector loop in the calling thread: no helper threads, no shell, no `preexec_fn`. A plain call
(git, hundreds of times) is `Popen` plus that loop, as quick as `subprocess.run` (0.7 ms). A call
that asks for another identity or for kernel limits goes through `launch.py` (about 10 ms), which
also makes the program die with the calling thread.

It never judges what a program did (an exit code is a value, not an exception), and outside a
sandbox it does not catch a child that leaves its process group; `sandbox` does.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from typing import TYPE_CHECKING, Final

from autopack.process.launcher import (
    kernel_limits,
    limit,
    needs_kernel,
    specification,
    start_fault,
    through_launch,
)
from autopack.process.limits import (
    Ended,
    Extra,
    Finished,
    Identity,
    LaunchFailed,
    Limits,
    ProgramMissing,
)
from autopack.process.watch import Watch

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = [
    "Ended", "Extra", "Finished", "Identity", "LaunchFailed", "Limits", "ProgramMissing", "run",
    "spawn_detached",
]  # fmt: skip

GRACE_SECONDS: Final = 3.0  # from SIGTERM to SIGKILL


def run(  # noqa: PLR0913 - keywords only, and each is one fact of a run
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: bytes = b"",
    limits: Limits,
    identity: Identity | None = None,
    cancel: threading.Event | None = None,
    progress: Callable[[], object] | None = None,
    grace_seconds: float = GRACE_SECONDS,
    extra: Extra | None = None,
) -> Finished:
    """Run a program in a session of its own until it ends or a limit ends it and its group.

    `env` is the whole environment, and its PATH finds the program. Standard input is closed after
    `stdin`. Output on either stream, or a change of what `progress` returns, counts against
    `idle_seconds_max`. Raises ProgramMissing, LaunchFailed, or what `progress` raises; nothing
    is left running then either.
    """
    if cancel is not None and cancel.is_set():
        return Finished(Ended.CANCELLED, None, b"", b"", 0.0)
    extra = extra or Extra()
    where = os.fspath(cwd) if cwd is not None else os.getcwd()
    with contextlib.ExitStack() as stack:
        report = None
        command, environment, start_in, fds = (
            list(argv),
            dict(env),
            where,
            list(extra.pass_fds),
        )
        late = extra.fed and hasattr(resource, "prlimit")
        if identity is not None or extra.tied or (needs_kernel(limits) and not late):
            spec = specification(command, environment, where, limits, identity, extra)
            command, given, report = stack.enter_context(through_launch(spec))
            environment, start_in = {}, "/"
            fds += given
        process = _popen(command, environment, start_in, fds)
        if report is not None:
            report.close_child_end()
        elif needs_kernel(limits):
            limit(process.pid, kernel_limits(limits, identity, extra))
        watch = Watch(process, limits, cancel, progress, grace_seconds)
        finished = watch.follow(stdin, extra.settle)
        if report is not None:
            report.raise_fault(argv[0], where, killed=finished.signal is not None)
        return finished


def spawn_detached(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> int:
    """Start a program that outlives us (new session, no stdin, output appended to `log`); its pid.

    `log` is made 0600. Raises ProgramMissing.
    """
    spec: dict[str, object] = {
        "argv": list(argv), "env": dict(env), "cwd": os.fspath(cwd), "parent": None, "uid": None,
        "gid": None, "rlimits": {}, "reach": [], "no_new_privs": False, "detach": True,
        "namespace_tasks": None,
    }  # fmt: skip
    with through_launch(spec) as (command, fds, report):
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            subprocess.run(
                command, env={}, cwd="/", pass_fds=fds, check=False,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        finally:
            os.close(output)
        report.close_child_end()
        pid = report.raise_fault(argv[0], os.fspath(cwd), killed=False)
    if pid is None:
        raise LaunchFailed(f"{argv[0]} did not start", f"see {log}")
    return pid


def _popen(
    command: list[str], env: dict[str, str], cwd: str, fds: Sequence[int]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command, env=env, cwd=cwd, pass_fds=fds, start_new_session=True, bufsize=0,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
    except (FileNotFoundError, NotADirectoryError, PermissionError) as fault:
        raise start_fault(command[0], cwd, str(fault)) from fault
