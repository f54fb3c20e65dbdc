"""The wall clock and the one that never goes back. The only place that asks the system for time."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class SystemClock:
    """The system's clocks; `now` stands still at `fixed_unix_seconds` (SOURCE_DATE_EPOCH)."""

    fixed_unix_seconds: int | None = None

    def now(self) -> int:
        """Unix seconds; for people and commit dates, decides nothing."""
        return int(time.time()) if self.fixed_unix_seconds is None else self.fixed_unix_seconds

    def monotonic(self) -> float:
        """Seconds that never go back; for durations."""
        return time.monotonic()
