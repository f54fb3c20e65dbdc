"""Red tests in CI on this machine: run again in fresh clones, on the parent, and blamed rightly."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from autopack.adapters.ci.environment import Environments
from autopack.adapters.ci.local import LocalVerifier
from autopack.app import ports
from autopack.core.blame import Blamed
from autopack.core.event import CiVerdict
from autopack.core.patch import FILE, Change, TreeDiff
from autopack.core.run import Severity
from autopack.core.spec import CiProfile, NewTests
from autopack.process.workbench import Workbench
from tests.adapters.commits import PHASE, Commits, Greens, ci_task

SUITE = Path(__file__).parents[1].joinpath("suite.py").read_text(encoding="utf-8")
ALONE = 'run = ["python", "suite.py", "{report}"], rerun = ["python", "suite.py", "{report}", "{tests}"], report = "junit"'
WHOLE = 'run = ["python", "suite.py", "{report}"], report = "junit"'


def cases(**modes: str) -> str:
    return json.dumps(modes)


class Bed:
    """A verifier over a base and a candidate; `test` judges the candidate."""

    def __init__(
        self,
        folder: Path,
        bench: Workbench,
        base: Mapping[str, str],
        candidate: Mapping[str, str],
        command: str = ALONE,
    ) -> None:
        toml = f"[ci.normal]\ncommands = [{{ {command}, seconds_max = 5 }}]\n"
        always = {"autopack.toml": toml, "suite.py": SUITE, "src/code": "old"}
        given = {**always, **base}
        self.commits = Commits(base=given, candidate={**given, "src/code": "new", **candidate})
        self.folder, self.greens = folder, Greens()
        self.verifier = LocalVerifier(
            lambda _: self.commits.port, self.greens, bench, Environments(folder / "cache", bench)
        )

    def test(self, **changes: object) -> ports.Tested:
        given: dict[str, object] = {"parent": "base", "tip": "base", **changes}
        task = replace(ci_task(self.folder / "task"), **given)  # type: ignore[arg-type]  # any field
        return self.verifier.test(task, threading.Event())

    @property
    def ran(self) -> list[str]:
        """What was executed beside the candidate's own test, by its log."""
        logs = (self.folder / "task/logs").glob("*.log")
        return sorted(path.stem for path in logs if path.stem != "0")


def same(folder: Path, bench: Workbench, command: str = ALONE, **modes: str) -> Bed:
    """The same tests on base and candidate."""
    return Bed(folder, bench, {"tests/test_a.json": cases(**modes)}, {}, command)


def test_red_then_green_on_the_same_commit_is_flaky_and_lands(
    tmp_path: Path, bench: Workbench
) -> None:
    it = same(tmp_path, bench, one="green", two="flaky")
    tested = it.test()
    assert tested.verdict is CiVerdict.PASS, tested
    (found,) = tested.exonerated
    assert (found.test, found.kind) == ("tests.test_a::two", Blamed.FLAKY)
    # alone, once more among the others, and whether the parent has it
    assert found.attempts == ("fail", "pass", "pass", "base:pass")
    assert found.path == "tests/test_a.json"
    assert found.issue_key.startswith("flake-")


def test_a_flaky_result_is_never_green_the_next_time(tmp_path: Path, bench: Workbench) -> None:
    it = same(tmp_path, bench, one="green", two="flaky")
    it.test()
    again = it.test()
    assert (again.cached, len(again.exonerated)) == (False, 1)


@pytest.mark.parametrize("command", [ALONE, WHOLE], ids=["alone", "whole"])
def test_red_on_the_parent_too_is_pre_existing(
    tmp_path: Path, bench: Workbench, command: str
) -> None:
    it = same(tmp_path, bench, command, one="green", two="red")
    tested = it.test()
    assert tested.verdict is CiVerdict.PASS
    (found,) = tested.exonerated
    assert found.kind is Blamed.PRE_EXISTING
    assert found.attempts == ("fail", "fail", "fail", "fail", "base:fail", "base:fail")
    assert found.issue_key.startswith("pre-existing-")
    it.test()
    bases = [name for name in it.ran if "base" in name]
    assert not bases, "the parent's word is remembered"


