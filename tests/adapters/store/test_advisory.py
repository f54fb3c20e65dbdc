"""The supervisor's lock on PostgreSQL: one in all machines, and nobody works on after it is lost."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

from autopack.adapters.store.lock import acquire, holder
from autopack.core.errors import EnvironmentFault, StoreAway
from tests.postgres import Server

HOLD = (
    "import sys; from autopack.adapters.store.lock import acquire;"
    "lock = acquire(sys.argv[1]); print('held' if lock else 'refused', flush=True);"
    "sys.stdin.read()"
)


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
    held = acquire(database)
    assert held is not None
    told: list[EnvironmentFault] = []
    held.watch(told.append)
    held.release()
    assert not told
