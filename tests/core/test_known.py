"""Known issues of a phase: chosen by where their evidence lies, the worst first, bounded."""

from __future__ import annotations

from dataclasses import replace

from autopack.core import known, machine
from autopack.core.issue import Issue, IssueSeverity, IssueSource, KnownIssue
from autopack.core.run import Run
from tests.core.walk import phase_spec, run_spec

MINOR, MAJOR = IssueSeverity.MINOR, IssueSeverity.MAJOR


def backlog(key: str, *refs: str, severity: IssueSeverity = MINOR, due: bool = False) -> KnownIssue:
    return KnownIssue(key, severity, due, "r0", refs, "")


def run_with(*issues: KnownIssue, scope: str = "/src/", cleans: str = "") -> Run:
    phase = replace(phase_spec("P1"), scope=(scope, "!/src/not/"), cleans=cleans)
    spec = replace(run_spec(phase, phase_spec("P2", "T1", 2)), known_issues=issues)
    return machine.create(spec).run


def keys(run: Run) -> list[str]:
    return [each.issue_key for each in known.in_scope(run, run.phase("P1").spec)]


def test_evidence_in_the_scope_counts_with_or_without_a_line() -> None:
    run = run_with(
        backlog("inside", "path:src/a.py"),
        backlog("line", "path:docs/a.md", "path:src/a.py:3"),
        backlog("outside", "path:docs/a.md"),
        backlog("excluded", "path:src/not/a.py"),
        backlog("nowhere", "test:src::a"),
    )
    assert keys(run) == ["inside", "line"]


def test_the_one_that_is_cleaned_comes_first_whatever_its_evidence() -> None:
    run = run_with(
        backlog("a", "path:src/a"),
        backlog("b", "path:src/a", severity=MAJOR),
        backlog("c", "path:src/a", due=True),
        backlog("d"),
        cleans="d",
    )
    assert keys(run) == ["d", "c", "b", "a"]


def test_no_more_are_told_than_may_be_and_the_worst_are() -> None:
    many = [backlog(f"k{number:03}", "path:src/a") for number in range(known.TOLD_MAX + 5)]
    assert keys(run_with(*many, backlog("z", "path:src/a", severity=MAJOR))) == [
        "z",
        *(each.issue_key for each in many[: known.TOLD_MAX - 1]),
    ]


def test_what_the_run_recorded_is_known_and_what_it_resolved_is_not() -> None:
    run = run_with(backlog("old", "path:src/a"), backlog("gone", "path:src/a"))
    issue = Issue("new", MINOR, MAJOR, IssueSource.PROBE, "", False, 1, ("path:src/b",), "said")
    phases = (run.phases[0], replace(run.phases[1], issues=(issue,)))
    run = replace(run, phases=phases, resolved=("gone",))
    assert keys(run) == ["new", "old"]
    (found, _) = known.in_scope(run, run.phase("P1").spec)
    assert (found.severity, found.first_seen_run, found.description) == (MAJOR, "r", "said")


def test_watched_tests_are_those_of_the_backlog_each_once() -> None:
    run = run_with(backlog("a", "test:x", "path:p"), backlog("b", "test:y", "test:x"))
    assert known.watched_tests(run.spec) == ("x", "y")
