"""Blame: what is run again, and whose a red test is; pure, over a model of how tests behave."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.core import blame
from autopack.core.blame import (
    RERUNS_MAX,
    SUSPECTS_MAX,
    Ask,
    Blamed,
    Case,
    Red,
    Suspect,
    Where,
)
from autopack.core.said import Ending, Result, Said, agreed

PRINT = "f" * 16


def red(test: str = "t", **changes: object) -> Red:
    return Red(test, "it is red", PRINT, **changes)  # type: ignore[arg-type]  # any field


@dataclass
class Test:
    """How one test behaves: what its executions say, one after another, and on the parent."""

    __test__ = False

    alone: list[Said]
    together: list[Said]
    base: Said | list[Said] = Said.PASSED
    base_print: str = PRINT

    def said(self, ask: Ask, count: int) -> Said:
        if ask.where is Where.BASE:
            words = self.base if isinstance(self.base, list) else [self.base]
            return words[min(count, len(words) - 1)]
        words = self.alone if ask.tests else self.together
        return words[min(count, len(words) - 1)]


@dataclass
class World:
    """Runs what blame asks for, and counts it."""

    tests: dict[str, Test]
    asked: list[Ask] = field(default_factory=list)

    def settle(self, case: Case) -> Case:
        while (ask := blame.next_ask(case)) is not None:
            assert len(self.asked) < 3 * RERUNS_MAX + 2, self.asked
            before = [each for each in self.asked if each.where is ask.where]
            count = sum(bool(each.tests) == bool(ask.tests) for each in before)
            self.asked.append(ask)
            case = blame.told(case, ask, self._result(ask, count))
        return case

    def _result(self, ask: Ask, count: int) -> Result:
        said = {name: test.said(ask, count) for name, test in self.tests.items()
                if not ask.tests or name in ask.tests}  # fmt: skip
        prints = {name: self.tests[name].base_print for name in said}
        reds = {
            name: prints[name] if ask.where is Where.BASE else PRINT
            for name, word in said.items() if word is Said.FAILED
        }  # fmt: skip
        return Result(
            frozenset(n for n, word in said.items() if word is Said.PASSED),
            frozenset(n for n, word in said.items() if word is Said.SKIPPED),
            reds,
        )


def blamed(tests: dict[str, Test], **changes: object) -> tuple[dict[str, Blamed], list[Ask]]:
    world = World(tests)
    case = Case(tuple(Suspect(red(name)) for name in tests), **changes)  # type: ignore[arg-type]  # any field
    settled = world.settle(case)
    found = {each.red.test: kind for each, kind, why in blame.verdicts(settled) if why}
    assert len(found) == len(tests)
    return found, world.asked


P, F, S, M = Said.PASSED, Said.FAILED, Said.SKIPPED, Said.MISSING
ALONE, ALL = Ask(Where.CANDIDATE, ("t",)), Ask(Where.CANDIDATE)
BASE, BASE_ALL = Ask(Where.BASE, ("t",)), Ask(Where.BASE)


@pytest.mark.parametrize(
    ("test", "kind", "asked"),
    [
        (Test([P], [P]), Blamed.FLAKY, [ALONE, ALL, BASE]),
        (Test([F, P], [P]), Blamed.FLAKY, [ALONE, ALONE, ALL, BASE]),
        (Test([P], [F, P]), Blamed.FLAKY, [ALONE, ALL, ALL, BASE]),
        (Test([P], [P], M), Blamed.OURS, [ALONE, ALL, BASE]),
        (Test([P], [F, F]), Blamed.OURS, [ALONE, ALL, ALL, ALL, BASE_ALL]),
        (Test([P], [F, F], F), Blamed.PRE_EXISTING, [ALONE, ALL, ALL, ALL, BASE_ALL, BASE_ALL]),
        (Test([F, F], [F]), Blamed.OURS, [ALONE, ALONE, ALONE, BASE]),
        (Test([F, F], [F], F), Blamed.PRE_EXISTING, [ALONE, ALONE, ALONE, BASE, BASE]),
        (Test([F, F], [F], [F, P]), Blamed.OURS, [ALONE, ALONE, ALONE, BASE, BASE]),
        (Test([F, F], [F], [F, M]), Blamed.OURS, [ALONE, ALONE, ALONE, BASE, BASE]),
        (Test([F, F], [F], F, "another"), Blamed.OURS, [ALONE, ALONE, ALONE, BASE]),
        (Test([F, F], [F], M), Blamed.OURS, [ALONE, ALONE, ALONE, BASE]),
        (Test([M], [P], F), Blamed.OURS, [ALONE]),
        (Test([S], [P], F), Blamed.OURS, [ALONE]),
        (Test([P], [M], F), Blamed.OURS, [ALONE, ALL]),
    ],
)
def test_a_command_that_runs_tests_alone(test: Test, kind: Blamed, asked: list[Ask]) -> None:
    assert blamed({"t": test}, selects=True) == ({"t": kind}, asked)


@pytest.mark.parametrize(
    ("test", "kind", "asked"),
    [
        (Test([], [P]), Blamed.FLAKY, [ALL, BASE_ALL]),
        (Test([], [F, P]), Blamed.FLAKY, [ALL, ALL, BASE_ALL]),
        (Test([], [P], M), Blamed.OURS, [ALL, BASE_ALL]),
        (Test([], [F, F]), Blamed.OURS, [ALL, ALL, ALL, BASE_ALL]),
        (Test([], [F, F], F), Blamed.PRE_EXISTING, [ALL, ALL, ALL, BASE_ALL, BASE_ALL]),
        (Test([], [F, F], [F, P]), Blamed.OURS, [ALL, ALL, ALL, BASE_ALL, BASE_ALL]),
        (Test([], [M], F), Blamed.OURS, [ALL]),
    ],
)
def test_a_command_that_only_runs_whole(test: Test, kind: Blamed, asked: list[Ask]) -> None:
    assert blamed({"t": test}) == ({"t": kind}, asked)


def test_what_is_known_of_the_parent_is_not_run_again() -> None:
    before = Result(red={"t": PRINT})
    assert blamed({"t": Test([], [F, F])}, parent=before) == ({"t": Blamed.PRE_EXISTING}, [])
    known = blamed({"t": Test([F, F], [F])}, parent=before, selects=True)
    assert known == ({"t": Blamed.PRE_EXISTING}, [ALONE, ALONE, ALONE])
    green = Result(passed=frozenset({"t"}))
    assert blamed({"t": Test([F, F], [F])}, parent=green, selects=True)[0] == {"t": Blamed.OURS}


def test_a_test_that_was_flaky_on_the_parent_exonerates_none_that_is_red_each_time() -> None:
    before = Result(flaky={"t": PRINT})
    for selects in (True, False):
        broken = blamed({"t": Test([F, F], [F, F])}, parent=before, selects=selects)
        assert broken[0] == {"t": Blamed.OURS}
        flaky = {"t": Test([P], [P])}
        assert blamed(flaky, parent=before, selects=selects)[0] == {"t": Blamed.FLAKY}
        strict = blamed(flaky, parent=before, selects=selects, strict=True)
        assert strict[0] == {"t": Blamed.FLAKY}, "it fails there as well, now and then"


@pytest.mark.parametrize(
    ("here", "there", "kind"),
    [
        (Ending(1, 1), Ending(1, 1), Blamed.PRE_EXISTING),
        (Ending(1, 1), Ending(1, 7), Blamed.PRE_EXISTING),
        (Ending(3, 3), Ending(2, 2), Blamed.PRE_EXISTING),
        (Ending(2, 1), Ending(1, 1), Blamed.OURS),
        (Ending(2, 1), Ending(2, 2), Blamed.PRE_EXISTING),
    ],
    ids=["same", "more were red", "runners that count", "another code", "same code"],
)
def test_red_before_is_only_what_ends_as_it_ended_before(
    here: Ending, there: Ending, kind: Blamed
) -> None:
    before = Result(red={"t": PRINT}, ended=there)
    assert blamed({"t": Test([], [F, F])}, parent=before, ended=here)[0] == {"t": kind}
    case = Case((Suspect(red(), together=(F, F, F, F)),), ended=here)
    while (ask := blame.next_ask(case)) is not None:
        case = blame.told(case, ask, before)
    assert [found for _, found, _ in blame.verdicts(case)] == [kind]


def test_what_executions_agree_on() -> None:
    one = Result(frozenset("ab"), frozenset("s"), {"r": "1", "f": "1", "g": "1"})
    two = Result(frozenset("bf"), frozenset("a"), {"r": "1", "g": "2"})
    said = agreed((one, two))
    assert (said.passed, said.skipped) == (frozenset("ab"), frozenset("s"))
    assert (said.red, set(said.flaky)) == ({"r": "1"}, {"f", "g"})
    assert agreed((one,)).red == {}, "once is not certain"
    assert [said.says(test) for test in "arfsx"] == [P, F, Said.FLAKY, S, M]


def test_strict_wants_a_flake_to_be_known() -> None:
    flaky = Test([P], [P])
    assert blamed({"t": flaky}, selects=True, strict=True) == (
        {"t": Blamed.OURS}, [ALONE, ALL, BASE],
    )  # fmt: skip
    key = blame.key_of(Blamed.FLAKY, "t", PRINT)
    known = blamed({"t": flaky}, selects=True, strict=True, known=frozenset({key}))
    assert known == ({"t": Blamed.FLAKY}, [ALONE, ALL, BASE])
    shown = blamed({"t": Test([P], [P], F)}, selects=True, strict=True)
    assert shown[0] == {"t": Blamed.FLAKY}
    other = blamed({"t": Test([P], [P], F, "another")}, selects=True, strict=True)
    assert other[0] == {"t": Blamed.OURS}


def test_one_that_is_ours_is_enough() -> None:
    tests = {"flaky": Test([F, P], [P]), "lost": Test([M], [P])}
    found, asked = blamed(tests, selects=True)
    assert found == {"flaky": Blamed.OURS, "lost": Blamed.OURS}
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("reds", "edited", "why"),
    [
        ((red("a"), red("", name="b")), {}, "has no name"),
        ((red("a", uncollected=True),), {}, "a could not be collected"),
        ((red("a", timed_out=True),), {}, "a ran out of time"),
        ((red("a"),), {"a": "its file is changed"}, "a: its file is changed"),
        ((), {}, "no test is named"),
        (tuple(red(f"t{n}") for n in range(SUSPECTS_MAX + 1)), {}, "more than 200 tests"),
    ],
)
def test_never_exonerated(reds: tuple[Red, ...], edited: dict[str, str], why: str) -> None:
    assert why in blame.never(reds, edited)
    assert not blame.never((red("a"),), {"b": "changed"})


said = st.sampled_from(Said)
some = st.builds(
    Test,
    st.lists(said, min_size=1, max_size=3),
    st.lists(said, min_size=1, max_size=3),
    st.lists(said, min_size=1, max_size=2),
    st.sampled_from([PRINT, "another"]),
)


@given(
    st.dictionaries(st.sampled_from("abcd"), some, min_size=1),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, Result(red={"a": PRINT}, passed=frozenset("bcd"))]),
)
def test_it_ends_and_exonerates_only_with_proof(
    tests: dict[str, Test], selects: bool, strict: bool, parent: Result | None
) -> None:
    world = World(tests)
    case = Case(tuple(Suspect(red(n)) for n in tests), selects, strict, parent=parent)
    settled = world.settle(case)
    for each, kind, _ in blame.verdicts(settled):
        words = [word.said is F and word.fingerprint == PRINT for word in each.on_base]
        known = parent is not None and parent.red.get(each.red.test) == PRINT
        assert not each.silent or kind is Blamed.OURS
        if kind is Blamed.FLAKY:
            assert P in each.together
            assert known or any(words) or not strict
            assert parent or each.on_base[-1].said is not M
        if kind is Blamed.PRE_EXISTING:
            assert known or words == [True, True]
    kinds = {each.red.test: kind for each, kind, _ in blame.verdicts(settled)}
    records = blame.exonerations(settled)
    assert {r.test for r in records} == {t for t, kind in kinds.items() if kind is not Blamed.OURS}
    assert all(record.attempts[0] == "fail" for record in records)


def test_a_failure_has_one_key_and_a_flake_another() -> None:
    keys = {blame.key_of(kind, "tests.a::b[1]", PRINT) for kind in Blamed}
    assert keys == {f"flake-tests_a_b_1-{PRINT}", f"pre-existing-tests_a_b_1-{PRINT}"}
