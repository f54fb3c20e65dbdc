"""What attempts at one commit come to, and when another one is worth its time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.core.blame import Blamed, Exoneration
from autopack.core.event import CiVerdict
from autopack.core.preflight import Outcome, Try, again, flaky, outcome
from autopack.core.run import Evidence, Finding
from autopack.core.spec import CiProfile

PASS, FAIL, INVALID = CiVerdict.PASS, CiVerdict.FAIL, CiVerdict.INVALID
INFRA, CANCELLED = CiVerdict.INFRA, CiVerdict.CANCELLED
NORMAL, STRICT = CiProfile.NORMAL, CiProfile.STRICT


def tries(*verdicts: CiVerdict | tuple[CiVerdict, str]) -> tuple[Try, ...]:
    """Attempts with these verdicts, each with its own summary unless it is given."""
    found = []
    for number, each in enumerate(verdicts, 1):
        verdict, said = (
            each if isinstance(each, tuple) else (each, ["ab", "cd", "ef", "gh"][number])
        )
        found.append(Try(number, verdict, Evidence("ci", said)))
    return tuple(found)


@pytest.mark.parametrize(
    ("verdicts", "normal", "strict"),
    [
        ([PASS], Outcome.GREEN, Outcome.GREEN),
        ([FAIL, PASS], Outcome.GREEN, Outcome.RED),
        ([INVALID, PASS], Outcome.GREEN, Outcome.RED),
        ([INFRA, PASS], Outcome.GREEN, Outcome.GREEN),
        ([FAIL, FAIL], Outcome.RED, Outcome.RED),
        ([FAIL, INFRA], Outcome.RED, Outcome.RED),
        ([INVALID, INVALID], Outcome.INVALID, Outcome.INVALID),
        ([INVALID, INFRA], Outcome.INVALID, Outcome.INVALID),
        ([INFRA, INFRA], Outcome.ENVIRONMENT, Outcome.ENVIRONMENT),
        ([FAIL, CANCELLED], Outcome.CANCELLED, Outcome.CANCELLED),
    ],
)
def test_the_word_of_all_attempts(
    verdicts: list[CiVerdict], normal: Outcome, strict: Outcome
) -> None:
    assert outcome(tries(*verdicts), NORMAL) is normal
    assert outcome(tries(*verdicts), STRICT) is strict


@pytest.mark.parametrize(
    ("attempts", "more"),
    [
        (tries(PASS), False),
        (tries(CANCELLED), False),
        (tries(FAIL), True),
        (tries(INFRA), True),
        (tries(INFRA, INFRA), True),
        (tries((FAIL, "2 of 9 in 1 s"), (FAIL, "2 of 9 in 7 s")), False),
        (tries((FAIL, "one"), (FAIL, "other")), True),
        (tries((INVALID, "none"), (FAIL, "none")), True),
        (tries(FAIL, INFRA, FAIL), False),
    ],
)
def test_another_attempt_only_where_it_can_tell_more(attempts: tuple[Try, ...], more: bool) -> None:
    assert again(attempts, 3) is more


@given(st.lists(st.sampled_from([*CiVerdict]), min_size=1, max_size=3), st.sampled_from(CiProfile))
def test_green_only_by_a_green_attempt_and_never_beyond_the_most(
    verdicts: list[CiVerdict], profile: CiProfile
) -> None:
    made = tries(*verdicts)
    if outcome(made, profile) is Outcome.GREEN:
        assert verdicts[-1] is PASS
        assert profile is NORMAL or not flaky(made)
    assert not again(made, len(made))


def red_then_blamed(red: tuple[str, ...], exonerated: tuple[str, ...], more: int = 0) -> list[Try]:
    findings = tuple(Finding("test", "it is red", test=test) for test in red)
    records = tuple(Exoneration(t, Blamed.PRE_EXISTING, "red before", "f") for t in exonerated)
    first = Try(1, FAIL, Evidence("ci", "red", findings, more))
    return [first, Try(2, PASS, exonerated=records)]


def test_what_was_red_before_is_not_flaky_however_many_attempts_saw_it() -> None:
    made = red_then_blamed(("a", "b"), ("a", "b"))
    assert not flaky(made)
    assert outcome(made, STRICT) is outcome(made[1:], STRICT) is Outcome.GREEN
    assert not flaky(red_then_blamed(("a",), ("a", "b"), more=1))


@pytest.mark.parametrize(
    "made",
    [red_then_blamed(("a", "b"), ("a",)), red_then_blamed(("a",), ()), red_then_blamed((), ("a",)),
     red_then_blamed(("a",), ("a",), more=1)],
    ids=["one is not", "none is", "not named", "more are red"],
)  # fmt: skip
def test_what_is_green_without_an_exoneration_is_flaky(made: list[Try]) -> None:
    assert (len(flaky(made)), outcome(made, STRICT)) == (1, Outcome.RED)
