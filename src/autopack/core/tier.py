"""A tier, seen through its phases: nothing of it is stored. Never changes a run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from autopack.core.run import (
    FINAL_STEPS,
    Phase,
    Run,
    Step,
)
from autopack.core.spec import (
    TierSpec,
)


class TierState(StrEnum):
    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


class Cleanliness(StrEnum):
    CLEAN = "clean"
    NOT_CLEAN = "not_clean"


@dataclass(frozen=True)
class Tier:
    """A tier seen through its phases; nothing of it is stored."""

    spec: TierSpec
    phases: tuple[Phase, ...]
    state: TierState
    cleanliness: Cleanliness


def tiers(run: Run) -> tuple[Tier, ...]:
    """The run's tiers in order, each with its phases by `phase_index`."""
    return tuple(_tier(run, spec) for spec in sorted(run.spec.tiers, key=lambda t: t.tier_index))


def _tier(run: Run, spec: TierSpec) -> Tier:
    mine = sorted(
        (p for p in run.phases if p.spec.tier_id == spec.tier_id), key=lambda p: p.spec.phase_index
    )
    hit = spec.tier_id in run.tier_caps_hit
    clean = Cleanliness.NOT_CLEAN if hit else Cleanliness.CLEAN
    return Tier(spec, tuple(mine), _tier_state([p.step for p in mine]), clean)


def _tier_state(steps: list[Step]) -> TierState:
    if Step.FAILED in steps and all(step in FINAL_STEPS for step in steps):
        return TierState.FAILED
    if all(step is Step.SKIPPED for step in steps):
        return TierState.SKIPPED
    if all(step in FINAL_STEPS for step in steps):
        return TierState.COMPLETE
    if all(step is Step.QUEUED for step in steps):
        return TierState.PENDING
    return TierState.IN_PROGRESS
