"""Blame before spend: the red tests of a command run again, where `core.blame` asks for it.

Each execution has a fresh clone and a fresh process; what the parent said is remembered. Never
rewrites a result: an exoneration stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from autopack.adapters.ci.execution import Clones, Judged
from autopack.adapters.ci.records import Judging, remember_said, said_before
from autopack.app.greens import GreenResults
from autopack.core import blame
from autopack.core.blame import Ask, Blamed, Case, Exoneration, Red, Where
from autopack.core.edits import touched
from autopack.core.event import CiVerdict
from autopack.core.idset import IdSet
from autopack.core.project import CiCommand
from autopack.core.run import Finding
from autopack.core.said import Result
from autopack.core.selection import selected
from autopack.core.spec import CiProfile

LEAST_SHARE: Final = 0.1
"""Of the first execution's time that a rerun of a few tests is taken to need at least."""


@dataclass(frozen=True)
class Side:
    """A commit that tests run on: where it is cloned, what its results depend on."""

    commit: str
    clones: Clones
    judging: Judging

    @cached_property
    def paths(self) -> frozenset[str]:
        """Its files."""
        names = self.clones.repository.paths(self.commit)
        return frozenset(name.decode(errors="replace") for name in names)


@dataclass(frozen=True)
class Inquiry:
    """What is looked into: a candidate that has red tests, beside its parent."""

    candidate: Side
    base: Callable[[], Side]
    """The parent, whose environment may have to be built."""
    changed: Collection[str]
    """Paths of the change."""
    known: frozenset[str]
    """Issue keys of flakes in quarantine."""
    parent: IdSet | None
    """The parent's tests, when they are known."""
    place: int
    """Of the command among those with a report."""
    greens: GreenResults
    seconds_left: float | None
    """Of the run, when the candidate's test began."""


@dataclass(frozen=True)
class Blame:
    """A command's result with what was found out about its red tests."""

    judged: Judged
    exonerated: tuple[Exoneration, ...] = ()
    seconds: float = 0.0


def blamed(
    inquiry: Inquiry, number: int, command: CiCommand, judged: Judged, spent: float
) -> Blame:
    """The result, green when none of its red tests is the candidate's doing.

    `spent`: seconds that the candidate's test has taken so far.
    """
    if judged.verdict is not CiVerdict.FAIL or not judged.reds:
        return Blame(judged)
    edited = touched(judged.reds, inquiry.changed, inquiry.candidate.paths, inquiry.parent)
    if why := blame.never(judged.reds, edited):
        return Blame(_noted(judged, f"not run again: {why}"))
    return _Blaming(inquiry, number, command, judged, spent).run()


class _Blaming:
    """One command under blame; counts its executions and their time."""

    def __init__(
        self, inquiry: Inquiry, number: int, command: CiCommand, judged: Judged, spent: float
    ) -> None:
        self.it = inquiry
        self.number = number
        self.command = command
        self.judged = judged
        self.spent = spent
        self.seconds = 0.0
        self.executions = 0
        self.reds = {red.test: red for red in judged.reds}
        one = replace(inquiry.candidate.judging, commands=(command,))
        self.case = Case(
            tuple(blame.Suspect(red) for red in judged.reds),
            selects=self._argv(inquiry.candidate, tuple(self.reds)) is not None,
            strict=one.profile is CiProfile.STRICT,
            known=inquiry.known,
            parent=inquiry.parent.result(inquiry.place) if inquiry.parent else None,
            ended=judged.ending,
        )
        self.on_base: dict[tuple[str, ...], list[Result]] = {}

    def run(self) -> Blame:
        """Ask until all is said, or the run cannot pay for more."""
        while (ask := blame.next_ask(self.case)) is not None:
            if short := self._short(ask):
                return self._done(short)
            result = self._executed(ask)
            if result is None:
                return Blame(Judged(CiVerdict.CANCELLED), seconds=self.seconds)
            self.case = blame.told(self.case, ask, result)
        return self._done()

    def _done(self, short: str = "") -> Blame:
        found = [] if short else list(blame.verdicts(self.case))
        ours = [(each.red, why) for each, kind, why in found if kind is Blamed.OURS]
        kept = () if short else blame.exonerations(self.case)
        if short:
            return Blame(_noted(self.judged, short), (), self.seconds)
        if not ours:
            green = replace(self.judged, verdict=CiVerdict.PASS)
            return Blame(green, kept, self.seconds)
        return Blame(self._narrowed(ours, len(kept)), kept, self.seconds)

    def _narrowed(self, ours: list[tuple[Red, str]], exonerated: int) -> Judged:
        """The red result with what is the candidate's: its builder need not look at the rest."""
        tests = {red.test for red, _ in ours}
        findings = tuple(f for f in self.judged.findings if f.test in tests)
        told = [f"{red.test}: {why}" for red, why in ours[:10]]
        others = f"; {exonerated} more are not this change's" if exonerated else ""
        note = "\n".join([f"run again, {len(ours)} are this change's{others}:", *told])
        more = max(0, len(ours) - len(findings))
        return _noted(replace(self.judged, findings=findings or self._first(ours), more=more), note)

    def _first(self, ours: list[tuple[Red, str]]) -> tuple[Finding, ...]:
        """Findings of those that were not among the first ones of the report."""
        return tuple(
            Finding("test", f"{red.test}: {red.message}", red.path, red.line, test=red.test)
            for red, _ in ours[:20]
        )

    def _short(self, ask: Ask) -> str:
        """That the run's time does not pay for one more execution; empty when it does."""
        if self.it.seconds_left is None:
            return ""
        share = len(ask.tests) / max(1, self.judged.tests_run) if ask.tests else 1.0
        needed = self.judged.seconds * max(LEAST_SHARE, min(1.0, share))
        left = self.it.seconds_left - self.spent - self.seconds
        if needed <= left:
            return ""
        return f"not run again: the run has {max(0.0, left):.0f} s left, it takes {needed:.0f} s"

    def _executed(self, ask: Ask) -> Result | None:
        """One execution; None when it was told to end."""
        side = self.it.candidate if ask.where is Where.CANDIDATE else self.it.base()
        one = replace(side.judging, commands=(self.command,))
        on_base, wanted = ask.where is Where.BASE, ask.tests or tuple(self.reds)
        if on_base and (known := said_before(self.it.greens, one, ask.tests, wanted)):
            return known
        argv = self._argv(side, ask.tests) if ask.tests else ()
        if argv is None:  # nothing of it can be there
            return Result()
        self.executions += 1
        label = f"{self.number}.{'base' if on_base else 'rerun'}{self.executions}"
        place = side.clones.fresh(side.commit, f"clone-{label}")
        try:
            place.lend()
            judged = place.run(self.command, label, argv)
        finally:
            place.discard()
        self.seconds += judged.seconds
        if judged.verdict is CiVerdict.CANCELLED:
            return None
        if on_base:
            said = self.on_base.setdefault(ask.tests, [])
            said.append(judged.result)
            remember_said(self.it.greens, one, ask.tests, said)
        return judged.result

    def _argv(self, side: Side, tests: tuple[str, ...]) -> tuple[str, ...] | None:
        """The command line that runs these tests alone; None when there is none."""
        if not self.command.rerun:
            return None
        return selected(self.command.rerun, [self.reds[test] for test in tests], side.paths)


def _noted(judged: Judged, note: str) -> Judged:
    return replace(judged, summary=f"{judged.summary.rstrip()}\n{note}")
