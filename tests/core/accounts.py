"""A run's accounts, kept from its events and its spec alone: what `core.budget` and `core.tier` say,
counted another way. The spec may be one that the machine did not read as it stands: planted bugs.
"""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from autopack.core.command import Audit, Build, Test
from autopack.core.draft import PHASE
from autopack.core.event import (
    AttemptEnded,
    AuditEnded,
    CandidateTested,
    CiVerdict,
    CommandFailed,
    Happened,
    IssueRecorded,
    PlanDrafted,
    Recommendation,
    SnapshotLanded,
)
from autopack.core.intake import test_key
from autopack.core.issue import IssueReport, IssueSeverity, IssueSource
from autopack.core.run import FINAL_STEPS, Phase, Run, Stage, Step
from autopack.core.spec import PhaseSpec, RunSpec, SafetyProfile, TierSpec
from autopack.core.tier import debt_status, tiers

VERDICTS = {CiVerdict.PASS, CiVerdict.FAIL, CiVerdict.INVALID}
"""Words of CI that count as a run of it."""


@dataclass
class Accounts:
    """What each phase spent and left, told event by event."""

    spec: RunSpec
    surplus_max: int
    """Tokens that one model call may pass what it was allowed."""
    plan: RunSpec | None = None
    """What the run's draft comes to, when it begins without a plan."""
    drafted: RunSpec | None = None
    """The run as it was until its plan was there; its tokens stay on the bill."""
    tokens: Counter[str] = field(default_factory=Counter)
    ci_runs: Counter[str] = field(default_factory=Counter)
    judged: set[tuple[str, str]] = field(default_factory=set)
    """Attempts, by phase and number, that CI gave a verdict on."""
    green: dict[str, set[str]] = field(default_factory=dict)
    issues: dict[str, dict[str, bool]] = field(default_factory=dict)
    """By phase: each key, and whether it counts as major."""
    resolved: set[str] = field(default_factory=set)
    told: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often each phase was told of each key."""

    def take(self, before: Run, happened: Happened, after: Run) -> None:
        """Book one event, and compare; AssertionError names what differs."""
        event = happened.event
        asked = next((p.command for p in before.pending if p.number == happened.answers), None)
        phase_id = str(getattr(asked, "phase_id", "") or getattr(event, "phase_id", ""))
        seen: set[str] = set()
        if isinstance(event, PlanDrafted) and before.stage is not Stage.STOPPING:
            assert self.plan is not None, "a plan that nobody asked for"
            assert self.drafted is None, "a second plan"
            self.drafted, self.spec = self.spec, self.plan
            before = replace(before, phases=after.phases)
        if isinstance(event, AttemptEnded | AuditEnded | CommandFailed) and phase_id:
            self.tokens[phase_id] += max(0, event.tokens)
        if isinstance(event, CandidateTested) and isinstance(asked, Test):
            self._tested(before, asked, event)
        patched = isinstance(event, AuditEnded) and event.candidate and event.recommendation
        if patched in {Recommendation.APPROVE, Recommendation.REVISE} and isinstance(asked, Audit):
            attempt = asked.candidate.name.partition(".")[0]
            self.judged.discard((phase_id, attempt))  # its patch is another change
        if isinstance(event, SnapshotLanded):
            green = self.green.get(phase_id, set())
            self.resolved |= {
                known.issue_key for known in self.spec.known_issues
                if known.tests and green >= set(known.tests)
            }  # fmt: skip
        if isinstance(event, AttemptEnded | AuditEnded | CommandFailed) and phase_id != PHASE:
            seen |= {self._issue(phase_id, report) for report in getattr(event, "issues", ())}
        if isinstance(event, CandidateTested) and phase_id != PHASE:
            seen |= self._exonerated(event)
        if isinstance(event, IssueRecorded):
            seen.add(self._issue(event.phase_id, event.report))
        for old, new in zip(before.phases, after.phases, strict=True):
            if old.step not in FINAL_STEPS and new.step is Step.FAILED:
                seen |= {self._issue(new.phase_id, report) for report in _left_red(new)}
        self.resolved -= seen.union(*self.issues.values())
        self.agree(after)

    def _tested(self, before: Run, asked: Test, event: CandidateTested) -> None:
        self.green[event.phase_id] = set(event.passed)
        attempt = (event.phase_id, asked.candidate.name.partition(".")[0])
        if event.verdict not in VERDICTS or before.stage is not Stage.WORKING:
            return
        if not event.cached and attempt not in self.judged:
            self.ci_runs[event.phase_id] += 1
        self.judged.add(attempt)

    def _exonerated(self, event: CandidateTested) -> set[str]:
        """Each failure that is nobody's doing is told once in a run, to the phase that met it."""
        keys = {each.issue_key: each for each in event.exonerated}
        for key, each in keys.items():
            if not any(key in mine for mine in self.issues.values()):
                category = {"flaky": "flaky_test", "pre_existing": "pre_existing_failure"}
                report = IssueReport(key, IssueSource.CI, category[each.kind], IssueSeverity.MINOR)
                self._issue(event.phase_id, report)
        return set(keys)

    def _issue(self, phase_id: str, report: IssueReport) -> str:
        spec = self.spec.phase(phase_id)
        major = IssueSeverity.MAJOR in (report.severity or spec.issue_severity, self._raised(
            spec, report))  # fmt: skip
        mine = self.issues.setdefault(phase_id, {})
        self.told[phase_id, report.issue_key] += 1
        mine[report.issue_key] = major or mine.get(report.issue_key, False)
        return report.issue_key

    def _raised(self, spec: PhaseSpec, report: IssueReport) -> IssueSeverity:
        aged = {known.issue_key for known in self.spec.known_issues if known.needs_cleanup}
        said = (report.category, spec.task_category, report.source.value)
        ruled = any(
            fnmatch.fnmatchcase(report.issue_key, rule.issue_key or "*")
            and all(
                want in ("", is_)
                for want, is_ in zip((rule.category, rule.task_category, rule.source), said,
                                     strict=True)
            )
            for rule in self.spec.severity_upgrades
        )  # fmt: skip
        return IssueSeverity.MAJOR if ruled or report.issue_key in aged else IssueSeverity.MINOR

    # --- comparing --------------------------------------------------------------------------------

    def agree(self, run: Run) -> None:
        """AssertionError when the run says other than its accounts, or passed what it may spend."""
        for phase in run.every_phase:
            self._phase(run, phase)
        self._caps(run)
        found = {tier.spec.tier_id: tier for tier in tiers(run)}
        excess = False
        for spec in self.spec.tiers:
            minor, major = self._counts(spec)
            over = _over(spec, minor, major)
            tier = found[spec.tier_id]
            assert (tier.minor_issues, tier.major_issues) == (minor, major), (
                f"issues of tier {spec.tier_id}: {minor} minor and {major} major were told of"
            )
            hit = self._passed(spec) or _stopped_by(run, spec)
            unclean = over or hit
            assert tier.cap_hit == hit, f"tier cap of {spec.tier_id}"
            assert (tier.cleanliness.value == "not_clean") == unclean, (
                f"cleanliness of tier {spec.tier_id}"
            )
            excess |= over
        assert debt_status(run).value == self._debt(excess), f"debt: {self._debt(excess)}"
        if run.ended and run.spec.safety_profile is SafetyProfile.SAFETY_CRITICAL:
            worst = [s.tier_id for s in self.spec.tiers if self._stops(run, s)]
            assert run.failure or not worst, f"a critical run succeeds with unclean tiers {worst}"

    def _phase(self, run: Run, phase: Phase) -> None:
        name = phase.phase_id
        spec = (self.drafted if name == PHASE and self.drafted else self.spec).phase(name)
        spent = self.tokens[name]
        assert phase.tokens_spent == spent, f"tokens of {name}: {spent} were reported"
        assert phase.ci_runs_used == self.ci_runs[name], f"CI runs of {name}"
        cap = spec.incident_token_cap
        assert spent <= cap + self.surplus_max, f"phase cap: {name} spent {spent} of {cap}"
        left = max(0, cap - spent)
        assert phase.tokens_reserved <= left, f"{name} reserves {phase.tokens_reserved} of {left}"
        for pending in run.pending:
            command = pending.command
            if isinstance(command, Build | Audit) and command.phase_id == name:
                assert command.tokens_max <= left, f"{name} is allowed {command.tokens_max}"
        seen = {found.issue_key: found.occurrence_count for found in phase.issues}
        told = {key: self.told[name, key] for key in self.issues.get(name, {})}
        assert seen == told, f"{name} keeps the issues {seen}, was told of {told}"

    def _caps(self, run: Run) -> None:
        """What is spent and reserved passes a cap by the calls under way at most: one a phase."""
        most = self.spec.parallel_max * self.surplus_max
        used, reserved = self.tokens.total(), sum(p.tokens_reserved for p in run.phases)
        assert run.tokens_spent == used, f"tokens of the run: {used} were reported"
        cap = self.spec.token_cap
        assert used <= cap + most, f"run cap: {used} of {cap} tokens are spent"
        assert used + reserved <= cap + most, f"run cap: {used} of {cap} spent, {reserved} reserved"
        if self.spec.safety_profile is not SafetyProfile.SAFETY_CRITICAL:
            return
        for tier in self.spec.tiers:
            mine = self._mine(tier)
            used = sum(self.tokens[name] for name in mine)
            used += sum(run.phase(name).tokens_reserved for name in mine)
            assert used <= tier.token_cap + most, f"tier cap: {used} of {tier.token_cap} tokens"
            runs = sum(self.ci_runs[name] for name in mine)
            assert runs <= tier.ci_run_cap, f"tier cap: {runs} of {tier.ci_run_cap} CI runs"

    def _mine(self, tier: TierSpec) -> list[str]:
        return [phase.phase_id for phase in self.spec.phases if phase.tier_id == tier.tier_id]

    def _passed(self, tier: TierSpec) -> bool:
        """The tier used more tokens or CI runs than it has."""
        mine = self._mine(tier)
        over = sum(self.tokens[name] for name in mine) > tier.token_cap
        return over or sum(self.ci_runs[name] for name in mine) > tier.ci_run_cap

    def _counts(self, *of: TierSpec) -> tuple[int, int]:
        worst: dict[str, bool] = {}
        for name in (name for tier in of for name in self._mine(tier)):
            for key, major in self.issues.get(name, {}).items():
                worst[key] = major or worst.get(key, False)
        counted = list(worst.values())
        return counted.count(False), counted.count(True)

    def _debt(self, excess: bool) -> str:
        minor, major = self._counts(*self.spec.tiers)
        most = self.spec.minor_issues_max
        if excess or (most is not None and minor > most):
            return "excess_minor_issues"
        return "has_minor_issues" if minor or major else "clean"

    def _stops(self, run: Run, tier: TierSpec) -> bool:
        """Unclean by its caps, which nobody can pass after the run's end."""
        ran = any(run.phase(name).step is not Step.SKIPPED for name in self._mine(tier))
        return ran and self._passed(tier)


def _stopped_by(run: Run, tier: TierSpec) -> bool:
    """A phase of the tier could not start or be tested, because of the tier's caps."""
    told = f"tier {tier.tier_id} has "
    return any(
        phase.failure is not None and phase.failure.reason.startswith(told)
        for phase in run.phases if phase.spec.tier_id == tier.tier_id
    )  # fmt: skip


def _over(tier: TierSpec, minor: int, major: int) -> bool:
    if tier.minor_issues_max is None:
        return False
    return minor > tier.minor_issues_max or major > tier.major_issues_max


def _left_red(phase: Phase) -> Iterator[IssueReport]:
    """Tests that a phase leaves red that failed by itself."""
    if phase.failure is None or phase.failure.reason.startswith("stopped: "):
        return
    evidence = phase.doubt.evidence if phase.doubt else phase.evidence
    for finding in evidence.findings if evidence and evidence.source == "ci" else ():
        if finding.test:
            yield IssueReport(test_key(finding.test), IssueSource.TEST, "test_failure")
