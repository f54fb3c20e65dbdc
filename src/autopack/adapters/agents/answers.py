"""What an agent writes for us: its verdict and its own count of tokens, read as hostile files.

Anything but exactly what was asked for is no answer: an auditor's silence is never an approval.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autopack.core.event import Recommendation
from autopack.core.words import plain
from autopack.process.folders import Unreadable, read_left

ANSWER_BYTES_MAX: Final = 2 << 20
NOTES_CHARACTERS_MAX: Final = 8_000
TOKENS_MAX: Final = 10**9
GIVEN: Final = (Recommendation.APPROVE, Recommendation.REVISE, Recommendation.ESCALATE)


@dataclass(frozen=True)
class Verdict:
    """An auditor's answer; INVALID, with the reason in `notes`, when it is none."""

    recommendation: Recommendation
    notes: str = ""
    patch: bytes | None = None


@dataclass(frozen=True)
class Usage:
    """What an agent says that it used; `problem`: why what it wrote cannot be read."""

    tokens: int = 0
    problem: str = ""

    def charged(self, tokens_max: int) -> tuple[int, str]:
        """The tokens to count, and a sentence when they are not the agent's own number.

        A report that cannot be read must not be cheaper than an honest one, so that it costs all
        that the attempt might have used.
        """
        if not self.problem:
            return self.tokens, ""
        why = f"its usage report cannot be read ({self.problem})"
        return tokens_max, f"{why}: all {tokens_max:,} tokens that it had are counted"


class AnswerRefused(ValueError):
    """There is no answer that can be used, and why."""


def read_verdict(path: Path) -> Verdict:
    """The verdict in a file; strictly what the prompt asks for, or INVALID."""
    try:
        return _verdict(_object(path))
    except AnswerRefused as fault:
        return Verdict(Recommendation.INVALID, f"no valid verdict: {fault}")


def read_usage(path: Path) -> Usage:
    """Tokens as reported by the agent, from `{"tokens": N}`; no file is no claim, so 0."""
    if not os.path.lexists(path):
        return Usage()
    try:
        tokens = _object(path).get("tokens")
    except AnswerRefused as fault:
        return Usage(problem=str(fault))
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 0:
        return Usage(problem='it has no whole number "tokens" of at least 0')
    return Usage(min(tokens, TOKENS_MAX))


def _verdict(answer: dict[str, object]) -> Verdict:
    unknown = sorted(answer.keys() - {"recommendation", "notes", "patch"})
    if unknown:
        raise AnswerRefused(f"unknown key {plain(unknown[0], 100)!r}")
    given = answer.get("recommendation")
    if given not in [each.value for each in GIVEN]:
        raise AnswerRefused(f"recommendation must be one of {', '.join(GIVEN)}")
    notes, patch = answer.get("notes", ""), answer.get("patch")
    if not isinstance(notes, str) or not isinstance(patch, (str, type(None))):
        raise AnswerRefused("notes and patch must be strings")
    try:
        content = patch.encode() if patch else None
    except UnicodeEncodeError as fault:
        raise AnswerRefused("patch is not text") from fault
    return Verdict(Recommendation(given), plain(notes, NOTES_CHARACTERS_MAX), content)


def _object(path: Path) -> dict[str, object]:
    try:
        value = json.loads(_content(path), object_pairs_hook=_unique, parse_constant=_refuse)
    except AnswerRefused:
        raise
    except RecursionError:
        raise AnswerRefused("it is nested too deep") from None
    except ValueError as fault:
        raise AnswerRefused(f"not JSON: {plain(str(fault), 200)}") from fault
    if not isinstance(value, dict):
        raise AnswerRefused("not a JSON object")
    return value


def _content(path: Path) -> bytes:
    try:
        return read_left(path, ANSWER_BYTES_MAX)
    except Unreadable as fault:
        raise AnswerRefused(f"{path.name} is {fault}") from fault


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise AnswerRefused("a key is given twice")
    return dict(pairs)


def _refuse(constant: str) -> object:
    raise AnswerRefused(f"{constant} is not JSON")
