"""A lab for each test, and once for each worker the story of a run that nobody disturbed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from autopack.core.run import RunState
from autopack.process.sandbox import SandboxMissing, probe
from tests.lab import Lab
from tests.recovery.ground import CountedGit, Story, counted_git, host, started, story


@pytest.fixture(scope="session", autouse=True)
def _fenced() -> None:
    try:
        probe()
    except SandboxMissing as fault:
        if os.environ.get("CI"):
            pytest.fail(f"CI needs a working sandbox: {fault}")
        pytest.skip(f"no working sandbox: {fault}")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    yield made
    made.close()


@pytest.fixture
def server_lab(tmp_path: Path, database: str) -> Iterator[Lab]:
    """A lab whose store is on PostgreSQL."""
    made = Lab(tmp_path, DATABASE_URL=database)
    yield made
    made.close()


@pytest.fixture
def git() -> Iterator[CountedGit]:
    with counted_git() as counted:
        yield counted


@dataclass(frozen=True)
class Undisturbed:
    """How the run ends, and how many places there are to die at."""

    story: Story
    saves: int
    calls: int


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    with counted_git() as git:
        git.arm("before", 0)
        lab = started(Lab(tmp_path_factory.mktemp("undisturbed"), PATH=git.path["PATH"]))
        before = git.calls
        done = host(lab, "before", 0)
        assert done.returncode == 0, done.stderr
        assert lab.load().state is RunState.DONE_SUCCESS
        return Undisturbed(story(lab), int(done.stdout), git.calls - before)
