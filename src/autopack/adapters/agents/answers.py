"""What an agent writes for us: verdict, issues and its own count of tokens, read as hostile files.

Anything but exactly what was asked for is no answer: an auditor's silence is never an approval.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autopack.core.event import Recommendation
from autopack.core.issue import IssueReport, IssueSeverity, IssueSource
from autopack.core.redact import redact, redact_bytes
from autopack.core.reported import made_plain, problem_of
from autopack.core.words import number_fault, plain
from autopack.process.folders import Unreadable, clear, read_left

ANSWER_BYTES_MAX: Final = 2 << 20
NOTES_CHARACTERS_MAX: Final = 8_000
TOKENS_MAX: Final = 10**9
ISSUES_BYTES_MAX: Final = 256 << 10
ISSUES_MAX: Final = 20
"""Of one attempt or audit."""
ISSUE_KEYS: Final = frozenset(
    {"issue_key", "severity", "category", "source", "expected_fail", "evidence_refs", "description"}
)
BUILDER_SOURCES: Final = frozenset({
    IssueSource.SELF_DOUBT, IssueSource.CURSOR_SELF_DOUBT, IssueSource.PROBE,
    IssueSource.STATIC_CHECK,
})  # fmt: skip
"""What a builder may name as the source of what it reports."""
GIVEN: Final = (Recommendation.APPROVE, Recommendation.REVISE, Recommendation.ESCALATE)


@dataclass(frozen=True)
class Verdict:
    """An auditor's answer; INVALID, with the reason in `notes`, when it is none."""

    recommendation: Recommendation
    notes: str = ""
    patch: bytes | None = None
    issues: tuple[IssueReport, ...] = ()


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


def keep_answers(folder: Path) -> None:
    """What stays in a folder of answers, once they are read: plain files without secrets.

    Whatever else an agent left there goes.
    """
    for path in sorted(folder.iterdir()):
        try:
            content = read_left(path, ANSWER_BYTES_MAX)
        except Unreadable:
            clear(path)
            continue
        told = redact_bytes(content)
        if told is not content:
            clear(path)
            path.write_bytes(told)


def read_verdict(path: Path) -> Verdict:
    """The verdict in a file; strictly what the prompt asks for, or INVALID."""
    try:
        return _verdict(_object(path))
    except AnswerRefused as fault:
        return Verdict(Recommendation.INVALID, f"no valid verdict: {fault}")


def read_issues(path: Path) -> tuple[tuple[IssueReport, ...], str]:
    """A builder's issues from a JSON list, and why its file is ignored: one mistake is enough."""
    if not os.path.lexists(path):
        return (), ""
    try:
        return issue_list(_json(path, ISSUES_BYTES_MAX), IssueSource.SELF_DOUBT), ""
    except AnswerRefused as fault:
        return (), f"its issues file is ignored: {fault}"


def issue_list(value: object, source: IssueSource) -> tuple[IssueReport, ...]:
    """Issues as an agent lists them; AnswerRefused. `source`: what it may say of all that it says.

    Severity upgrades go by source, so that nobody speaks for another: an auditor's are its own, and
    what a builder says in the name of CI, a test or an auditor is its doubt.
    """
    if not isinstance(value, list):
        raise AnswerRefused("issues must be a list of objects")
    if len(value) > ISSUES_MAX:
        raise AnswerRefused(f"{len(value):,} issues; at most {ISSUES_MAX}")
    return tuple(_issue(f"issue {number}", each, source) for number, each in enumerate(value, 1))


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
    unknown = sorted(answer.keys() - {"recommendation", "notes", "patch", "issues"})
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
    issues = issue_list(answer.get("issues") or [], IssueSource.AUDITOR)
    return Verdict(
        Recommendation(given), plain(redact(notes), NOTES_CHARACTERS_MAX), content, issues
    )


def _issue(where: str, value: object, source: IssueSource) -> IssueReport:
    if not isinstance(value, dict):
        raise AnswerRefused(f"{where} is no object")
    unknown = sorted(value.keys() - ISSUE_KEYS)
    if unknown:
        raise AnswerRefused(f"{where}: unknown key {plain(unknown[0], 100)!r}")
    severity, refs = value.get("severity"), value.get("evidence_refs", [])
    texts = [value.get(key, "") for key in ("issue_key", "category", "description")]
    named, expected_fail = value.get("source", source.value), value.get("expected_fail", False)
    if severity not in (None, *(each.value for each in IssueSeverity)):
        raise AnswerRefused(f"{where}: severity must be one of {', '.join(IssueSeverity)}")
    if named not in [each.value for each in IssueSource]:
        raise AnswerRefused(f"{where}: source must be one of {', '.join(IssueSource)}")
    if not isinstance(refs, list) or not all(isinstance(each, str) for each in (*texts, *refs)):
        raise AnswerRefused(f"{where}: texts must be strings, evidence_refs a list of them")
    if not isinstance(expected_fail, bool):
        raise AnswerRefused(f"{where}: expected_fail must be true or false")
    report = made_plain(IssueReport(
        texts[0],
        _source(IssueSource(named), source),
        texts[1],
        IssueSeverity(severity) if severity else None,
        expected_fail,
        tuple(refs),
        texts[2],
    ))  # fmt: skip
    if problem := problem_of(report):
        raise AnswerRefused(f"{where}: {problem}")
    return report


def _source(named: IssueSource, own: IssueSource) -> IssueSource:
    return named if own is not IssueSource.AUDITOR and named in BUILDER_SOURCES else own


def _object(path: Path) -> dict[str, object]:
    value = _json(path, ANSWER_BYTES_MAX)
    if not isinstance(value, dict):
        raise AnswerRefused("not a JSON object")
    return value


def _json(path: Path, bytes_max: int) -> object:
    try:
        content = _content(path, bytes_max)
        return json.loads(content, object_pairs_hook=_unique, parse_constant=_refuse)
    except AnswerRefused:
        raise
    except RecursionError:
        raise AnswerRefused("it is nested too deep") from None
    except ValueError as fault:
        raise AnswerRefused(f"not JSON: {plain(number_fault(str(fault)), 200)}") from fault


def _content(path: Path, bytes_max: int) -> bytes:
    try:
        return read_left(path, bytes_max)
    except Unreadable as fault:
        raise AnswerRefused(f"{path.name} is {fault}") from fault


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise AnswerRefused("a key is given twice")
    return dict(pairs)


def _refuse(constant: str) -> object:
    raise AnswerRefused(f"{constant} is not JSON")
