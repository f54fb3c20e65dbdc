"""Events: what happened to a run. The log of them is the truth; everything else is derived."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from autopack.core.blame import Exoneration
from autopack.core.issue import IssueReport
from autopack.core.run import (
    Candidate,
    CheckResult,
    Evidence,
    Finding,
)
from autopack.core.spec import (
    RunSpec,
)


class Outcome(StrEnum):
    """How a builder's attempt ended."""

    SUBMITTED = "submitted"
    REFUSED = "refused"
    """What it left cannot become a candidate: it does not apply, or holds a nested repository."""
    EMPTY = "empty"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    PARKED = "parked"
    """The provider's usage limit; costs no attempt."""


class GateVerdict(StrEnum):
    PASS = "pass"  # noqa: S105  a verdict, not a password
    NEEDS_AUDITOR = "needs_auditor"
    FAIL = "fail"


class CiVerdict(StrEnum):
    """INVALID: no tests ran, a declared report is missing. INFRA: the machine, not the change."""

    PASS = "pass"  # noqa: S105  a verdict, not a password
    FAIL = "fail"
    INVALID = "invalid"
    INFRA = "infra"
    CANCELLED = "cancelled"


class Recommendation(StrEnum):
    APPROVE = "approve"
    REVISE = "revise"
    ESCALATE = "escalate"
    INVALID = "invalid"
    """No valid verdict came: a failed audit, never an approval."""


@dataclass(frozen=True)
class RunCreated:
    """The first event of every run: its frozen spec."""

    spec: RunSpec
    kind: Literal["run_created"] = "run_created"


@dataclass(frozen=True)
class BasePrepared:
    """The base commit is in the supervisor's repository and the branch stands on it."""

    kind: Literal["base_prepared"] = "base_prepared"


@dataclass(frozen=True)
class EnvironmentPrepared:
    digest: str
    kind: Literal["environment_prepared"] = "environment_prepared"


@dataclass(frozen=True)
class AttemptEnded:
    """A builder's attempt is over; a candidate exists when it was submitted."""

    phase_id: str
    attempt: int
    outcome: Outcome
    tokens: int = 0
    candidate: Candidate | None = None
    evidence: Evidence | None = None
    parked_until: float = 0.0
    issues: tuple[IssueReport, ...] = ()
    note: str = ""
    """What else is to be said of it, where no evidence says it: of files that were ignored."""
    kind: Literal["attempt_ended"] = "attempt_ended"


@dataclass(frozen=True)
class Unparked:
    phase_id: str
    waited_seconds: float
    kind: Literal["unparked"] = "unparked"


@dataclass(frozen=True)
class CandidateChecked:
    """The gate's verdict, with all that its checks found."""

    phase_id: str
    verdict: GateVerdict
    findings: tuple[Finding, ...] = ()
    """Of all checks, but for those that an auditor has waived."""
    checks: tuple[CheckResult, ...] = ()
    """In order; empty in a log of before they were told apart."""
    not_run: tuple[str, ...] = ()
    """Checks that were spared, because a cheaper one had failed."""
    kind: Literal["candidate_checked"] = "candidate_checked"


@dataclass(frozen=True)
class PlanDrafted:
    """The drafted plan compiles: the run's spec with it, frozen; `notes`: what to know of it."""

    phase_id: str
    spec: RunSpec
    notes: tuple[str, ...] = ()
    kind: Literal["plan_drafted"] = "plan_drafted"


@dataclass(frozen=True)
class PlanRejected:
    """What was drafted is no plan for this run: all that is wrong with it."""

    phase_id: str
    findings: tuple[Finding, ...]
    kind: Literal["plan_rejected"] = "plan_rejected"


@dataclass(frozen=True)
class AuditEnded:
    """An auditor's verdict; `candidate` is set when its patch was applied as a new candidate."""

    phase_id: str
    recommendation: Recommendation
    tokens: int = 0
    notes: str = ""
    candidate: Candidate | None = None
    issues: tuple[IssueReport, ...] = ()
    reason: str = ""
    """Why it was asked."""
    kind: Literal["audit_ended"] = "audit_ended"


@dataclass(frozen=True)
class CandidateTested:
    """CI's verdict; a cached one is free."""

    phase_id: str
    verdict: CiVerdict
    evidence: Evidence | None = None
    tests_run: int = 0
    cached: bool = False
    weak: bool = False
    """Judged by exit code alone."""
    passed: tuple[str, ...] = ()
    """Of the tests that known issues name, those that ran green."""
    exonerated: tuple[Exoneration, ...] = ()
    """Red tests that are not the candidate's doing; beside the result, which stays as it is."""
    proved: tuple[str, ...] = ()
    """Ids of tests that were red without the change and are green with it, bounded."""
    findings: tuple[Finding, ...] = ()
    """What the tests of a green candidate say beside its parent's; some ask for an auditor."""
    kind: Literal["candidate_tested"] = "candidate_tested"


