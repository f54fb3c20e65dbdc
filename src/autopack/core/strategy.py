"""The formulas of spec 2: what a ruleset gives to a phase, a tier and a run.

Every number comes from the ruleset; without one, from the built-in. Reads no file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from autopack.core.builtin import BUILT_IN
from autopack.core.ruleset import ANYTHING_ELSE, CategoryAgents, Ruleset
from autopack.core.spec import (
    Aging,
    CategoryRule,
    CiProfile,
    Complexity,
    OnPhaseFailure,
    PhaseSpec,
    RunScope,
    SafetyProfile,
)

TOLERANCE_DIGITS = 6
"""Decimals in which tolerances are added up: beyond them floating point errs."""


@dataclass(frozen=True)
class PhaseBudgets:
    """What a phase may spend and who must agree before it lands."""

    ci_profile: CiProfile
    auto_apply: bool
    auditor_profile: str
    builder_attempts_max: int
    auditor_attempts_max: int
    incident_token_cap: int
    files_max: int
    changed_lines_max: int
    single_tier_preferred: bool
    high_risk: bool


def canonical_category(category: str, ruleset: Ruleset = BUILT_IN) -> str:
    """The category an alias stands for; any other name unchanged."""
    alias = ruleset.aliases.get(category)
    return alias.category if alias else category


def category_rule(category: str, ruleset: Ruleset = BUILT_IN) -> CategoryRule:
    """The row of a category or alias; an unknown one gets "anything else" under its own name."""
    name, rows = canonical_category(category, ruleset), ruleset.category_defaults
    rule = rows.get(name) or replace(rows[ANYTHING_ELSE], category=name)
    alias = ruleset.aliases.get(category)
    return (
        replace(rule, auditor_profile=alias.auditor_profile or rule.auditor_profile)
        if alias
        else rule
    )


def default_mode(category: str, complexity: Complexity, ruleset: Ruleset = BUILT_IN) -> str:
    """The builder mode of a phase that names none."""
    return category_rule(category, ruleset).builder_mode or ruleset.default_modes[complexity.value]


def high_risk(category: str, complexity: Complexity, ruleset: Ruleset = BUILT_IN) -> bool:
    """An auditor, where there is one, must approve it: a high-risk category, a high complexity.

    The phase's own complexity can only raise it: the category's column counts too.
    """
    rule = category_rule(category, ruleset)
    risky = rule.category in ruleset.high_risk_categories
    return risky or Complexity.HIGH in (complexity, rule.complexity)


def ci_profile_of(
    category: str,
    complexity: Complexity,
    mode: str,
    safety_profile: SafetyProfile,
    ruleset: Ruleset = BUILT_IN,
) -> CiProfile:
    """Strict for a high-risk category, a high complexity, a strict mode or a safety-critical run.

    The phase's own complexity can only raise it: the category's column counts too.
    """
    rule = category_rule(category, ruleset)
    strict = (
        high_risk(category, complexity, ruleset)
        or rule.ci_profile is CiProfile.STRICT
        or ruleset.builder_modes[mode].strict
        or ruleset.safety_profiles[safety_profile.value].strict_ci
    )
    return CiProfile.STRICT if strict else CiProfile.NORMAL


def budgets_of(
    category: str,
    complexity: Complexity,
    mode: str,
    safety_profile: SafetyProfile,
    ruleset: Ruleset = BUILT_IN,
    *,
    cleanup: bool = False,
) -> PhaseBudgets:
    """The budgets of a phase; `mode` is one of the ruleset's, `category` any name or alias.

    `cleanup`: a debt phase, for which the debt policy has a cap of its own.
    """
    rule, size = category_rule(category, ruleset), ruleset.builder_modes[mode]
    return PhaseBudgets(
        ci_profile=ci_profile_of(category, complexity, mode, safety_profile, ruleset),
        auto_apply=rule.auto_apply,
        auditor_profile=rule.auditor_profile,
        builder_attempts_max=min(size.builder_attempts_max, rule.builder_attempts_max),
        auditor_attempts_max=rule.auditor_attempts_max,
        incident_token_cap=(
            cleanup_token_cap(category, ruleset) if cleanup else rule.incident_token_cap
        ),
        files_max=size.files_max,
        changed_lines_max=size.changed_lines_max,
        single_tier_preferred=size.single_tier_preferred,
        high_risk=high_risk(category, complexity, ruleset),
    )


def cleanup_token_cap(category: str, ruleset: Ruleset = BUILT_IN) -> int:
    """Tokens that a debt phase may spend: its category's, or the debt policy's when fewer."""
    return min(category_rule(category, ruleset).incident_token_cap, ruleset.debt.incident_token_cap)


def agents_of(category: str, ruleset: Ruleset = BUILT_IN) -> CategoryAgents:
    """Who works on the phases of a category."""
    return ruleset.agents.get(canonical_category(category, ruleset), CategoryAgents())


def tier_minor_issues_max(
    categories: Iterable[str], safety_profile: SafetyProfile, ruleset: Ruleset = BUILT_IN
) -> int:
    """Distinct minor issues of a clean tier whose phases have these categories."""
    most = ruleset.safety_profiles[safety_profile.value].minor_tolerance
    shares = [min(category_rule(each, ruleset).minor_tolerance, most) for each in categories]
    return math.floor(round(math.fsum(shares), TOLERANCE_DIGITS))


def tier_token_cap(phases: Iterable[PhaseSpec], ruleset: Ruleset = BUILT_IN) -> int:
    """Tokens that a tier may spend."""
    return ruleset.tier_token_factor * sum(phase.incident_token_cap for phase in phases)


def run_minor_issues_max(phases: int, ruleset: Ruleset = BUILT_IN) -> int:
    """Distinct minor issues of a run of so many phases beyond which promotion is blocked."""
    return ruleset.run_minor_issues_per_phase * phases


def aging_of(safety_profile: SafetyProfile, ruleset: Ruleset = BUILT_IN) -> Aging:
    """When an open minor issue needs cleanup."""
    rule = ruleset.safety_profiles[safety_profile.value]
    return Aging(rule.aging_runs, rule.aging_tiers, ruleset.flake_quarantine_days)


def run_scope_of(safety_profile: SafetyProfile, ruleset: Ruleset = BUILT_IN) -> RunScope:
    """The scope of a run for which none was asked."""
    return ruleset.safety_profiles[safety_profile.value].run_scope or ruleset.default_run_scope


def on_phase_failure_of(
    safety_profile: SafetyProfile, ruleset: Ruleset = BUILT_IN
) -> OnPhaseFailure:
    """What a run does about a failed phase when nothing was asked."""
    return ruleset.safety_profiles[safety_profile.value].on_phase_failure
