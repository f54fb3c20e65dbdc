"""FakeClock: the Clock port with hands that a test moves."""

from __future__ import annotations

EPOCH = 1_800_000_000
"""Unix seconds at which a fake clock begins: some day in 2027."""


class FakeClock:
    """Stands still until it is told to move."""

    def __init__(self, now: int = EPOCH) -> None:
        self._now = float(now)
        self._monotonic = 0.0

    def now(self) -> int:
        """Unix seconds of the wall clock."""
        return int(self._now)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Time passes on both clocks."""
        self._now += seconds
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock, forward or back; no time passes."""
        self._now = max(0.0, self._now + seconds)
