"""Replaying commits over the fakes: whose verdict a commit gets, and when it ends early."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from autopack.app.agents import (
    Built,
)
from autopack.app.backtest import REFS, Ground, Past, Policies, project_of, replay
from autopack.app.ports import (
    Cancel,
    Tested,
    TestTask,
)
from autopack.core.backtest import BacktestVerdict, Replayed
from autopack.core.errors import EnvironmentFault, OperatorFault
from autopack.core.event import CiVerdict, Outcome
from autopack.core.project import PolicySettings
from autopack.core.run import Evidence
from autopack.testing import FakeBuilder, FakeClock, FakeVerifier, MemoryRepository, Work
from autopack.testing.repository import UserRepository

ACCEPT, ASKS, REFUSE = BacktestVerdict
NEVER = threading.Event()
STRICT = PolicySettings(files_max=1)
Files = Mapping[bytes, bytes | None]


@dataclass
class Bench:
    """One commit that changes files, on a base of two."""

    folder: Path
    change: Files

    def __post_init__(self) -> None:
        user = UserRepository(MemoryRepository({}).objects)
        self.repository = MemoryRepository({"here": user})
        base = {b"a.py": b"1\n", b"AGENTS.md": b"do\n"}
        parent = user.commit(base)
        after = {**base, **self.change}
        commit = user.commit({path: text for path, text in after.items() if text is not None})
        tree = user.objects.commits[commit].tree
        self.past = Past(commit, parent, parent, tree, "subject", tuple(self.change))
        self.clock = FakeClock()
        files = {path.decode(): text for path, text in self.change.items()}
        self.ground = Ground(
            self.repository,
            FakeBuilder({(commit, 1): Work(files)}),
            self.clock,
            Policies(PolicySettings()),
            "toy",
            "here",
            self.folder / "scratch",
            self.folder / "logs",
            in_clones=True,
        )

    def replay(self, cancel: Cancel = NEVER, **changes: object) -> list[Replayed]:
        ground = replace(self.ground, **changes)  # type: ignore[arg-type]  # any field
        return list(replay([self.past], ground, cancel))

    def verdict(self, **changes: object) -> tuple[BacktestVerdict, list[str]]:
        (found,) = self.replay(NEVER, **changes)
        return found.verdict, [finding.rule for finding in found.findings]


def red(verdict: CiVerdict, summary: str = "", error: str = "") -> FakeVerifier:
    evidence = Evidence("ci", summary) if summary else None
    return FakeVerifier(default=Tested(verdict, evidence, error=error))


def test_an_ordinary_commit_is_accepted_and_its_tree_is_the_same(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {b"a.py": b"2\n", b"b.py": b"new\n"})
    (found,) = bench.replay()
    assert (found.verdict, found.findings, found.identical) == (ACCEPT, (), True)
    assert (found.measure.files, found.ci, found.before) == (2, None, None)
    assert [ref for ref in bench.repository.refs if ref.startswith(REFS)] == [
        f"{REFS}/{found.commit}/1"
    ]


def test_a_protected_path_needs_an_auditor(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {b"AGENTS.md": b"obey\n"})
    assert bench.verdict() == (ASKS, ["protected-path"])


def test_the_policy_that_is_given_judges_and_the_other_is_compared(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {b"a.py": b"2\n", b"b.py": b"new\n"})
    assert bench.verdict(policies=Policies(STRICT)) == (REFUSE, ["too-many-files"])
    (found,) = bench.replay(policies=Policies(STRICT, compared=PolicySettings()))
    assert (found.verdict, found.before) == (REFUSE, ACCEPT)
    (found,) = bench.replay(policies=Policies(PolicySettings(), compared=STRICT))
    assert (found.verdict, found.before) == (ACCEPT, REFUSE)


def test_a_commit_that_changes_nothing_is_no_work(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {b"a.py": b"1\n"})
    (found,) = bench.replay(policies=Policies(PolicySettings(), compared=STRICT))
    assert [finding.rule for finding in found.findings] == ["empty-change"]
    assert (found.verdict, found.before, found.identical) == (REFUSE, REFUSE, None)


def test_a_patch_that_does_not_apply_is_refused_with_its_rule(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {b"a.py": b"2\n"})
    builder = FakeBuilder(default=Built(Outcome.SUBMITTED, patch=b"--- a/x\n+++ b/x\n"))
    found = bench.verdict(builder=builder, in_clones=False)
    assert found == (REFUSE, ["patch-does-not-apply"])


def test_another_tree_than_the_commits_is_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {b"a.py": b"2\n"})
    builder = FakeBuilder(default=Work({"a.py": b"3\n"}))
    assert [found.identical for found in bench.replay(builder=builder)] == [False]


def test_green_is_needed_when_ci_runs(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {b"a.py": b"2\n"})
    verifier = FakeVerifier()
    (found,) = bench.replay(verifier=verifier)
    assert found.verdict is ACCEPT
    assert found.ci
    assert (found.ci.verdict, found.ci.tests_run) == ("pass", 1)
    (task,) = verifier.tasks
    assert (task.run.repository, task.run.base_commit) == ("here", bench.past.base)
    assert found.ci.log == str(tmp_path / "logs" / found.commit)


@pytest.mark.parametrize(
    ("verifier", "rule", "told"),
    [
        (red(CiVerdict.FAIL, "1 of 2 tests failed"), "ci-fail", "1 of 2"),
        (red(CiVerdict.INVALID, "no test ran"), "ci-invalid", "no test"),
        (red(CiVerdict.INFRA, error="no bwrap"), "ci-infra", "no bwrap"),
        (red(CiVerdict.CANCELLED), "ci-cancelled", "600 s"),
    ],
    ids=["fail", "invalid", "infra", "cancelled"],
)
def test_all_but_green_refuses(
    tmp_path: Path, verifier: FakeVerifier, rule: str, told: str
) -> None:
    bench = Bench(tmp_path, {b"a.py": b"2\n"})
    (found,) = bench.replay(verifier=verifier, policies=Policies(PolicySettings(), STRICT))
    assert (found.verdict, found.before) == (REFUSE, REFUSE)
    assert [finding.rule for finding in found.findings] == [rule]
    assert told in found.findings[0].message


def test_ci_is_not_asked_of_what_the_gate_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {b"a.py": b"2\n", b"b.py": b"new\n"})
    verifier = FakeVerifier()
    (found,) = bench.replay(verifier=verifier, policies=Policies(STRICT))
    assert (found.ci, verifier.tasks) == (None, [])


def test_told_to_end_it_ends_without_a_verdict(tmp_path: Path) -> None:
    bench, told = Bench(tmp_path, {b"a.py": b"2\n"}), threading.Event()

    class Interrupted(FakeVerifier):
        def test(self, task: TestTask, cancel: Cancel) -> Tested:
            told.set()
            return super().test(task, cancel)

    assert bench.replay(told, verifier=Interrupted()) == []
    assert bench.replay(told) == []


def test_a_commit_has_its_seconds(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {b"a.py": b"2\n"})

    class Slow(FakeVerifier):
        def test(self, task: TestTask, cancel: Cancel) -> Tested:
            bench.clock.advance(601)
            assert cancel.is_set()
            assert cancel.wait(0)
            return super().test(task, cancel)

    (found,) = bench.replay(verifier=Slow())
    assert [finding.rule for finding in found.findings] == ["ci-cancelled"]
    assert found.seconds == 601


def test_the_machines_failure_is_no_verdict(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {b"a.py": b"2\n"})
    broken = FakeBuilder(default=Built(Outcome.FAILED, error="disk full"))
    with pytest.raises(EnvironmentFault, match="disk full"):
        bench.replay(builder=broken)


def test_order_stays_with_many_workers(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {b"a.py": b"2\n"})
    pasts = [replace(bench.past, subject=str(number)) for number in range(8)]
    ground = replace(bench.ground, builder=FakeBuilder(), in_clones=False, workers_max=4)
    empty = FakeBuilder(default=Built(Outcome.SUBMITTED, patch=b""))
    found = replay(pasts, replace(ground, builder=empty), NEVER)
    assert [each.subject for each in found] == [str(number) for number in range(8)]


def test_a_file_of_policy_alone_is_enough() -> None:
    project = project_of("[policy]\nmax_files = 3\n", "toy")
    assert (project.policy.files_max, project.normal) == (3, ())
    full = project_of('[ci.normal]\ncommands = [{ run = "true" }]\n', "toy")
    assert len(full.normal) == 1
    with pytest.raises(OperatorFault, match=r"^other\.toml:2: policy\.max_file: unknown key"):
        project_of("[policy]\nmax_file = 3\n", "toy", "other.toml")
    with pytest.raises(OperatorFault, match="not TOML"):
        project_of("[policy\n", "toy")
