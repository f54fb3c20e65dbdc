"""Whose fault a red test is: what to run before anybody pays for it, and what that comes to.

A test that is red and then green on the same candidate is flaky; one that is red with the same
fingerprint on the candidate's parent was so before; every other one is the candidate's own. Never
exonerated is a test that the change adds or edits, one that was not collected or ran out of time,
and one of which a rerun says nothing. Pure: who runs the tests is told which, and tells the result.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from autopack.core.fingerprint import issue_key

RERUNS_MAX: Final = 2
"""Executions after the first of a test that is red."""
SUSPECTS_MAX: Final = 200
"""Red tests of one command that are looked into; with more it is the candidate's."""


class Said(StrEnum):
    """What one execution says of one test."""

    PASSED = "pass"
    FAILED = "fail"
    SKIPPED = "skip"
    MISSING = "missing"
    """It did not run, or nothing was reported that can be believed."""


class Blamed(StrEnum):
    """Whose a red test is."""

    OURS = "ours"
    FLAKY = "flaky"
    PRE_EXISTING = "pre_existing"


@dataclass(frozen=True)
class Red:
    """A red test as its report has it; `classname`, `name` and `file` are its own spelling."""

    test: str
    message: str
    fingerprint: str
    classname: str = ""
    name: str = ""
    file: str = ""
    path: str = ""
    """Where it failed, with the line."""
    line: int = 0
    uncollected: bool = False
    timed_out: bool = False


@dataclass(frozen=True)
class Result:
    """What one execution of a command says: green, skipped and red tests by id."""

    passed: frozenset[str] = frozenset()
    skipped: frozenset[str] = frozenset()
    red: Mapping[str, str] = field(default_factory=dict)
    """Fingerprints by id."""
    told: bool = True
    """False: it ended otherwise than by itself, or has no report that can be believed."""

    def says(self, test: str) -> Said:
        """What it says of a test; one that was red once is red."""
        if not self.told:
            return Said.MISSING
        if test in self.red:
            return Said.FAILED
        if test in self.passed:
            return Said.PASSED
        return Said.SKIPPED if test in self.skipped else Said.MISSING


@dataclass(frozen=True)
class Exoneration:
    """A red test that is not the candidate's doing, beside the result, which stays as it is."""

    test: str
    kind: Blamed
    reason: str
    fingerprint: str
    attempts: tuple[str, ...] = ()
    """What each execution said of it, the first one first; those on the parent as `base:<word>`."""
    message: str = ""
    path: str = ""
    line: int = 0

    @property
    def issue_key(self) -> str:
        """The same for the same failure, in every run."""
        return key_of(self.kind, self.test, self.fingerprint)


class Where(StrEnum):
    CANDIDATE = "candidate"
    BASE = "base"


@dataclass(frozen=True)
class Ask:
    """What is to run in a fresh clone; no tests: the whole command."""

    where: Where
    tests: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suspect:
    """A red test and what was said of it since."""

    red: Red
    alone: tuple[Said, ...] = ()
    """By executions of suspects only."""
    together: tuple[Said, ...] = (Said.FAILED,)
    """By executions of the whole command, the first included."""
    on_base: Said | None = None
    base_fingerprint: str = ""

    @property
    def green(self) -> bool:
        """A rerun of it passed."""
        return Said.PASSED in self.alone or Said.PASSED in self.together

    @property
    def silent(self) -> bool:
        """A rerun did not run it: what is lost proves nothing."""
        return bool({Said.MISSING, Said.SKIPPED} & {*self.alone, *self.together})

    @property
    def attempts(self) -> tuple[str, ...]:
        base = (f"base:{self.on_base.value}",) if self.on_base else ()
        whole, *more = (each.value for each in self.together)
        return (whole, *(each.value for each in self.alone), *more, *base)


@dataclass(frozen=True)
class Case:
    """The red tests of one command on one candidate.

    `selects`: the command can run some tests only. `strict`: a flake must be known. `known`: issue
    keys of flakes in quarantine. `parent`: what the whole command said on the parent, when that is
    known already.
    """

    suspects: tuple[Suspect, ...]
    selects: bool = False
    strict: bool = False
    known: frozenset[str] = frozenset()
    parent: Result | None = None


def never(reds: Collection[Red], edited: Mapping[str, str]) -> str:
    """Why there is nothing to look into: one of them is never exonerated; empty when none is.

    `edited`: why a test counts as one that the change adds or edits, by id.
    """
    if len(reds) > SUSPECTS_MAX:
        return f"more than {SUSPECTS_MAX} tests are red"
    for red in reds:
        if not red.test:
            return "a red test has no name"
        if red.uncollected:
            return f"{red.test} could not be collected"
        if red.timed_out:
            return f"{red.test} ran out of time"
        if why := edited.get(red.test):
            return f"{red.test}: {why}"
    return "" if reds else "no test is named"


def next_ask(case: Case) -> Ask | None:
    """What to run next; None when all is said."""
    if any(_is_ours(case, each) for each in case.suspects):
        return None  # one is enough: the others would be run for nothing
    if not case.selects:
        return _next_whole(case)
    open_ = [s for s in case.suspects if not s.green and len(s.alone) < RERUNS_MAX]
    if open_:
        return Ask(Where.CANDIDATE, tuple(s.red.test for s in open_))
    if any(_unconfirmed(each) for each in case.suspects):
        return Ask(Where.CANDIDATE)
    wanted = [s for s in case.suspects if _base_wanted(case, s)]
    if not wanted:
        return None
    if any(s.green and Said.PASSED not in s.together for s in wanted):
        return Ask(Where.BASE)  # red among the others only: so it must be seen there
    return Ask(Where.BASE, tuple(s.red.test for s in wanted))


