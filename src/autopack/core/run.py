"""Run, tier, phase: the records that the supervisor keeps, their ids and their names for the world.

Their specs (`core.spec`) are frozen; the rest changes only in `core.machine`. Never decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from autopack.core.issue import Issue
from autopack.core.spec import PhaseSpec, RunSpec

if TYPE_CHECKING:
    from autopack.core.command import Pending


class RunState(StrEnum):
    """What a run shows to the world (spec 1)."""

    PLAN_BOOTSTRAP = "PLAN_BOOTSTRAP"
    """An agent drafts the plan; a written one is compiled before its run exists."""
    RUN_CREATED = "RUN_CREATED"
    PHASE_QUEUEING = "PHASE_QUEUEING"
    PHASE_EXECUTION = "PHASE_EXECUTION"
    GATE = "GATE"
    CI_RUNNING = "CI_RUNNING"
    SNAPSHOT_CREATED = "SNAPSHOT_CREATED"
    DONE_SUCCESS = "DONE_SUCCESS"
    DONE_FAILED_BUDGET_EXHAUSTED = "DONE_FAILED_BUDGET_EXHAUSTED"
    DONE_FAILED_POLICY_VIOLATION = "DONE_FAILED_POLICY_VIOLATION"
    DONE_FAILED_REQUIRES_HUMAN_REVIEW = "DONE_FAILED_REQUIRES_HUMAN_REVIEW"
    DONE_FAILED_ENVIRONMENT = "DONE_FAILED_ENVIRONMENT"


class PhaseState(StrEnum):
    QUEUED = "QUEUED"
    EXECUTING = "EXECUTING"
    GATE = "GATE"
    CI_RUNNING = "CI_RUNNING"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


class Stage(StrEnum):
    """Where a run as a whole stands; while WORKING, its phases tell the rest."""

    BOOTSTRAP = "bootstrap"
    """The plan is drafted: the run's only phase is the one that drafts it."""
    CREATED = "created"
    QUEUEING = "queueing"
    WORKING = "working"
    STOPPING = "stopping"
    CLOSING = "closing"
    DONE = "done"


class Step(StrEnum):
    """Where a phase stands: each step waits for exactly one answer, or for another phase."""

    QUEUED = "queued"
    BUILDING = "building"
    PARKED = "parked"
    CHECKING = "checking"
    AUDITING = "auditing"
    TESTING = "testing"
    REAPPLYING = "reapplying"
    LANDING_QUEUED = "landing_queued"
    LANDING = "landing"
    COMPLETE = "complete"
    FAILED = "failed"
    SKIPPED = "skipped"


PHASE_STATE: dict[Step, PhaseState] = {
    Step.QUEUED: PhaseState.QUEUED,
    Step.BUILDING: PhaseState.EXECUTING,
    Step.PARKED: PhaseState.EXECUTING,
    Step.CHECKING: PhaseState.GATE,
    Step.AUDITING: PhaseState.GATE,
    Step.REAPPLYING: PhaseState.GATE,
    Step.TESTING: PhaseState.CI_RUNNING,
    Step.LANDING_QUEUED: PhaseState.CI_RUNNING,
    Step.LANDING: PhaseState.CI_RUNNING,
    Step.COMPLETE: PhaseState.COMPLETE,
    Step.FAILED: PhaseState.FAILED,
    Step.SKIPPED: PhaseState.SKIPPED,
}
FINAL_STEPS = frozenset({Step.COMPLETE, Step.FAILED, Step.SKIPPED})


class Cause(StrEnum):
    """Why a phase or run failed; each names one DONE_FAILED state."""

    BUDGET_EXHAUSTED = "BUDGET_EXHAUSTED"
    POLICY_VIOLATION = "POLICY_VIOLATION"
    REQUIRES_HUMAN_REVIEW = "REQUIRES_HUMAN_REVIEW"
    ENVIRONMENT = "ENVIRONMENT"


@dataclass(frozen=True)
class Candidate:
    """A commit under `refs/autopack/<run>/<phase>/<name>`, judged as it is."""

    name: str
    """`<attempt>`, `<attempt>.r<n>` re-applied, `<attempt>.a<n>` with an auditor's patch."""
    commit: str
    tree: str
    parent: str


