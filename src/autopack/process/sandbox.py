"""Run untrusted programs inside bubblewrap, or, when a project says so, without a fence.

Inside: namespaces for users, pids, network, ipc and host name; the system read-only, the work
folder, an empty HOME and /tmp, a cleared environment. A root supervisor becomes a real unprivileged
user *before* bubblewrap: with `--uid` alone the kernel still sees root, so process limits are off,
root's files stay readable and a sandbox inside the sandbox fails (all measured). Killing it, or the
supervisor, kills the namespace, whatever the program did to escape.

What this does not stop: kernel exploits; filling the disk with many files (`file_bytes_max` is per
file); memory between two looks a second apart, or in shared memory nobody has mapped (each process
is held by RLIMIT_DATA, /tmp, HOME and /dev/shm by their size; a hard bound on the whole needs a
cgroup); using up the CPU. It never decides whether running something is a good idea.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from autopack.core.errors import EnvironmentFault
from autopack.process import tree
from autopack.process.fence import HOME, Fence, arguments
from autopack.process.folders import give
from autopack.process.runner import (
    Extra,
    Finished,
    Identity,
    LaunchFailed,
    Limits,
    ProgramMissing,
    run,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

# Below systemd's dynamic users' neighbours and beside nobody: 65520-65533 are assigned to no one,
# exist in a container's usual 65,536 ids, and need no passwd entry.
SANDBOX_IDENTITY: Final = Identity(65533, 65533)
SETTLE_SECONDS: Final = 10.0  # for the kernel to end a killed namespace; usually 1 ms
PROBE_LIMITS: Final = Limits(wall_seconds_max=20.0, output_bytes_max=1 << 16)


class SandboxMissing(EnvironmentFault):
    """There is no working sandbox on this machine."""

    code = "sandbox_missing"


class SandboxFailed(EnvironmentFault):
    """The fence could not be set up, or could not be taken down; the program cannot be judged."""

    code = "sandbox_failed"


class Confinement(Protocol):
    """What `Sandbox` and `Unfenced` have in common."""

    @property
    def fenced(self) -> bool:
        """Whether the program is really held; reports must show when it is not."""

    @property
    def identity(self) -> Identity | None:
        """The user that must own the work folder; None: the one we are."""

    def run(
        self,
        argv: Sequence[str],
        fence: Fence,
        limits: Limits,
        *,
        stdin: bytes = b"",
        cancel: threading.Event | None = None,
        progress: Callable[[], object] | None = None,
    ) -> Finished:
        """Run a program behind `fence` to its end."""


def default_identity() -> Identity | None:
    """Who untrusted programs run as: the sandbox's user under root, else ourselves."""
    return SANDBOX_IDENTITY if os.geteuid() == 0 else None


@dataclass(frozen=True)
class Sandbox:
    """A bubblewrap that was seen working; made by `probe`."""

    bwrap: Path
    identity: Identity | None
    fenced: bool = True

    def run(
        self,
        argv: Sequence[str],
        fence: Fence,
        limits: Limits,
        *,
        stdin: bytes = b"",
        cancel: threading.Event | None = None,
        progress: Callable[[], object] | None = None,
    ) -> Finished:
        """Run a program inside the fence; on return no process of it is alive.

        A program that a signal killed shows as EXITED with 128 + signal, as in a shell. Raises
        ProgramMissing (not found inside), SandboxFailed, MaskRefused.
        """
        for source in fence.sources():
            if not os.path.lexists(source):
                raise SandboxFailed(f"{source} does not exist", "it is named by the fence")
        with contextlib.ExitStack() as stack:
            passwd, group = (_data(stack, text) for text in self._users())
            empty = [_data(stack, b"") for _ in fence.masked]
            options = _data(stack, _joined(arguments(fence, passwd, group, empty)))
            status = _Status(stack)
            command = [
                str(self.bwrap), "--args", str(options),
                "--json-status-fd", str(status.child_end), "--", *argv,
            ]  # fmt: skip
            extra = Extra(
                pass_fds=(passwd, group, *empty, options, status.child_end),
                reach=(*fence.sources(), os.path.realpath(self.bwrap)),
                settle=status.settle,
                tied=True,
                namespace=True,
            )
            finished = run(
                command, env={}, cwd=Path("/"), stdin=stdin, limits=limits, cancel=cancel,
                identity=self.identity, progress=progress, grace_seconds=0.0, extra=extra,
            )  # fmt: skip
            if finished.exit_code is not None and not status.executed:
                raise _setup_fault(argv[0], finished)
            return finished

    def _users(self) -> tuple[bytes, bytes]:
        uid, gid = os.geteuid(), os.getegid()
        if self.identity is not None:
            uid, gid = self.identity.uid, self.identity.gid
        passwd = f"autopack:x:{uid}:{gid}::{HOME}:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
        return passwd.encode(), f"autopack:x:{gid}:\nnogroup:x:65534:\n".encode()