@pytest.mark.parametrize(
    ("base", "candidate"),
    [({"one": "green"}, {"one": "red"}), ({"one": "other"}, {"one": "red"})],
    ids=["green before", "red before, in another way"],
)
@pytest.mark.parametrize("command", [ALONE, WHOLE], ids=["alone", "whole"])
def test_red_each_time_is_the_candidates(
    tmp_path: Path,
    bench: Workbench,
    command: str,
    base: dict[str, str],
    candidate: dict[str, str],
) -> None:
    """The change is in data that the report does not name as the test's file."""
    it = Bed(tmp_path, bench, {"src/m": "", "tests/test_a.json": cases(**base)}, {}, command)
    files = dict(it.commits.commits["candidate"])
    files["tests/test_a.json"] = cases(**candidate)
    it.commits.commits["candidate"] = files
    it.commits.diff = _unseen  # type: ignore[method-assign]  # a fake's own
    tested = it.test()
    assert (tested.verdict, tested.exonerated) == (CiVerdict.FAIL, ())
    assert tested.evidence is not None
    assert "run again, 1 are this change's" in tested.evidence.summary
    assert [finding.test for finding in tested.evidence.findings] == ["tests.test_a::one"]


def _unseen(parent: str, tree: str) -> TreeDiff:
    return TreeDiff(parent, tree, (Change(b"src/code", FILE, FILE),))


@pytest.mark.parametrize(
    ("candidate", "why"),
    [
        ({"tests/test_a.json": cases(one="flaky", two="green")}, "tests/test_a.json is part"),
        ({"tests/test_b.json": cases(three="flaky")}, "tests/test_b.json"),
        ({"tests/conftest.py": "changed"}, "tests/conftest.py, which may serve it"),
    ],
    ids=["edited", "added", "served"],
)
def test_what_the_change_touches_is_never_exonerated_nor_run_again(
    tmp_path: Path, bench: Workbench, candidate: dict[str, str], why: str
) -> None:
    red = "flaky" if "tests/conftest.py" in candidate else "green"
    it = Bed(tmp_path, bench, {"tests/test_a.json": cases(one=red, two="red")}, candidate)
    tested = it.test()
    assert tested.verdict is CiVerdict.FAIL
    assert tested.evidence is not None
    assert why in tested.evidence.summary
    assert it.ran == []


def test_a_test_that_ran_out_of_time_is_never_exonerated(tmp_path: Path, bench: Workbench) -> None:
    it = same(tmp_path, bench, one="slow")
    tested = it.test()
    assert tested.verdict is CiVerdict.FAIL
    assert tested.evidence is not None
    assert "ran out of time" in tested.evidence.summary
    assert it.ran == []


def test_a_test_that_its_rerun_does_not_run_is_never_exonerated(
    tmp_path: Path, bench: Workbench
) -> None:
    tested = same(tmp_path, bench, one="lost", two="green").test()
    assert tested.verdict is CiVerdict.FAIL
    assert tested.evidence is not None
    assert "a rerun of it did not run it" in tested.evidence.summary


def test_green_alone_and_red_among_the_others_is_no_flake(tmp_path: Path, bench: Workbench) -> None:
    it = Bed(
        tmp_path, bench,
        {"tests/test_a.json": cases(one="green"), "tests/test_z.json": cases(z="green")},
        {}, ALONE,
    )  # fmt: skip
    it.commits.diff = _unseen  # type: ignore[method-assign]  # a fake's own
    files = dict(it.commits.commits["candidate"])
    files["tests/test_a.json"] = cases(one="order")
    it.commits.commits["candidate"] = files
    tested = it.test()
    assert tested.verdict is CiVerdict.FAIL
    assert tested.evidence is not None
    assert "green alone, red whenever all tests run" in tested.evidence.summary


@pytest.mark.parametrize("command", [ALONE, WHOLE], ids=["alone", "whole"])
def test_a_flake_that_landed_excuses_none_that_the_next_change_breaks(
    tmp_path: Path, bench: Workbench, command: str
) -> None:
    """The parent's word on it is no evidence: it neither exonerates nor proves."""
    it = same(tmp_path, bench, command, one="green", two="flaky")
    assert [each.kind for each in it.test().exonerated] == [Blamed.FLAKY]
    landed = it.commits.commits["candidate"]
    modes = {"broken": cases(one="green", two="worse"), "well": cases(one="green", two="green")}
    for commit, tests in modes.items():
        it.commits.commits[commit] = {**landed, "src/code": commit, "tests/test_a.json": tests}
    it.commits.diff = _unseen  # type: ignore[method-assign]  # a fake's own
    tested = it.test(commit="broken", tree="tree-broken", parent="candidate", tip="candidate")
    assert (tested.verdict, tested.exonerated) == (CiVerdict.FAIL, ())
    assert tested.evidence is not None
    assert "on the parent commit only now and then" in tested.evidence.summary
    tested = it.test(commit="well", tree="tree-well", parent="candidate", tip="candidate")
    assert (tested.verdict, tested.proved) == (CiVerdict.PASS, ())


