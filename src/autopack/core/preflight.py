"""Preflight: what several attempts of a CI profile on one commit come to. Never runs anything.

What the machine broke is tried again; red is tried again until two attempts tell the same. Red and
then green on the same commit is flaky: `normal` lets it pass and says so, `strict` does not. What
the last attempt exonerates counts in each of them as what it is there: red before, a known flake.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from autopack.core.audit import fingerprint
from autopack.core.blame import Exoneration
from autopack.core.event import CiVerdict
from autopack.core.run import Evidence
from autopack.core.spec import CiProfile

ATTEMPTS_DEFAULT: Final = 3
ATTEMPTS_MAX: Final = 10
BACKOFF_SECONDS_DEFAULT: Final = 5
BACKOFF_SECONDS_MAX: Final = 600
_RED: Final = frozenset({CiVerdict.FAIL, CiVerdict.INVALID})


class Outcome(StrEnum):
    GREEN = "green"
    RED = "red"
    INVALID = "invalid"
    """Nothing could be judged: no test ran, a declared report is missing, a command was killed."""
    ENVIRONMENT = "environment"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Try:
    """One attempt: the verdict of the whole profile."""

    number: int
    verdict: CiVerdict
    evidence: Evidence | None = None
    tests_run: int = 0
    weak: bool = False
    """Judged by exit code alone."""
    cached: bool = False
    error: str = ""
    log_folder: str = ""
    exonerated: tuple[Exoneration, ...] = ()
    """Red tests that are not the commit's doing: flaky, or red before it."""


def again(tries: Sequence[Try], attempts_max: int) -> bool:
    """Whether another attempt can tell more than the last one."""
    last = tries[-1]
    if len(tries) >= attempts_max or last.verdict in {CiVerdict.PASS, CiVerdict.CANCELLED}:
        return False
    return last.verdict not in _RED or len(tries) == 1 or not _alike(tries[-2], last)


def outcome(tries: Sequence[Try], profile: CiProfile) -> Outcome:
    """The word of all attempts."""
    last = tries[-1]
    if last.verdict is CiVerdict.CANCELLED:
        return Outcome.CANCELLED
    if last.verdict is CiVerdict.PASS:
        blocked = bool(flaky(tries)) and profile is CiProfile.STRICT
        return Outcome.RED if blocked else Outcome.GREEN
    verdicts = {each.verdict for each in tries}
    if CiVerdict.FAIL in verdicts:
        return Outcome.RED
    return Outcome.INVALID if CiVerdict.INVALID in verdicts else Outcome.ENVIRONMENT


def flaky(tries: Sequence[Try]) -> tuple[Try, ...]:
    """The red attempts before a green one on the same commit, but those that it exonerates."""
    if tries[-1].verdict is not CiVerdict.PASS:
        return ()
    return tuple(each for each in tries if each.verdict in _RED and not _explained(each, tries[-1]))


def _explained(red: Try, last: Try) -> bool:
    """Blame has looked into all that was red: it is exonerated, and counts as what it is."""
    exonerated = {each.test for each in last.exonerated}
    if red.verdict is not CiVerdict.FAIL or red.evidence is None or not exonerated:
        return False
    named = {finding.test for finding in red.evidence.findings}
    return bool(named) and named <= exonerated and len(named) + red.evidence.more <= len(exonerated)


def _alike(before: Try, last: Try) -> bool:
    if before.verdict is not last.verdict or before.evidence is None or last.evidence is None:
        return False
    return fingerprint(before.evidence) == fingerprint(last.evidence)
