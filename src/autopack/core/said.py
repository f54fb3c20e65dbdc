"""What executions of a command say of its tests: of one, and of several on the same commit.

Never says whose a red test is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Said(StrEnum):
    """What one execution says of one test."""

    PASSED = "pass"
    FAILED = "fail"
    SKIPPED = "skip"
    MISSING = "missing"
    """It did not run, or nothing was reported that can be believed."""
    FLAKY = "flaky"
    """Only of what is remembered: it was red, and not each time."""


@dataclass(frozen=True)
class Ending:
    """How a command ended whose tests are red: its exit code, beside their number."""

    code: int = 1
    red: int = 0

    def like(self, other: Ending) -> bool:
        """For the same reasons, as a code tells; some runners exit with the number of red tests."""
        counts = self.code == self.red and other.code == other.red
        return self.code == other.code or counts


@dataclass(frozen=True)
class Result:
    """What one execution of a command says: green, skipped and red tests by id."""

    passed: frozenset[str] = frozenset()
    skipped: frozenset[str] = frozenset()
    red: Mapping[str, str] = field(default_factory=dict)
    """Fingerprints by id."""
    told: bool = True
    """False: it ended otherwise than by itself, or has no report that can be believed."""
    ended: Ending = field(default_factory=Ending)
    flaky: Mapping[str, str] = field(default_factory=dict)
    """Fingerprints by id of tests that several executions do not agree on."""

    def says(self, test: str) -> Said:
        """What it says of a test; one that was red once is red."""
        if not self.told:
            return Said.MISSING
        if test in self.red:
            return Said.FAILED
        if test in self.flaky:
            return Said.FLAKY
        if test in self.passed:
            return Said.PASSED
        return Said.SKIPPED if test in self.skipped else Said.MISSING


def agreed(results: Sequence[Result]) -> Result:
    """What executions on one commit say together: red is what was so at least twice, and alike."""
    first, ever = results[0], {test for each in results for test in each.red}
    red = {
        test: mark
        for test, mark in first.red.items()
        if len(results) > 1 and all(each.red.get(test) == mark for each in results)
    }
    flaky = {test: mark for each in results for test, mark in each.red.items() if test not in red}
    passed = frozenset().union(*(each.passed for each in results)) - ever
    skipped = frozenset().union(*(each.skipped for each in results)) - passed - ever
    told = all(each.told for each in results)
    return Result(passed, skipped, red, told, first.ended, flaky)
