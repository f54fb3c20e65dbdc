"""Settings for all tests."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator

import filelock
import pytest
from hypothesis import settings

from tests.postgres import Server, close_down, kept_server, own_server, required

STARTER = os.getppid()
"""Of a worker: its session. Looked at now, for a worker whose session was killed has another."""

# No timing decides a test: a loaded machine is slow, not wrong. A failure prints how to repeat it.
settings.register_profile("autopack", deadline=None, print_blob=True)
settings.load_profile("autopack")

# Started with `&` by a script, this process ignores Ctrl-C and so would all that it starts; the
# tests of an interrupted command need programs that hear it.
if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    and threading.current_thread() is threading.main_thread()
):
    signal.signal(signal.SIGINT, signal.default_int_handler)


COLLECTED = pytest.StashKey[list[str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What was found, before any marker leaves some of it out."""
    config.stash[COLLECTED] = [item.nodeid for item in items]


@pytest.fixture(scope="session")
def collected(request: pytest.FixtureRequest) -> list[str]:
    """The ids of all tests that this session found."""
    return request.config.stash[COLLECTED]


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """One server for all tests of this session, whichever worker they run in."""
    programs = required()
    shared = tmp_path_factory.getbasetemp()
    process = os.getpid()
    if hasattr(request.config, "workerinput"):  # a worker: its folder is below the session's
        shared, process = shared.parent, STARTER
    with filelock.FileLock(shared / "postgres.lock"):
        return kept_server(shared / "postgres", programs, process)


@pytest.fixture
def databases(postgres: Server) -> Iterator[Callable[[], str]]:
    """Makes databases like the template, each by its URL; they go when the test ends."""
    made: list[str] = []

    def make() -> str:
        made.append(postgres.copy())
        return postgres.url(made[-1])

    yield make
    for name in made:
        postgres.drop(name)


@pytest.fixture
def database(databases: Callable[[], str]) -> str:
    """The URL of a database of a test's own, with our tables."""
    return databases()


@pytest.fixture
def mortal_postgres() -> Iterator[Server]:
    """A server that a test may stop."""
    server = own_server(required())
    yield server
    close_down(server)
