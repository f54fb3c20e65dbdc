"""What a project remembers across its runs: the port to its issues, and resolving one by hand.

Never decides what an issue's age means (that is `core.backlog`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from autopack.core.backlog import BacklogIssue, Facts, IssueStatus, Resolution, backlog
from autopack.core.errors import OperatorFault
from autopack.core.issue import DESCRIPTION_CHARACTERS_MAX, key_problem
from autopack.core.spec import Aging
from autopack.core.words import nearest, plain


class Memory(Protocol):
    """The issues of all runs of one project: its id and its repository."""

    def facts(self, project_id: str, repository: str) -> Facts:
        """All that is known of the project's issues."""
        ...

    def resolve(self, project_id: str, repository: str, resolution: Resolution) -> None:
        """Keep somebody's word that an issue is no more; durable on return."""
        ...


def find(entries: Iterable[BacklogIssue], project_id: str, key: str) -> BacklogIssue:
    """The entry of a key; OperatorFault, perhaps with the nearest key, when there is none."""
    if problem := key_problem(key):
        raise OperatorFault(problem, "`autopack issues list --all` shows the keys")
    by_key = {entry.issue_key: entry for entry in entries}
    if key in by_key:
        return by_key[key]
    meant = nearest(key, by_key)
    hint = f"did you mean {meant}?" if meant else "`autopack issues list --all` shows them"
    raise OperatorFault(f"the backlog of {project_id} has no issue {key}", hint)


def resolve(
    memory: Memory, project: tuple[str, str], key: str, *, by: str, reason: str, at: int
) -> BacklogIssue:
    """Resolve an issue of the backlog; OperatorFault when there is none or it is resolved."""
    reason = plain(reason, len(reason) + 4)
    if len(reason) > DESCRIPTION_CHARACTERS_MAX:
        what = f"the reason: at most {DESCRIPTION_CHARACTERS_MAX:,} characters"
        raise OperatorFault(what, "nothing was resolved")
    entry = find(backlog(memory.facts(*project)), project[0], key)
    if entry.status is IssueStatus.RESOLVED:
        what = f"issue {key} was resolved already, by {entry.resolved_by}"
        raise OperatorFault(what, "it opens again by itself when it is seen again")
    memory.resolve(*project, Resolution(key, entry.occurrence_count, by, reason, at))
    return entry


def entries_of(memory: Memory, project: tuple[str, str], aging: Aging) -> tuple[BacklogIssue, ...]:
    """The backlog of a project under thresholds."""
    return backlog(memory.facts(*project), aging)
