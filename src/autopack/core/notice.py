"""Notices: what of a run is worth telling somebody who does not watch it, and in which words.

`notices` is derived from a run before and after one event, so that a log always makes the same
ones, with the same ids. A body is a CloudEvents 1.0 event in our own words: counts, ids, states.
Never holds text of an agent or a tool unless `details` are asked for; then cut and made visible.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from autopack.core import budget
from autopack.core.command import AwaitRoom, Wait
from autopack.core.event import Happened
from autopack.core.run import Run, Stage, Step
from autopack.core.series import parts_of
from autopack.core.words import visible

BUDGET_PERCENT: Final = 80
"""A budget is told of when this share of it is spent: time is left to act."""
REASON_CHARACTERS_MAX: Final = 500
NAME_CHARACTERS_MAX: Final = 200
_ID_DIGITS: Final = 32
"""128 bits of a digest: no two notices share them."""


class NoticeKind(StrEnum):
    """What is told; the last part of a CloudEvents `type`."""

    BUDGET_TOKENS = "budget.tokens"
    BUDGET_MINUTES = "budget.minutes"
    BUDGET_CI_RUNS = "budget.ci_runs"
    DELIVERY_REFUSED = "delivery.refused"
    PROMOTION_OPENED = "promotion.opened"
    PROMOTION_REFUSED = "promotion.refused"
    PROMOTION_WAITS = "promotion.waits"
    """A new run waits until one of the open ones is reviewed."""
    RUN_PARKED = "run.parked"
    RUN_RESUMED = "run.resumed"
    RUN_ENDED = "run.ended"
    TEST = "test"
    """Sent when somebody asks for it; belongs to no run."""


TOLD_OF_RUNS: Final = tuple(kind for kind in NoticeKind if kind is not NoticeKind.TEST)


@dataclass(frozen=True)
class Notice:
    """One thing to tell. The same run, event and kind make the same `notice_id`, always.

    `facts`: JSON values for `data`. `reason`: text that others may have written.
    """

    kind: NoticeKind
    notice_id: str
    run_id: str
    sequence: int
    """The event's number in its run."""
    at: int
    summary: str
    facts: dict[str, object] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class Owed:
    """A notice that a target has not had yet; `body` is what is signed and sent, each time."""

    target: str
    notice_id: str
    run_id: str
    body: str
    number: int = 0
    """Its place in the outbox, which gives it."""
    attempts: int = 0
    said: str = ""
    """What the last attempt met; empty before the first."""


def notices(before: Run, happened: Happened, after: Run) -> tuple[Notice, ...]:
    """What an event that led from `before` to `after` gives to tell, in this order."""
    return tuple(
        Notice(
            kind,
            notice_id(after, happened, kind),
            after.run_id,
            after.version,
            happened.at,
            _summary(kind, after),
            _facts(kind, after),
            _reason(kind, after),
        )
        for kind in _kinds(before, after)
    )


def notice_id(run: Run, happened: Happened, kind: NoticeKind) -> str:
    """An id without a full stop (it is signed between two); other machines have other ids."""
    spec = run.spec
    parts = (
        *(spec.repository, spec.base_commit, spec.run_id, run.version),
        *(happened.at, kind.value),
    )
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return f"msg_{digest[:_ID_DIGITS]}"


def trial_notice(token: str, at: int) -> Notice:
    """A notice that nothing happened to; `token` makes it one of its own."""
    summary = "a test of autopack: whoever reads this is told of its runs"
    return Notice(NoticeKind.TEST, f"msg_test_{token}", "", 0, at, summary)


def cloud_event(notice: Notice, *, details: bool = False) -> str:
    """The notice as a CloudEvents 1.0 event in JSON (structured mode), ASCII only."""
    data: dict[str, object] = {"summary": notice.summary, **notice.facts}
    if details and notice.reason:
        data["reason"] = visible(notice.reason[:REASON_CHARACTERS_MAX])
    record = {
        "specversion": "1.0",
        "id": notice.notice_id,
        "source": f"/autopack/runs/{notice.run_id}" if notice.run_id else "/autopack",
        "type": f"autopack.{notice.kind.value}",
        "time": _date(notice.at),
        "datacontenttype": "application/json",
        "data": data,
    }
    if notice.run_id:
        record |= {"subject": notice.run_id, "sequence": f"{notice.sequence:010}"}
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _kinds(before: Run, after: Run) -> Iterator[NoticeKind]:
    for kind, spent in _BUDGETS.items():
        if spent(after) and not spent(before):
            yield kind
    if after.delivery_refusal and not before.delivery_refusal:
        yield NoticeKind.DELIVERY_REFUSED
    yield from _promotion_kinds(before, after)
    if _parked(after) and not _parked(before):
        yield NoticeKind.RUN_PARKED
    if _parked(before) and after.stage is Stage.WORKING and not _parked(after):
        yield NoticeKind.RUN_RESUMED
    if after.stage is Stage.DONE and before.stage is not Stage.DONE:
        yield NoticeKind.RUN_ENDED


def _promotion_kinds(before: Run, after: Run) -> Iterator[NoticeKind]:
    was, now = before.promotion, after.promotion
    if now.number and now.number != was.number:
        yield NoticeKind.PROMOTION_OPENED
    if now.refusal and not was.refusal:
        yield NoticeKind.PROMOTION_REFUSED
    if _waits_for_room(after) and not _waits_for_room(before):
        yield NoticeKind.PROMOTION_WAITS


