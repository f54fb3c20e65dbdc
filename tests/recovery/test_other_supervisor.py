"""A supervisor that loses the store's lock to another one stops, and writes nothing any more."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from autopack.adapters.store.postgresql import PostgresqlDatabase, lock_key
from autopack.core.run import RunState
from tests.lab import Lab, phase, until
from tests.postgres import Server
from tests.process.ground import alive, new_mark
from tests.recovery.ground import finish

WAITING = (
    "SELECT 1 FROM pg_stat_activity WHERE application_name = 'another' AND wait_event_type = 'Lock'"
)
ENDING = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name"


@pytest.fixture
def server_lab(tmp_path: Path, database: str) -> Iterator[Lab]:
    made = Lab(tmp_path, DATABASE_URL=database)
    yield made
    made.close()


def waiting(database: str) -> tuple[Connection, threading.Thread]:
    """Another machine's session, which gets the lock the moment that its holder loses it."""
    other = PostgresqlDatabase(database).sessions("another").connect()
    key = lock_key(other, "supervisor")
    asked = text("SELECT pg_advisory_lock(:key)")
    thread = threading.Thread(target=other.execute, args=(asked, {"key": key}))
    thread.start()
    return other, thread


@pytest.mark.slow
def test_who_lost_the_lock_to_another_writes_nothing(
    server_lab: Lab, database: str, postgres: Server
) -> None:
    lab, mark = server_lab, new_mark()
    lab.make().record(phase("F1", "do: write src/one.txt one", f"do: hang {mark}"))
    first = lab.start("supervise", "--until-idle")
    until(lambda: alive(mark), "the agent works")
    before = lab.events()
    other, thread = waiting(database)
    until(lambda: postgres.execute(WAITING), "another waits for the lock")
    assert postgres.execute(f"{ENDING} LIKE 'autopack supervisor {first.pid}@%'")
    thread.join(20)
    assert not thread.is_alive(), "another has the lock"
    (lab.tools / "go").touch()  # an agent that went on would now end its attempt
    until(lambda: not alive(mark), "the agent is cut off")
    log = lab.root / "started.log"
    until(lambda: "the supervisor's lock" in log.read_text(), "it tells why")
    first.send_signal(signal.SIGTERM)
    first.wait(20)
    assert lab.events() == before
    other.close()
    assert finish(lab).state is RunState.DONE_SUCCESS
    assert lab.load().phase("F1").attempts_used == 1
    assert lab.kinds().count("attempt_ended") == 1