@dataclass(frozen=True)
class Unfenced:
    """`sandbox = "none"`: limits, an own session, a cleared environment, no privileges; no fence.

    It sees the host and its network, and a child that starts a session of its own outlives it.
    `read_only_at`, `work_read_only` and `inside` are refused; `masked` is ignored.
    """

    identity: Identity | None
    fenced: bool = False

    def run(
        self,
        argv: Sequence[str],
        fence: Fence,
        limits: Limits,
        *,
        stdin: bytes = b"",
        cancel: threading.Event | None = None,
        progress: Callable[[], object] | None = None,
    ) -> Finished:
        """Run a program with an empty HOME that vanishes. Raises ProgramMissing, LaunchFailed."""
        if fence.read_only_at or fence.work_read_only or fence.inside is not None:
            what = "a path can be moved or made read-only only inside a sandbox"
            raise SandboxFailed(what, 'remove sandbox = "none", or what needs the bind')
        with tempfile.TemporaryDirectory(
            prefix="autopack-home-", ignore_cleanup_errors=True
        ) as home:
            give(Path(home), self.identity)
            return run(
                argv, env=fence.environment(home), cwd=fence.work, stdin=stdin,
                limits=limits, identity=self.identity, cancel=cancel, progress=progress,
                extra=Extra(reach=fence.sources(), no_new_privs=True, tied=True),
            )  # fmt: skip


def find(path: str | None = None) -> Sandbox:
    """Bubblewrap on `path` (default: PATH), not yet tried; SandboxMissing when there is none."""
    found = shutil.which("bwrap", path=path)
    if found is None:
        hint = 'install it (apt install bubblewrap, dnf install bubblewrap) or set sandbox = "none"'
        raise SandboxMissing("bubblewrap (bwrap) is not installed", hint)
    return Sandbox(Path(found), default_identity())


def probe(path: str | None = None) -> Sandbox:
    """Find bubblewrap on `path` (default: PATH) and see it work once; SandboxMissing if not."""
    sandbox = find(path)
    with tempfile.TemporaryDirectory(prefix="autopack-probe-") as work:
        give(Path(work), sandbox.identity)
        try:
            finished = sandbox.run(["true"], Fence(Path(work)), PROBE_LIMITS)
        except (SandboxFailed, LaunchFailed, ProgramMissing) as fault:
            raise SandboxMissing(f"bubblewrap does not work here: {fault.what}", ADVICE) from fault
    if not finished.ok:
        what = f"bubblewrap does not work here: {finished.ended}, {finished.stderr[-500:]!r}"
        raise SandboxMissing(what, ADVICE)
    return sandbox


ADVICE: Final = (
    "unprivileged user namespaces are probably off: sysctl user.max_user_namespaces > 0, "
    "kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0; in a "
    'container: allow them (seccomp, systempaths=unconfined); or set sandbox = "none"'
)


def _joined(options: Sequence[str]) -> bytes:
    return b"".join(os.fsencode(option) + b"\0" for option in options)


def _data(stack: contextlib.ExitStack, content: bytes) -> int:
    """A descriptor that reads `content`."""
    file = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - closed by the stack
    file.write(content)
    file.seek(0)
    return file.fileno()


def _setup_fault(program: str, finished: Finished) -> EnvironmentFault:
    words = finished.stderr.decode(errors="replace").strip()[-2000:]
    if "execvp" in words:
        hint = "install it, name it by a path that the fence shows, or bind its folder"
        return ProgramMissing(f"{program} cannot be executed inside the sandbox: {words}", hint)
    return SandboxFailed(f"the sandbox could not be set up: {words}", "see `autopack doctor`")


class _Status:
    """bubblewrap's own report, which the program inside cannot forge: init's pid, exec reached."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._ours, self.child_end = os.pipe()
        stack.callback(os.close, self._ours)
        stack.callback(os.close, self.child_end)
        os.set_blocking(self._ours, False)
        self.executed = False

    def settle(self) -> None:
        """Kill what is left of the namespace and wait until the kernel has ended all of it."""
        for report in self._reports():
            self.executed = self.executed or "exit-code" in report
            pid = report.get("child-pid")
            if isinstance(pid, int):
                _end_namespace(pid)

    def _reports(self) -> list[dict[str, object]]:
        try:
            content = os.read(self._ours, 1 << 16)
        except BlockingIOError:
            return []
        return [json.loads(line) for line in content.splitlines() if line.endswith(b"}")]


def _end_namespace(pid: int) -> None:
    """End the pid namespace whose init is `pid`.

    Its init becomes waitable only when every other process in it is gone. Between bubblewrap's end
    and here the number cannot have come round again as another namespace's init.
    """
    if not tree.is_namespace_init(pid):
        return
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        if not select.select([descriptor], [], [], SETTLE_SECONDS)[0]:
            what = f"the processes of sandbox {pid} did not end {SETTLE_SECONDS} s after SIGKILL"
            raise SandboxFailed(what, "look for processes in state D, usually a stuck disk")
    finally:
        os.close(descriptor)
