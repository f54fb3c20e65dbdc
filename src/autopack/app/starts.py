"""How often an agent was started for one command, and what the tries that died had used.

A supervisor that is killed loses the answer of its attempts and starts them again. What is noted
before each start bounds that, and carries over the tokens that a lost try had reported. Never
decides how many starts are too many.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from autopack.app.ports import Starts


def begin(
    starts: Starts, log_folder: Path, command: int, starts_max: int, spent: Callable[[], int]
) -> tuple[bool, int]:
    """Note a start: whether it is allowed, and the tokens that lost tries of the command used.

    `spent` reads what the last try reported; it is asked only when there was one. Killed between
    the note and the fresh start of the agent, a try counts twice: too much, never too little.
    """
    known = starts.noted(log_folder, command)
    last = spent() if known else 0
    allowed = len(known) < starts_max
    if allowed:
        starts.note(log_folder, command, last)
    return allowed, sum(known) + last
