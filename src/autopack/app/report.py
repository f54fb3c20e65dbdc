"""What people are told of a run: read models made from the run and its events, in plain English.

Used by files, CLI and API alike. Texts of agents and plans pass through unescaped: whoever shows
them escapes for their own medium. Never reads or changes anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from autopack.app.ports import Recorded
from autopack.app.story import told
from autopack.core.command import Build
from autopack.core.run import FAILED_STATE, Finding, Phase, Run, Stage, Step
from autopack.core.tier import Tier, tiers


@dataclass(frozen=True)
class BudgetView:
    """One budget: what is used of how much, in its unit."""

    name: str
    used: float
    limit: float
    unit: str


@dataclass(frozen=True)
class FailureView:
    """Why it ended badly: cause, the phase where it did (empty for the run's own), and reason."""

    cause: str
    reason: str
    phase_id: str


@dataclass(frozen=True)
class SnapshotView:
    phase_id: str
    commit: str
    tag: str


@dataclass(frozen=True)
class FindingView:
    """One finding, its place as `path:line` or empty."""

    rule: str
    message: str
    place: str
    severity: str


@dataclass(frozen=True)
class EntryView:
    """One thing that happened; `at` in Unix seconds, `detail` as somebody wrote it."""

    sequence: int
    at: int
    what: str
    detail: str = ""
    findings: tuple[FindingView, ...] = ()


@dataclass(frozen=True)
class PhaseView:
    phase_id: str
    tier_id: str
    phase_index: int
    name: str
    task: str
    category: str
    complexity: str
    mode: str
    scope: tuple[str, ...]
    needs: tuple[str, ...]
    packs: tuple[str, ...]
    deliver: tuple[str, ...]
    state: str
    step: str
    summary: str
    """One sentence, as `phase F1.1 waits for CI, attempt 2 of 3`."""
    attempts_used: int
    attempts_max: int
    auditor_attempts_used: int
    auditor_attempts_max: int
    ci_runs_used: int
    tokens_spent: int
    incident_token_cap: int
    candidate: str
    """The commit under judgement, or the last one judged; empty when there is none."""
    commit: str
    tag: str
    failure: FailureView | None
    entries: tuple[EntryView, ...]


@dataclass(frozen=True)
class TierView:
    tier_id: str
    tier_index: int
    name: str
    state: str
    cleanliness: str
    tokens_spent: int
    token_cap: int
    ci_runs_used: int
    ci_run_cap: int
    phases: tuple[PhaseView, ...]


@dataclass(frozen=True)
class RunView:
    """A run for people; times in Unix seconds, 0 when the events do not tell."""

    run_id: str
    project_id: str
    state: str
    summary: str
    repository: str
    base_ref: str
    base_commit: str
    branch: str
    tip: str
    delivered: str
    delivery_refusal: str
    builder: str
    auditor: str
    safety_profile: str
    predecessor: str
    started_at: int
    changed_at: int
    budgets: tuple[BudgetView, ...]
    tiers: tuple[TierView, ...]
    snapshots: tuple[SnapshotView, ...]
    failure: FailureView | None
    entries: tuple[EntryView, ...]
    """What happened to the run itself; its phases have their own."""

    @property
    def phases(self) -> tuple[PhaseView, ...]:
        """The phases of all tiers, in order."""
        return tuple(phase for tier in self.tiers for phase in tier.phases)


def run_view(run: Run, events: Iterable[Recorded]) -> RunView:
    """The run as people see it; `events` are its log in order, all of them or none."""
    spec, first, last = run.spec, 0, 0
    entries: dict[str, list[EntryView]] = {}
    for recorded in events:
        first, last = first or recorded.happened.at, recorded.happened.at
        phase_id, entry = _entry(recorded)
        entries.setdefault(phase_id, []).append(entry)
    return RunView(
        run_id=run.run_id,
        project_id=spec.project_id,
        state=run.state.value,
        summary=run_sentence(run),
        repository=spec.repository,
        base_ref=spec.base_ref,
        base_commit=spec.base_commit,
        branch=spec.branch,
        tip=run.tip,
        delivered=run.delivered,
        delivery_refusal=run.delivery_refusal,
        builder=spec.builder,
        auditor=spec.auditor,
        safety_profile=spec.safety_profile.value,
        predecessor=spec.predecessor,
        started_at=first,
        changed_at=last,
        budgets=_budgets(run),
        tiers=tuple(_tier(run, tier, entries) for tier in tiers(run)),
        snapshots=tuple(SnapshotView(s.phase_id, s.commit, s.tag) for s in run.snapshots),
        failure=_run_failure(run),
        entries=tuple(entries.get("", ())),
    )


def _run_failure(run: Run) -> FailureView | None:
    failure = run.failure
    return FailureView(failure.cause.value, failure.reason, failure.phase_id) if failure else None


def _budgets(run: Run) -> tuple[BudgetView, ...]:
    spec = run.spec
    return (
        BudgetView("tokens", run.tokens_spent, spec.token_cap, "tokens"),
        BudgetView("phases", len(run.phases), spec.phases_max, "phases"),
        BudgetView("duration", run.active_seconds, spec.duration_seconds_max, "seconds"),
        BudgetView("parked", run.parked_seconds, spec.parked_seconds_max, "seconds"),
        BudgetView("infra retries", run.infra_retries_used, spec.infra_retries_max, "retries"),
    )


def _tier(run: Run, tier: Tier, entries: dict[str, list[EntryView]]) -> TierView:
    return TierView(
        tier_id=tier.spec.tier_id,
        tier_index=tier.spec.tier_index,
        name=tier.spec.name,
        state=tier.state.value,
        cleanliness=tier.cleanliness.value,
        tokens_spent=sum(phase.tokens_spent for phase in tier.phases),
        token_cap=tier.spec.token_cap,
        ci_runs_used=sum(phase.ci_runs_used for phase in tier.phases),
        ci_run_cap=tier.spec.ci_run_cap,
        phases=tuple(_phase(run, p, tuple(entries.get(p.phase_id, ()))) for p in tier.phases),
    )


def _phase(run: Run, phase: Phase, entries: tuple[EntryView, ...]) -> PhaseView:
    spec, failure = phase.spec, phase.failure
    landed = next((s for s in run.snapshots if s.phase_id == phase.phase_id), None)
    return PhaseView(
        phase_id=spec.phase_id,
        tier_id=spec.tier_id,
        phase_index=spec.phase_index,
        name=spec.name,
        task=spec.task,
        category=spec.task_category,
        complexity=spec.complexity.value,
        mode=spec.builder_mode,
        scope=spec.scope,
        needs=spec.needs,
        packs=spec.packs,
        deliver=spec.deliver,
        state=phase.state.value,
        step=phase.step.value,
        summary=phase_sentence(run, phase),
        attempts_used=phase.attempts_used,
        attempts_max=_attempts_max(phase),
        auditor_attempts_used=phase.auditor_attempts_used,
        auditor_attempts_max=spec.auditor_attempts_max,
        ci_runs_used=phase.ci_runs_used,
        tokens_spent=phase.tokens_spent,
        incident_token_cap=spec.incident_token_cap,
        candidate=phase.candidate.commit if phase.candidate else "",
        commit=landed.commit if landed else "",
        tag=landed.tag if landed else "",
        failure=FailureView(failure.cause.value, failure.reason, phase.phase_id)
        if failure
        else None,
        entries=entries,
    )


def _entry(recorded: Recorded) -> tuple[str, EntryView]:
    """The phase an event speaks of (empty: the run), and what it says."""
    happened = recorded.happened
    said = told(happened.event)
    findings = tuple(_finding(finding) for finding in said.findings)
    entry = EntryView(recorded.sequence, happened.at, said.what, said.detail, findings)
    return said.phase_id, entry


def _finding(finding: Finding) -> FindingView:
    place = f"{finding.path}:{finding.line}" if finding.line else finding.path
    return FindingView(finding.rule, finding.message, place, finding.severity.value)


# --- sentences ----------------------------------------------------------------------------------

_STEPS: dict[Step, str] = {
    Step.QUEUED: "waits for its turn",
    Step.BUILDING: "is being built",
    Step.PARKED: "waits at the provider's usage limit",
    Step.CHECKING: "is being checked by the gate",
    Step.AUDITING: "waits for the auditor",
    Step.TESTING: "waits for CI",
    Step.REAPPLYING: "is re-applied to the branch that moved",
    Step.LANDING_QUEUED: "is green and waits to land",
    Step.LANDING: "is landing",
    Step.COMPLETE: "has landed",
    Step.FAILED: "has failed",
    Step.SKIPPED: "was skipped",
}
_UNDER_WAY = frozenset(_STEPS) - {Step.QUEUED, Step.COMPLETE, Step.FAILED, Step.SKIPPED}


def phase_sentence(run: Run, phase: Phase) -> str:
    """Where a phase stands, as `phase F1.1 waits for CI, attempt 2 of 3`."""
    said = f"phase {phase.phase_id} {_STEPS[phase.step]}"
    if phase.step in _UNDER_WAY:
        return f"{said}, attempt {attempt_number(run, phase)} of {_attempts_max(phase)}"
    if phase.step is Step.COMPLETE:
        return f"{said} after {_count(phase.attempts_used, 'attempt')}"
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


def _attempts_max(phase: Phase) -> int:
    return phase.spec.builder_attempts_max + phase.attempts_granted


def run_sentence(run: Run) -> str:
    """Where a run stands, as `run nightly is under way: 2 of 5 phases landed; phase F3 …`."""
    landed = _landed(run)
    if run.stage is Stage.DONE and run.failure:
        state = FAILED_STATE[run.failure.cause].value
        return f"run {run.run_id} ended as {state}: {run.failure.reason}; {landed}"
    if run.stage is Stage.DONE:
        return f"run {run.run_id} is done: {landed}"
    if run.stage is Stage.CREATED:
        return f"run {run.run_id} is being prepared from {run.spec.base_ref}"
    if run.stage is Stage.QUEUEING:
        return f"run {run.run_id} is preparing its environment"
    active = [phase_sentence(run, phase) for phase in run.phases if phase.step in _UNDER_WAY]
    return "; ".join([f"run {run.run_id} is under way: {landed}", *active])


def _landed(run: Run) -> str:
    skipped = sum(phase.step is Step.SKIPPED for phase in run.phases)
    tail = f", {skipped} skipped" if skipped else ""
    return f"{len(run.snapshots)} of {_count(len(run.phases), 'phase')} landed{tail}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
