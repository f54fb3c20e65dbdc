"""The tests of a commit by id, as CI ran them, and what a candidate's say against its parent's.

Works for every runner that writes JUnit: a test that vanished or is skipped now is seen whatever
made it so. Never reads a report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final

from autopack.core import gate
from autopack.core.run import Finding, Severity
from autopack.core.said import Ending, Result

IDS_MAX: Final = 50_000
"""Tests of one commit that are remembered; of more nothing is compared."""
PROVED_MAX: Final = 100
"""Tests of one candidate that are told to be red without it."""
VANISHED: Final = "test_vanished"
SILENCED: Final = "test_silenced"
UNPROVEN: Final = "test_proves_nothing"
UNKNOWN: Final = "tests_not_compared"


@dataclass(frozen=True)
class IdSet:
    """What one run of a whole profile says of each test."""

    passed: frozenset[str] = frozenset()
    skipped: frozenset[str] = frozenset()
    red: Mapping[str, str] = field(default_factory=dict)
    """Fingerprints by id of those that are red each time."""
    flaky: Mapping[str, str] = field(default_factory=dict)
    """Fingerprints by id of those that were red, and not each time: they prove nothing."""
    whole: bool = True
    """False: a command has no report that can be believed, or there are too many tests."""
    ends: tuple[Ending, ...] = ()
    """How each command with a report ended, in order."""

    @property
    def ran(self) -> frozenset[str]:
        return self.passed | self.red.keys() | self.flaky.keys()

    @property
    def every(self) -> frozenset[str]:
        return self.ran | self.skipped

    def with_result(self, result: Result) -> IdSet:
        """With what one more command says; flaky counts before red, that before green, skipped."""
        flaky = {**self.flaky, **result.flaky}
        red = _without({**self.red, **result.red}, flaky)
        passed = (self.passed | result.passed) - red.keys() - flaky.keys()
        skipped = (self.skipped | result.skipped) - passed - red.keys() - flaky.keys()
        count = sum(map(len, (passed, skipped, red, flaky)))
        whole = self.whole and result.told and count <= IDS_MAX
        return IdSet(passed, skipped, red, flaky, whole, (*self.ends, result.ended))

    def with_flakes(self, flaky: Mapping[str, str]) -> IdSet:
        """With tests that were found to be flaky, so that they are no longer red."""
        return replace(self, red=_without(self.red, flaky), flaky={**self.flaky, **flaky})

    def result(self, command: int) -> Result | None:
        """As an execution of the command of that place would say it; None when that is unknown."""
        if not self.whole or command >= len(self.ends):
            return None
        ended = self.ends[command]
        return Result(self.passed, self.skipped, self.red, True, ended, self.flaky)


def _without(red: Mapping[str, str], flaky: Mapping[str, str]) -> Mapping[str, str]:
    return {test: mark for test, mark in red.items() if test not in flaky}


@dataclass(frozen=True)
class Comparison:
    """What became of the parent's tests, and which are new; each by id, in order."""

    vanished: tuple[str, ...] = ()
    silenced: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    """Not on the parent, in no other spelling, and green now."""
    turned: tuple[str, ...] = ()
    """Red on the parent each time, green now."""


def compared(parent: IdSet, now: IdSet) -> Comparison:
    """A test that moved to another file, or a case that got another parameter, has not vanished."""
    gone, come = parent.ran - now.every, now.every - parent.every
    moved, arrived = _moved(gone, come)
    vanished = _lost_cases(gone - moved, come - arrived)
    fresh = (come - arrived) & now.passed
    respelt = set(map(_function, gone - moved))
    return Comparison(
        tuple(sorted(vanished)),
        tuple(sorted(parent.ran & now.skipped)),
        tuple(sorted(test for test in fresh if _function(test) not in respelt)),
        tuple(sorted(parent.red.keys() & now.passed)),
    )


def _moved(gone: Iterable[str], come: Iterable[str]) -> tuple[set[str], set[str]]:
    """Pairs of one that went and one that came under the same name elsewhere."""
    places: dict[str, list[str]] = {}
    for test in sorted(come):
        places.setdefault(_name(test), []).append(test)
    moved, arrived = set(), set()
    for test in sorted(gone):
        if left := places.get(_name(test)):
            moved.add(test)
            arrived.add(left.pop(0))
    return moved, arrived


def _lost_cases(gone: Iterable[str], come: Iterable[str]) -> set[str]:
    """Those that went, but for as many as came of the same function with other parameters."""
    room = Counter(_function(test) for test in come if test != _function(test))
    lost = set()
    for test in sorted(gone):
        function = _function(test)
        if test != function and room[function]:
            room[function] -= 1
        else:
            lost.add(test)
    return lost


def _name(test: str) -> str:
    return test.rpartition("::")[2]


def _function(test: str) -> str:
    """A test without its parameters."""
    return test.partition("[")[0]


def findings(
    found: Comparison, unproven: Collection[str] = (), *, asks: bool = False
) -> tuple[Finding, ...]:
    """What is to be said of a comparison; `unproven`: new tests that are green on the parent too.

    `asks`: that new tests prove nothing is to be asked, not only told.
    """
    weak = Severity.ASK if asks else Severity.NOTE
    every = chain(
        _told(VANISHED, found.vanished, "ran on the parent commit, is gone now", Severity.ASK),
        _told(SILENCED, found.silenced, "ran on the parent commit, is skipped now", Severity.ASK),
        _told(UNPROVEN, sorted(unproven), "is new, and green without the change", weak),
    )
    return tuple(gate.bounded(every))


def _told(rule: str, tests: Iterable[str], what: str, severity: Severity) -> Iterator[Finding]:
    for test in tests:
        yield Finding(rule, f"{test} {what}", severity=severity, test=test)