def test_a_test_that_is_red_on_the_parent_only_once_proves_nothing(
    tmp_path: Path, bench: Workbench
) -> None:
    it = Bed(tmp_path, bench, {"tests/test_a.json": cases(one="once", two="needs")},
             {"tests/test_a.json": cases(one="green", two="green")})  # fmt: skip
    it.commits.diff = _unseen  # type: ignore[method-assign]  # a fake's own
    assert it.test().proved == ("tests.test_a::two",)


@pytest.mark.parametrize("command", [ALONE, WHOLE], ids=["alone", "whole"])
def test_what_is_red_now_and_then_on_the_parent_is_never_remembered_as_red(
    tmp_path: Path, bench: Workbench, command: str
) -> None:
    it = Bed(tmp_path, bench, {"tests/test_a.json": cases(two="first")}, {}, command)
    changed = {**it.commits.commits["candidate"], "tests/test_a.json": cases(two="worse")}
    it.commits.commits["candidate"] = changed
    it.commits.diff = _unseen  # type: ignore[method-assign]  # a fake's own
    for _ in range(2):
        tested = it.test()
        assert (tested.verdict, tested.exonerated) == (CiVerdict.FAIL, ())
        bases = [name for name in it.ran if "base" in name]
        assert len(bases) == 2, "the second execution there is green, so neither counts again"


@pytest.mark.parametrize("command", [ALONE, WHOLE], ids=["alone", "whole"])
def test_a_red_test_of_before_hides_no_other_reason(
    tmp_path: Path, bench: Workbench, command: str
) -> None:
    it = same(tmp_path, bench, command, one="green", two="red")
    it.commits.commits["candidate"] = {**it.commits.commits["candidate"], "src/floor": "missed"}
    for _ in ("found out", "remembered"):
        tested = it.test()
        assert (tested.verdict, tested.exonerated) == (CiVerdict.FAIL, ())
        assert tested.evidence is not None
        assert "its command ends with another exit code there" in tested.evidence.summary


@pytest.mark.parametrize("command", [ALONE, WHOLE], ids=["alone", "whole"])
def test_a_flaky_test_that_the_parent_does_not_have_is_never_exonerated(
    tmp_path: Path, bench: Workbench, command: str
) -> None:
    """Its file is not changed: it comes of data elsewhere, and nobody has run the parent yet."""
    it = Bed(tmp_path, bench, {"tests/test_a.json": cases(one="green")}, {}, command)
    added = {"tests/test_a.json": cases(one="green", new="flaky")}
    it.commits.commits["candidate"] = {**it.commits.commits["candidate"], **added}
    it.commits.diff = _unseen  # type: ignore[method-assign]  # a fake's own
    tested = it.test()
    assert (tested.verdict, tested.exonerated) == (CiVerdict.FAIL, ())
    assert tested.evidence is not None
    assert "the parent commit does not run it" in tested.evidence.summary


def test_strict_lets_only_known_flakes_pass(tmp_path: Path, bench: Workbench) -> None:
    it = same(tmp_path, bench, one="green", two="flaky")
    known = it.test().exonerated[0].issue_key
    unknown = it.test(profile=CiProfile.STRICT)
    assert unknown.verdict is CiVerdict.FAIL
    assert unknown.evidence is not None
    assert "strict lets no unknown flake pass" in unknown.evidence.summary
    tested = it.test(profile=CiProfile.STRICT, quarantined=(known,))
    assert tested.verdict is CiVerdict.PASS
    assert [each.kind for each in tested.exonerated] == [Blamed.FLAKY]


def test_strict_lets_a_flake_pass_that_the_parent_shows_too(
    tmp_path: Path, bench: Workbench
) -> None:
    tested = same(tmp_path, bench, one="green", two="shaky").test(profile=CiProfile.STRICT)
    assert tested.verdict is CiVerdict.PASS
    assert [each.attempts[-1] for each in tested.exonerated] == ["base:fail"]


def test_nothing_runs_again_that_the_run_cannot_pay(tmp_path: Path, bench: Workbench) -> None:
    it = same(tmp_path, bench, two="flaky")
    tested = it.test(seconds_left=0.0)
    assert tested.verdict is CiVerdict.FAIL
    assert tested.evidence is not None
    assert "not run again: the run has 0 s left" in tested.evidence.summary
    assert it.ran == []


