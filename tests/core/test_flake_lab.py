"""A part of the flake lab: generated cases of known failures are blamed rightly, and cheaply."""

from __future__ import annotations

import pytest

from bench.flakes import GOAL, SUITE, Lab, Truth, scored

CASES = range(60)


@pytest.mark.parametrize("selects", [True, False], ids=["alone", "whole"])
def test_blame_is_right(selects: bool) -> None:
    score = scored(selects=selects, cases=CASES)
    assert score.right >= GOAL - 1 / len(CASES)  # a flaky test may be red each time
    wrong = {truth: n for (truth, right), n in score.tests.items() if not right}
    assert not wrong.keys() - {Truth.FLAKY}, wrong


def test_some_tests_alone_cost_less_than_all_three_times() -> None:
    assert scored(selects=True, cases=CASES).executed < 3 * SUITE * len(CASES) * 0.75


def test_every_kind_of_failure_is_met() -> None:
    met = {truth for number in CASES for truth in Lab.generated(number).failing.values()}
    assert met == set(Truth)
