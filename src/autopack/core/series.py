"""A series: a plan that is carried out by several runs, each on what the one before it landed.

Says which tiers go together, what the next run is and how it may be called. Never records a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Final

from autopack.core import promotion
from autopack.core.ids import ID_CHARACTERS_MAX
from autopack.core.run import Run, Stage
from autopack.core.spec import PhaseSpec, RunScope, RunSpec, TierSpec

if TYPE_CHECKING:
    from autopack.core.spec import CategoryRule


CROWDED_TOLD: Final = 5
"""Phases that a warning names."""


@dataclass(frozen=True)
class Part:
    """What one run of a series does; `number` from 1."""

    number: int
    tiers: tuple[TierSpec, ...]
    phases: tuple[PhaseSpec, ...]

    @property
    def tier_ids(self) -> tuple[str, ...]:
        return tuple(tier.tier_id for tier in self.tiers)


def grouped(sizes: Sequence[int], scope: RunScope, phases_max: int) -> tuple[tuple[int, ...], ...]:
    """Which tiers one run takes, by their places: one each, or as many in a row as have room.

    `sizes`: the phases of each tier; one that is larger than `phases_max` is alone.
    """
    groups: list[list[int]] = []
    room = 0
    for place, size in enumerate(sizes):
        if not groups or scope is RunScope.SINGLE_TIER or size > room:
            groups.append([])
            room = phases_max
        groups[-1].append(place)
        room -= size
    return tuple(map(tuple, groups))


def split(
    tiers: Sequence[TierSpec],
    phases: Sequence[PhaseSpec],
    scope: RunScope,
    phases_max: int,
    first: int = 1,
) -> tuple[Part, ...]:
    """The parts that do these tiers in order, numbered from `first`."""
    of_tier = [[p for p in phases if p.tier_id == tier.tier_id] for tier in tiers]
    groups = grouped([len(mine) for mine in of_tier], scope, phases_max)
    return tuple(
        Part(
            number,
            tuple(tiers[place] for place in group),
            tuple(phase for place in group for phase in of_tier[place]),
        )
        for number, group in enumerate(groups, first)
    )


def crowded(spec: RunSpec) -> str:
    """A warning where phases that a run of one tier suits better stand among several; or empty."""
    told = [phase.phase_id for phase in spec.phases if phase.single_tier_preferred]
    if spec.run_scope is RunScope.SINGLE_TIER or len(spec.tiers) < 2 or not told:
        return ""
    modes = sorted({p.builder_mode for p in spec.phases if p.single_tier_preferred})
    more = f" and {len(told) - CROWDED_TOLD} more" if len(told) > CROWDED_TOLD else ""
    named = f"{', '.join(told[:CROWDED_TOLD])}{more}: {', '.join(modes)}"
    return f"{named} prefers a run of a single tier, and this one has {len(spec.tiers)} (run_scope)"


def coming(spec: RunSpec) -> tuple[Part, ...]:
    """The parts that begin after this run's."""
    return split(spec.rest_tiers, spec.rest_phases, spec.run_scope, spec.phases_max, spec.part + 1)


def whole(spec: RunSpec) -> RunSpec:
    """The run with what the later ones of its series do, as if it did that too; for forecasts."""
    return replace(
        spec,
        tiers=(*spec.tiers, *spec.rest_tiers),
        phases=(*spec.phases, *spec.rest_phases),
        category_rules=(*spec.category_rules, *_others(spec)),
        rest_tiers=(),
        rest_phases=(),
        rest_rules=(),
    )


def _others(spec: RunSpec) -> list[CategoryRule]:
    known = {rule.category for rule in spec.category_rules}
    return [rule for rule in spec.rest_rules if rule.category not in known]


def first_part(spec: RunSpec) -> RunSpec:
    """The first run of a plan, which `spec` holds as a whole; the same when one run is enough."""
    parts = split(spec.tiers, spec.phases, spec.run_scope, spec.phases_max)
    if len(parts) < 2:
        return spec
    return _as_part(replace(spec, series=spec.run_id), parts, spec.category_rules)


def called(spec: RunSpec, run_id: str) -> RunSpec:
    """The first run of a plan under that name."""
    return replace(spec, run_id=run_id, series=run_id if spec.rest_tiers else "")


def next_part(run: Run) -> RunSpec | None:
    """The run that goes on after one that succeeded, under the first of its names; None: no more.

    Its known issues are still those of the run before.
    """
    spec = run.spec
    if run.stage is not Stage.DONE or run.failure is not None or not spec.rest_phases:
        return None
    parts = coming(spec)
    begun = replace(
        spec,
        run_id=next(names(spec.series, parts[0].number)),
        base_ref=spec.branch if run.snapshots else spec.base_ref,
        base_commit=run.tip,
        predecessor=run.run_id,
        landed=(),
        promote_onto=spec.onto,
        held_back=promotion.unclean(run),
    )
    return _as_part(begun, parts, (*spec.category_rules, *_others(spec)))


def _as_part(spec: RunSpec, parts: Sequence[Part], rules: Sequence[CategoryRule]) -> RunSpec:
    """The run that does the first of the parts and knows the rest.

    Needs of earlier parts are satisfied, or it would not begin.
    """
    now, *later = parts
    mine = {phase.phase_id for phase in now.phases}
    rest = tuple(phase for part in later for phase in part.phases)
    per_phase = spec.minor_issues_per_phase
    return replace(
        spec,
        part=now.number,
        tiers=now.tiers,
        phases=tuple(
            replace(phase, needs=tuple(need for need in phase.needs if need in mine))
            for phase in now.phases
        ),
        rest_tiers=tuple(tier for part in later for tier in part.tiers),
        rest_phases=rest,
        minor_issues_max=(
            spec.minor_issues_max if per_phase is None else per_phase * len(now.phases)
        ),
        category_rules=_rules_of(now.phases, rules),
        rest_rules=_rules_of(rest, rules),
    )


def _rules_of(
    phases: Sequence[PhaseSpec], rules: Sequence[CategoryRule]
) -> tuple[CategoryRule, ...]:
    categories = {phase.task_category for phase in phases}
    return tuple(rule for rule in rules if rule.category in categories)


# --- names ----------------------------------------------------------------------------------------


def names(series: str, part: int) -> Iterator[str]:
    """What a part may be called, the first that is free: always valid ids of the same series."""
    yield _named(series, f"-{part}")
    for number in count(1):
        yield _named(series, f"-{part}-r{number}")


def _named(series: str, suffix: str) -> str:
    return series[: ID_CHARACTERS_MAX - len(suffix)] + suffix


def planned(run_id: str, parts: int) -> tuple[str, ...]:
    """The names of all runs of a new series; too long ones are no ids."""
    return (run_id, *(f"{run_id}-{part}" for part in range(2, parts + 1)))


def reserved(spec: RunSpec) -> tuple[str, ...]:
    """The names of the parts that are still to come."""
    return tuple(next(names(spec.series, part.number)) for part in coming(spec))


def parts_of(spec: RunSpec) -> int:
    """How many runs the plan of this run has in all."""
    return spec.part + len(coming(spec))
