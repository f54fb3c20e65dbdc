"""A part of the flake lab: generated cases of known failures are blamed rightly, and cheaply."""

from __future__ import annotations

import pytest

from autopack.core.blame import Blamed
from bench.flakes import CASES, GOAL, SUITE, Lab, Truth, scored

WAYS = pytest.mark.parametrize("selects", [True, False], ids=["alone", "whole"])


@WAYS
def test_blame_is_right(selects: bool) -> None:
    score = scored(selects=selects)
    assert score.right >= GOAL
    wrong = {truth for (truth, right), n in score.tests.items() if n and not right}
    assert wrong <= {Truth.FLAKY, Truth.LATE}, "only what was red each time by chance"


@pytest.mark.parametrize("kind", [*Blamed])
def test_a_blame_that_errs_is_seen(kind: Blamed) -> None:
    """The lab itself can fail, in both directions."""
    passes = kind is not Blamed.OURS
    score = scored(selects=True, blames=lambda lab: (dict.fromkeys(lab.failing, kind), passes))
    assert score.right < 0.8
    assert sum(n for (_, right), n in score.tests.items() if not right) > CASES / 4


def test_some_tests_alone_cost_less_than_all_three_times() -> None:
    assert scored(selects=True).executed < 3 * SUITE * CASES * 0.75


def test_every_kind_of_failure_is_met() -> None:
    met = {truth for number in range(CASES) for truth in Lab.generated(number).failing.values()}
    assert met == set(Truth)
    labs = [Lab.generated(number) for number in range(CASES)]
    assert 0.4 < sum(lab.acceptable for lab in labs) / CASES < 0.7
    assert {(lab.strict, lab.knows) for lab in labs} == {(a, b) for a in (0, 1) for b in (0, 1)}
