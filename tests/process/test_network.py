"""The closed network is proven once, and holds for every offline job after that."""

from __future__ import annotations

import dataclasses
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from autopack.process.fence import Fence
from autopack.process.limits import Finished, Identity, Limits
from autopack.process.network import NetworkOpen, interpreter
from autopack.process.sandbox import Sandbox
from autopack.process.workbench import Job, Workbench

LIMITS = Limits(wall_seconds_max=30.0)
CONNECT = """
import socket, sys
with socket.socket() as s:
    s.settimeout(5)
    s.connect(("127.0.0.1", int(sys.argv[1])))
"""


@dataclass(frozen=True)
class Counting:
    """A real fence that counts its starts; `leaky` of them share the host's network."""

    real: Sandbox
    leaky: int = 0
    started: list[Fence] = field(default_factory=list, compare=False)
    fenced: bool = True

    @property
    def identity(self) -> Identity | None:
        return self.real.identity

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
        self.started.append(fence)
        if len(self.started) <= self.leaky:
            fence = dataclasses.replace(fence, network=True)
        return self.real.run(argv, fence, limits, stdin=stdin, cancel=cancel, progress=progress)


def attempt(bench: Workbench, work: Path, *, network: bool) -> bool:
    """Whether a job reaches a listener of this process."""
    python, folders = interpreter()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        argv = (python, "-I", "-S", "-c", CONNECT, port)
        return bench.run(Job(argv, work, LIMITS, read_only=folders, network=network)).ok


def test_the_first_and_every_later_attempt_is_offline_with_one_proof(
    sandbox: Sandbox, work: Path
) -> None:
    counting = Counting(sandbox)
    bench = Workbench(counting)
    assert attempt(bench, work, network=True)
    counting.started.clear()
    for _ in range(3):
        bench = dataclasses.replace(bench)  # as an agent makes its own of it
        bench.prove_closed()
        assert not attempt(bench, work, network=False)
    assert len(counting.started) == 4


def test_attempts_that_begin_together_share_the_proof(sandbox: Sandbox) -> None:
    counting = Counting(sandbox)
    bench = Workbench(counting)
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(bench.prove_closed) for _ in range(8)]:
            done.result()
    assert len(counting.started) == 1


def test_a_proof_that_failed_is_made_again(sandbox: Sandbox) -> None:
    counting = Counting(sandbox, leaky=1)
    bench = Workbench(counting)
    with pytest.raises(NetworkOpen):
        bench.prove_closed()
    bench.prove_closed()
    assert len(counting.started) == 2
