"""The supervisor's lock on PostgreSQL: one in all machines, and nobody works on after it is lost."""

from __future__ import annotations

import os
import platform
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import text

from autopack.adapters.store.advisory import acquire
from autopack.adapters.store.lock import holder
from autopack.core.errors import EnvironmentFault, StoreAway
from tests.postgres import Server

HOLD = (
    "import sys; from autopack.adapters.store.lock import acquire;"
    "lock = acquire(sys.argv[1]); print('held' if lock else 'refused', flush=True);"
    "sys.stdin.read()"
)


@contextmanager
def pooler(database: str, folder: Path) -> Iterator[str]:
    """A way to the database through a socket that tells another process id, as poolers do."""
    found = re.search(r"host=(.*)", database)
    assert found
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{folder}/.s.PGSQL.5432")
    listener.listen()

    def pass_on(source: socket.socket, to: socket.socket, told: bytes) -> None:
        with suppress(OSError):
            while chunk := source.recv(1 << 16):
                at = chunk.find(told) if told else -1
                if at >= 0:
                    chunk = chunk[: at + 5] + (7).to_bytes(4, "big") + chunk[at + 9 :]
                to.sendall(chunk)
        with suppress(OSError):
            to.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with suppress(OSError):
            client, _ = listener.accept()
            server = socket.socket(socket.AF_UNIX)
            with client, server:
                server.connect(f"{found[1]}/.s.PGSQL.5432")
                back = threading.Thread(target=pass_on, args=(server, client, b"K\0\0\0\x0c"))
                back.start()
                pass_on(client, server, b"")
                back.join()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield database.replace(found[1], str(folder))
    finally:
        listener.close()
        thread.join(10)


def test_a_second_holder_is_refused_and_told_the_first(database: str) -> None:
    first = acquire(database)
    assert first is not None
    assert acquire(database) is None
    assert holder(database) == f"process {os.getpid()} on {platform.node()}"
    first.release()
    first.release()
    assert holder(database) is None
    second = acquire(database)
    assert second is not None
    second.release()


def test_each_database_has_its_own(databases: Callable[[], str]) -> None:
    held = [acquire(databases()) for _ in range(2)]
    assert None not in held
    for each in held:
        if each is not None:
            each.release()


def test_a_killed_holder_lets_go(database: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, database], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert acquire(database) is None
        assert holder(database) == f"process {other.pid} on {platform.node()}"
        other.send_signal(signal.SIGKILL)
        other.wait(20)
    mine = next(lock for _ in range(2000) if (lock := acquire(database)) is not None)
    mine.release()


def test_whoever_loses_its_session_is_told(database: str, postgres: Server) -> None:
    held = acquire(database)
    assert held is not None
    told: list[EnvironmentFault] = []
    heard = threading.Event()

    def lost(fault: EnvironmentFault) -> None:
        told.append(fault)
        heard.set()

    held.watch(lost)
    ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name"
    assert postgres.execute(f"{ending} = 'autopack supervisor {os.getpid()}@{platform.node()}'")
    assert heard.wait(30)
    assert isinstance(told[0], StoreAway)
    other = acquire(database)
    assert other is not None
    held.release()
    assert acquire(database) is None
    other.release()


def test_a_released_lock_tells_nobody(database: str, postgres: Server) -> None:
    told: list[EnvironmentFault] = []
    for _ in range(50):
        tries = (acquire(database, look_seconds=0) for _ in range(2000))
        held = next(filter(None, tries))  # it looks all the time
        held.watch(told.append)
        held.check()
        held.release()
    assert not told


def test_a_lock_that_another_session_has_is_lost(database: str) -> None:
    """As behind a pooler: the connection lives, and its server process holds nothing."""
    held = acquire(database)
    assert held is not None
    held.check()
    held._connection.execute(text("SELECT pg_advisory_unlock_all()"))
    with pytest.raises(StoreAway, match="no longer ours"):
        held.check()
    held.release()


def test_a_pooler_is_refused(database: str, tmp_path: Path) -> None:
    """A pooler tells its client of a process that the server does not know."""
    with pooler(database, tmp_path) as pooled:
        with pytest.raises(EnvironmentFault, match="a pooler stands before") as refused:
            acquire(pooled)
        assert "not a pooler" in refused.value.hint
    held = acquire(database)
    assert held is not None
    held.release()
