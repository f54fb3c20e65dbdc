"""Budgets: is there room, what is reserved, what is spent. Tokens, attempts, CI runs, seconds.

A phase reserves the whole rest of its `incident_token_cap` when it starts and holds it until it
ends, so that a phase that was let in can always be finished and no cap is passed by two phases at
once; what an attempt or audit used is settled against the reservation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from autopack.core.run import (
    FINAL_STEPS,
    Phase,
    Run,
    Stage,
    Step,
)
from autopack.core.spec import (
    PhaseSpec,
    SafetyProfile,
    TierSpec,
)


class Room(StrEnum):
    """Whether a phase may start."""

    YES = "yes"
    WAIT = "wait"
    """Others hold reservations that may come back."""
    NO = "no"


@dataclass(frozen=True)
class Decision:
    room: Room
    reason: str = ""
    tier_cap: bool = False
    """It is the tier that has no room."""


def room_to_start(run: Run, phase: Phase) -> Decision:
    """Whether the caps of run and tier hold a whole phase more; a tier's only where it binds."""
    need = phase.spec.incident_token_cap
    run_free = run.spec.token_cap - run.tokens_spent - run.tokens_reserved
    if need > run_free:
        reason = _short("run", run.run_id, need, run_free, run.spec.token_cap)
        return Decision(Room.WAIT if run.tokens_reserved else Room.NO, reason)
    if run.spec.safety_profile is SafetyProfile.SAFETY_CRITICAL:
        return _room_in_tier(run, phase, need)
    return Decision(Room.YES)


def _room_in_tier(run: Run, phase: Phase, need: int) -> Decision:
    tier = tier_of(run, phase)
    mine = [other for other in run.phases if other.spec.tier_id == tier.tier_id]
    reserved = sum(other.tokens_reserved for other in mine)
    free = tier.token_cap - sum(other.tokens_spent for other in mine) - reserved
    if need <= free:
        return Decision(Room.YES)
    reason = _short("tier", tier.tier_id, need, free, tier.token_cap)
    return Decision(Room.WAIT if reserved else Room.NO, reason, tier_cap=True)


def _short(what: str, name: str, need: int, free: int, cap: int) -> str:
    return f"{what} {name} has {max(free, 0):,} of {cap:,} tokens free, the phase may need {need:,}"


def never_fit(
    phases: Sequence[PhaseSpec],
    tiers: Sequence[TierSpec],
    run_cap: int,
    safety: SafetyProfile,
    spent: Mapping[str, int] | None = None,
) -> list[str]:
    """Which of the phases left to run no cap will ever let start; a tier's only where it binds.

    `spent`: by tier, the tokens that its run has used of its cap before any phase.
    """
    gone = {phase.phase_id: (spent or {}).get(phase.tier_id, 0) for phase in phases}
    wanted = {phase.phase_id: phase.incident_token_cap + gone[phase.phase_id] for phase in phases}
    large = [phase for phase in phases if wanted[phase.phase_id] > run_cap]
    most = max((wanted[phase.phase_id] for phase in large), default=0)
    total = sum(phase.incident_token_cap for phase in phases) + max(gone.values(), default=0)

    def has(phase: PhaseSpec) -> str:
        used = gone[phase.phase_id]
        left = f" left of {run_cap:,}, its plan took {used:,}" if used else ""
        return f"the run has {max(0, run_cap - used):,}{left}"

    if large and len(large) == len(phases):
        least = min(large, key=lambda phase: wanted[phase.phase_id])
        what = f"no phase can start: it may need {least.incident_token_cap:,} tokens, {has(least)}"
        return [f"{what}; {_enough(most, total)}"]
    told = [
        f"phase {phase.phase_id} can never start: it may need {phase.incident_token_cap:,} tokens,"
        f" {has(phase)}; {_enough(most, total)}"
        for phase in large
    ]
    if safety is SafetyProfile.SAFETY_CRITICAL:
        cap_of = {tier.tier_id: tier.token_cap for tier in tiers}
        told += [
            f"phase {phase.phase_id} can never start: it may need {phase.incident_token_cap:,}"
            f" tokens, tier {phase.tier_id} has {cap_of[phase.tier_id]:,}"
            for phase in phases
            if phase.incident_token_cap > cap_of[phase.tier_id]
        ]
    return told


def _enough(least: int, total: int) -> str:
    """Which cap helps: each phase reserves its own whole cap of what those before it left."""
    if total == least:
        return f"--token-cap {least} or more lets it start"
    return (
        f"--token-cap {least} is the least, and enough if the others take little;"
        f" {total} lets all start, whatever each takes of its own cap"
    )


def reserve(phase: Phase) -> Phase:
    """The phase with the rest of its cap reserved."""
    return replace(phase, tokens_reserved=phase.tokens_left)


def settle(phase: Phase, tokens: int) -> Phase:
    """The phase after `tokens` were used; spent may pass the cap by at most one model call."""
    spent = phase.tokens_spent + max(0, tokens)
    left = max(0, phase.spec.incident_token_cap - spent)
    return replace(phase, tokens_spent=spent, tokens_reserved=left)


def release(phase: Phase) -> Phase:
    """The phase without its reservation: it has ended."""
    return replace(phase, tokens_reserved=0)


def tier_of(run: Run, phase: Phase) -> TierSpec:
    """The phase's tier."""
    return next(tier for tier in run.spec.tiers if tier.tier_id == phase.spec.tier_id)


def ci_runs_left(run: Run, phase: Phase) -> int:
    """CI runs that the phase's tier may still pay; one that is under way is reserved."""
    tier = tier_of(run, phase)
    mine = [other for other in run.phases if other.spec.tier_id == tier.tier_id]
    used = sum(other.ci_runs_used for other in mine)
    return tier.ci_run_cap - used - ci_runs_reserved(run, tier)


def ci_runs_reserved(run: Run, tier: TierSpec) -> int:
    """CI runs of the tier that are under way and may count."""
    mine = (phase for phase in run.phases if phase.spec.tier_id == tier.tier_id)
    return sum(phase.step is Step.TESTING and not phase.judged for phase in mine)


def tier_caps_hit(run: Run) -> tuple[str, ...]:
    """Tiers that have used more tokens or CI runs than their cap, or were stopped by it."""
    hit = []
    for tier in run.spec.tiers:
        mine = [phase for phase in run.phases if phase.spec.tier_id == tier.tier_id]
        over_tokens = sum(phase.tokens_spent for phase in mine) > tier.token_cap
        over_ci_runs = sum(phase.ci_runs_used for phase in mine) > tier.ci_run_cap
        stopped = any(phase.failure is not None and phase.failure.tier_cap for phase in mine)
        if over_tokens or over_ci_runs or stopped:
            hit.append(tier.tier_id)
    return tuple(hit)


def counted(run: Run) -> bool:
    """The run's time counts: its first attempt has begun, and it has not ended."""
    if run.stage is Stage.BOOTSTRAP:
        return run.phases[0].step is not Step.QUEUED
    return run.stage in {Stage.WORKING, Stage.STOPPING}


def parked(run: Run) -> bool:
    """Every phase under way waits at a usage limit: the run's time does not count, parking does."""
    active = [p for p in run.phases if p.step not in FINAL_STEPS and p.step is not Step.QUEUED]
    return bool(active) and all(phase.step is Step.PARKED for phase in active)


def seconds_left(run: Run) -> float:
    """Seconds until the clock that runs now (work or parking) is spent."""
    if parked(run):
        return run.spec.parked_seconds_max - run.parked_seconds
    return run.spec.duration_seconds_max - run.active_seconds