def _waits_for_room(run: Run) -> bool:
    return any(isinstance(pending.command, AwaitRoom) for pending in run.pending)


def _parked(run: Run) -> bool:
    return run.stage is Stage.WORKING and budget.parked(run)


def _tokens_spent(run: Run) -> bool:
    return _most_spent(run.tokens_spent, run.spec.token_cap)


def _minutes_spent(run: Run) -> bool:
    return _most_spent(run.active_seconds, run.spec.duration_seconds_max)


def _ci_runs_spent(run: Run) -> bool:
    """Only tiers have a cap of CI runs; a tier that may have none has none to spend."""
    return any(
        _most_spent(_ci_runs_used(run, tier.tier_id), tier.ci_run_cap)
        for tier in run.spec.tiers
        if tier.ci_run_cap
    )


_BUDGETS: Final = {
    NoticeKind.BUDGET_TOKENS: _tokens_spent,
    NoticeKind.BUDGET_MINUTES: _minutes_spent,
    NoticeKind.BUDGET_CI_RUNS: _ci_runs_spent,
}


def _most_spent(used: float, cap: int) -> bool:
    return used * 100 >= cap * BUDGET_PERCENT


def _ci_runs_used(run: Run, tier_id: str) -> int:
    return sum(phase.ci_runs_used for phase in run.phases if phase.spec.tier_id == tier_id)


def _landed(run: Run) -> str:
    return f"{len(run.snapshots) + len(run.spec.landed)} of {len(run.phases)} phases landed"


def _summary(kind: NoticeKind, run: Run) -> str:
    """One sentence in our own words: no name in it but the run's id."""
    spec = run.spec
    said = {
        NoticeKind.BUDGET_TOKENS: f"has spent {run.tokens_spent:,} of {spec.token_cap:,} tokens",
        NoticeKind.BUDGET_MINUTES: (
            f"has worked {run.active_seconds / 60:.0f} of"
            f" {spec.duration_seconds_max / 60:g} minutes"
        ),
        NoticeKind.BUDGET_CI_RUNS: (
            f"has used {BUDGET_PERCENT} % or more of the CI runs of one of its tiers"
        ),
        NoticeKind.DELIVERY_REFUSED: "could not deliver its branch; it tries again",
        NoticeKind.PROMOTION_OPENED: f"has pull request {run.promotion.number}",
        NoticeKind.PROMOTION_REFUSED: "could not be promoted",
        NoticeKind.PROMOTION_WAITS: "waits until an open promotion is merged or closed",
        NoticeKind.RUN_PARKED: "waits at the provider's usage limit",
        NoticeKind.RUN_RESUMED: "goes on after the provider's usage limit",
        NoticeKind.RUN_ENDED: f"has ended: {run.state.value}, {_landed(run)}",
    }
    return f"run {run.run_id} {said[kind]}"


def _facts(kind: NoticeKind, run: Run) -> dict[str, object]:
    spec = run.spec
    steps = [phase.step for phase in run.phases]
    facts: dict[str, object] = {
        "run_id": run.run_id,
        "project_id": visible(spec.project_id[:NAME_CHARACTERS_MAX]),
        "state": run.state.value,
        "phases": {
            "total": len(steps),
            "landed": len(run.snapshots),
            "failed": steps.count(Step.FAILED),
            "skipped": steps.count(Step.SKIPPED),
        },
        "tokens": {"spent": run.tokens_spent, "cap": spec.token_cap},
        "seconds": {"active": round(run.active_seconds), "cap": spec.duration_seconds_max},
        "delivered": bool(run.snapshots) and not run.undelivered,
    }
    if spec.series:
        parts = parts_of(spec)
        facts["series"] = {"id": spec.series, "part": spec.part, "parts": parts}
    if kind is NoticeKind.BUDGET_CI_RUNS:
        facts["ci_runs"] = {
            tier.tier_id: {"used": _ci_runs_used(run, tier.tier_id), "cap": tier.ci_run_cap}
            for tier in spec.tiers
        }
    if kind is NoticeKind.RUN_PARKED:
        facts["phases_parked"] = [p.phase_id for p in run.phases if p.step is Step.PARKED]
        facts["parked_until"] = _date(min(_waits(run), default=0))
    if kind is NoticeKind.PROMOTION_OPENED:
        facts["pull_request"] = {"number": run.promotion.number, "url": _url(run.promotion.url)}
    if kind is NoticeKind.RUN_ENDED:
        facts["cause"] = run.failure.cause.value if run.failure else None
    return facts


def _url(said: str) -> str:
    """A forge says it."""
    return visible(said[:REASON_CHARACTERS_MAX])


def _waits(run: Run) -> Iterator[float]:
    """When the parked phases try again."""
    for pending in run.pending:
        if isinstance(pending.command, Wait):
            yield pending.command.until


def _reason(kind: NoticeKind, run: Run) -> str:
    if kind is NoticeKind.DELIVERY_REFUSED:
        return run.delivery_refusal
    if kind is NoticeKind.PROMOTION_REFUSED:
        return run.promotion.refusal
    return run.failure.reason if kind is NoticeKind.RUN_ENDED and run.failure else ""


def _date(unix_seconds: float) -> str:
    """RFC 3339 in UTC; what no calendar holds is the last second of one that does."""
    second = min(max(int(unix_seconds), 0), _LAST_SECOND)
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_LAST_SECOND: Final = 253_402_300_799
"""9999-12-31T23:59:59Z, beyond which neither Python nor RFC 3339 counts."""
