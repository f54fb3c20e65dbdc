"""Whose fault a red test is: what to run before anybody pays for it, and what that comes to.

A test that is red and then green on the same candidate is flaky; one that is red with the same
fingerprint on the candidate's parent, twice, in a command that ends alike, was so before; every
other one is the candidate's own. Never exonerated is a test that the change adds or edits, one that
the parent does not run, one that was not collected or ran out of time, and one of which a rerun
says nothing. Pure: who runs the tests is told which, and tells the result.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from autopack.core.fingerprint import issue_key
from autopack.core.said import Ending, Result, Said

RERUNS_MAX: Final = 3
"""Executions after the first of a test that is red: so many that chance blames hardly any flake."""
BASE_RUNS: Final = 2
"""Executions on the parent that say of a test that it was red before: one alone may be a flake."""
SUSPECTS_MAX: Final = 200
"""Red tests of one command that are looked into; with more it is the candidate's."""


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
class OnBase:
    """What one execution on the parent said of a test."""

    said: Said
    fingerprint: str = ""
    alike: bool = True
    """The command ended there as it did on the candidate."""


@dataclass(frozen=True)
class Suspect:
    """A red test and what was said of it since."""

    red: Red
    alone: tuple[Said, ...] = ()
    """By executions of suspects only."""
    together: tuple[Said, ...] = (Said.FAILED,)
    """By executions of the whole command, the first included."""
    on_base: tuple[OnBase, ...] = ()

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
        base = (f"base:{each.said.value}" for each in self.on_base)
        whole, *more = (each.value for each in self.together)
        return (whole, *(each.value for each in self.alone), *more, *base)


@dataclass(frozen=True)
class Case:
    """The red tests of one command on one candidate.

    `selects`: the command can run some tests only. `strict`: a flake must be known. `known`: issue
    keys of flakes in quarantine. `parent`: what the whole command said on the parent, when that is
    known already. `ended`: how the command ended on the candidate.
    """

    suspects: tuple[Suspect, ...]
    selects: bool = False
    strict: bool = False
    known: frozenset[str] = frozenset()
    parent: Result | None = None
    ended: Ending = field(default_factory=Ending)


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
    # the second time the same as the first, so that both say together what is remembered
    asked = [s for s in case.suspects if s.on_base or s in wanted]
    if any(s.green and Said.PASSED not in s.together for s in asked):
        return Ask(Where.BASE)  # red among the others only: so it must be seen there
    return Ask(Where.BASE, tuple(s.red.test for s in asked))


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
            word = OnBase(said, result.red.get(test, ""), result.ended.like(case.ended))
            suspect = replace(each, on_base=(*each.on_base, word))
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
    if _said_on_base(case, each) is Said.MISSING:
        return Blamed.OURS, "red, then green, and the parent commit does not run it: it is new"
    if case.selects and Said.PASSED not in each.together:
        if _same_on_base(case, each):
            return Blamed.PRE_EXISTING, "red with the same failure on the parent commit"
        return Blamed.OURS, "green alone, red whenever all tests run"
    if not case.strict:
        return Blamed.FLAKY, "red, then green on the same commit"
    if key_of(Blamed.FLAKY, each.red.test, each.red.fingerprint) in case.known:
        return Blamed.FLAKY, "red, then green on the same commit; known, and in quarantine"
    if _shown_on_base(case, each):
        return Blamed.FLAKY, "red, then green on the same commit; so it fails on the parent, too"
    return Blamed.OURS, "red, then green on the same commit; strict lets no unknown flake pass"


def _why_ours(case: Case, each: Suspect) -> str:
    said = _said_on_base(case, each)
    if said is Said.FLAKY:
        return "red each time, and on the parent commit only now and then"
    if said is Said.FAILED and not _ended_alike(case, each):
        return "red on the parent commit as well, but its command ends with another exit code there"
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
    """Its verdict hangs on the parent, of which not enough is known."""
    if case.parent is not None or _open(case, each):
        return False
    if each.green and Said.PASSED in each.together:
        return not each.on_base  # whether the parent runs it; strict asks whether it fails there
    return len(each.on_base) < BASE_RUNS and all(_same(each, word) for word in each.on_base)


def _known_before(case: Case, each: Suspect) -> bool:
    return case.parent is not None and _same_on_base(case, each)


def _said_on_base(case: Case, each: Suspect) -> Said | None:
    if each.on_base:
        words = {word.said for word in each.on_base}
        return words.pop() if len(words) == 1 else Said.FLAKY
    return case.parent.says(each.red.test) if case.parent else None


def _same(each: Suspect, word: OnBase) -> bool:
    return word.said is Said.FAILED and word.fingerprint == each.red.fingerprint and word.alike


def _ended_alike(case: Case, each: Suspect) -> bool:
    if each.on_base:
        return all(word.alike for word in each.on_base)
    return case.parent is None or case.parent.ended.like(case.ended)


def _same_on_base(case: Case, each: Suspect) -> bool:
    """Red there for certain, with the same failure, in a command that ends alike."""
    if each.on_base:
        return len(each.on_base) >= BASE_RUNS and all(_same(each, word) for word in each.on_base)
    return _remembered(case, each) == each.red.fingerprint and _ended_alike(case, each)


def _remembered(case: Case, each: Suspect) -> str:
    return case.parent.red.get(each.red.test, "") if case.parent else ""


def _shown_on_base(case: Case, each: Suspect) -> bool:
    """It has failed there in the same way at least once."""
    marks = {word.fingerprint for word in each.on_base if word.said is Said.FAILED}
    if case.parent is not None:
        marks |= {_remembered(case, each), case.parent.flaky.get(each.red.test, "")}
    return each.red.fingerprint in marks
