"""Chance: so that all who were sent away do not come back at once. Never for secrets."""

from __future__ import annotations

import random


def chance() -> float:
    """A number in [0, 1)."""
    return random.random()
