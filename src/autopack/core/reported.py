"""An issue as somebody outside reports it, an agent or a person: made plain, or refused.

One rule for all of them. Stricter than what the machine takes, so that old logs can be walked.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from autopack.core import issue
from autopack.core.project import path_problem
from autopack.core.redact import cleaned
from autopack.core.words import plain

if TYPE_CHECKING:
    from autopack.core.issue import IssueReport

_LINE: Final = re.compile("0*[1-9][0-9]*")


def made_plain(report: IssueReport) -> IssueReport:
    """The report without secrets, control and bidi characters; on one line but its description."""
    report = cleaned(report)
    return replace(
        report,
        category=one_line(report.category),
        evidence_refs=tuple(dict.fromkeys(map(one_line, report.evidence_refs))),
        description=plain(report.description, len(report.description) + 4),
    )


def problem_of(report: IssueReport) -> str:
    """Why a report is refused; empty when it is taken.

    Evidence may name what it likes, but a path is one of the repository, and a line has a number.
    """
    if why := issue.problem_of(report):
        return why
    found = map(_evidence_problem, report.evidence_refs)
    return next((f"evidence_refs: {problem}" for problem in found if problem), "")


def _evidence_problem(ref: str) -> str:
    if not ref.strip():
        return "an empty text says nothing: leave it out"
    if ref.startswith(issue.TEST) and not ref.removeprefix(issue.TEST).strip():
        return f"{ref!r} names no test: write `test:<id>`"
    if not ref.startswith(issue.PATH):
        return ""
    path, colon, line = ref.removeprefix(issue.PATH).rpartition(":")
    if colon and not _LINE.fullmatch(line):
        return f"{ref!r}: {line!r} is no line: write `path:<file>:<line>` with a number from 1"
    return path_problem(path if colon else line)


def one_line(text: str) -> str:
    """Text on one line, without control and bidi characters."""
    return " ".join(plain(text, len(text) + 4).split())
