"""Where a run or a phase stands, in one sentence. Never cuts or escapes the texts of others."""

from __future__ import annotations

from typing import Final

from autopack.app.outcome import plan_only
from autopack.core.command import AwaitRoom, Build, Promote
from autopack.core.run import FAILED_STATE, Phase, Run, Stage, Step

_STEPS: dict[Step, str] = {
    Step.QUEUED: "waits for its turn",
    Step.BUILDING: "is being built",
    Step.PARKED: "waits at the provider's usage limit",
    Step.CHECKING: "is being checked by the gate",
    Step.AUDITING: "waits for the auditor",
    Step.TESTING: "waits for CI",
    Step.REAPPLYING: "is made again on what goes before it",
    Step.LANDING_QUEUED: "waits for its turn to land",
    Step.LANDING: "is landing",
    Step.COMPLETE: "has landed",
    Step.FAILED: "has failed",
    Step.SKIPPED: "was skipped",
}
UNDER_WAY: Final = frozenset(_STEPS) - {Step.QUEUED, Step.COMPLETE, Step.FAILED, Step.SKIPPED}


def phase_sentence(run: Run, phase: Phase) -> str:
    """Where a phase stands, as `phase F1.1 waits for CI, attempt 2 of 3`."""
    said = f"phase {phase.phase_id} {_STEPS[phase.step]}"
    if phase.step in UNDER_WAY:
        return f"{said}, attempt {attempt_number(run, phase)} of {attempts_max(phase)}"
    if phase.step is Step.COMPLETE:
        return f"{said} after {count(phase.attempts_used, 'attempt')}"
    if phase.step is Step.FAILED and phase.failure:
        return f"{said}: {phase.failure.reason}"
    if phase.step is Step.SKIPPED and phase.skipped_because:
        return f"{said}: {phase.skipped_because}"
    return said


def attempt_number(run: Run, phase: Phase) -> int:
    """The attempt under way, from 1: asked for, or else the one whose candidate is judged."""
    for pending in run.pending:
        command = pending.command
        if isinstance(command, Build) and command.phase_id == phase.phase_id:
            return command.attempt
    building = phase.step in {Step.BUILDING, Step.PARKED}
    return max(1, phase.attempts_used + building)


def attempts_max(phase: Phase) -> int:
    """Attempts that a phase may have, with those that were granted to it."""
    return phase.spec.builder_attempts_max + phase.attempts_granted


def run_sentence(run: Run) -> str:
    """Where a run stands, as `run nightly is under way: 2 of 5 phases landed; phase F3 …`."""
    done = landed(run)
    if run.stage is Stage.DONE and run.failure:
        state = FAILED_STATE[run.failure.cause].value
        return f"run {run.run_id} ended as {state}: {run.failure.reason}; {done}"
    if run.stage is Stage.DONE:
        return f"run {run.run_id} is done: {done}"
    if any(isinstance(pending.command, AwaitRoom) for pending in run.pending):
        most = run.spec.promotions_open_max
        return (
            f"run {run.run_id} waits: {count(most, 'promotion pull request')} may be open,"
            " and one has to be merged or closed first"
        )
    if run.spec.drafting:
        active = [phase_sentence(run, phase) for phase in run.phases if phase.step in UNDER_WAY]
        return "; ".join([f"run {run.run_id} has its plan drafted", *active])
    if run.stage is Stage.CREATED:
        return f"run {run.run_id} is being prepared from {run.spec.base_ref}"
    if run.stage is Stage.QUEUEING:
        return f"run {run.run_id} is preparing its environment"
    if any(isinstance(pending.command, Promote) for pending in run.pending):
        return f"run {run.run_id} is being promoted: {done}"
    active = [phase_sentence(run, phase) for phase in run.phases if phase.step in UNDER_WAY]
    return "; ".join([f"run {run.run_id} is under way: {done}", *active])


def landed(run: Run) -> str:
    """As `4 of 4 phases landed, 2 of them in nightly`."""
    if run.spec.drafting:
        return "no plan was drafted" if run.stage is Stage.DONE else "no plan yet"
    if plan_only(run):
        return f"a plan of {count(len(run.phases), 'phase')} was drafted"
    before = len(run.spec.landed)
    skipped = sum(phase.step is Step.SKIPPED for phase in run.phases) - before
    said = f"{len(run.snapshots) + before} of {count(len(run.phases), 'phase')} landed"
    said += f", {before} of them in {run.spec.predecessor}" if before else ""
    return said + (f", {skipped} skipped" if skipped > 0 else "")


def count(number: int, noun: str) -> str:
    """As `1 phase` and `2 phases`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
