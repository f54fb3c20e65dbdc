"""What is frozen when a run is created: its tiers and phases as compiled, its limits.

Nothing here changes while a run works. Never decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from autopack.core.draft import PHASE, Draft
from autopack.core.issue import IssueSeverity, KnownIssue, SeenBefore, SeverityUpgrade
from autopack.core.survey import Survey


class Complexity(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class SafetyProfile(StrEnum):
    NORMAL = "normal"
    SAFETY_CRITICAL = "safety_critical"


class RunScope(StrEnum):
    MULTI_TIER = "multi_tier"
    SINGLE_TIER = "single_tier"


class CiProfile(StrEnum):
    NORMAL = "normal"
    STRICT = "strict"


class NewTests(StrEnum):
    """What the new tests of a phase must be on its parent commit, or the auditor is asked."""

    MAY_PASS = "may_pass"  # noqa: S105  of a test, no password
    SOME_RED = "some_red"
    ALL_RED = "all_red"


class OnPhaseFailure(StrEnum):
    CONTINUE = "continue"
    STOP = "stop"


class PromoteMode(StrEnum):
    """When a run that may be promoted is: by itself at its end, or when somebody asks."""

    AUTO = "auto"
    MANUAL = "manual"


@dataclass(frozen=True)
class CategoryRule:
    """A row of the category table; `auditor_profile` is empty where none is named."""

    category: str
    complexity: Complexity
    ci_profile: CiProfile
    builder_attempts_max: int
    auditor_attempts_max: int
    incident_token_cap: int
    auto_apply: bool
    auditor_profile: str
    severity: IssueSeverity
    minor_tolerance: float
    builder_mode: str = ""
    """Of a phase that names none; empty: that of its complexity."""
    new_tests: NewTests = NewTests.MAY_PASS
    """A run of before it was written: nothing is asked of them."""


@dataclass(frozen=True)
class PhaseSpec:
    """One phase as compiled from the plan and the ruleset; globs are gitignore patterns."""

    phase_id: str
    tier_id: str
    phase_index: int
    name: str
    task: str
    task_category: str
    complexity: Complexity
    builder_mode: str
    scope: tuple[str, ...]
    needs: tuple[str, ...]
    packs: tuple[str, ...]
    deliver: tuple[str, ...]
    ci_profile: CiProfile
    auto_apply: bool
    auditor_profile: str
    builder_attempts_max: int
    auditor_attempts_max: int
    incident_token_cap: int
    files_max: int
    changed_lines_max: int
    issue_severity: IssueSeverity = IssueSeverity.MINOR
    """Of an issue for which none was reported: the category's."""
    cleans: str = ""
    """The key of the aged issue that a debt-cleanup phase is about."""
    builder: str = ""
    """Who builds it, by the ruleset; empty: the run's builder."""
    auditor: str = ""
    high_risk: bool = False
    """By its category or complexity: an auditor, where there is one, must approve it."""
    new_tests: NewTests = NewTests.MAY_PASS
    """What its new tests must be without its change: the category's."""
    single_tier_preferred: bool = False
    """Its mode is better off in a run of one tier: only warned of."""


@dataclass(frozen=True)
class TierSpec:
    """One tier: a barrier; its caps in tokens and CI runs."""

    tier_id: str
    tier_index: int
    name: str
    token_cap: int
    ci_run_cap: int
    minor_issues_max: int | None = None
    """Distinct ones that a clean tier may have; None: a run of before issues were counted."""
    major_issues_max: int = 0


@dataclass(frozen=True)
class Aging:
    """When an open minor issue needs cleanup: seen in so many runs, or (run, tier) pairs."""

    runs: int = 3
    tiers: int = 2
    quarantine_days: int = 14
    """After it was first seen a flaky test is known for so long, and strict CI tolerates it."""


