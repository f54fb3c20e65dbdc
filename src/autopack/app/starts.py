"""How often an agent was started for one command, and what the tries that died had used.

A supervisor that is killed loses the answer of its attempts and starts them again. What is noted
before each start bounds that, and carries over the tokens that a lost try had reported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from autopack.app.agents import (
    Starts,
)
from autopack.core.event import CommandFailed


@dataclass(frozen=True)
class Tries:
    """The tries of one command, which may use `tokens_max` together."""

    starts: Starts
    log_folder: Path
    command: int
    tokens_max: int
    spent: Callable[[Path, int], int]
    """What the last try reported, of so many tokens that it had; only asked when there was one."""

    def begin(self, starts_max: int) -> int | CommandFailed:
        """Note a start; the tokens that lost tries used, or a failure when this is one too many.

        A command that ends its supervisor each time would otherwise spend without end. Killed
        between the note and the fresh start of the agent, a try counts twice: too much, never too
        little.
        """
        known = self.starts.noted(self.log_folder, self.command)
        last = self._last(known)
        lost = sum(known) + last
        if len(known) >= starts_max:
            what = f"the agent was started {starts_max} times, and each time the supervisor ended"
            return CommandFailed(f"{what} before it answered; see {self.log_folder}", lost)
        self.starts.note(self.log_folder, self.command, last)
        if lost and lost >= self.tokens_max:
            what = f"its {self.tokens_max:,} tokens were used by tries"
            return CommandFailed(f"{what} whose answer was lost with their supervisor", lost)
        return lost

    def lost(self) -> int:
        """The tokens that lost tries used, when there is no other."""
        known = self.starts.noted(self.log_folder, self.command)
        return sum(known) + self._last(known)

    def _last(self, known: tuple[int, ...]) -> int:
        if not known:
            return 0
        return self.spent(self.log_folder, max(self.tokens_max - sum(known), 0))
