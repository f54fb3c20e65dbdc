"""What a plan will cost, told from phases that landed before: median and 90th percentile.

Each slice of a plan (category × complexity × mode) is told from the newest landed phases of its
kind; where there are none, from its category, else from all, and said so. Never guesses without
data and never reads a store.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from autopack.core.run import Run
    from autopack.core.spec import PhaseSpec

SAMPLES_MAX: Final = 100
"""The newest landed phases that tell of a slice: enough for a 90th percentile, quickly read."""
RUNS_MAX: Final = 200
"""The newest runs of the project that are looked through."""

Key = tuple[str, str]
"""Run and phase id."""


class Basis(StrEnum):
    """What a slice is told from."""

    SLICE = "same category, complexity and mode"
    CATEGORY = "same category"
    ALL = "all landed phases"
    NONE = "no data"


@dataclass(frozen=True)
class Sample:
    """A phase that landed."""

    run_id: str
    phase_id: str
    category: str
    complexity: str
    mode: str
    tokens: int

    @property
    def key(self) -> Key:
        return self.run_id, self.phase_id


@dataclass(frozen=True)
class Chosen:
    """A slice of the plan and the samples that tell of it, newest first."""

    category: str
    complexity: str
    mode: str
    phases: tuple[str, ...]
    basis: Basis
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Spread:
    """The middle and the upper end of what was seen."""

    median: float
    p90: float


@dataclass(frozen=True)
class SliceForecast:
    """For one phase of the slice; None: no data. Minutes of work, without time parked."""

    category: str
    complexity: str
    mode: str
    phases: tuple[str, ...]
    basis: Basis
    samples: int
    tokens: Spread | None
    minutes: Spread | None


@dataclass(frozen=True)
class Forecast:
    """For a plan: sums over its phases with data, one after another.

    A sum of 90th percentiles is more than the 90th percentile of the sum: it is the careful end.
    """

    slices: tuple[SliceForecast, ...]
    phases: int
    phases_without_data: tuple[str, ...]
    tokens: Spread | None
    minutes: Spread | None
    runs_read: int
    runs_unread: int
    """Their logs could not be followed; their tokens count, their minutes do not."""


def samples_of(runs: Iterable[Run]) -> list[Sample]:
    """The landed phases of runs, in the order of the runs, the last landed of each first."""
    found = []
    for run in runs:
        for snapshot in reversed(run.snapshots):
            phase = run.phase(snapshot.phase_id)
            spec = phase.spec
            found.append(
                Sample(run.run_id, phase.phase_id, spec.task_category, spec.complexity.value,
                       spec.builder_mode, phase.tokens_spent)
            )  # fmt: skip
    return found


def choose(phases: Sequence[PhaseSpec], samples: Sequence[Sample]) -> tuple[Chosen, ...]:
    """The slices of a plan by name, each with at most `SAMPLES_MAX` samples, newest first."""
    slices: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for phase in phases:
        key = (phase.task_category, phase.complexity.value, phase.builder_mode)
        slices[key].append(phase.phase_id)
    return tuple(_chosen(key, tuple(ids), samples) for key, ids in sorted(slices.items()))


def _chosen(
    key: tuple[str, str, str], phases: tuple[str, ...], samples: Sequence[Sample]
) -> Chosen:
    same = [s for s in samples if (s.category, s.complexity, s.mode) == key]
    category = [s for s in samples if s.category == key[0]]
    levels = ((Basis.SLICE, same), (Basis.CATEGORY, category), (Basis.ALL, list(samples)))
    basis, found = next((level for level in levels if level[1]), (Basis.NONE, []))
    return Chosen(*key, phases, basis, tuple(found[:SAMPLES_MAX]))


def forecast(
    chosen: Sequence[Chosen],
    seconds: Mapping[Key, float],
    runs_read: int = 0,
    runs_unread: int = 0,
) -> Forecast:
    """What the slices come to; `seconds` of work by sample, where they are known."""
    slices = tuple(_forecast(each, seconds) for each in chosen)
    return Forecast(
        slices=slices,
        phases=sum(len(each.phases) for each in slices),
        phases_without_data=tuple(p for each in slices if not each.samples for p in each.phases),
        tokens=_sum([(each.tokens, len(each.phases)) for each in slices]),
        minutes=_sum([(each.minutes, len(each.phases)) for each in slices]),
        runs_read=runs_read,
        runs_unread=runs_unread,
    )


def _forecast(chosen: Chosen, seconds: Mapping[Key, float]) -> SliceForecast:
    minutes = [seconds[s.key] / 60 for s in chosen.samples if s.key in seconds]
    return SliceForecast(
        chosen.category,
        chosen.complexity,
        chosen.mode,
        chosen.phases,
        chosen.basis,
        len(chosen.samples),
        spread([sample.tokens for sample in chosen.samples]),
        spread(minutes),
    )


def _sum(parts: Sequence[tuple[Spread | None, int]]) -> Spread | None:
    known = [(spread, number) for spread, number in parts if spread]
    if not known:
        return None
    return Spread(sum(s.median * n for s, n in known), sum(s.p90 * n for s, n in known))


def spread(values: Sequence[float]) -> Spread | None:
    """Median, and 90th percentile by nearest rank, of any values; None of none."""
    if not values:
        return None
    ranked = sorted(values)
    middle = len(ranked) // 2
    median = ranked[middle] if len(ranked) % 2 else (ranked[middle - 1] + ranked[middle]) / 2
    return Spread(median, ranked[math.ceil(len(ranked) * 9 / 10) - 1])
