"""A run's promotion as people are shown it. Never asks a forge."""

from __future__ import annotations

from dataclasses import dataclass

from autopack.core import promotion
from autopack.core.command import AwaitRoom
from autopack.core.run import Run


@dataclass(frozen=True)
class PromotionView:
    """Whether a run may be promoted, every reason why not, and what became of it.

    `state` as the forge had it, `number` 0: there is no pull request; `notes`: what is to be known
    of it; `refusal`: why the last try was refused.
    """

    eligible: bool
    reasons: tuple[str, ...]
    mode: str
    onto: str
    number: int
    url: str
    state: str
    notes: tuple[str, ...]
    refusal: str
    waits: bool
    """The run has not begun: too many promotions are open."""

    @property
    def told(self) -> str:
        """The pull request in words; empty when there is none."""
        return f"{self.number} ({self.state}): {self.url}" if self.number else ""


def promotion_view(run: Run) -> PromotionView:
    """What is known of it now."""
    made = run.promotion
    reasons = promotion.reasons(run)
    return PromotionView(
        eligible=not reasons,
        reasons=reasons,
        mode=run.spec.promote.value,
        onto=run.spec.onto,
        number=made.number,
        url=made.url,
        state=made.state,
        notes=made.notes,
        refusal=made.refusal,
        waits=any(isinstance(pending.command, AwaitRoom) for pending in run.pending),
    )
