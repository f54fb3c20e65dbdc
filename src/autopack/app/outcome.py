"""What came of a run beyond its state: where its work is, and what failed without failing it.

Never reads a store.
"""

from __future__ import annotations

from dataclasses import dataclass

from autopack.core.run import Run, Step


@dataclass(frozen=True)
class Places:
    """Absolute paths where a run can be looked into; empty: there is none."""

    artefacts: str
    incident: str
    """The file that tells of a failed run."""
    logs: str
    """What agents and CI printed, by phase."""
    repository: str
    """The supervisor's bare repository, which keeps every attempt."""
    plan: str = ""
    """The compiled plan, which runs again."""


@dataclass(frozen=True)
class CleanupFailure:
    """A cleanup that ended badly and did not fail its run."""

    issue_key: str
    phase_id: str
    reason: str

    @property
    def said(self) -> str:
        """One line; the reason's first."""
        first = next((line for line in self.reason.splitlines() if line.strip()), "no reason given")
        return f"cleanup of {self.issue_key} failed (does not fail the run): {first}"


def cleanup_failures(run: Run) -> tuple[CleanupFailure, ...]:
    """The cleanups that failed by themselves: not with a run that stopped, or a broken machine."""
    return tuple(
        CleanupFailure(phase.spec.cleans, phase.phase_id, phase.failure.reason)
        for phase in run.phases
        if phase.step is Step.FAILED and phase.failure and phase.occurrences_known
    )


def plan_only(run: Run) -> bool:
    """Whether it was started for its plan, which is there."""
    return run.draft is not None and run.spec.draft is not None and run.spec.draft.plan_only
