"""A forecast says what was seen, from what, and plainly when nothing was."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from autopack.core.forecast import SAMPLES_MAX, Basis, Sample, Spread, choose, forecast, spread
from autopack.core.spec import Complexity
from tests.core.walk import phase_spec

NUMBERS = st.lists(st.integers(0, 10**9), min_size=1, max_size=60)


def sample(number: int, *, category: str = "tests", complexity: str = "low") -> Sample:
    return Sample("r", f"S{number}", category, complexity, "tweak_light", number)


@given(NUMBERS)
def test_median_and_percentile(values: list[int]) -> None:
    seen = spread(values)
    assert seen is not None
    assert seen.median == median(values)
    assert seen.p90 in values
    assert sum(value <= seen.p90 for value in values) >= math.ceil(0.9 * len(values))
    assert sum(value < seen.p90 for value in values) < math.ceil(0.9 * len(values))
    assert min(values) <= seen.median <= max(values)


@given(NUMBERS, st.randoms(use_true_random=False))
def test_the_order_of_values_changes_nothing(values: list[int], rng: object) -> None:
    assert spread(values) == spread(values[::-1])


def test_of_nothing_nothing() -> None:
    assert spread([]) is None
    told = forecast(choose([phase_spec("P1")], []), {})
    assert told.phases_without_data == ("P1",)
    assert (told.tokens, told.minutes) == (None, None)
    assert [(s.basis, s.samples, s.tokens) for s in told.slices] == [(Basis.NONE, 0, None)]
    assert forecast(choose([], []), {}).phases == 0


def test_a_slice_falls_back_by_name() -> None:
    plan = [
        phase_spec("P1"),
        replace(phase_spec("P2"), complexity=Complexity.HIGH),
        replace(phase_spec("P3"), task_category="docs"),
    ]
    seen = [sample(10), sample(30), sample(1000, category="other")]
    told = {s.phases[0]: s for s in forecast(choose(plan, seen), {}).slices}
    assert {key: (s.basis, s.samples) for key, s in told.items()} == {
        "P1": (Basis.SLICE, 2),
        "P2": (Basis.CATEGORY, 2),
        "P3": (Basis.ALL, 3),
    }
    assert told["P1"].tokens == Spread(20, 30)
    assert told["P3"].tokens == Spread(30, 1000)


def test_sums_and_minutes_that_are_not_known() -> None:
    plan = [phase_spec("P1"), phase_spec("P2")]
    seen = [sample(10), sample(30)]
    told = forecast(choose(plan, seen), {("r", "S10"): 120.0})
    assert told.tokens == Spread(40, 60)
    assert told.minutes == Spread(4, 4)
    assert forecast(choose(plan, seen), {}).minutes is None


def test_only_the_newest_count() -> None:
    seen = [sample(number) for number in range(SAMPLES_MAX + 50)]
    (slice_,) = choose([phase_spec("P1")], seen)
    assert slice_.samples == tuple(seen[:SAMPLES_MAX])
