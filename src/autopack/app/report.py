"""What people are told of a run: read models made from the run and its events, in plain English.

Used by files, CLI and API alike. Texts of agents and plans pass through unescaped: whoever shows
them escapes for their own medium. Never reads or changes anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from autopack.app.budget_view import BudgetView, budgets
from autopack.app.evidence import LandedProof, Proofs
from autopack.app.findings import (
    CheckView,
    EvidenceView,
    FindingView,
    check_views,
    evidence_view,
    finding_view,
)
from autopack.app.issues_view import PhaseIssuesView, RunIssuesView, phase_issues, run_issues
from autopack.app.outcome import CleanupFailure, cleanup_failures, plan_only
from autopack.app.place import SeriesView, series_view
from autopack.app.ports import Recorded, Store
from autopack.app.promotion_view import PromotionView, promotion_view
from autopack.app.sentences import (
    UNDER_WAY,
    attempt_number,
    attempts_max,
    phase_sentence,
    run_sentence,
)
from autopack.app.sentences import landed as landed_sentence
from autopack.app.story import Teller
from autopack.core.ids import candidate_ref
from autopack.core.promotion import work_branch
from autopack.core.run import Phase, Run
from autopack.core.tier import Tier, tiers


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
class KeptView:
    """What an attempt left: its ref in the supervisor's repository and the commit there."""

    ref: str
    commit: str


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
    attempt: int
    """The one under way, from 1; 0 when none is."""
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
    evidence: EvidenceView | None
    """Of the last attempt that did not land."""
    checks: tuple[CheckView, ...]
    skipped_because: str
    issues: PhaseIssuesView
    kept: tuple[KeptView, ...]
    """Every attempt that was kept, oldest first, as far as the events tell."""
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
    minor_issues: int
    minor_issues_max: int | None
    major_issues: int
    major_issues_max: int
    phases: tuple[PhaseView, ...]


@dataclass(frozen=True)
class RunView:
    """A run for people; times in Unix seconds, 0 when the events do not tell."""

    run_id: str
    project_id: str
    state: str
    ended: bool
    summary: str
    repository: str
    base_ref: str
    base_commit: str
    branch: str
    tip: str
    landed: str
    """As `4 of 4 phases landed, 2 of them in nightly`."""
    landed_before: int
    """Phases that landed in the runs that this one continues."""
    plan_only: bool
    """It was for its plan alone, which is there."""
    work_branch: str
    """The branch that holds what landed, here or before; empty: none does."""
    cleanup_failures: tuple[CleanupFailure, ...]
    delivered: str
    delivery_refusal: str
    promotion: PromotionView
    builder: str
    auditor: str
    sandbox: str
    safety_profile: str
    on_phase_failure: str
    parallel_max: int
    predecessor: str
    series: SeriesView | None
    """None: it is the whole of its plan."""
    started_at: int
    changed_at: int
    ci_runs_used: int
    budgets: tuple[BudgetView, ...]
    tiers: tuple[TierView, ...]
    draft: PhaseView | None
    """Of the plan, once it is there; None: somebody wrote it."""
    snapshots: tuple[SnapshotView, ...]
    failure: FailureView | None
    issues: RunIssuesView
    entries: tuple[EntryView, ...]
    """What happened to the run itself; its phases have their own."""
    proofs: tuple[LandedProof, ...] = ()
    """What speaks for each landed commit, as far as the events tell."""

    @property
    def phases(self) -> tuple[PhaseView, ...]:
        """The phases of all tiers, in order."""
        return tuple(phase for tier in self.tiers for phase in tier.phases)

    def budget(self, name: str) -> BudgetView:
        """The budget of that name."""
        return next(budget for budget in self.budgets if budget.name == name)

    @property
    def all_landed(self) -> bool:
        """Every phase of the plan has landed, here or before: a failed run has nothing to retry."""
        if self.series and self.series.rest:
            return False
        return len(self.snapshots) + self.landed_before == len(self.phases)

    @property
    def undelivered(self) -> bool:
        """Something landed that the user's repository has not got, or has no more."""
        return bool(self.snapshots) and (self.delivered != self.tip or self.delivery_refusal != "")


