"""CI of a forge: only what was reported of that commit, in time, is green; restarts look first."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.adapters.ci.forge import ChecksLimits, ForgeVerifier, judge, late
from autopack.app.forge import CheckState, ForgeAway, ForgeCheck, ForgeRefused
from autopack.app.ports import Cancel, Repository, Tested
from autopack.core.errors import EnvironmentFault
from autopack.core.event import CiVerdict
from autopack.core.project import Project, parse_project
from autopack.core.spec import RunSpec
from autopack.testing import FakeVerifier, MemoryForge, MemoryTester
from tests.adapters.commits import RUN, Greens, ci_task
from tests.forges import Patience
from tests.keys import planted

SHA, OTHER = "a" * 40, "b" * 40
BRANCH = "autopack-candidate/r1/F1.1"
GREEN = ForgeCheck("tests", CheckState.GREEN)
RED = ForgeCheck("lint", CheckState.RED, "line 3 is too long", "https://ci.example/2")
RUNNING = ForgeCheck("tests", CheckState.RUNNING)
WAITING = ForgeCheck("tests", CheckState.WAITING)
SECONDS_MAX = 600.0


class Refs:
    """The part of the Repository port that is asked: the run's attempts."""

    def refs_of(self, run_id: str) -> dict[str, str]:
        assert run_id == "r1"
        return {"refs/autopack/r1/F1.1/1": OTHER, "refs/autopack/r1/F1.1/2": SHA}


@dataclass
class Bed:
    """A verifier over a forge in memory."""

    tester: MemoryForge
    needed: tuple[str, ...] = ()
    patience: Patience = field(default_factory=Patience)
    greens: Greens = field(default_factory=Greens)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def verifier(self) -> ForgeVerifier:
        def project(_run: RunSpec) -> Project:
            found = parse_project('[ci.normal]\ncommands = [{ run = "true" }]\n', "p")
            assert isinstance(found, Project)
            return replace(found, checks=self.needed)

        def tester(_run: RunSpec, _cancel: Cancel) -> object:
            return self.tester

        return ForgeVerifier(
            FakeVerifier(digest="d"), lambda _: cast("Repository", Refs()), project, tester,
            self.greens, self.patience.clock, ChecksLimits(SECONDS_MAX, 30.0),
        )  # fmt: skip

    def test(self, folder: Path) -> Tested:
        task = ci_task(folder / str(next(self.numbers)), SHA)
        return self.verifier.test(task, self.patience)


def reporting(*stages: tuple[ForgeCheck, ...]) -> MemoryTester:
    return MemoryTester(on_push=lambda _commit: list(stages))


def test_green_is_what_stays_green(tmp_path: Path) -> None:
    it = Bed(tester := reporting((), (WAITING,), (RUNNING,), (GREEN,), (GREEN,)))
    tested = it.test(tmp_path)
    assert (tested.verdict, tested.weak, tested.error) == (CiVerdict.PASS, True, "")
    assert tester.pushed == [(BRANCH, SHA), (BRANCH, "")]
    assert it.patience.waited[:3] == [1.0, 1.5, 2.25]
    assert "tests: green" in (tmp_path / "0" / "logs" / "checks.log").read_text()


def test_what_checks_say_is_kept_without_secrets(tmp_path: Path) -> None:
    key = planted()["anthropic"]
    Bed(reporting((replace(RED, said=f"boom {key}", url=f"https://host/?t={key}"),))).test(tmp_path)
    log = (tmp_path / "0" / "logs" / "checks.log").read_text()
    assert (key in log, log.count("[redacted: anthropic-key]")) == (False, 2)


def test_a_late_check_is_waited_for(tmp_path: Path) -> None:
    late_red = replace(RED, name="late")
    it = Bed(
        reporting((GREEN,), (GREEN,), (GREEN, replace(RUNNING, name="late")), (GREEN, late_red))
    )
    tested = it.test(tmp_path)
    assert tested.verdict is CiVerdict.FAIL
    assert tested.evidence
    assert "late" in tested.evidence.findings[0].message


def test_red_is_told_with_what_it_says(tmp_path: Path) -> None:
    it = Bed(tester := reporting((RUNNING, RED)))
    tested = it.test(tmp_path)
    assert tested.verdict is CiVerdict.FAIL
    assert tested.evidence
    assert tested.evidence.source == "ci"
    (finding,) = tested.evidence.findings
    assert finding.message == "lint\nline 3 is too long\nhttps://ci.example/2"
    assert BRANCH not in tester.branches
    assert not it.greens.kept


@pytest.mark.parametrize(
    ("said", "needed", "verdict", "told"),
    [
        ((), (), CiVerdict.INVALID, "no check was reported within 600 s"),
        ((GREEN,), ("other",), CiVerdict.INVALID, "within 600 s: other"),
        ((RUNNING,), (), CiVerdict.FAIL, "not done after 600 s"),
        ((GREEN, replace(WAITING, name="x")), (), CiVerdict.INFRA, "did not begin"),
        ((ForgeCheck("tests", CheckState.NEUTRAL),), (), CiVerdict.INVALID, "no check said"),
        ((ForgeCheck("x", CheckState.NEUTRAL), GREEN), ("x",), CiVerdict.INVALID, "said nothing"),
        ((GREEN, ForgeCheck("x", CheckState.STOPPED, "(cancelled)")), (), CiVerdict.INFRA, "(cancelled)"),
    ],
)  # fmt: skip
def test_what_is_not_reported_green_in_time_is_not_green(
    tmp_path: Path,
    said: tuple[ForgeCheck, ...],
    needed: tuple[str, ...],
    verdict: CiVerdict,
    told: str,
) -> None:
    it = Bed(tester := reporting(said), needed)
    tested = it.test(tmp_path)
    assert tested.verdict is verdict
    assert told in (tested.evidence.summary if tested.evidence else tested.error)
    assert BRANCH not in tester.branches
    assert sum(it.patience.waited) <= SECONDS_MAX


