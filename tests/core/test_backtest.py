"""What many replayed commits come to, and the scope that names a commit's own files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from autopack.core.backtest import (
    SCOPE_PATHS_MAX,
    BacktestVerdict,
    Change,
    Measure,
    PathCount,
    Replayed,
    remedy,
    scope_of,
    summarise,
    verdict_of,
)
from autopack.core.run import Finding, Severity

ACCEPT, ASKS, REFUSE = BacktestVerdict
PATHS = st.binary(min_size=1, max_size=12).filter(
    lambda path: b"\0" not in path and not {b"", b".", b".."} & set(path.split(b"/"))
)


def replayed(
    name: str,
    *findings: Finding,
    seconds: float = 1.0,
    identical: bool | None = True,
    measure: Measure | None = None,
    before: BacktestVerdict | None = None,
) -> Replayed:
    return Replayed(
        name, "parent", "subject", verdict_of(findings), findings, seconds, identical,
        measure or Measure(), before=before,
    )  # fmt: skip


def ask(rule: str, path: str = "") -> Finding:
    return Finding(rule, "an auditor decides", path, severity=Severity.ASK)


@pytest.mark.parametrize(
    "path",
    ["a b", "a ", "#x", "!y", "a[1].c", "a*b", "x\\y", "n\nl", "d/é", "t\t", "c\r", " l", "**/x"],
)
def test_an_odd_name_is_in_its_own_scope_and_no_other_is(path: str) -> None:
    scope = GitIgnoreSpec.from_lines(scope_of([path.encode()]))
    assert scope.match_file(path)
    assert not scope.match_file(f"{path}z")
    assert not scope.match_file(f"other/{path}")


@given(st.lists(PATHS, min_size=1, max_size=5))
def test_a_scope_covers_its_paths(paths: list[bytes]) -> None:
    scope = GitIgnoreSpec.from_lines(scope_of(paths))
    for path in paths:
        assert scope.match_file(path.decode("utf-8", "surrogateescape"))


def test_a_scope_of_many_paths_is_short() -> None:
    many = [b"top/%d" % n for n in range(SCOPE_PATHS_MAX + 1)]
    assert scope_of([*many, b"other"]) == ("/other", "/top")
    assert scope_of([b"%d/x" % n for n in range(SCOPE_PATHS_MAX + 1)]) == ("**",)
    assert scope_of([]) == ("**",)


def test_a_refusal_outweighs_a_question() -> None:
    assert verdict_of([]) is ACCEPT
    assert verdict_of([ask("symlink")]) is ASKS
    assert verdict_of([ask("symlink"), Finding("dot-git", "no")]) is REFUSE
    assert verdict_of([Finding("x", "", severity=Severity.NOTE)]) is ACCEPT


def test_a_rule_is_counted_once_a_commit() -> None:
    summary = summarise([
        replayed("a", ask("protected-path", "AGENTS.md"), ask("protected-path", "CLAUDE.md")),
        replayed("b", ask("protected-path"), Finding("file-size", "big", "x")),
        replayed("c"),
        replayed("d", ask("symlink")),
    ])  # fmt: skip
    assert summary.verdicts == {ACCEPT: 1, ASKS: 2, REFUSE: 1}
    told = [(rule.rule, rule.commits, rule.share, rule.example) for rule in summary.rules]
    assert told == [("file-size", 1, 0.25, "b"), ("protected-path", 2, 0.5, "a"),
                    ("symlink", 1, 0.25, "d")]  # fmt: skip
    assert summary.rules[1].paths == (PathCount("AGENTS.md", 1), PathCount("CLAUDE.md", 1))
    assert summary.rules[0].paths == (PathCount("x", 1),)


def test_trees_slowness_and_changes_are_told() -> None:
    summary = summarise([
        replayed("a", seconds=1.0, before=REFUSE),
        replayed("b", seconds=3.0, identical=False, before=ACCEPT),
        replayed("c", Finding("patch-size", ""), seconds=2.0, identical=None, before=REFUSE),
    ])  # fmt: skip
    assert (summary.identical, summary.different) == (1, ("b",))
    assert [each.commit for each in summary.slowest] == ["b", "c", "a"]
    assert summary.changes == (Change("a", REFUSE, ACCEPT),)


def test_nothing_replayed_is_a_summary_too() -> None:
    summary = summarise([])
    assert (sum(summary.verdicts.values()), summary.rules, summary.slowest) == (0, (), ())


def test_a_remedy_names_the_key_and_the_least_that_takes_all() -> None:
    measures = [Measure(2_000, 5, 30), Measure(1_500, 900_000, 40)]
    refuse = Severity.REFUSE
    assert remedy("too-many-files", refuse, measures) == "[policy] max_files = 2000"
    assert remedy("too-many-lines", refuse, measures) == "[policy] max_changed_lines = 900000"
    assert remedy("file-size", refuse, measures) == "[policy] max_file_bytes = 40"
    assert "auditor" in remedy("protected-path", Severity.ASK, measures)
    assert "auditor" in remedy("symlink", Severity.ASK, measures)
    assert "no key takes it" in remedy("dot-git", refuse, measures)
    assert "--way clone" in remedy("binary-size", refuse, [])
