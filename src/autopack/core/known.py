"""Which known issues concern a phase: those whose evidence lies in its scope. Never decides.

What is known are the issues of the backlog that the run began with and what its own phases have
recorded so far.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autopack.core import policy
from autopack.core.issue import IssueSeverity, KnownIssue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autopack.core.run import Phase, Run
    from autopack.core.spec import PhaseSpec, RunSpec

TOLD_MAX: Final = 20
"""Known issues that one attempt is told of: the worst."""


def in_scope(run: Run, phase: PhaseSpec) -> tuple[KnownIssue, ...]:
    """Known issues of a phase's scope, the one that it cleans first, then the worst; bounded."""
    found: dict[str, KnownIssue] = {}
    for known in (*run.spec.known_issues, *_recorded(run)):
        if known.issue_key in run.resolved:
            continue
        if known.issue_key == phase.cleans or any(
            policy.in_scope(phase.scope, path) for path in known.paths
        ):
            found.setdefault(known.issue_key, known)
    ranked = sorted(
        found.values(),
        key=lambda known: (
            known.issue_key != phase.cleans,
            not known.needs_cleanup,
            known.severity is not IssueSeverity.MAJOR,
            known.issue_key,
        ),
    )
    return tuple(ranked[:TOLD_MAX])


def watched_tests(spec: RunSpec) -> tuple[str, ...]:
    """Ids of the tests that show whether known issues are gone; each once."""
    named = (test for known in spec.known_issues for test in known.tests)
    return tuple(dict.fromkeys(named))


def of_phase(run: Run, phase: Phase) -> Iterator[KnownIssue]:
    """What a phase itself has recorded so far, the major ones first."""
    ranked = sorted(
        phase.issues, key=lambda issue: issue.effective_severity is not IssueSeverity.MAJOR
    )
    for issue in ranked:
        yield KnownIssue(
            issue.issue_key,
            issue.effective_severity,
            needs_cleanup=False,
            first_seen_run=run.run_id,
            evidence_refs=issue.evidence_refs,
            description=issue.description,
        )


def quarantined(spec: RunSpec, now: int) -> tuple[str, ...]:
    """Keys of the flakes that are in quarantine, of those that the run began with."""
    return tuple(each.issue_key for each in spec.known_issues if now < each.quarantined_until)


def _recorded(run: Run) -> Iterator[KnownIssue]:
    for phase in run.phases:
        yield from of_phase(run, phase)
