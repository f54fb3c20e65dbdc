"""What an auditor is given: the candidate, why it is asked, and all that is known of the phase.

Only reads. Everything has a limit, because an agent reads it. Never asks and never judges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autopack.app.agents import AuditTask
from autopack.core import known

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from autopack.app.ports import Repository
    from autopack.core.command import Audit
    from autopack.core.issue import KnownIssue
    from autopack.core.patch import Change
    from autopack.core.run import Candidate, Run

CHANGES_MAX: Final = 50
"""Changed files that are told; the others are counted."""


def task_of(
    repository: Repository, run: Run, asked: Audit, tokens_max: int, log_folder: Path
) -> AuditTask:
    """The request of one audit; EnvironmentFault when the candidate cannot be read."""
    phase = run.phase(asked.phase_id)
    changes = _changes(repository, asked.candidate)
    return AuditTask(
        run.run_id,
        phase.spec,
        asked.attempt,
        asked.candidate.commit,
        asked.reason,
        tokens_max,
        log_folder,
        evidence=asked.evidence,
        changes=changes[:CHANGES_MAX],
        changes_more=len(changes[CHANGES_MAX:]),
        known_issues=tuple(_known(run, asked.phase_id)),
    )


def _changes(repository: Repository, candidate: Candidate) -> tuple[Change, ...]:
    """None of a candidate that is the branch itself: an attempt left nothing."""
    if candidate.commit == candidate.parent:
        return ()
    return repository.diff(candidate.parent, candidate.tree).changes


def _known(run: Run, phase_id: str) -> Iterator[KnownIssue]:
    """Its own issues first, whatever their evidence names, then those of its scope."""
    phase = run.phase(phase_id)
    mine = list(known.of_phase(run, phase))
    own = {each.issue_key for each in mine}
    others = [each for each in known.in_scope(run, phase.spec) if each.issue_key not in own]
    yield from [*mine, *others][: known.TOLD_MAX]
