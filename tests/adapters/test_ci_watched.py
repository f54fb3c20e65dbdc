"""Ids of tests: one spelling, in findings and in what is told of watched tests that ran green."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from autopack.adapters.ci.environment import Environments
from autopack.adapters.ci.junit import NAME_CHARACTERS_MAX, id_of_test, read_report
from autopack.adapters.ci.local import PASSED_KEPT_MAX, LocalVerifier
from autopack.app import ports
from autopack.core import intake, issue
from autopack.core.event import CiVerdict
from autopack.process.workbench import Workbench
from tests.adapters.commits import Commits, Greens, ci_task

WRITE = "import sys; open(sys.argv[1], 'w').write(open('report.xml').read())"
RED = "<failure message='no'/>"
SKIPPED = "<skipped/>"


def case(name: str, result: str = "") -> str:
    return f"<testcase classname='c' name='{name}'>{result}</testcase>"


def suite(*cases: str) -> str:
    return f"<testsuite name='s'>{''.join(cases)}</testsuite>"


class Bed:
    """A verifier whose candidates say themselves what their tests' report is."""

    def __init__(self, folder: Path, bench: Workbench, *reports: str, commands: int = 1) -> None:
        words = ", ".join(f"'''{word}'''" for word in ("python", "-c", WRITE, "{report}"))
        listed = f'{{ run = [{words}], report = "junit" }},' * commands
        base = {"autopack.toml": f"[ci.normal]\ncommands = [{listed}]\n"}
        made = {f"c{number}": {**base, "report.xml": told} for number, told in enumerate(reports)}
        commits = Commits(base=base, **made)
        self.folder, self.greens = folder, Greens()
        self.verifier = LocalVerifier(
            lambda _: commits.port, self.greens, bench, Environments(folder / "cache", bench)
        )

    def test(self, *watched: str, commit: str = "c0") -> ports.Tested:
        task = replace(ci_task(self.folder / f"task-{commit}", commit), watched=watched)
        return self.verifier.test(task, threading.Event())


def test_watched_tests_that_ran_green_are_told_and_no_others(
    tmp_path: Path, bench: Workbench
) -> None:
    it = Bed(tmp_path, bench, suite(case("green"), case("skipped", SKIPPED), case("other")))
    tested = it.test("c::green", "c::skipped", "c::never", "green")
    assert (tested.verdict, tested.passed) == (CiVerdict.PASS, ("c::green",))


def test_a_red_candidate_shows_no_test_to_be_green(tmp_path: Path, bench: Workbench) -> None:
    it = Bed(tmp_path, bench, suite(case("green"), case("red", RED)))
    tested = it.test("c::green", "c::red")
    assert (tested.verdict, tested.passed) == (CiVerdict.FAIL, ())
    assert tested.evidence
    assert [finding.test for finding in tested.evidence.findings] == ["c::red"]


def test_a_cached_result_tells_it_too_also_of_tests_not_watched_then(
    tmp_path: Path, bench: Workbench
) -> None:
    it = Bed(tmp_path, bench, suite(case("a"), case("b")))
    assert it.test().passed == ()
    again = it.test("c::b", "c::never")
    assert (again.cached, again.passed) == (True, ("c::b",))


def test_a_cache_entry_of_before_proves_none(tmp_path: Path, bench: Workbench) -> None:
    it = Bed(tmp_path, bench, suite(case("a")))
    it.test("c::a")
    ((key, value),) = it.greens.kept.items()
    told = json.loads(value)
    assert told.pop("passed") == ["c::a"]
    it.greens.kept[key] = json.dumps(told)
    again = it.test("c::a")
    assert (again.verdict, again.cached, again.passed) == (CiVerdict.PASS, True, ())


def test_a_cache_entry_is_bounded_and_keeps_what_is_watched(
    tmp_path: Path, bench: Workbench
) -> None:
    names = [f"t{number:05}" for number in range(PASSED_KEPT_MAX + 10)]
    it = Bed(tmp_path, bench, suite(*map(case, names)))
    last = f"c::{names[-1]}"
    assert it.test(last).passed == (last,)
    (value,) = it.greens.kept.values()
    assert len(json.loads(value)["passed"]) == PASSED_KEPT_MAX
    assert it.test(last, "c::t00000").passed == (last, "c::t00000")


def test_a_test_of_that_name_that_was_red_once_is_not_green(tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    path.write_text(suite(case("twice", RED), case("twice"), case("once")))
    counts = read_report(path)
    assert (counts.run, counts.failed, counts.passed) == (3, 1, frozenset({"c::once"}))


@pytest.mark.parametrize(
    ("classname", "name", "spelt"),
    [
        ("tests.test_a", "test_b[1-x]", "tests.test_a::test_b[1-x]"),
        (None, "name", "name"),
        ("classname", "", "classname"),
        (None, None, ""),
        ("a\nb", "c\t\u202ed \x1b[31m", "a b::c d [31m"),
    ],
)
def test_an_id_is_one_plain_line(classname: str | None, name: str | None, spelt: str) -> None:
    assert id_of_test(classname, name) == spelt


def test_long_ids_are_bounded_and_stay_apart() -> None:
    one, other = (id_of_test("c" * 900, name) for name in ("one", "other"))
    assert one != other
    assert len(one) == len(other) == NAME_CHARACTERS_MAX
    assert len(f"{issue.TEST}{one}") <= issue.EVIDENCE_CHARACTERS_MAX


def test_the_issue_of_a_red_test_names_it_as_a_watched_test_is_named(tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    path.write_text(suite(case("red", RED)))
    (finding,) = read_report(path).findings
    report = intake._failed_test(finding)
    assert issue.tests_of(report.evidence_refs) == ("c::red",)
    path.write_text(suite(case("red")))
    assert read_report(path).passed == frozenset(issue.tests_of(report.evidence_refs))


def test_a_test_without_a_name_is_no_test_of_anybody(tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    path.write_text(f"<testsuite><testcase/><testcase>{RED}</testcase></testsuite>")
    counts = read_report(path)
    assert counts.passed == frozenset()
    assert [finding.test for finding in counts.findings] == [""]
