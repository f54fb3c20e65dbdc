"""A candidate in CI: what the verifier is given, and its verdict as an event.

Never cleans up: folders are its caller's. Never judges.
"""

from __future__ import annotations

from pathlib import Path

from autopack.app.ports import TestTask, Verifier
from autopack.app.supervise import Cancellation
from autopack.app.turns import leave_if_cut_off
from autopack.core import budget, known
from autopack.core.command import Test
from autopack.core.errors import EnvironmentFault
from autopack.core.event import CandidateTested
from autopack.core.run import Run


def judged(
    verifier: Verifier,
    run: Run,
    test: Test,
    folder: Path,
    logs: Path,
    now: int,
    cancel: Cancellation,
) -> CandidateTested:
    """CI's verdict, `now` in Unix seconds; EnvironmentFault when it could not be had."""
    task = TestTask(
        run.spec,
        run.phase(test.phase_id).spec,
        test.candidate.commit,
        test.candidate.tree,
        test.profile,
        folder,
        logs,
        known.watched_tests(run.spec),
        test.candidate.parent,
        run.tip,
        known.quarantined(run.spec, now),
        budget.seconds_left(run),
    )
    tested = verifier.test(task, cancel)
    leave_if_cut_off(cancel)
    if tested.error:
        raise EnvironmentFault(tested.error)
    return CandidateTested(
        test.phase_id,
        tested.verdict,
        tested.evidence,
        tested.tests_run,
        tested.cached,
        tested.weak,
        tested.passed,
        tested.exonerated,
        tested.proved,
        tested.findings,
    )
