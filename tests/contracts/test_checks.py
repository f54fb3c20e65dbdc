"""Every check of the gate, ours and the fake: it tells, alters nothing, and tells the same again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from autopack.adapters.gate.registry import CheckContext, load_checks
from autopack.app.checks import Check, Subject
from autopack.app.ports import Repository, Tested
from autopack.core.errors import EnvironmentFault, OperatorFault
from autopack.core.event import CiVerdict
from autopack.core.gate import DEFAULT
from autopack.core.policy import Rules
from autopack.core.project import CiCommand, GateSettings, Project, Report
from autopack.core.run import Candidate, Finding, Severity
from autopack.testing import FakeCheck, FakeVerifier, MemoryRepository, Objects, UserRepository
from tests.core.walk import phase_spec, run_spec
from tests.keys import planted
from tests.repos import bare, user_repository

BEFORE = {"src/a.txt": b"one\n", "AGENTS.md": b"be good\n"}
LINT = CiCommand(("lint", "."), Report.EXIT_CODE)
PROJECT = Project("lab", (LINT,), (LINT,), gate=GateSettings(DEFAULT, (LINT,)))


@dataclass(frozen=True)
class Bad:
    """A change that a check has something to say about, by its rule."""

    check: str
    after: Mapping[str, bytes]
    rule: str
    severity: Severity = Severity.REFUSE


BADS = (
    Bad("structure", {**BEFORE, "src/aux.txt": b"x\n"}, "file-name"),
    Bad("scope", {**BEFORE, "out": b"x\n"}, "scope"),
    Bad("protected", {**BEFORE, "AGENTS.md": b"x\n"}, "protected-path", Severity.ASK),
    Bad("secrets", {**BEFORE, "src/k": planted()["npm"].encode()}, "secret"),
    Bad("commands", {**BEFORE, "src/b": b"x\n"}, "command-red"),
    Bad("deliverables", {"src/a.txt": b"two\n"}, "deliverable-unchanged"),
    Bad("fake", {**BEFORE, "src/b": b"x\n"}, "fake"),
)


def red_on_candidates(_project: Project) -> FakeVerifier:
    """A CI that is red at the first question and green at the next."""
    return FakeVerifier({("P1", 1): Tested(CiVerdict.FAIL)})


def check_of(name: str, tmp_path: Path) -> Check:
    if name == "fake":
        return FakeCheck(Finding("fake", "as it was told"))
    verifier = red_on_candidates(PROJECT)
    context = CheckContext(PROJECT, lambda _: verifier, tmp_path / "clones", tmp_path / "logs")
    (found,) = (each.check for each in load_checks(context) if each.name == name)
    return found


def memory(_tmp_path: Path) -> tuple[Repository, str, str]:
    user = UserRepository(Objects())
    base = user.commit({name.encode(): data for name, data in BEFORE.items()})
    return MemoryRepository({"user": user}), "user", base


def git(tmp_path: Path) -> tuple[Repository, str, str]:
    base = user_repository(tmp_path / "user", dict(BEFORE))
    return bare(tmp_path), str(tmp_path / "user"), base


def subject_of(
    made: tuple[Repository, str, str], after: Mapping[str, bytes], tmp_path: Path
) -> Subject:
    repository, address, base = made
    repository.prepare(address, "main", base, "autonomous/r")
    patch = "".join(_hunk(name, after[name]) for name in sorted(after) if name not in BEFORE)
    patch += "".join(
        f"--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-{BEFORE[name].decode()}+{after[name].decode()}"
        for name in BEFORE
        if name in after and after[name] != BEFORE[name]
    )
    patch += "".join(
        f"diff --git a/{name} b/{name}\ndeleted file mode 100644\n--- a/{name}\n+++ /dev/null\n"
        f"@@ -1 +0,0 @@\n-{BEFORE[name].decode()}"
        for name in BEFORE
        if name not in after
    )
    tree = repository.apply(base, patch.encode())
    assert isinstance(tree, str), tree
    commit = repository.commit(tree, base, "work\n", 1, "refs/autopack/r/P1/1")
    spec = run_spec(phase_spec("P1"))
    rules = Rules(scope=("/src/", "/AGENTS.md"), deliver=("src/new",))
    candidate = Candidate("1", commit, tree, base)
    diff = repository.diff(base, tree)
    return Subject(spec, spec.phases[0], rules, candidate, diff, repository)


def _hunk(name: str, data: bytes) -> str:
    lines = data.decode().splitlines()
    body = "".join(f"+{line}\n" for line in lines)
    head = f"diff --git a/{name} b/{name}\nnew file mode 100644\n--- /dev/null\n+++ b/{name}\n"
    return f"{head}@@ -0,0 +1,{len(lines)} @@\n{body}"


@pytest.mark.parametrize("make", [memory, git], ids=["memory", "git"])
@pytest.mark.parametrize("bad", BADS, ids=lambda bad: bad.check)
class TestCheck:
    def test_it_names_what_is_wrong(
        self, make: Callable[[Path], tuple[Repository, str, str]], bad: Bad, tmp_path: Path
    ) -> None:
        subject = subject_of(make(tmp_path), bad.after, tmp_path)
        found = list(check_of(bad.check, tmp_path)(subject, threading.Event()))
        assert (bad.rule, bad.severity) in {(each.rule, each.severity) for each in found}

    def test_it_tells_the_same_again_and_alters_nothing(
        self, make: Callable[[Path], tuple[Repository, str, str]], bad: Bad, tmp_path: Path
    ) -> None:
        subject = subject_of(make(tmp_path), bad.after, tmp_path)
        refs = dict(subject.repository.refs_of("r"))
        first = list(check_of(bad.check, tmp_path)(subject, threading.Event()))
        again = list(check_of(bad.check, tmp_path)(subject, threading.Event()))
        assert first == again
        assert dict(subject.repository.refs_of("r")) == refs
        assert not list(tmp_path.glob("clones/**/*"))


def test_a_name_that_nobody_registered_is_the_operators_mistake() -> None:
    project = Project("lab", (LINT,), (LINT,), gate=GateSettings(("comands",)))
    with pytest.raises(OperatorFault, match=r"gate.checks: no autopack.checks entry point"):
        load_checks(CheckContext(project))


def test_commands_need_somebody_to_run_them(tmp_path: Path) -> None:
    subject = subject_of(memory(tmp_path), {**BEFORE, "src/b": b"x\n"}, tmp_path)
    (commands,) = (c.check for c in load_checks(CheckContext(PROJECT)) if c.name == "commands")
    with pytest.raises(EnvironmentFault):
        list(commands(subject, threading.Event()))
