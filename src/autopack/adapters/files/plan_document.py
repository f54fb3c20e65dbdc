"""The plan of a run as a file that `autopack run` takes again, made from its frozen spec alone.

Never tells what a new run adds by itself, as phases that clean up known issues. Never writes a
file.
"""

from __future__ import annotations

from autopack.adapters.files.escape import inline
from autopack.adapters.files.plan_text import heading, plan_text
from autopack.app.sentences import count
from autopack.core.series import parts_of, whole
from autopack.core.spec import PhaseSpec, RunSpec, TierSpec


def plan_document(spec: RunSpec) -> str:
    """The text; of the first part of a series, its whole plan."""
    title = heading("#", spec.title or f"Plan of run {spec.run_id}")
    if not spec.phases:
        return f"# Plan of run {inline(spec.run_id)}\n\nThere is none yet.\n"
    tiers, phases = _written(whole(spec) if spec.part == 1 else spec)
    left = len(spec.phases) + (len(spec.rest_phases) if spec.part == 1 else 0) - len(phases)
    where = f"{inline(spec.base_ref)} at {spec.base_commit}"
    taken = "`autopack run` takes it as a plan." if phases else "There is nothing to run again."
    lines = [title, "", f"Compiled for run {inline(spec.run_id)} on {where}. {taken}"]
    lines += [_series(spec)] if spec.series else []
    lines += [_debt(left)] if left else []
    return "\n".join([*lines, "", plan_text(tiers, phases)]).rstrip("\n") + "\n"


def _written(spec: RunSpec) -> tuple[list[TierSpec], list[PhaseSpec]]:
    """What somebody planned: without the phases, and their tier, that the run added."""
    phases = [phase for phase in spec.phases if not phase.cleans]
    held = {phase.tier_id for phase in phases}
    return [tier for tier in spec.tiers if tier.tier_id in held], phases


def _series(spec: RunSpec) -> str:
    name, parts = inline(spec.series), parts_of(spec)
    if spec.part == 1:
        return f"The whole plan of series {name}: this run does part 1 of {parts}."
    return f"Only part {spec.part} of {parts}: the plan of run {name} holds the whole series."


def _debt(phases: int) -> str:
    return f"Left out: {count(phases, 'phase')} for known issues, which a run adds by itself."
