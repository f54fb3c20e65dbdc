"""A host builds each run's world once, whoever asks first; a bad repository ends nobody's run."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from autopack.adapters.git.projects import Projects
from autopack.adapters.git.wrapper import Git
from autopack.app.agents import (
    Agents,
)
from autopack.app.host import Host
from autopack.app.ports import (
    Recorded,
)
from autopack.app.supervise import Cancellation
from autopack.app.world import (
    World,
)
from autopack.core import machine
from autopack.core.command import Pending, PrepareBase
from autopack.core.errors import EnvironmentFault
from autopack.core.event import BasePrepared
from autopack.core.policy import Rules
from autopack.core.run import (
    Run,
    Stage,
)
from autopack.core.spec import (
    RunSpec,
)
from autopack.testing import FakeClock, FakeVerifier, MemoryStarts
from tests.core.walk import phase_spec, run_spec
from tests.repos import user_repository

THREADS = 4


class Files:
    """Artefacts that are only counted, and fail for one run."""

    def __init__(self) -> None:
        self.rendered: list[str] = []

    def render(self, run: Run, events: Iterator[Recorded] | Sequence[Recorded]) -> None:
        if run.run_id == "gone":
            raise EnvironmentFault("the repository is gone")
        self.rendered.append(run.run_id)


def project(folder: Path) -> tuple[Projects, RunSpec]:
    """Where a run's repository is kept, and a run of a user's repository."""
    base = user_repository(folder / "user")
    spec = replace(run_spec(phase_spec("P1")), repository=str(folder / "user"), base_commit=base)
    projects = Projects(lambda spec: folder / spec.project_id, Git(), None, alone=True)
    return projects, spec


def host_of(
    tmp_path: Path,
    projects: Projects,
    built: list[str],
    files: Files,
    ended: list[RunSpec] | None = None,
) -> Host:
    ended = [] if ended is None else ended

    def world_of(spec: RunSpec) -> World:
        built.append(spec.run_id)
        return World(
            repository=projects.repository,
            rules=lambda _spec, phase: Rules(scope=phase.scope),
            agents=Agents({}, {}),
            verifier=FakeVerifier(),
            clock=FakeClock(),
            starts=MemoryStarts(),
            planned=lambda _run, _text: ("no plan is asked for here",),
            scratch=tmp_path / "clones",
            quarantine=tmp_path / "quarantine",
            logs=tmp_path / "logs",
        )

    return Host(
        world_of, lambda _spec: files, lambda _run_id: iter(()), ended.append, lambda _run: None
    )


def test_runs_of_one_repository_that_begin_together_share_one(tmp_path: Path) -> None:
    projects, spec = project(tmp_path)
    built: list[str] = []
    host = host_of(tmp_path, projects, built, Files())
    together = threading.Barrier(THREADS)
    runs = [machine.create(replace(spec, run_id=name)).run for name in ("a", "a", "b", "b")]

    def perform(run: Run) -> object:
        together.wait(timeout=20)
        return host.perform(run, Pending(1, PrepareBase()), Cancellation())

    with ThreadPoolExecutor(THREADS) as pool:
        assert [*pool.map(perform, runs)] == [BasePrepared()] * THREADS
    assert sorted(built) == ["a", "b"]
    repository = projects.repository(spec)
    assert projects.repository(replace(spec, run_id="b")) is repository
    assert repository.resolve("refs/heads/autonomous/a") == spec.base_commit
    assert repository.resolve("refs/heads/autonomous/b") == spec.base_commit


def test_a_repository_is_opened_once_by_threads_that_ask_together(tmp_path: Path) -> None:
    projects, spec = project(tmp_path)
    together = threading.Barrier(THREADS)

    def ask(_: int) -> object:
        together.wait(timeout=20)
        return projects.repository(spec)

    with ThreadPoolExecutor(THREADS) as pool:
        assert len(set(map(id, pool.map(ask, range(THREADS))))) == 1


def test_files_that_cannot_be_written_stop_nobody(tmp_path: Path) -> None:
    projects, spec = project(tmp_path)
    files = Files()
    host = host_of(tmp_path, projects, [], files)
    worked = [
        host.render(machine.create(replace(spec, run_id=name)).run) for name in ("gone", "r", "r")
    ]
    assert worked == [False, True, True]
    assert files.rendered == ["r", "r"]


def test_the_end_of_a_run_that_was_performed_here_is_told(tmp_path: Path) -> None:
    projects, spec = project(tmp_path)
    ended: list[RunSpec] = []
    host = host_of(tmp_path, projects, [], Files(), ended)
    run = machine.create(spec).run
    done = replace(run, stage=Stage.DONE, pending=())
    assert done.ended
    host.render(done)
    assert ended == []
    host.perform(run, Pending(1, PrepareBase()), Cancellation())
    host.render(run)
    assert ended == []
    host.render(done)
    assert ended == [spec]
    assert not host._performers
    assert not host._artefacts


def test_the_end_is_told_though_the_files_cannot_be_written(tmp_path: Path) -> None:
    projects, spec = project(tmp_path)
    spec = replace(spec, run_id="gone")
    ended: list[RunSpec] = []
    host = host_of(tmp_path, projects, [], Files(), ended)
    run = machine.create(spec).run
    host.perform(run, Pending(1, PrepareBase()), Cancellation())
    done = replace(run, stage=Stage.DONE, pending=())
    assert not host.render(done)
    assert not host.render(done)
    assert ended == [spec]