@dataclass(frozen=True)
class CandidateReapplied:
    phase_id: str
    candidate: Candidate
    kind: Literal["candidate_reapplied"] = "candidate_reapplied"


@dataclass(frozen=True)
class ReapplyConflicted:
    phase_id: str
    evidence: Evidence
    kind: Literal["reapply_conflicted"] = "reapply_conflicted"


@dataclass(frozen=True)
class SnapshotLanded:
    phase_id: str
    commit: str
    tag: str
    kind: Literal["snapshot_landed"] = "snapshot_landed"


@dataclass(frozen=True)
class Delivered:
    tip: str
    kind: Literal["delivered"] = "delivered"


@dataclass(frozen=True)
class DeliveryRefused:
    """The user's repository did not take it (branch checked out, no right, no network)."""

    tip: str
    reason: str
    kind: Literal["delivery_refused"] = "delivery_refused"


@dataclass(frozen=True)
class Promoted:
    """The run's work is a pull request, or was one: a person merged or closed it (`state`)."""

    number: int
    url: str
    tip: str
    """Where the branch stands, which the user's repository has."""
    state: str = "open"
    notes: tuple[str, ...] = ()
    kind: Literal["promoted"] = "promoted"


@dataclass(frozen=True)
class PromotionRefused:
    """There is no pull request, or an old one, and why; it never fails a run.

    `tip`: where the branch stands, `delivered`: what the user's repository has of it; both empty
    where they are as they were.
    """

    reason: str
    tip: str = ""
    delivered: str = ""
    kind: Literal["promotion_refused"] = "promotion_refused"


@dataclass(frozen=True)
class PromotionsFull:
    """As many promotion pull requests are open as may be, so the run waits before it begins."""

    promotions_open: int
    most: int
    kind: Literal["promotions_full"] = "promotions_full"


@dataclass(frozen=True)
class RoomAwaited:
    """The waiting is over: there is room (`found`), or it took too long."""

    found: bool
    waited_seconds: float = 0.0
    kind: Literal["room_awaited"] = "room_awaited"


@dataclass(frozen=True)
class CommandFailed:
    """The environment did not let a command do its work: sandbox, disk, git, missing tool."""

    reason: str
    tokens: int = 0
    """Used before it failed: they count, although nothing came of them."""
    issues: tuple[IssueReport, ...] = ()
    """What its agent had reported until then."""
    kind: Literal["command_failed"] = "command_failed"


@dataclass(frozen=True)
class CancelRequested:
    by: str
    kind: Literal["cancel_requested"] = "cancel_requested"


@dataclass(frozen=True)
class DeliveryRequested:
    """Someone asks to deliver again, also after the end; it reopens nothing."""

    by: str
    kind: Literal["delivery_requested"] = "delivery_requested"


@dataclass(frozen=True)
class PromotionRequested:
    """Someone asks to promote a run that has ended; it reopens nothing."""

    by: str
    kind: Literal["promotion_requested"] = "promotion_requested"


@dataclass(frozen=True)
class IssueRecorded:
    """Somebody reports an issue of a phase, also after the end; it reopens nothing."""

    phase_id: str
    report: IssueReport
    by: str
    recording: str = ""
    """Names this recording, so that it counts once however often it is sent; empty: it repeats."""
    kind: Literal["issue_recorded"] = "issue_recorded"


@dataclass(frozen=True)
class DurationSpent:
    """The run has been active for `duration_seconds_max`."""

    kind: Literal["duration_spent"] = "duration_spent"


Event = (
    RunCreated
    | BasePrepared
    | EnvironmentPrepared
    | AttemptEnded
    | Unparked
    | CandidateChecked
    | PlanDrafted
    | PlanRejected
    | AuditEnded
    | CandidateTested
    | CandidateReapplied
    | ReapplyConflicted
    | SnapshotLanded
    | Delivered
    | DeliveryRefused
    | CommandFailed
    | CancelRequested
    | DeliveryRequested
    | IssueRecorded
    | DurationSpent
    | Promoted
    | PromotionRefused
    | PromotionRequested
    | PromotionsFull
    | RoomAwaited
)


@dataclass(frozen=True)
class Happened:
    """An event with its circumstances.

    `at`: Unix seconds of the wall clock, for people and commit dates; decides nothing.
    `active_seconds`: monotonic seconds since the run's last event in this supervisor; a clock jump
    or a time without supervisor adds nothing.
    `answers`: the number of the command it answers; 0 when nobody asked.
    """

    event: Event
    at: int
    answers: int = 0
    active_seconds: float = 0.0
