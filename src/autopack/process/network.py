"""Proof, before the first attempt, that a fence has no way out: allow-lists are known to fail open.

It tries to leave and reads the answer; it never trusts an option, and never contacts a real host.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autopack.core.errors import EnvironmentFault
from autopack.process.fence import Fence
from autopack.process.folders import give
from autopack.process.runner import Limits

if TYPE_CHECKING:
    from autopack.process.sandbox import Confinement

LIMITS: Final = Limits(wall_seconds_max=20.0, output_bytes_max=1 << 16)
# Tried from inside: the supervisor's own listeners (they do answer outside), then two documentation
# addresses (RFC 5737, 3849) that must fail for want of a route, not for want of an answer.
ATTEMPT: Final = """
import json, socket, sys
port, name = int(sys.argv[1]), "\\0" + sys.argv[2]
tries = {
    "host tcp": (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port)),
    "host abstract socket": (socket.AF_UNIX, socket.SOCK_STREAM, name),
    "ipv4 route": (socket.AF_INET, socket.SOCK_DGRAM, ("192.0.2.1", 9)),
    "ipv6 route": (socket.AF_INET6, socket.SOCK_DGRAM, ("2001:db8::1", 9)),
}
opened = []
for label, (family, kind, address) in tries.items():
    try:
        with socket.socket(family, kind) as s:
            s.settimeout(2)
            s.connect(address)
        opened.append(label)
    except OSError:
        pass
print(json.dumps({"tried": len(tries), "opened": opened}))
"""


class NetworkOpen(EnvironmentFault):
    """A program inside the fence could reach something outside."""

    code = "network_open"


class Proof:
    """Remembers for which sandboxes the network was proven closed; safe in threads.

    Once is enough in one process: of all that a job may ask for, `network` alone decides whether
    bubblewrap gets `--unshare-net`, so every offline job is closed by the very option that was
    tried. A proof that failed is not remembered.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._proven: list[Confinement] = []

    def need(self, sandbox: Confinement) -> None:
        """Return when the network is closed, tried now or before; NetworkOpen."""
        with self._lock:
            if sandbox not in self._proven:
                closed_network(sandbox)
                self._proven.append(sandbox)


def interpreter() -> tuple[str, tuple[Path, ...]]:
    """The Python that runs us: its path, and the folders a fence must bind to run it."""
    base = Path(os.path.realpath(sys.base_prefix))
    program = Path(os.path.realpath(sys.executable))
    folders = {base} if program.is_relative_to(base) else {base, program.parent}
    return str(program), tuple(sorted(f for f in folders if not f.is_relative_to("/usr")))


def closed_network(sandbox: Confinement) -> None:
    """Raise NetworkOpen unless every way out of the fence is shut; about 70 ms."""
    python, folders = interpreter()
    name = f"autopack-{secrets.token_hex(8)}"
    with (
        tempfile.TemporaryDirectory(prefix="autopack-network-") as work,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        give(Path(work), sandbox.identity)
        unix.bind("\0" + name)
        unix.listen()
        port = tcp.getsockname()[1]
        argv = [python, "-I", "-S", "-c", ATTEMPT, str(port), name]
        finished = sandbox.run(argv, Fence(Path(work), read_only=folders), LIMITS)
    opened = _opened(finished.stdout) if finished.ok else ["the test itself failed"]
    if opened:
        said = finished.stderr.decode(errors="replace")[-500:]
        what = f"the fence is not closed: {', '.join(opened)} {said}".strip()
        raise NetworkOpen(what, "bubblewrap must be able to make a network namespace")


def _opened(stdout: bytes) -> list[str]:
    try:
        answer = json.loads(stdout)
        return list(answer["opened"])
    except (ValueError, KeyError, TypeError):
        return ["the test gave no answer"]
