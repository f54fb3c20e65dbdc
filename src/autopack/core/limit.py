"""Which limit ended a phase or a run: told from what the machine says of the failure.

The machine's own sentences begin with ours, whatever an agent's words follow, so that no agent can
name another limit. Never decides anything.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from autopack.core.run import Cause

if TYPE_CHECKING:
    from autopack.core.run import Failure


class Limit(StrEnum):
    """What was spent, or who ended it where nothing was."""

    RUN_TOKENS = "run token_cap"
    TIER_TOKENS = "tier token_cap"
    TIER_CI_RUNS = "tier ci_run_cap"
    TIER = "tier token_cap or ci_run_cap"
    TIER_ISSUES = "tier issue tolerance"
    PHASE_TOKENS = "incident_token_cap"
    DURATION = "max_duration_minutes"
    PARKED_MINUTES = "parked_minutes_max"
    PARKS = "parks_max"
    BUILDER_ATTEMPTS = "max_builder_attempts"
    AUDITOR_ATTEMPTS = "max_auditor_attempts"
    INFRA_RETRIES = "infra_retries_max"
    REAPPLIES = "reapplies_max"
    PROMOTIONS = "promotions_open_max"
    """A run that waited in vain for a promotion to be reviewed."""
    ESCALATED = "auditor escalates"
    CANCELLED = "cancelled"
    STOPPED = "the run stopped"
    """A phase that something else ended."""
    OTHER = "other"


BUDGETS: Final = frozenset(Limit) - {
    Limit.TIER_ISSUES,
    Limit.PROMOTIONS,
    Limit.ESCALATED,
    Limit.CANCELLED,
    Limit.STOPPED,
    Limit.OTHER,
}
"""Those that are an amount that was spent."""
_SAID: Final = tuple(
    (re.compile(begins), limit)
    for begins, limit in (
        (r"stopped: ", Limit.STOPPED),
        (r"cancelled by ", Limit.CANCELLED),
        (r"run \S+ has [\d,]+ of [\d,]+ tokens free", Limit.RUN_TOKENS),
        (r"tier \S+ has [\d,]+ of [\d,]+ tokens free", Limit.TIER_TOKENS),
        (r"tier \S+ has used its [\d,]+ CI runs", Limit.TIER_CI_RUNS),
        (r"tier \S+ has passed its cap", Limit.TIER),
        (r"tier \S+ is not clean", Limit.TIER_ISSUES),
        (r"incident_token_cap of ", Limit.PHASE_TOKENS),
        (r"max_duration_minutes = ", Limit.DURATION),
        (r"parked at a usage limit for parked_minutes_max = ", Limit.PARKED_MINUTES),
        (r"waited parked_minutes_max = ", Limit.PROMOTIONS),
        (r"parked \d+ times at a usage limit", Limit.PARKS),
        (r"no attempt is left after ", Limit.BUILDER_ATTEMPTS),
        (r"the auditor's attempts are spent", Limit.AUDITOR_ATTEMPTS),
        (r"the auditor escalates: ", Limit.ESCALATED),
        (r"the branch moved \d+ times before", Limit.REAPPLIES),
    )
)


def limit_of(failure: Failure) -> Limit:
    """The limit that a failure is about."""
    for begins, limit in _SAID:
        if begins.match(failure.reason):
            return limit
    return Limit.INFRA_RETRIES if failure.cause is Cause.ENVIRONMENT else Limit.OTHER
