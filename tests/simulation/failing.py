"""Red tests of the simulation, each of a known kind, under the real blame. Its names tell the truth."""

from __future__ import annotations

import random
from typing import Final

from autopack.app.ports import Tested
from autopack.core import blame
from autopack.core.blame import Ask, Blamed, Case, Red, Suspect, Where
from autopack.core.event import CiVerdict
from autopack.core.run import Evidence, Finding, Severity
from autopack.core.said import Result

KINDS: Final = ("flaky", "before", "ours", "edited")
"""Green now and then; red on the parent, too; red by the change; of the change itself."""
NAMES: Final = tuple(f"{kind}{number}" for kind in KINDS for number in (1, 2))
GREEN: Final = 0.6
"""How often a flaky test is green."""
VANISHING: Final = 0.15
"""How often the tests of a green candidate ask for an auditor."""


def judged(rng: random.Random, *, strict: bool, known: tuple[str, ...]) -> Tested:
    """CI's verdict on a candidate with some red tests."""
    names = rng.sample(NAMES, rng.randint(0, 3))
    reds = [Red(name, "it is red", f"print-{name}") for name in names]
    edited = {name: "its file is changed" for name in names if name.startswith("edited")}
    if not reds:
        return Tested(CiVerdict.PASS, tests_run=9, findings=_asking(rng))
    if blame.never(reds, edited):
        return _red(names)
    case = Case(tuple(map(Suspect, reds)), rng.random() < 0.5, strict, frozenset(known))
    while (ask := blame.next_ask(case)) is not None:
        case = blame.told(case, ask, _executed(rng, ask, names))
    records = blame.exonerations(case)
    ours = [s.red.test for s, kind, _ in blame.verdicts(case) if kind is Blamed.OURS]
    if ours:
        return Tested(CiVerdict.FAIL, _red(ours).evidence, 9, exonerated=records)
    return Tested(CiVerdict.PASS, tests_run=9, exonerated=records, findings=_asking(rng))


def _executed(rng: random.Random, ask: Ask, names: list[str]) -> Result:
    """What the tests say, each by its kind."""
    red = {}
    for name in ask.tests or names:
        on_base = ask.where is Where.BASE
        flaked = name.startswith("flaky") and rng.random() > GREEN
        if flaked or name.startswith("before") or (name.startswith("ours") and not on_base):
            red[name] = f"print-{name}"
    return Result(frozenset(ask.tests or names) - red.keys(), frozenset(), red)


def _red(names: list[str]) -> Tested:
    findings = tuple(Finding("test", f"{name} is red", test=name) for name in names)
    return Tested(CiVerdict.FAIL, Evidence("ci", "red", findings), tests_run=9)


def _asking(rng: random.Random) -> tuple[Finding, ...]:
    if rng.random() >= VANISHING:
        return ()
    gone = f"gone{rng.randint(1, 2)}"
    return (Finding("test_vanished", f"{gone} is gone", severity=Severity.ASK, test=gone),)