@dataclass(frozen=True)
class _Log:
    """What the events tell, by phase id; the run's own under the empty one."""

    entries: dict[str, list[EntryView]]
    kept: dict[str, list[KeptView]]


def log_of(store: Store, run_id: str) -> Iterator[Recorded]:
    """All events of a run, read page by page."""
    after = 0
    while page := store.events(run_id, after=after):
        yield from page
        after = page[-1].sequence


def run_view(
    run: Run, events: Iterable[Recorded] = (), next_run: str = "", latest: Run | None = None
) -> RunView:
    """The run as people see it; `events` are its log in order, all of them or none.

    `next_run`: the next part of its series, if one has begun; `latest`: the last that has.
    """
    spec, first, last = run.spec, 0, 0
    log, teller, proofs = _Log({}, {}), Teller(), Proofs(run)
    for recorded in events:
        proofs.follow(recorded.happened.event)
        first, last = first or recorded.happened.at, recorded.happened.at
        phase_id, entry = _entry(recorded, teller)
        log.entries.setdefault(phase_id, []).append(entry)
        made = getattr(recorded.happened.event, "candidate", None)
        if made is not None:
            ref = candidate_ref(spec.run_id, phase_id, made.name)
            log.kept.setdefault(phase_id, []).append(KeptView(ref, made.commit))
    return RunView(
        run_id=run.run_id,
        project_id=spec.project_id,
        state=run.state.value,
        ended=run.ended,
        summary=run_sentence(run),
        repository=spec.repository,
        base_ref=spec.base_ref,
        base_commit=spec.base_commit,
        branch=spec.branch,
        tip=run.tip,
        landed=landed_sentence(run),
        landed_before=len(spec.landed),
        plan_only=plan_only(run),
        work_branch=work_branch(run),
        cleanup_failures=cleanup_failures(run),
        delivered=run.delivered,
        delivery_refusal=run.delivery_refusal,
        promotion=promotion_view(run),
        builder=spec.builder,
        auditor=spec.auditor,
        sandbox=spec.sandbox,
        safety_profile=spec.safety_profile.value,
        on_phase_failure=spec.on_phase_failure.value,
        parallel_max=spec.parallel_max,
        predecessor=spec.predecessor,
        series=series_view(run, next_run, latest),
        started_at=first,
        changed_at=last,
        ci_runs_used=run.ci_runs_used,
        budgets=budgets(run),
        tiers=tuple(_tier(run, tier, log) for tier in tiers(run)),
        draft=_phase(run, run.draft, log) if run.draft else None,
        snapshots=tuple(SnapshotView(s.phase_id, s.commit, s.tag) for s in run.snapshots),
        failure=_run_failure(run),
        issues=run_issues(run),
        entries=tuple(log.entries.get("", ())),
        proofs=proofs.landed,
    )


def _run_failure(run: Run) -> FailureView | None:
    failure = run.failure
    return FailureView(failure.cause.value, failure.reason, failure.phase_id) if failure else None


def _tier(run: Run, tier: Tier, log: _Log) -> TierView:
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
        minor_issues=tier.minor_issues,
        minor_issues_max=tier.spec.minor_issues_max,
        major_issues=tier.major_issues,
        major_issues_max=tier.spec.major_issues_max,
        phases=tuple(_phase(run, phase, log) for phase in tier.phases),
    )


def _phase(run: Run, phase: Phase, log: _Log) -> PhaseView:
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
        attempt=attempt_number(run, phase) if phase.step in UNDER_WAY else 0,
        attempts_used=phase.attempts_used,
        attempts_max=attempts_max(phase),
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
        evidence=evidence_view(phase.evidence) if phase.evidence else None,
        checks=check_views(phase.checks),
        skipped_because=phase.skipped_because,
        issues=phase_issues(run, phase),
        kept=tuple(log.kept.get(phase.phase_id, ())),
        entries=tuple(log.entries.get(phase.phase_id, ())),
    )


def _entry(recorded: Recorded, teller: Teller) -> tuple[str, EntryView]:
    """The phase an event speaks of (empty: the run), and what it says."""
    happened = recorded.happened
    said = teller.told(happened.event)
    findings = tuple(map(finding_view, said.findings))
    entry = EntryView(recorded.sequence, happened.at, said.what, said.detail, findings)
    return said.phase_id, entry
