"""The ruleset: the policy of a project as data; every number of spec 2 has its place in one.

Records only: `builtin` holds ours, `ruleset_data` reads a project's, `strategy` computes with them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from autopack.core.issue import SeverityUpgrade
from autopack.core.spec import CategoryRule, Complexity, OnPhaseFailure, RunScope, SafetyProfile

ANYTHING_ELSE: Final = "anything_else"
"""The row of every category that has none of its own."""
DIGEST_SHOWN: Final = 12
"""Characters of a digest in a ruleset's label."""


@dataclass(frozen=True)
class SafetyRule:
    """What a safety profile implies."""

    minor_tolerance: float
    """The most that one phase adds to its tier's tolerance of minor issues."""
    major_tolerance: int
    """Distinct major issues that a clean tier may have."""
    aging_runs: int
    aging_tiers: int
    run_scope: RunScope | None
    """None: the ruleset's default."""
    on_phase_failure: OnPhaseFailure
    strict_ci: bool


@dataclass(frozen=True)
class ModeRule:
    """A row of the builder modes table: size limits of one candidate."""

    complexity: Complexity
    builder_attempts_max: int
    files_max: int
    changed_lines_max: int
    strict: bool
    """CI is strict for its phases."""
    single_tier_preferred: bool


@dataclass(frozen=True)
class Alias:
    """Another name of a category, which may bring an auditor profile of its own."""

    category: str
    auditor_profile: str = ""


@dataclass(frozen=True)
class CategoryAgents:
    """Who works on the phases of a category, by name; empty: the run's."""

    builder: str = ""
    auditor: str = ""


@dataclass(frozen=True)
class DebtPolicy:
    """Which cleanup phases aged issues get in the next run."""

    enabled: bool
    phases_max: int
    """In one run."""
    category: str
    complexity: Complexity
    incident_token_cap: int
    """Of one such phase; the category's cap holds too."""


@dataclass(frozen=True)
class Ruleset:
    """Everything that a run's strategy is compiled from."""

    version: int
    project_id: str
    default_safety_profile: SafetyProfile
    default_run_scope: RunScope
    default_category: str
    """Of a phase that names none."""
    default_modes: Mapping[str, str]
    """The builder mode of each complexity."""
    run_token_cap: int
    run_max_phases: int
    run_max_duration_minutes: int
    run_minor_issues_per_phase: int
    """Times the phases: distinct minor issues of a run beyond which promotion is blocked."""
    tier_token_factor: int
    """A tier's token cap, as a multiple of its phases' incident caps."""
    tier_ci_runs_per_phase: int
    flake_quarantine_days: int
    """How long strict CI tolerates a flaky test after it was first seen."""
    draft_attempts_max: int
    """Attempts at a plan that an agent drafts."""
    draft_token_cap: int
    """Tokens of all of them."""
    safety_profiles: Mapping[str, SafetyRule]
    category_defaults: Mapping[str, CategoryRule]
    high_risk_categories: tuple[str, ...]
    aliases: Mapping[str, Alias]
    builder_modes: Mapping[str, ModeRule]
    severity_upgrades: tuple[SeverityUpgrade, ...]
    agents: Mapping[str, CategoryAgents]
    """By category."""
    debt: DebtPolicy

    @property
    def label(self) -> str:
        """Its version and digest, as a run keeps them: `3@9f2c…`."""
        return f"{self.version}@{digest_of(self)[:DIGEST_SHOWN]}"


def to_data(ruleset: Ruleset) -> dict[str, Any]:
    """The tables of a ruleset's JSON."""
    data = asdict(ruleset)
    for row in data["category_defaults"].values():
        del row["category"]
    for rule in data["safety_profiles"].values():
        if rule["run_scope"] is None:
            del rule["run_scope"]
    for upgrade in data["severity_upgrades"]:
        for key in [key for key, pattern in upgrade.items() if not pattern]:
            del upgrade[key]
    return data


def to_text(ruleset: Ruleset) -> str:
    """The JSON of a ruleset, as it is published."""
    return json.dumps(to_data(ruleset), indent=2) + "\n"


def digest_of(ruleset: Ruleset) -> str:
    """SHA-256 of all that it says."""
    said = json.dumps(to_data(ruleset), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(said.encode()).hexdigest()