class Severity(StrEnum):
    """What a finding asks for: a refusal, an auditor, or only to be read."""

    REFUSE = "refuse"
    ASK = "ask"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One thing a check, the CI or an auditor says of a candidate."""

    rule: str
    message: str
    path: str = ""
    line: int = 0
    severity: Severity = Severity.REFUSE
    test: str = ""
    """The id of the test that failed, as its report names it."""


class CheckVerdict(StrEnum):
    """What one check of the gate says; WAIVED: it asked, and an auditor agreed."""

    PASS = "pass"  # noqa: S105  a verdict, not a password
    NEEDS_AUDITOR = "needs_auditor"
    FAIL = "fail"
    WAIVED = "waived"


@dataclass(frozen=True)
class CheckResult:
    """What one check of the gate found; `reason`: why an auditor waived what it asks."""

    check: str
    verdict: CheckVerdict
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Waiver:
    """An auditor's approval of what the gate asked: which questions, by name, and why."""

    questions: tuple[str, ...]
    reason: str
    audit: int
    """Which audit of the phase."""


@dataclass(frozen=True)
class Evidence:
    """Why the last attempt did not land: given to the next builder and to the reader."""

    source: str
    """`builder`, `gate`, `ci`, `auditor` or `conflict`."""
    summary: str
    findings: tuple[Finding, ...] = ()
    more: int = 0
    """Red tests that are not among the findings."""


@dataclass(frozen=True)
class Doubt:
    """A bad word, or the wish for an audit (`asks`), that counts only if the branch gets `onto`."""

    evidence: Evidence
    onto: str
    asks: bool = False


@dataclass(frozen=True)
class Failure:
    """Why a phase or a run ended badly."""

    cause: Cause
    reason: str
    phase_id: str = ""
    tier_cap: bool = False
    """A cap of the phase's tier let it not go on."""


@dataclass(frozen=True)
class Phase:
    """A phase under way: counters only grow."""

    spec: PhaseSpec
    step: Step = Step.QUEUED
    attempts_used: int = 0
    attempts_granted: int = 0
    """Extra attempts: one per conflict, per auditor's `revise` and per attempt that was cut off."""
    auditor_attempts_used: int = 0
    ci_runs_used: int = 0
    infra_retries_used: int = 0
    parks_used: int = 0
    conflicts_used: int = 0
    reapplies_used: int = 0
    tokens_spent: int = 0
    tokens_reserved: int = 0
    candidate: Candidate | None = None
    origin: Candidate | None = None
    """What the attempt submitted: made again from this whenever the branch moves."""
    approved: bool = False
    """An auditor approved the candidate of this attempt."""
    checks: tuple[CheckResult, ...] = ()
    """What the gate said of the candidate last, with what an auditor waived since."""
    origin_checks: tuple[CheckResult, ...] = ()
    """The same of `origin`, once it is through the gate."""
    waivers: tuple[Waiver, ...] = ()
    """Of this attempt's work: they hold where it is made again, for the same questions."""
    majors_approved: tuple[str, ...] = ()
    """Keys of its major issues when an auditor last approved: asked about once."""
    judged: bool = False
    """CI gave a verdict on this attempt; `green`: it passed the candidate as it is."""
    green: bool = False
    doubt: Doubt | None = None
    evidence: Evidence | None = None
    failure: Failure | None = None
    skipped_because: str = ""
    needed: bool = True
    """False: its work is there already, so that skipping it satisfies who needs it."""
    issues: tuple[Issue, ...] = ()
    """By key."""
    issues_dropped: int = 0
    """Distinct ones beyond `PHASE_ISSUES_MAX`, and red tests that CI did not name, at least."""
    occurrences_known: int = 0
    """Of the issue that it cleans, when its cleanup landed or failed; 0: neither."""
    passed: tuple[str, ...] = ()
    """Of the tests that known issues name, those that were green on the candidate."""

    @property
    def satisfied(self) -> bool:
        """Phases that need this one may start."""
        return self.step is Step.COMPLETE or (self.step is Step.SKIPPED and not self.needed)

    @property
    def phase_id(self) -> str:
        return self.spec.phase_id

    @property
    def state(self) -> PhaseState:
        return PHASE_STATE[self.step]

    @property
    def attempts_left(self) -> int:
        return self.spec.builder_attempts_max + self.attempts_granted - self.attempts_used

    @property
    def tokens_left(self) -> int:
        return max(0, self.spec.incident_token_cap - self.tokens_spent)


@dataclass(frozen=True)
class Snapshot:
    """A green candidate that the integration branch moved to."""

    phase_id: str
    commit: str
    tag: str