def test_only_the_checks_that_the_base_names_count(tmp_path: Path) -> None:
    it = Bed(reporting((GREEN, RED, replace(RUNNING, name="slow"))), ("tests",))
    assert it.test(tmp_path).verdict is CiVerdict.PASS
    assert it.patience.waited == []


def test_a_green_tree_is_green_again_and_others_are_asked_for(tmp_path: Path) -> None:
    it = Bed(tester := reporting((GREEN,)))
    assert not it.test(tmp_path).cached
    again = it.test(tmp_path)
    assert (again.verdict, again.cached) == (CiVerdict.PASS, True)
    assert len(tester.pushed) == 2
    it.needed = ("tests",)
    assert not it.test(tmp_path).cached


def test_after_a_crash_nothing_is_pushed_twice(tmp_path: Path) -> None:
    """Killed while it waited: the branch is there, and so is what was said meanwhile."""
    tester = MemoryTester({BRANCH: SHA})
    tester.stages[SHA] = [(RUNNING,), (GREEN,)]
    assert Bed(tester).test(tmp_path).verdict is CiVerdict.PASS
    assert tester.pushed == [(BRANCH, "")]


def test_the_branch_of_an_earlier_attempt_is_moved(tmp_path: Path) -> None:
    tester = MemoryTester({BRANCH: OTHER}, lambda _commit: [(GREEN,)])
    assert Bed(tester).test(tmp_path).verdict is CiVerdict.PASS
    assert tester.pushed == [(BRANCH, SHA), (BRANCH, "")]


def test_a_branch_that_somebody_else_made_is_left_alone(tmp_path: Path) -> None:
    tester = MemoryTester({BRANCH: "c" * 40}, lambda _commit: [(GREEN,)])
    tested = Bed(tester).test(tmp_path)
    assert tested.verdict is CiVerdict.INFRA
    assert "not of this run" in tested.error
    assert tester.branches == {BRANCH: "c" * 40}


@pytest.mark.parametrize("call", ["checks", "stands", "push"])
@pytest.mark.parametrize(
    "fault", [ForgeAway("away", retry_after=9), ForgeRefused("no")], ids=["away", "refused"]
)
def test_trouble_with_the_forge_is_never_the_candidates(
    tmp_path: Path, call: str, fault: Exception
) -> None:
    it = Bed(tester := reporting((GREEN,)))
    tester.before[call] = [fault]
    tested = it.test(tmp_path)
    assert tested.verdict is CiVerdict.INFRA
    assert it.test(tmp_path).verdict is CiVerdict.PASS
    assert BRANCH not in tester.branches


def test_a_forge_that_is_away_while_it_is_waited_for_is_waited_for(tmp_path: Path) -> None:
    it = Bed(tester := reporting((RUNNING,), (GREEN,)))

    def away_later(commit: str) -> list[tuple[ForgeCheck, ...]]:
        tester.before["checks"] = [ForgeAway("away", retry_after=90), ForgeAway("away")]
        return [(RUNNING,), (GREEN,)]

    tester._on_push = away_later
    assert it.test(tmp_path).verdict is CiVerdict.PASS
    assert it.patience.waited[0] == 90


def test_told_to_end_it_says_so_and_leaves_no_branch(tmp_path: Path) -> None:
    it = Bed(tester := reporting((RUNNING,)))
    it.patience.told_to_end = True
    assert it.test(tmp_path).verdict is CiVerdict.CANCELLED
    assert BRANCH not in tester.branches


def test_a_forge_that_tests_nothing_is_told(tmp_path: Path) -> None:
    it = Bed(MemoryForge())
    tested = it.test(tmp_path)
    assert tested.verdict is CiVerdict.INFRA
    assert 'kind = "github"' in tested.error
    with pytest.raises(EnvironmentFault, match="github"):
        it.verifier.prepare(RUN, Patience())


def test_agents_get_the_environment_that_is_made_here() -> None:
    assert Bed(reporting()).verifier.prepare(RUN, Patience()) == "d"


CHECKS = st.lists(
    st.builds(ForgeCheck, st.sampled_from("abcd"), st.sampled_from(CheckState)), max_size=6
)


@given(CHECKS, st.lists(st.sampled_from("abcd"), unique=True, max_size=3))
def test_green_needs_a_green_report_of_everything_that_counts(
    said: list[ForgeCheck], needed: list[str]
) -> None:
    counted = [check for check in said if not needed or check.name in needed]
    states = {check.state for check in counted}
    tested = judge(said, needed)
    if tested is not None and tested.verdict is CiVerdict.PASS:
        assert CheckState.GREEN in states
        assert states <= {CheckState.GREEN, CheckState.NEUTRAL}
        assert {check.name for check in counted} >= set(needed)
        if needed:
            assert states == {CheckState.GREEN}
    if CheckState.RED in states:
        assert tested is not None
        assert tested.verdict is CiVerdict.FAIL
    assert late(said, needed, 1).verdict is not CiVerdict.PASS