def _next_whole(case: Case) -> Ask | None:
    """It only runs as a whole, which is dear: what is known of the parent counts first."""
    if any(_open(case, each) for each in case.suspects):
        return Ask(Where.CANDIDATE)
    if any(_base_wanted(case, s) for s in case.suspects):
        return Ask(Where.BASE)
    return None


def told(case: Case, ask: Ask, result: Result) -> Case:
    """The case with what an execution said."""
    asked = frozenset(ask.tests)
    made = []
    for each in case.suspects:
        test, suspect = each.red.test, each
        said = result.says(test)
        if ask.where is Where.BASE and (not asked or test in asked):
            suspect = replace(each, on_base=said, base_fingerprint=result.red.get(test, ""))
        elif ask.where is Where.CANDIDATE and not asked:
            suspect = replace(each, together=(*each.together, said))
        elif test in asked:
            suspect = replace(each, alone=(*each.alone, said))
        made.append(suspect)
    return replace(case, suspects=tuple(made))


def verdicts(case: Case) -> Iterator[tuple[Suspect, Blamed, str]]:
    """Whose each red test is, and why, once `next_ask` has nothing more to ask."""
    for each in case.suspects:
        yield (each, *_verdict(case, each))


def exonerations(case: Case) -> tuple[Exoneration, ...]:
    """The records of those that are not the candidate's doing."""
    return tuple(
        Exoneration(
            each.red.test, kind, reason, each.red.fingerprint, each.attempts, each.red.message,
            each.red.path, each.red.line,
        )
        for each, kind, reason in verdicts(case)
        if kind is not Blamed.OURS
    )  # fmt: skip


def _verdict(case: Case, each: Suspect) -> tuple[Blamed, str]:
    if each.silent:
        return Blamed.OURS, "a rerun of it did not run it"
    if _open(case, each) or _base_wanted(case, each):
        return Blamed.OURS, "not looked into further: another one is the candidate's"
    if _same_on_base(case, each) and not each.green:
        return Blamed.PRE_EXISTING, "red with the same failure on the parent commit"
    if not each.green:
        return Blamed.OURS, _why_ours(case, each)
    if case.selects and Said.PASSED not in each.together:
        if _same_on_base(case, each):
            return Blamed.PRE_EXISTING, "red with the same failure on the parent commit"
        return Blamed.OURS, "green alone, red whenever all tests run"
    if not case.strict:
        return Blamed.FLAKY, "red, then green on the same commit"
    if key_of(Blamed.FLAKY, each.red.test, each.red.fingerprint) in case.known:
        return Blamed.FLAKY, "red, then green on the same commit; known, and in quarantine"
    if _same_on_base(case, each):
        return Blamed.FLAKY, "red, then green on the same commit; so it fails on the parent, too"
    return Blamed.OURS, "red, then green on the same commit; strict lets no unknown flake pass"


def _why_ours(case: Case, each: Suspect) -> str:
    said = _said_on_base(case, each)
    if said is Said.FAILED:
        return "red on the parent commit as well, but with another failure"
    if said is Said.PASSED:
        return "red each time, green on the parent commit"
    return "red each time, and did not run on the parent commit"


def key_of(kind: Blamed, test: str, fingerprint: str) -> str:
    """The issue key of a failure."""
    prefix = "flake" if kind is Blamed.FLAKY else "pre-existing"
    return issue_key(prefix, test, fingerprint)


def _is_ours(case: Case, each: Suspect) -> bool:
    """Nothing can exonerate it any more."""
    settled = not _open(case, each) and not _base_wanted(case, each)
    return each.silent or (settled and _verdict(case, each)[0] is Blamed.OURS)


def _open(case: Case, each: Suspect) -> bool:
    """More executions on the candidate may still say something of it."""
    if not case.selects:
        settled = each.green or _known_before(case, each)
        return not settled and len(each.together) <= RERUNS_MAX
    return (not each.green and len(each.alone) < RERUNS_MAX) or _unconfirmed(each)


def _unconfirmed(each: Suspect) -> bool:
    """Green alone, and not yet among the others."""
    alone = Said.PASSED in each.alone and Said.PASSED not in each.together
    return alone and len(each.together) <= RERUNS_MAX and not each.silent


def _base_wanted(case: Case, each: Suspect) -> bool:
    """Its verdict hangs on the parent, of which nothing is known."""
    if each.on_base is not None or case.parent is not None or _open(case, each):
        return False
    if each.green and Said.PASSED in each.together:
        known = key_of(Blamed.FLAKY, each.red.test, each.red.fingerprint) in case.known
        return case.strict and not known
    return True


def _known_before(case: Case, each: Suspect) -> bool:
    return case.parent is not None and _same_on_base(case, each)


def _said_on_base(case: Case, each: Suspect) -> Said | None:
    if each.on_base is not None:
        return each.on_base
    return case.parent.says(each.red.test) if case.parent else None


def _same_on_base(case: Case, each: Suspect) -> bool:
    if each.on_base is not None:
        return each.on_base is Said.FAILED and each.base_fingerprint == each.red.fingerprint
    return case.parent is not None and case.parent.red.get(each.red.test) == each.red.fingerprint
