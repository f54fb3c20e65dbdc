"""The ruleset that holds for a project: its file's, the last good one's, or the built-in.

A file that became wrong must not stop a project whose policy was good yesterday: the last good text
is kept in the store, and who uses it is told. Never writes a file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from autopack.core.builtin import BUILT_IN
from autopack.core.errors import OperatorFault
from autopack.core.ruleset import Ruleset
from autopack.core.ruleset_data import parse_ruleset

BUILT_IN_ORIGIN = "built in"
LAST_GOOD_ORIGIN = "last good"


class Rulesets(Protocol):
    """The last good text of each project's ruleset, kept in the store."""

    def last(self, project_id: str, repository: str) -> str | None:
        """The text that was kept last; None when there is none."""
        ...

    def keep(self, project_id: str, repository: str, digest: str, text: str, at: int) -> None:
        """Replace it; `at`: seconds since the epoch."""
        ...


@dataclass(frozen=True)
class RulesetFile:
    """Where a project's file is, and how it is read: its text, or None when there is none."""

    place: str
    read: Callable[[], str | None]
    """OperatorFault when there is one that cannot be read as text."""


@dataclass(frozen=True)
class Current:
    """A ruleset with where it came from, and what its user should be told first."""

    ruleset: Ruleset = BUILT_IN
    origin: str = BUILT_IN_ORIGIN
    """The file's path, "last good" or "built in"."""
    warnings: tuple[str, ...] = ()
    text: str = ""
    """What a run that starts with it keeps as the last good; empty: nothing new."""

    @property
    def label(self) -> str:
        """As a run keeps it: empty for the built-in one."""
        return "" if self.origin == BUILT_IN_ORIGIN else self.ruleset.label


BUILT_IN_CURRENT = Current()


def built_in(_project_id: str) -> Current:
    """The built-in ruleset, whatever the project."""
    return BUILT_IN_CURRENT


def from_file(file: RulesetFile, project_id: str) -> Current:
    """The ruleset of a file; OperatorFault with all its problems, also when there is none."""
    text, problems = _read(file)
    if text is None and not problems:
        raise OperatorFault(f"{file.place}: there is no such file", "name a ruleset's JSON file")
    ruleset, problems = _parsed(text, file, project_id, problems)
    if ruleset is None:
        raise OperatorFault("\n".join(problems), "correct it; nothing was started")
    return Current(ruleset, file.place, text=text or "")


def current(file: RulesetFile, project_id: str, repository: str, kept: Rulesets | None) -> Current:
    """The ruleset that holds now; OperatorFault when its file is wrong and none was ever good."""
    found = _holding(file, project_id, repository, kept)
    if isinstance(found, Current):
        return found
    hint = "correct it, or move it away to have the built-in ruleset; nothing was started"
    raise OperatorFault("\n".join(found), hint)


def tolerated(
    file: RulesetFile, project_id: str, repository: str, kept: Rulesets | None
) -> Current:
    """The same for who only reads: the built-in one, and why, where the file would be refused."""
    found = _holding(file, project_id, repository, kept)
    if isinstance(found, Current):
        return found
    used = f"{file.place} is wrong and was never good; the built-in ruleset is used instead"
    return Current(warnings=(used, *found))


def _holding(
    file: RulesetFile, project_id: str, repository: str, kept: Rulesets | None
) -> Current | tuple[str, ...]:
    """The ruleset that holds now, or the problems of a file in whose place there is no other."""
    text, problems = _read(file)
    if text is None and not problems:
        return BUILT_IN_CURRENT
    ruleset, problems = _parsed(text, file, project_id, problems)
    if ruleset is not None:
        return Current(ruleset, file.place, text=text or "")
    good = kept.last(project_id, repository) if kept is not None else None
    last = parse_ruleset(good, "last good", project_id) if good is not None else None
    if not isinstance(last, Ruleset):
        return problems
    used = f"{file.place} is wrong; the last good ruleset, {last.label}, is used instead"
    return Current(last, LAST_GOOD_ORIGIN, (used, *problems))


def _read(file: RulesetFile) -> tuple[str | None, tuple[str, ...]]:
    try:
        return file.read(), ()
    except OperatorFault as fault:
        return None, (fault.what,)


def _parsed(
    text: str | None, file: RulesetFile, project_id: str, problems: tuple[str, ...]
) -> tuple[Ruleset | None, tuple[str, ...]]:
    if text is None:
        return None, problems
    found = parse_ruleset(text, file.place, project_id)
    if isinstance(found, Ruleset):
        return found, ()
    return None, tuple(str(problem) for problem in found)
