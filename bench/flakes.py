"""The flake lab: 200 generated cases of flaky, pre-existing and new failures under the real blame.

Each case is a suite of 40 tests on a candidate and its parent; a model runs what blame asks for, in
the same order as CI would. Counted are the right verdicts, and the executions of tests beside
"rerun all three times". python -m bench.flakes
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from autopack.core import blame
from autopack.core.blame import Ask, Blamed, Case, Red, Suspect, Where
from autopack.core.edits import touched
from autopack.core.fingerprint import fingerprint
from autopack.core.idset import IdSet
from autopack.core.said import Result
from bench.measure import table

CASES: Final = 200
SUITE: Final = 40
"""Tests of a case."""
SEED: Final = 20_261_121
GOAL: Final = 0.99
FLAKY_RED: Final = 0.2
"""How often a flaky test is red; in a case it was red in the first execution."""


class Truth(StrEnum):
    """What a failing test really is."""

    FLAKY = "flaky"
    BEFORE = "red before"
    NEW = "broken by the change"
    OTHERWISE = "red before, broken anew"
    EDITED = "edited by the change"
    ORDER = "broken by the change, green alone"


RIGHT: Final = {Truth.FLAKY: Blamed.FLAKY, Truth.BEFORE: Blamed.PRE_EXISTING}
"""All others are the candidate's."""
PATHS: Final = frozenset({"tests/test_suite.py", "tests/test_edited.py", "src/code.py"})


@dataclass
class Lab:
    """One case: its failing tests, and what running them came to."""

    rng: random.Random
    failing: dict[str, Truth]
    executed: int = 0

    @classmethod
    def generated(cls, number: int) -> Lab:
        """One to three failures: mostly of one kind, now and then of several."""
        rng = random.Random(f"{SEED}/{number}")
        kinds = [*Truth]
        first = kinds[number % len(kinds)]
        more = rng.choices(kinds, k=rng.choice([0, 0, 1, 2]))
        return cls(rng, {_id(n, kind): kind for n, kind in enumerate([first, *more])})

    def run(self, ask: Ask) -> Result:
        """One execution in a fresh clone; messages vary as real ones do."""
        tests = ask.tests or tuple(self.failing)
        self.executed += len(ask.tests) or SUITE
        red = {}
        for test in tests:
            if message := self._message(self.failing[test], ask):
                red[test] = fingerprint(test, message)
        return Result(frozenset(tests) - red.keys(), frozenset(), red)

    def _message(self, truth: Truth, ask: Ask) -> str:
        """What a test fails with; empty: it is green."""
        base, noise = ask.where is Where.BASE, f"0x{self.rng.getrandbits(40):x}"
        at = f"at /tmp/run-{self.rng.randrange(10**6)}/x.py: {self.rng.random():.3f} s <{noise}>"
        match truth:
            case Truth.FLAKY:
                return f"connection lost {at}" if self.rng.random() < FLAKY_RED else ""
            case Truth.BEFORE:
                return f"assert {self.rng.randrange(99)} == 7 {at}"
            case Truth.NEW | Truth.EDITED:
                return "" if base else f"no such attribute {at}"
            case Truth.OTHERWISE:
                return f"wrong colour {at}" if base else f"no such attribute {at}"
            case Truth.ORDER:
                return "" if base or ask.tests else f"somebody left a file {at}"

    def blamed(self, *, selects: bool) -> tuple[dict[str, Blamed], bool]:
        """What each failing test is blamed as, and whether the candidate is let pass."""
        first = self._first()
        self.executed += SUITE
        edited = touched(first, {"src/code.py", "tests/test_edited.py"}, PATHS, IdSet())
        edited = {t: why for t, why in edited.items() if "part of the change" in why}
        if blame.never(first, edited):
            return dict.fromkeys(edited, Blamed.OURS), False
        case = Case(tuple(map(Suspect, first)), selects)
        while (ask := blame.next_ask(case)) is not None:
            case = blame.told(case, ask, self.run(ask))
        found = {each.red.test: kind for each, kind, _ in blame.verdicts(case)}
        return found, Blamed.OURS not in found.values()

    def _first(self) -> list[Red]:
        """The first execution: every failure shows."""
        whole, reds = Ask(Where.CANDIDATE), []
        for test, truth in self.failing.items():
            message = ""
            while not message:  # of a flaky one we look at a time when it was red
                message = self._message(truth, whole)
            classname, _, name = test.partition("::")
            reds.append(Red(test, message, fingerprint(test, message), classname, name))
        return reds

    @property
    def acceptable(self) -> bool:
        """None of its failures is the candidate's."""
        return all(truth in RIGHT for truth in self.failing.values())


def _id(number: int, truth: Truth) -> str:
    file = "test_edited" if truth is Truth.EDITED else "test_suite"
    return f"tests.{file}::test_{number}"


@dataclass
class Score:
    """What a way of blaming came to over all cases."""

    verdicts: Counter[bool]
    tests: Counter[tuple[Truth, bool]]
    executed: int

    @property
    def right(self) -> float:
        return self.verdicts[True] / self.verdicts.total()


def scored(*, selects: bool, cases: Iterable[int] = range(CASES)) -> Score:
    """Blame on all cases; a test counts where its candidate was looked into."""
    score = Score(Counter(), Counter(), 0)
    for number in cases:
        lab = Lab.generated(number)
        found, passes = lab.blamed(selects=selects)
        score.verdicts[passes == lab.acceptable] += 1
        score.executed += lab.executed
        for test, kind in found.items():
            truth = lab.failing[test]
            if passes or truth not in RIGHT:  # one that is ours ends it, the rest is not looked at
                score.tests[truth, kind is RIGHT.get(truth, Blamed.OURS)] += 1
    return score


def main() -> None:
    """Print both tables."""
    ways = {"`rerun` names tests": scored(selects=True), "the whole command": scored(selects=False)}
    floor = 3 * SUITE * CASES
    rows = [
        (name, f"{100 * score.right:.1f} %", "met" if score.right >= GOAL else "**missed**",
         f"{score.executed:,}", f"{floor:,}", f"{score.executed / floor:.2f} ×")
        for name, score in ways.items()
    ]  # fmt: skip
    head = ("way", "candidates judged right", f"goal {100 * GOAL:g} %", "tests executed",
            "all three times", "ratio")  # fmt: skip
    print(table(head, rows))
    shown = []
    for truth in Truth:
        cells = []
        for score in ways.values():
            right, wrong = score.tests[truth, True], score.tests[truth, False]
            cells.append(f"{right} of {right + wrong}")
        shown.append((truth.value, *cells))
    print()
    print(table(("a failing test is", *(f"right: {name}" for name in ways)), shown))
    print(f"\n{CASES} cases of {SUITE} tests, seed {SEED}; a flaky test is red {FLAKY_RED:.0%} of"
          " the time. `edited` is never run again. Green alone and red whenever all run is seen by"
          " both ways.")  # fmt: skip


if __name__ == "__main__":
    main()
