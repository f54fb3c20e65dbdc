"""What each phase of a run cost: attempt by attempt, in tokens and in seconds of work.

Told from the run's events, walked through the machine once more, so that time parked at a usage
limit and time without a supervisor count for nothing. Never changes a run.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from autopack.core import budget, machine
from autopack.core.command import Audit, Build
from autopack.core.draft import PHASE
from autopack.core.event import AttemptEnded, AuditEnded, CommandFailed, RunCreated
from autopack.core.run import FINAL_STEPS, Step

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autopack.core.command import Command
    from autopack.core.event import Event, Happened
    from autopack.core.run import Run


class Use(StrEnum):
    """What came of the tokens of a try."""

    LANDED = "landed"
    PLANNED = "planned"
    """It drafted the run's plan, and is no landed work."""
    WASTED = "wasted"
    """Its attempt did not land, or it came to nothing by itself."""
    OPEN = "open"
    """Its phase is still under way."""


@dataclass(frozen=True)
class Try:
    """An attempt (`build`) or an audit, or what one of them used before its machine failed."""

    phase_id: str
    kind: str
    attempt: int
    """The builder's attempt that it is, or that it judges."""
    result: str
    """Outcome, recommendation, or `command_failed`."""
    tokens: int
    use: Use = Use.OPEN


@dataclass(frozen=True)
class PhaseCost:
    """A phase's; `active_seconds` from its first start to its end, `parked_seconds` apart."""

    phase_id: str
    tries: tuple[Try, ...]
    active_seconds: float
    parked_seconds: float

    @property
    def tokens(self) -> int:
        return sum(each.tokens for each in self.tries)

    @property
    def tokens_landed(self) -> int:
        return sum(each.tokens for each in self.tries if each.use is Use.LANDED)

    @property
    def tokens_planned(self) -> int:
        return sum(each.tokens for each in self.tries if each.use is Use.PLANNED)

    @property
    def tokens_wasted(self) -> int:
        return sum(each.tokens for each in self.tries if each.use is Use.WASTED)


def costs(events: Iterable[Happened]) -> tuple[PhaseCost, ...]:
    """Every phase of a run in its order; ValueError when the log is no walk of the machine."""
    walk = iter(events)
    first = next(walk, None)
    if first is None or not isinstance(first.event, RunCreated):
        msg = "a run's log begins with run_created"
        raise ValueError(msg)
    run = machine.create(first.event.spec).run
    tries: dict[str, list[Try]] = defaultdict(list)
    active: dict[str, float] = defaultdict(float)
    parked: dict[str, float] = defaultdict(float)
    for happened in walk:
        _count(run, happened.active_seconds, active, parked)
        asked = next((p.command for p in run.pending if p.number == happened.answers), None)
        tried = _try(happened.event, asked)
        if tried:
            tries[tried.phase_id].append(tried)
        answer = machine.advance(run, happened)
        if isinstance(answer, machine.Refusal):
            msg = f"event {run.version + 1}: {answer.reason}"
            raise ValueError(msg)
        run = answer.run
    return tuple(
        PhaseCost(
            phase.phase_id,
            tuple(_used(run, each) for each in tries[phase.phase_id]),
            active[phase.phase_id],
            parked[phase.phase_id],
        )
        for phase in run.every_phase
    )


def _count(run: Run, seconds: float, active: dict[str, float], parked: dict[str, float]) -> None:
    """Seconds since the last event, to each phase that was under way."""
    if not budget.counted(run):
        return
    for phase in run.phases:
        if phase.step is Step.PARKED:
            parked[phase.phase_id] += max(0.0, seconds)
        elif phase.step is not Step.QUEUED and phase.step not in FINAL_STEPS:
            active[phase.phase_id] += max(0.0, seconds)


def _try(event: Event, asked: Command | None) -> Try | None:
    if isinstance(event, AttemptEnded):
        return Try(event.phase_id, "build", event.attempt, event.outcome.value, event.tokens)
    if isinstance(event, AuditEnded) and isinstance(asked, Audit):
        attempt = _attempt(asked.candidate.name)
        result = event.recommendation.value
        return Try(event.phase_id, "audit", attempt, result, event.tokens)
    if isinstance(event, CommandFailed) and event.tokens and isinstance(asked, Build | Audit):
        building = isinstance(asked, Build)
        attempt = asked.attempt if isinstance(asked, Build) else _attempt(asked.candidate.name)
        kind = "build" if building else "audit"
        return Try(asked.phase_id, kind, attempt, event.kind, event.tokens)
    return None


def _attempt(candidate: str) -> int:
    """The attempt that a candidate comes from: `<attempt>`, `<attempt>.r<n>`, `<attempt>.a<n>`."""
    number = candidate.partition(".")[0]
    return int(number) if number.isdecimal() else 0


def _used(run: Run, tried: Try) -> Try:
    phase = run.phase(tried.phase_id)
    done = phase.step is Step.COMPLETE and phase.candidate is not None
    landed = _attempt(phase.candidate.name) if done and phase.candidate else 0
    if tried.result in _NOTHING:
        return replace(tried, use=Use.WASTED)
    if done:
        served = Use.PLANNED if tried.phase_id == PHASE else Use.LANDED
        return replace(tried, use=served if tried.attempt == landed else Use.WASTED)
    dead = phase.step in FINAL_STEPS or tried.attempt <= phase.attempts_used - (
        phase.step not in {Step.BUILDING, Step.PARKED}
    )
    return replace(tried, use=Use.WASTED if dead else Use.OPEN)


_NOTHING = frozenset({"command_failed", "invalid"})
"""Results that serve no attempt."""
