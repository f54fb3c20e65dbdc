"""What a run's commands are performed with: its repository, agents, CI and places on the disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from autopack.app.agents import Agents, Starts
from autopack.app.checks import POLICY, NamedCheck
from autopack.app.draft import Drafted
from autopack.app.forge import Forge
from autopack.app.papers import PapersOf
from autopack.app.ports import Cancel, Clock, Repository, Verifier
from autopack.app.room import Room
from autopack.app.turns import Slots
from autopack.core.policy import Rules
from autopack.core.run import Run
from autopack.core.spec import PhaseSpec, RunSpec


@dataclass(frozen=True)
class World:
    """Everything that performing asks of the outside."""

    repository: Callable[[RunSpec], Repository]
    rules: Callable[[RunSpec, PhaseSpec], Rules]
    """The path policy of a phase, from the base commit's project file."""
    agents: Agents
    verifier: Verifier
    clock: Clock
    starts: Starts
    scratch: Path
    """Clones, reports and prompts live below it, by run and phase."""
    quarantine: Path
    """Clones whose work could not be captured, by run and phase; kept. On the disk of `scratch`."""
    logs: Path
    """What agents and CI printed, by run and phase; kept."""
    planned: Callable[[Run, str], Drafted | tuple[str, ...]]
    """A run on the plan in a drafted text, frozen as any other, or all that is wrong with it."""
    checks: Callable[[RunSpec], Sequence[NamedCheck]] = lambda _: POLICY
    """The gate's checks, in order, as the run's base names them."""
    backoff_seconds: float = 5.0
    room: Room | None = None
    """What must be free before an attempt starts; None: nothing is asked."""
    slots: Slots | None = None
    """Of all runs together; None: as many as there are commands."""
    forge: Callable[[RunSpec, Cancel], Forge] | None = None
    """Where a run's branch becomes a pull request; its waiting is cut short. None: nowhere."""
    papers: PapersOf | None = None
    """What is written for it."""
