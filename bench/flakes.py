"""The flake lab: 200 generated cases of flaky, pre-existing and new failures under the real blame.

Each case is a suite of 40 tests on a candidate and its parent; a model runs what blame asks for, in
the same order as CI would. Every second case has only failures that are not the candidate's; in
every third the parent's tests are known, every fourth is strict. Counted are the right verdicts,
every failing test, and the executions of tests beside "rerun all three times".
tests/adapters/test_blame_pytest.py takes a sample through CI and pytest.
python -m bench.flakes
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from autopack.core import blame
from autopack.core.blame import Ask, Blamed, Case, Red, Suspect, Where
from autopack.core.edits import touched
from autopack.core.fingerprint import fingerprint
from autopack.core.idset import IdSet
from autopack.core.said import Ending, Result
from bench.measure import table

CASES: Final = 200
SUITE: Final = 40
"""Tests of a case."""
SEED: Final = 20_261_121
GOAL: Final = 0.99
FLAKY_RED: Final = (0.05, 0.1, 0.2)
"""How often a flaky test is red, one of them; in a case it was red in the first execution."""


class Truth(StrEnum):
    """What a failing test really is."""

    FLAKY = "flaky"
    LATE = "flaky, never on the parent"
    BEFORE = "red before"
    NEW = "broken by the change"
    OTHERWISE = "red before, broken anew"
    WORSE = "flaky before, broken by the change"
    EDITED = "edited by the change"
    ADDED = "flaky, and new by data"
    ORDER = "broken by the change, green alone"


EXONERABLE: Final = {
    Truth.FLAKY: Blamed.FLAKY,
    Truth.LATE: Blamed.FLAKY,
    Truth.BEFORE: Blamed.PRE_EXISTING,
}
"""All others are the candidate's; under `strict` a flake of late is, too, and others are known."""
PATHS: Final = frozenset({"tests/test_suite.py", "tests/test_edited.py", "src/code.py"})
CHANGED: Final = frozenset({"src/code.py", "tests/test_edited.py"})


@dataclass
class Lab:
    """One case: its failing tests, and what running them came to."""

    rng: random.Random
    failing: dict[str, Truth]
    strict: bool = False
    knows: bool = False
    """The parent's tests are known."""
    rate: float = FLAKY_RED[0]
    executed: int = 0

    @classmethod
    def generated(cls, number: int) -> Lab:
        """One to three failures: mostly of one kind, now and then of several."""
        rng = random.Random(f"{SEED}/{number}")
        strict = number % 4 == 3
        none = [truth for truth in EXONERABLE if not (strict and truth is Truth.LATE)]
        kinds = none if number % 2 else [*Truth]
        first = kinds[number // 2 % len(kinds)]
        more = rng.choices(kinds, k=rng.choice([0, 0, 1, 2]))
        failing = {_id(n, kind): kind for n, kind in enumerate([first, *more])}
        return cls(rng, failing, strict, number % 3 == 2, rng.choice(FLAKY_RED))

    def right(self, truth: Truth) -> Blamed:
        """Whose a failing test is."""
        if self.strict and truth is Truth.LATE:
            return Blamed.OURS
        return EXONERABLE.get(truth, Blamed.OURS)

    def run(self, ask: Ask) -> Result:
        """One execution in a fresh clone; messages vary as real ones do."""
        tests = ask.tests or tuple(self.failing)
        self.executed += len(ask.tests) or SUITE
        red = {}
        for test in tests:
            if message := self._message(self.failing[test], ask):
                red[test] = fingerprint(test, message)
        there = {t for t in tests if not (ask.where is Where.BASE and self._new(t))}
        return Result(frozenset(there) - red.keys(), frozenset(), red, ended=Ending(1, len(red)))

    def _new(self, test: str) -> bool:
        return self.failing[test] is Truth.ADDED

    def parent(self) -> IdSet | None:
        """What is remembered of the parent, from when it was tested."""
        if not self.knows:
            return None
        red: dict[str, str] = {}
        flaky: dict[str, str] = {}
        for test, truth in self.failing.items():
            if message := self._message(truth, Ask(Where.BASE), rate=0.5):
                into = red if truth in {Truth.BEFORE, Truth.OTHERWISE} else flaky
                into[test] = fingerprint(test, message)
        there = frozenset(test for test in self.failing if not self._new(test))
        return IdSet(frozenset(there - red.keys() - flaky.keys()), frozenset(), red, flaky, True,
                     (Ending(1, len(red)),))  # fmt: skip

    def _message(self, truth: Truth, ask: Ask, rate: float = 0.0) -> str:
        """What a test fails with; empty: it is green, or not there."""
        base, noise = ask.where is Where.BASE, f"0x{self.rng.getrandbits(40):x}"
        at = f"at /tmp/run-{self.rng.randrange(10**6)}/x.py: {self.rng.random():.3f} s <{noise}>"
        match truth:
            case Truth.LATE | Truth.ADDED if base:
                return ""
            case Truth.WORSE if not base:
                return f"connection lost {at}"
            case Truth.FLAKY | Truth.LATE | Truth.ADDED | Truth.WORSE:
                lost = self.rng.random() < (rate or self.rate)
                return f"connection lost {at}" if lost else ""
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
        parent = self.parent()
        edited = touched(first, CHANGED, PATHS, parent)
        if blame.never(first, edited):
            return dict.fromkeys(edited, Blamed.OURS), False
        keys = (blame.key_of(Blamed.FLAKY, red.test, red.fingerprint) for red in first
                if self.failing[red.test] is Truth.FLAKY)  # fmt: skip
        case = Case(
            tuple(map(Suspect, first)), selects, self.strict, frozenset(keys),
            parent.result(0) if parent else None, Ending(1, len(first)),
        )  # fmt: skip
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
        return all(self.right(truth) is not Blamed.OURS for truth in self.failing.values())


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


Blames = Callable[[Lab], tuple[dict[str, Blamed], bool]]
"""What each failing test is blamed as, and whether the candidate is let pass."""


def scored(*, selects: bool, blames: Blames | None = None) -> Score:
    """Blame on all cases; of a bad candidate, what is not looked into is not blamed."""
    score = Score(Counter(), Counter(), 0)
    for number in range(CASES):
        lab = Lab.generated(number)
        found, passes = blames(lab) if blames else lab.blamed(selects=selects)
        score.verdicts[passes == lab.acceptable] += 1
        score.executed += lab.executed
        for test, kind in found.items():
            truth = lab.failing[test]
            right = lab.right(truth)
            if kind is right or lab.acceptable or right is Blamed.OURS:
                score.tests[truth, kind is right] += 1
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
    good = sum(Lab.generated(number).acceptable for number in range(CASES))
    rates = ", ".join(f"{rate:.0%}" for rate in FLAKY_RED)
    print(f"\n{CASES} cases of {SUITE} tests, seed {SEED}; {good} of them have no failure of the"
          f" candidate's. A flaky test is red in {rates} of executions. `edited` is never run"
          " again. A good test of a bad candidate counts only if it was looked into.")  # fmt: skip


if __name__ == "__main__":
    main()