@dataclass(frozen=True)
class Promotion:
    """What became of a run's promotion: its pull request, and why the last try was refused."""

    number: int = 0
    """Of the pull request; 0: there is none."""
    url: str = ""
    state: str = ""
    """As the forge had it: `open`, `closed` or `merged`; empty without one."""
    commit: str = ""
    """That of the summaries, on top of the last snapshot; empty: not made yet."""
    notes: tuple[str, ...] = ()
    """What is to be known of it: whether its base moved, and merges cleanly."""
    refusal: str = ""
    tried: bool = False
    dated: int = 0
    """Unix seconds of the first try: the date of all that the others make."""


@dataclass(frozen=True)
class Run:
    """A run under way: `version` counts the events that made it."""

    spec: RunSpec
    stage: Stage
    phases: tuple[Phase, ...]
    version: int = 0
    commands_issued: int = 0
    pending: tuple[Pending, ...] = ()
    tip: str = ""
    """The commit the integration branch stands at in the supervisor's repository."""
    snapshots: tuple[Snapshot, ...] = ()
    landing_queue: tuple[str, ...] = ()
    """Phases that have passed the gate and not landed, in the order in which they will."""
    delivered: str = ""
    delivery_refusal: str = ""
    delivery_final: bool = False
    """The delivery under way, or the last one, is the one at the end of the run."""
    environment_digest: str = ""
    active_seconds: float = 0.0
    parked_seconds: float = 0.0
    infra_retries_used: int = 0
    tier_caps_hit: tuple[str, ...] = ()
    failure: Failure | None = None
    recordings: tuple[str, ...] = ()
    """Keys of issue recordings that were made: the same one counts once."""
    resolved: tuple[str, ...] = ()
    """Known issues whose tests were green in what landed, and that no phase of the run saw."""
    draft: Phase | None = None
    """The phase that drafted the plan, once the plan is there."""
    promotion: Promotion = Promotion()
    issues_version: int = 0
    """The version in which issues or what is resolved changed last."""

    @property
    def run_id(self) -> str:
        return self.spec.run_id

    @property
    def state(self) -> RunState:
        return run_state(self)

    @property
    def ended(self) -> bool:
        return self.stage is Stage.DONE and not self.pending

    @property
    def tokens_spent(self) -> int:
        return sum(phase.tokens_spent for phase in self.every_phase)

    @property
    def every_phase(self) -> tuple[Phase, ...]:
        """The phases, after the one that drafted them."""
        return (self.draft, *self.phases) if self.draft else self.phases

    @property
    def tokens_reserved(self) -> int:
        return sum(phase.tokens_reserved for phase in self.phases)

    @property
    def ci_runs_used(self) -> int:
        return sum(phase.ci_runs_used for phase in self.phases)

    @property
    def undelivered(self) -> bool:
        """Something landed that the user's repository has not got, or has no more."""
        return bool(self.snapshots) and (self.delivered != self.tip or self.delivery_refusal != "")

    def phase(self, phase_id: str) -> Phase:
        return next(phase for phase in self.every_phase if phase.phase_id == phase_id)


FAILED_STATE: dict[Cause, RunState] = {
    Cause.BUDGET_EXHAUSTED: RunState.DONE_FAILED_BUDGET_EXHAUSTED,
    Cause.POLICY_VIOLATION: RunState.DONE_FAILED_POLICY_VIOLATION,
    Cause.REQUIRES_HUMAN_REVIEW: RunState.DONE_FAILED_REQUIRES_HUMAN_REVIEW,
    Cause.ENVIRONMENT: RunState.DONE_FAILED_ENVIRONMENT,
}
_SHOWN_ORDER: tuple[tuple[frozenset[Step], RunState], ...] = (
    (frozenset({Step.BUILDING, Step.PARKED}), RunState.PHASE_EXECUTION),
    (frozenset({Step.CHECKING, Step.AUDITING, Step.REAPPLYING}), RunState.GATE),
    (frozenset({Step.TESTING}), RunState.CI_RUNNING),
    (frozenset({Step.LANDING_QUEUED, Step.LANDING}), RunState.SNAPSHOT_CREATED),
)


def run_state(run: Run) -> RunState:
    """The state a run shows: with parallel phases, the least advanced active step."""
    if run.stage is Stage.DONE:
        return FAILED_STATE[run.failure.cause] if run.failure else RunState.DONE_SUCCESS
    if run.spec.drafting:
        return RunState.PLAN_BOOTSTRAP
    if run.stage is Stage.CREATED:
        return RunState.RUN_CREATED
    steps = {phase.step for phase in run.phases}
    for group, state in _SHOWN_ORDER:
        if steps & group:
            return state
    return RunState.SNAPSHOT_CREATED if run.snapshots else RunState.PHASE_QUEUEING
