"""CI, environments and agents on clones that git itself made: borrowed objects, real capture."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from autopack.adapters.agents.registry import AgentContext, load_agent
from autopack.adapters.ci.environment import Environments
from autopack.adapters.ci.local import LocalVerifier
from autopack.adapters.git.repository import BareRepository
from autopack.adapters.git.wrapper import Git
from autopack.app.agents import (
    Builder,
)
from autopack.app.ports import (
    TestTask,
)
from autopack.core.event import CiVerdict, Outcome
from autopack.core.spec import (
    CiProfile,
)
from autopack.process.workbench import Workbench
from tests.adapters.commits import PHASE, RUN, Greens, attempt
from tests.repos import git, user_repository

NEVER = threading.Event()
TOML = """\
[ci.normal]
commands = [
  { run = "git log --format=%s -1" },
  { run = "git fsck --connectivity-only" },
  { run = "sh -c 'echo /etc > .git/objects/info/alternates'" },
  { run = "sh -c 'test ! -e /etc/shadow && tool'" },
]
[environment]
prepare = ["git status", "mkdir .venv/bin", "cp tool.sh .venv/bin/tool", "chmod 755 .venv/bin/tool"]
inputs = ["tool.sh"]
cache = [".venv"]
"""
FILES = {"autopack.toml": TOML, "tool.sh": "#!/bin/sh\nexit 0\n", ".gitignore": ".venv/\n"}


@pytest.fixture
def base(tmp_path: Path) -> str:
    return user_repository(tmp_path / "user", FILES)


@pytest.fixture
def repository(tmp_path: Path, base: str, bench: Workbench) -> BareRepository:
    made = BareRepository.create(tmp_path / "bare", Git(), bench.sandbox.identity, tmp_path)
    made.prepare(str(tmp_path / "user"), "main", base, "autonomous/r1")
    return made


def test_ci_with_an_environment(
    tmp_path: Path, bench: Workbench, repository: BareRepository, base: str
) -> None:
    environments = Environments(tmp_path / "cache", bench)
    verifier = LocalVerifier(lambda _: repository, Greens(), bench, environments)
    run = replace(RUN, base_commit=base)
    assert verifier.prepare(run, NEVER)
    folder = tmp_path / "task"
    tree = repository.tree(base)
    task = TestTask(run, PHASE, base, tree, CiProfile.NORMAL, folder, tmp_path / "log")
    tested = verifier.test(task, NEVER)
    assert tested.verdict is CiVerdict.PASS, tested


def test_a_builders_work_is_captured(
    tmp_path: Path, bench: Workbench, repository: BareRepository, base: str
) -> None:
    prepared = Environments(tmp_path / "cache", bench)
    spec_run = replace(RUN, base_commit=base)
    verifier = LocalVerifier(lambda _: repository, Greens(), bench, prepared)
    environment = prepared.find(verifier.prepare(spec_run, NEVER))
    context = AgentContext(bench, {}, tmp_path, prepared={"r1": environment}.get)
    script = "git status --porcelain && tool && mkdir src && echo new > src/new.py"
    agent: Builder = load_agent("b", {"command": ["sh", "-ec", script]}, context)
    clone = repository.clone(base, tmp_path / "clone")
    built = agent.build(attempt(tmp_path), clone, NEVER)
    assert built.outcome is Outcome.SUBMITTED, built
    tree = repository.capture(clone, ())
    assert isinstance(tree, str), tree
    changed = git(repository.folder, "diff", "--name-only", base, tree)
    assert changed.split() == ["src/new.py"]