@dataclass(frozen=True)
class RunSpec:
    """Everything that is frozen when a run is created."""

    run_id: str
    project_id: str
    repository: str
    base_ref: str
    base_commit: str
    tiers: tuple[TierSpec, ...]
    phases: tuple[PhaseSpec, ...]
    builder: str
    auditor: str
    sandbox: str
    safety_profile: SafetyProfile = SafetyProfile.NORMAL
    run_scope: RunScope = RunScope.MULTI_TIER
    on_phase_failure: OnPhaseFailure = OnPhaseFailure.CONTINUE
    parallel_max: int = 1
    token_cap: int = 5_000_000
    phases_max: int = 25
    duration_seconds_max: int = 120 * 60
    parked_seconds_max: int = 600 * 60
    infra_retries_max: int = 2
    conflicts_max: int = 2
    reapplies_max: int = 100
    parks_max: int = 50
    predecessor: str = ""
    """The run that this one continues: retried, or the part of its series before it."""
    landed: tuple[str, ...] = ()
    """Phases that landed in the predecessor: skipped here, and satisfied."""
    series: str = ""
    """The id of the first run of a plan that was split; the others are `<series>-<part>`."""
    part: int = 1
    """Of the series, from 1; a retry is the same part."""
    rest_tiers: tuple[TierSpec, ...] = ()
    """What the next runs of the series will do, after this one has succeeded."""
    rest_phases: tuple[PhaseSpec, ...] = ()
    rest_rules: tuple[CategoryRule, ...] = ()
    """The rows of the categories that the rest has."""
    ruleset: str = ""
    """The version of the ruleset and its digest, as `3@9f2c…`; empty for the built-in one."""
    aging: Aging = Aging()
    minor_issues_max: int | None = None
    """Distinct ones of the whole run, beyond which its promotion is blocked."""
    minor_issues_per_phase: int | None = None
    """Of which that is made, for each part of a series; None: a run that cannot have one."""
    severity_upgrades: tuple[SeverityUpgrade, ...] = ()
    known_issues: tuple[KnownIssue, ...] = ()
    """What was open in the backlog when the run was created."""
    seen_before: tuple[SeenBefore, ...] = ()
    """Where other issues of the backlog were first seen, so that one returns with its history."""
    category_rules: tuple[CategoryRule, ...] = ()
    """The rows of the categories that its phases have."""

    verifier: str = "local"
    """Who tests its candidates, by the name of an entry point."""
    title: str = ""
    """What the plan calls itself."""
    draft: Draft | None = None
    """What an agent is to make the plan of, or made it of; None: somebody wrote it."""
    survey: Survey | None = None
    """The repository at the base, for the bootstrap documents; None: a run of before them."""
    gate_commands: bool = False
    """The base's gate runs programs, so that checking takes its time and a slot."""
    promote: PromoteMode = PromoteMode.MANUAL
    """Manual, too: a run of before there were promotions."""
    promote_onto: str = ""
    """What its pull request is for, however many runs it continues; empty: its base."""
    promotions_open_max: int = 0
    """Promotion pull requests of the repository that may be open; 0: any number."""
    held_back: tuple[str, ...] = ()
    """Why the parts of its series before it could not be promoted."""

    @property
    def drafting(self) -> bool:
        """The plan is not there yet: the only phase is the one that drafts it."""
        return self.draft is not None and [p.phase_id for p in self.phases] == [PHASE]

    @property
    def branch(self) -> str:
        """The integration branch, without `refs/heads/`."""
        return f"autonomous/{self.run_id}"

    @property
    def onto(self) -> str:
        """The branch that its promotion is for."""
        return self.promote_onto or self.base_ref

    def phase(self, phase_id: str) -> PhaseSpec:
        return next(spec for spec in self.phases if spec.phase_id == phase_id)

    def builder_of(self, phase_id: str) -> str:
        """Who builds a phase, by name."""
        return self.phase(phase_id).builder or self.builder

    def auditor_of(self, phase_id: str) -> str:
        """Who audits a phase, by name; empty when nobody does."""
        return self.phase(phase_id).auditor or self.auditor

    @property
    def agents(self) -> tuple[str, ...]:
        """Everybody who works on it, each once."""
        named = (each for phase in self.phases for each in (phase.builder, phase.auditor))
        return tuple(dict.fromkeys(filter(None, (self.builder, self.auditor, *named))))
