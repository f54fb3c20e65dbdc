"""Promotion: whether a run's work may become a pull request, with every reason why not.

Pure and total: any run has an answer at any moment. Never asks a forge; what it knows is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from autopack.core.run import Cause, Run, Stage
from autopack.core.spec import PromoteMode, RunSpec
from autopack.core.tier import Cleanliness, Excess, Tier, tiers
from autopack.core.tier import excess as excess_of

PREFIX: Final = "<!-- autopack-promotion:"
"""How the line begins that stands in the text of every promotion pull request."""
PHASES_TOLD: Final = 5


def marker(spec: RunSpec) -> str:
    """The line, invisible in rendered Markdown, that tells a run's pull request from any other.

    Ids may be given again, by another machine too: the base commit makes it this run's.
    """
    return f"{PREFIX} {spec.run_id} {spec.base_commit} -->"


def tag(run_id: str) -> str:
    """The annotated tag of the commit that a promotion puts on the branch; no phase has it."""
    return f"autonomous/{run_id}/promotion"


def eligible(run: Run) -> bool:
    """`promotion_eligible_to_main` of the specification."""
    return not reasons(run)


def due(run: Run) -> bool:
    """A run that ends well, promotes by itself and has not tried."""
    tried = run.promotion.tried or run.promotion.number
    if tried or run.spec.promote is not PromoteMode.AUTO or run.stage is not Stage.CLOSING:
        return False
    return eligible(as_ended(run))


def work_branch(run: Run) -> str:
    """The branch that holds what landed, here or in the runs that it continues; empty: none does.

    The one that its promotion is for is none: somebody based the run on it, whatever it holds.
    """
    spec = run.spec
    if run.snapshots:
        return spec.branch
    return spec.base_ref if spec.predecessor and spec.base_ref != spec.onto else ""


def as_ended(run: Run) -> Run:
    """The run as it is when nothing of it is asked any more."""
    return replace(run, stage=Stage.DONE, pending=())


def reasons(run: Run, promotions_open: int | None = None) -> tuple[str, ...]:
    """Why a run is not eligible, every reason; empty when it is.

    `promotions_open`: open promotion pull requests of its repository, None: not asked.
    """
    return (*_ending(run), *_quality(run), *_delivery(run), *_room(run, promotions_open))


def unclean(run: Run) -> tuple[str, ...]:
    """What of its tiers, debt and budgets speaks against a run; kept for the parts after it."""
    return tuple(_quality(run))


def _ending(run: Run) -> Iterator[str]:
    spec = run.spec
    if run.stage is not Stage.DONE:
        yield "it has not ended"
    elif run.failure is not None:
        yield f"it is {run.state.value}"
    if run.draft is not None and spec.draft is not None and spec.draft.plan_only:
        yield "it was started for its plan only"
    elif not work_branch(run):
        yield "nothing landed in it"
    if spec.rest_phases:
        yield f"it is part {spec.part} of series {spec.series}: the last part promotes for all"


def _quality(run: Run) -> Iterator[str]:
    yield from run.spec.held_back
    for tier in tiers(run):
        if tier.cleanliness is Cleanliness.NOT_CLEAN:
            yield f"tier {tier.spec.tier_id} of {run.run_id} is not clean: {_why(tier)}"
    for each in excess_of(run):
        if not each.tier_id:
            yield f"debt of {run.run_id} is excess_minor_issues: {_counted(each)}"
    spent = [
        phase.phase_id
        for phase in run.every_phase
        if phase.failure is not None and phase.failure.cause is Cause.BUDGET_EXHAUSTED
    ]
    if spent:
        more = f" and {len(spent) - PHASES_TOLD} more" if len(spent) > PHASES_TOLD else ""
        yield f"a budget failed {', '.join(spent[:PHASES_TOLD])}{more} of {run.run_id}"


def _why(tier: Tier) -> str:
    told = [_counted(each) for each in tier.excess]
    told += ["it has passed its cap of tokens or CI runs"] if tier.cap_hit else []
    return "; ".join(told)


def _counted(each: Excess) -> str:
    noun = "issue" if each.count == 1 else "issues"
    return f"{each.count} {each.severity} {noun} ({each.tolerated} tolerated)"


def _delivery(run: Run) -> Iterator[str]:
    if run.undelivered:
        yield f"it is not delivered: `autopack run deliver {run.run_id}`"


def _room(run: Run, promotions_open: int | None) -> Iterator[str]:
    most = run.spec.promotions_open_max
    if promotions_open is None or not most or run.promotion.number:
        return
    if promotions_open >= most:
        yield full(promotions_open, most)


def full(promotions_open: int, most: int) -> str:
    """That no more promotions may be open, in words."""
    are = "pull request is" if promotions_open == 1 else "pull requests are"
    return (
        f"{promotions_open} promotion {are} open, at most {most} may be"
        " (`[run] promotions_open_max`): merge or close one"
    )