def test_one_report_is_kept_for_each_execution(tmp_path: Path, bench: Workbench) -> None:
    it = same(tmp_path, bench, one="red")
    it.test()
    kept = {path.name for path in (tmp_path / "task/logs").glob("*.xml")}
    runs = {
        "0",
        "0.parent",
        "0.parent-again",
        "0.rerun1",
        "0.rerun2",
        "0.rerun3",
        "0.base4",
        "0.base5",
    }
    assert kept == {f"{run}.xml" for run in runs}
    assert "tests.test_a" in (tmp_path / "task/logs/0.base4.xml").read_text()


# --- a green candidate beside its parent ---------------------------------------------------------


def asked(tested: ports.Tested, severity: Severity = Severity.ASK) -> list[tuple[str, str]]:
    return [(f.rule, f.test) for f in tested.findings if f.severity is severity]


def test_tests_that_vanish_or_fall_silent_ask_for_an_auditor(
    tmp_path: Path, bench: Workbench
) -> None:
    base = {"tests/test_a.json": cases(one="green", two="green", three="green")}
    it = Bed(tmp_path, bench, base, {"tests/test_a.json": cases(one="green", two="skip")})
    tested = it.test()
    assert tested.verdict is CiVerdict.PASS
    assert asked(tested) == [
        ("test_vanished", "tests.test_a::three"), ("test_silenced", "tests.test_a::two"),
    ]  # fmt: skip
    before = len(it.commits.clones)
    again = it.test()
    assert again.cached
    assert asked(again) == asked(tested)
    assert len(it.commits.clones) == before, "the parent's tests are remembered"


def test_a_test_that_moved_to_another_file_has_not_vanished(
    tmp_path: Path, bench: Workbench
) -> None:
    base = {"tests/test_a.json": cases(one="green", two="green")}
    moved = {"tests/test_a.json": cases(one="green"), "tests/test_b.json": cases(two="green")}
    assert not Bed(tmp_path, bench, base, moved).test().findings


@pytest.mark.parametrize("command", [ALONE, WHOLE], ids=["alone", "whole"])
def test_new_tests_that_need_the_change_prove_it(
    tmp_path: Path, bench: Workbench, command: str
) -> None:
    new = {"src/feature": "it", "tests/test_b.json": cases(two="needs")}
    it = Bed(tmp_path, bench, {"tests/test_a.json": cases(one="green")}, new, command)
    tested = it.test()
    assert (tested.verdict, tested.proved) == (CiVerdict.PASS, ("tests.test_b::two",))
    assert tested.findings == ()


def test_a_test_that_the_change_mends_proves_it(tmp_path: Path, bench: Workbench) -> None:
    it = Bed(
        tmp_path, bench, {"tests/test_a.json": cases(one="needs", two="green")}, {"src/feature": ""}
    )
    assert it.test().proved == ("tests.test_a::one",)


@pytest.mark.parametrize(
    ("wanted", "severity"),
    [(NewTests.MAY_PASS, Severity.NOTE), (NewTests.SOME_RED, Severity.ASK),
     (NewTests.ALL_RED, Severity.ASK)],
)  # fmt: skip
def test_new_tests_that_are_green_without_the_change_prove_nothing(
    tmp_path: Path, bench: Workbench, wanted: NewTests, severity: Severity
) -> None:
    new = {"src/feature": "it", "tests/test_b.json": cases(two="green")}
    it = Bed(tmp_path, bench, {"tests/test_a.json": cases(one="green")}, new)
    tested = it.test(phase=replace(PHASE, new_tests=wanted))
    assert tested.proved == ()
    assert asked(tested, severity) == [("test_proves_nothing", "tests.test_b::two")]


def test_what_a_report_cannot_tell_is_said(tmp_path: Path, bench: Workbench) -> None:
    good = {"tests/test_a.json": cases(one="green")}
    it = Bed(tmp_path, bench, {"tests/test_a.json": "broken"}, good)
    assert [f.rule for f in it.test().findings] == ["tests_not_compared"]
    none = Bed(tmp_path / "none", bench, {"tests/none": ""}, good)
    assert [f.rule for f in none.test().findings] == ["test_proves_nothing"]


def test_ahead_of_the_branch_it_is_compared_with_what_is_known(
    tmp_path: Path, bench: Workbench
) -> None:
    it = Bed(tmp_path, bench, {"tests/test_a.json": cases(one="green", two="green")}, {})
    ahead = dict(it.commits.commits["candidate"])
    it.commits.commits["ahead"] = {**ahead, "src/code": "ahead"}
    it.test(parent="ahead")
    assert "base" in it.commits.clones
    assert "ahead" not in it.commits.clones
