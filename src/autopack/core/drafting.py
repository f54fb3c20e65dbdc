"""What the rows of the machine's table do to a run while its plan is drafted.

Called by `core.machine` alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from autopack.core import attempts, budget, moves
from autopack.core.command import PrepareBase
from autopack.core.run import Cause, Evidence, Phase, Run, Stage, Step

if TYPE_CHECKING:
    from autopack.core.command import Pending
    from autopack.core.event import BasePrepared, PlanDrafted, PlanRejected
    from autopack.core.spec import RunSpec


def base_prepared(run: Run, _event: BasePrepared, _asked: Pending) -> Run:
    return moves.start_attempt(run, budget.reserve(run.phases[0]))


def rejected(run: Run, event: PlanRejected, _asked: Pending) -> Run:
    evidence = Evidence("gate", "the plan cannot be taken", event.findings)
    return attempts.again(run, run.phases[0], evidence, Cause.REQUIRES_HUMAN_REVIEW)


def drafted(run: Run, event: PlanDrafted, _asked: Pending) -> Run:
    """The run on its plan, as if it were new; what drafting cost stays with it."""
    done = budget.release(replace(run.phases[0], step=Step.COMPLETE, evidence=None))
    run = replace(run, spec=event.spec, draft=done, phases=first_phases(event.spec))
    asked = event.spec.draft
    if asked is None or not asked.plan_only:
        return moves.issue(replace(run, stage=Stage.CREATED), PrepareBase())
    because = "only a plan was asked for"
    skipped = (replace(p, step=Step.SKIPPED, skipped_because=because) for p in run.phases)
    return replace(run, phases=tuple(skipped), stage=Stage.CLOSING)


def first_phases(spec: RunSpec) -> tuple[Phase, ...]:
    """The phases of a spec as a run begins with them."""
    return tuple(
        Phase(phase, Step.SKIPPED, needed=False, skipped_because=f"landed in {spec.predecessor}")
        if phase.phase_id in spec.landed
        else Phase(phase)
        for phase in sorted(spec.phases, key=lambda phase: phase.phase_index)
    )
