"""How some tests are named to a runner, and what a failure's fingerprint leaves out."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.core.blame import Red
from autopack.core.edits import touched
from autopack.core.fingerprint import fingerprint, issue_key, normalised
from autopack.core.idset import IdSet
from autopack.core.issue import key_problem
from autopack.core.selection import CHARACTERS_MAX, Runner, runner_of, selected
from autopack.core.test_file import is_test_file

PATHS = {"tests/test_a.py", "test_top.py", "src/a.py", "pkg/a_test.go"}
PYTEST = ("python", "-m", "pytest", "--junitxml={report}", "{tests}")
GO = ("go", "test", "-run", "^({tests})$", "./...")
JEST = ("npx", "jest", "-t", "{tests}")


def red(classname: str, name: str, file: str = "") -> Red:
    return Red(f"{classname}::{name}", "", "f", classname, name, file)


@pytest.mark.parametrize(
    ("argv", "test", "last"),
    [
        (PYTEST, red("tests.test_a", "test_b"), "tests/test_a.py::test_b"),
        (PYTEST, red("tests.test_a.TestX", "test_b[1-y]"), "tests/test_a.py::TestX::test_b[1-y]"),
        (PYTEST, red("test_top", "test_b[#x1B]"), "test_top.py::test_b"),
        (PYTEST, red("x", "test_b", "./tests/test_a.py"), "tests/test_a.py::x::test_b"),
        (GO, red("example.com/pkg", "TestA/sub case"), "./..."),
        (JEST, red("adds", "adds two (really?)"), r"adds two \(really\?\)"),
        (("run", "{tests}"), red("c", "n"), "n"),
    ],
)
def test_each_runner_is_told_in_its_own_words(argv: tuple[str, ...], test: Red, last: str) -> None:
    made = selected(argv, [test], PATHS)
    assert made is not None
    assert made[-1] == last


def test_several_are_arguments_or_alternatives() -> None:
    tests = [red("tests.test_a", "one"), red("tests.test_a", "two")]
    assert selected(PYTEST, tests, PATHS) == (
        *PYTEST[:-1], "tests/test_a.py::one", "tests/test_a.py::two",
    )  # fmt: skip
    made = selected(GO, [red("p", "TestA/x"), red("p", "TestB"), red("p", "TestA/y")], PATHS)
    assert made == ("go", "test", "-run", "^(TestA|TestB)$", "./...")


@pytest.mark.parametrize(
    ("argv", "test"),
    [
        (PYTEST, red("nowhere.test_z", "test_b")),
        (("run", "{tests}"), red("c", "--rm-all")),
        (("run", "{tests}"), red("c", "@file")),
        (("run", "{tests}"), red("c", "a\nb")),
        (("run", "{tests}"), red("c", "")),
        (("run", "{tests}"), red("c", "x" * (CHARACTERS_MAX + 1))),
    ],
)
def test_what_cannot_be_named_safely_is_not(argv: tuple[str, ...], test: Red) -> None:
    assert selected(argv, [test], PATHS) is None


@pytest.mark.parametrize(
    ("argv", "runner"),
    [(PYTEST, Runner.PYTEST), (("/x/.venv/bin/pytest",), Runner.PYTEST), (GO, Runner.GO),
     (JEST, Runner.JEST), (("make", "test"), Runner.OTHER)],
)  # fmt: skip
def test_the_runner_is_known_by_its_words(argv: tuple[str, ...], runner: Runner) -> None:
    assert runner_of(argv) is runner


@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=4))
def test_a_pattern_matches_its_tests_and_nothing_else(names: list[str]) -> None:
    made = selected(("run", "{tests}", "^({tests})$"), [red("c", n) for n in names], ())
    if made is not None:
        assert made[1:-1] == tuple(dict.fromkeys(names))
        assert all(re.fullmatch(made[-1], name) for name in names)
        assert not re.fullmatch(made[-1], "".join(names) + "!")


# --- fingerprints --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("assert 3 == 4", "assert 30 == 41"),
        ("<Foo object at 0x7f3a2b>", "<Foo object at 0x7f9c11>"),
        ("no file /tmp/a1/x.txt", "no file /var/b-2/y/x.txt"),
        ("at 2026-01-02 03:04:05.678", "at 2025-11-12T13:14:15"),
        ("took 1.25 s\n  here", "took 17 s here"),
        ("id 123e4567-e89b-12d3-a456-426614174000", "id 00000000-e89b-12d3-a456-426614174fff"),
        ("commit deadbeef01", "commit 0123456789abcdef"),
    ],
    ids=["number", "address", "path", "date", "time", "uuid", "hash"],
)
def test_what_varies_is_left_out(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)
    assert fingerprint("t", one) == fingerprint("t", other)


def test_other_words_and_other_tests_are_other_failures() -> None:
    prints = {
        fingerprint("t", "no feature"),
        fingerprint("t", "refused"),
        fingerprint("u", "refused"),
    }
    assert len(prints) == 3


@given(st.text(), st.text())
def test_any_test_and_message_make_a_key(test: str, message: str) -> None:
    made = fingerprint(test, message)
    assert re.fullmatch(r"[0-9a-f]{16}", made)
    assert not key_problem(issue_key("pre-existing", test, made))


# --- what a change touches -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("tests/data/x.bin", True), ("src/test_a.py", True), ("pkg/a_test.go", True),
        ("web/a.spec.ts", True), ("conftest.py", True), ("src/test/java/ATest.java", True),
        ("integration_tests/helpers.py", True), ("shop_tests/util.py", True), ("app/tests.py", True),
        ("web-tests/login.ts", True), ("src/Shop.Tests/Cart.cs", True), ("stubs/x_test.pyi", True),
        ("src/latests/a.py", False), ("src/contest.py", False), ("src/testable.py", False), ("attest.py", False), ("README.md", False), ("tests", False),
    ],
)  # fmt: skip
def test_test_files_by_name_and_place(path: str, is_one: bool) -> None:
    assert is_test_file(path) == is_one


def test_what_the_change_adds_or_edits_is_told_with_its_reason() -> None:
    paths = {"tests/test_a.py", "tests/test_b.py", "tests/data/x", "other/test_c.py"}
    reds = [red("tests.test_a", "a"), red("tests.test_b", "b"), red("other.test_c", "c")]

    def why(*changed: str, parent: IdSet | None = None) -> set[str]:
        return {test.partition("::")[2] for test in touched(reds, changed, paths, parent)}

    assert why("src/a.py") == set()
    assert why("tests/test_a.py") == {"a"}
    assert why("tests/data/x") == {"a", "b"}
    assert why("conftest.py") == {"a", "b", "c"}
    assert why("src/a.py", parent=IdSet(frozenset({"tests.test_a::a"}))) == {"b", "c"}
    lost = [red("some title", "x")]
    assert touched(lost, {"tests/test_a.py"}, paths, None)
    assert not touched(lost, {"src/a.py"}, paths, None)
