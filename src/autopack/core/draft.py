"""A plan that an agent is to draft: the goal, and the one phase that a run has until it is there.

Its id begins with `_`, as no plan's can, so that its refs and files are nobody else's. Never
decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PHASE: Final = "_plan"
"""Id of the drafting phase and of its tier."""
FILE: Final = "autopack-plan.md"
"""What the agent writes at the root of its clone; all that is taken from it."""
MODE: Final = "plan_draft"
"""The builder mode of the drafting phase: it names the prompt."""
GOAL_CHARACTERS_MAX: Final = 20_000
BYTES_MAX: Final = 200_000
"""Of a drafted plan: 25 phases need a quarter of it."""
PROBLEMS_MAX: Final = 50
"""Problems of a draft that its next attempt is told."""
NOTES_MAX: Final = 20
"""Warnings about a draft that was taken, as its run's owner is told them."""


@dataclass(frozen=True)
class Draft:
    """What a run without a plan was started with."""

    goal: str
    plan_only: bool = False
    """The run ends when its plan is there."""
    fixed: tuple[str, ...] = ()
    """Roles whose agent was named for this run: a ruleset names no other for a category."""
