"""The landing queue, read: what each phase in it should stand on. Never changes a run."""

from __future__ import annotations

from collections.abc import Iterator

from autopack.core.command import Check, Command, Reapply, Test
from autopack.core.run import Candidate, Phase, Run, Step

_SETTLED = frozenset({Step.LANDING_QUEUED, Step.TESTING, Step.LANDING})


def queued(run: Run) -> tuple[Phase, ...]:
    """The phases in the queue, in order."""
    return tuple(map(run.phase, run.landing_queue))


def places(run: Run) -> Iterator[tuple[Phase, Candidate, str]]:
    """Phases that may move, each with its candidate and the commit that the work ahead ends at.

    Who is in doubt is passed over; nobody behind a phase that is being made again has a place.
    """
    phases = queued(run)
    landing = next((p.candidate for p in phases if p.step is Step.LANDING and p.candidate), None)
    onto = landing.commit if landing else run.tip
    for phase in phases:
        if phase.doubt or phase.step is Step.LANDING:
            continue
        if phase.step not in _SETTLED or phase.candidate is None:
            return
        yield phase, phase.candidate, onto
        if phase.candidate.parent != onto:
            return
        onto = phase.candidate.commit


def sound(run: Run) -> frozenset[str]:
    """Phases in their place: what is found out about them there may count."""
    return frozenset(
        phase.phase_id for phase, candidate, onto in places(run) if candidate.parent == onto
    )


def is_moot(run: Run, command: Command) -> bool:
    """It was asked of queued work that is not in its place any more: its answer says nothing."""
    match command:
        case Test(phase_id=phase_id):
            return phase_id not in sound(run)
        case Reapply(onto=onto):
            return not alive(run, onto)
        case Check(phase_id=phase_id, candidate=candidate):
            return phase_id in run.landing_queue and not alive(run, candidate.parent)
        case _:
            return False


def alive(run: Run, commit: str) -> bool:
    """The branch stands there, or may come to: it is queued work that nothing speaks against."""
    ahead = (p for p in queued(run) if p.doubt is None and p.step in _SETTLED)
    return commit == run.tip or commit in {p.candidate.commit for p in ahead if p.candidate}
