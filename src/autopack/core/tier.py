"""A tier, seen through its phases: nothing of it is stored; and what a run's issues come to.

Never changes a run.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from autopack.core import issue
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


class DebtStatus(StrEnum):
    """What a run leaves behind; excess blocks its promotion."""

    CLEAN = "clean"
    HAS_MINOR_ISSUES = "has_minor_issues"
    EXCESS_MINOR_ISSUES = "excess_minor_issues"


@dataclass(frozen=True)
class Excess:
    """More distinct issues of a severity than a tier, or the run (empty `tier_id`), may have."""

    tier_id: str
    severity: str
    count: int
    tolerated: int


@dataclass(frozen=True)
class Tier:
    """A tier seen through its phases; nothing of it is stored."""

    spec: TierSpec
    phases: tuple[Phase, ...]
    state: TierState
    cap_hit: bool
    minor_issues: int
    """Distinct ones of all its phases."""
    major_issues: int

    @property
    def over_tolerance(self) -> bool:
        """It has more distinct issues than a clean tier may have."""
        return bool(self.excess)

    @property
    def excess(self) -> tuple[Excess, ...]:
        """What of its issues is more than a clean tier may have."""
        spec = self.spec
        if spec.minor_issues_max is None:
            return ()
        counted = (
            Excess(spec.tier_id, "minor", self.minor_issues, spec.minor_issues_max),
            Excess(spec.tier_id, "major", self.major_issues, spec.major_issues_max),
        )
        return tuple(each for each in counted if each.count > each.tolerated)

    @property
    def cleanliness(self) -> Cleanliness:
        unclean = self.cap_hit or self.over_tolerance
        return Cleanliness.NOT_CLEAN if unclean else Cleanliness.CLEAN


def tiers(run: Run) -> tuple[Tier, ...]:
    """The run's tiers in order, each with its phases by `phase_index`."""
    return tuple(_tier(run, spec) for spec in sorted(run.spec.tiers, key=lambda t: t.tier_index))


def _tier(run: Run, spec: TierSpec) -> Tier:
    mine = sorted(
        (p for p in run.phases if p.spec.tier_id == spec.tier_id), key=lambda p: p.spec.phase_index
    )
    minor, major = issue.counts(found for phase in mine for found in phase.issues)
    return Tier(
        spec,
        tuple(mine),
        _tier_state([p.step for p in mine]),
        cap_hit=spec.tier_id in run.tier_caps_hit,
        minor_issues=minor,
        major_issues=major,
    )


def debt_status(run: Run) -> DebtStatus:
    """Whether open issues remain, and whether they are more than the run may leave."""
    if excess(run):
        return DebtStatus.EXCESS_MINOR_ISSUES
    return DebtStatus.HAS_MINOR_ISSUES if any(_found(run)) else DebtStatus.CLEAN


def excess(run: Run) -> tuple[Excess, ...]:
    """What is over the tolerances of tiers and run; nothing in a run that stayed inside them."""
    found = [each for tier in tiers(run) for each in tier.excess]
    most = run.spec.minor_issues_max
    if most is not None and (minor := _found(run)[0]) > most:
        found.append(Excess("", "minor", minor, most))
    return tuple(found)


def _found(run: Run) -> tuple[int, int]:
    """Distinct minor and major issues of all phases."""
    return issue.counts(found for phase in run.phases for found in phase.issues)


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
