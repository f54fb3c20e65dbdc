"""The built-in ruleset: the tables of spec 2, published as docs/reference/ruleset.json.

A project's file overlays it. Only data; a run's own limits stand where its record has them, in
`spec`, so that a run that was recorded without one is held to what the built-in ruleset says.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from autopack.core.issue import IssueSeverity
from autopack.core.ruleset import (
    ANYTHING_ELSE,
    Alias,
    DebtPolicy,
    ModeRule,
    Ruleset,
    SafetyRule,
)
from autopack.core.spec import (
    Aging,
    CategoryRule,
    CiProfile,
    Complexity,
    NewTests,
    OnPhaseFailure,
    RunScope,
    RunSpec,
    SafetyProfile,
)


def _risky(
    category: str,
    builder: int,
    auditor: int,
    tokens: int,
    profile: str,
    tolerance: float = 1.0,
) -> CategoryRule:
    return CategoryRule(
        category=category,
        complexity=Complexity.HIGH,
        ci_profile=CiProfile.STRICT,
        builder_attempts_max=builder,
        auditor_attempts_max=auditor,
        incident_token_cap=tokens,
        auto_apply=False,
        auditor_profile=profile,
        severity=IssueSeverity.MAJOR,
        minor_tolerance=tolerance,
        builder_mode="schema_heavy" if profile == "schema_review" else "",
    )


def _ordinary(
    category: str,
    complexity: Complexity,
    builder: int,
    auditor: int,
    tokens: int,
    profile: str = "",
) -> CategoryRule:
    return CategoryRule(
        category=category,
        complexity=complexity,
        ci_profile=CiProfile.NORMAL,
        builder_attempts_max=builder,
        auditor_attempts_max=auditor,
        incident_token_cap=tokens,
        auto_apply=not profile,
        auditor_profile=profile,
        severity=IssueSeverity.MINOR,
        minor_tolerance=2.0,
    )


_RISKY = (
    _risky("cross_cutting_refactor", 2, 2, 1_000_000, "refactor_review"),
    _risky("index_registry_change", 2, 2, 800_000, "index_review"),
    _risky("schema_contract_change", 2, 3, 1_000_000, "schema_review"),
    _risky("bulk_multi_file_operation", 1, 2, 1_500_000, "bulk_review"),
    _risky("security_auth_change", 2, 3, 800_000, "security_review", tolerance=0.5),
)
_ORDINARY = (
    replace(
        _ordinary("feature_scaffolding", Complexity.MEDIUM, 3, 2, 500_000),
        new_tests=NewTests.SOME_RED,
    ),
    _ordinary("docs", Complexity.LOW, 2, 1, 200_000),
    _ordinary("tests", Complexity.LOW, 3, 1, 300_000),
    _ordinary("debt_cleanup", Complexity.MEDIUM, 2, 1, 400_000, "debt_cleanup_review"),
    _ordinary(ANYTHING_ELSE, Complexity.MEDIUM, 3, 2, 500_000),
)

BUILT_IN: Final = Ruleset(
    version=1,
    project_id="",
    default_safety_profile=SafetyProfile.NORMAL,
    default_run_scope=RunScope.MULTI_TIER,
    default_category="feature_scaffolding",
    default_modes={
        Complexity.LOW.value: "tweak_light",
        Complexity.MEDIUM.value: "scaffolding_heavy",
        Complexity.HIGH.value: "refactor_heavy",
    },
    run_token_cap=RunSpec.token_cap,
    run_max_phases=RunSpec.phases_max,
    run_max_duration_minutes=RunSpec.duration_seconds_max // 60,
    run_minor_issues_per_phase=3,
    tier_token_factor=3,
    tier_ci_runs_per_phase=2,
    flake_quarantine_days=Aging.quarantine_days,
    draft_attempts_max=3,
    draft_token_cap=200_000,
    safety_profiles={
        SafetyProfile.NORMAL.value: SafetyRule(
            minor_tolerance=2.0,
            major_tolerance=0,
            aging_runs=Aging.runs,
            aging_tiers=Aging.tiers,
            run_scope=None,
            on_phase_failure=OnPhaseFailure.CONTINUE,
            strict_ci=False,
        ),
        SafetyProfile.SAFETY_CRITICAL.value: SafetyRule(
            minor_tolerance=1.0,
            major_tolerance=0,
            aging_runs=2,
            aging_tiers=1,
            run_scope=RunScope.SINGLE_TIER,
            on_phase_failure=OnPhaseFailure.STOP,
            strict_ci=True,
        ),
    },
    category_defaults={rule.category: rule for rule in (*_RISKY, *_ORDINARY)},
    high_risk_categories=tuple(rule.category for rule in _RISKY),
    aliases={
        "schema_change": Alias("schema_contract_change"),
        "security_auth": Alias("security_auth_change"),
        "index_registry_maintenance": Alias("index_registry_change"),
        "bulk_operation": Alias("bulk_multi_file_operation"),
        "orchestrator": Alias("cross_cutting_refactor", "orchestrator_review"),
    },
    builder_modes={
        "tweak_light": ModeRule(
            Complexity.LOW, 2, 2, 150, strict=False, single_tier_preferred=False
        ),
        "scaffolding_heavy": ModeRule(
            Complexity.MEDIUM, 3, 20, 1_500, strict=False, single_tier_preferred=False
        ),
        "refactor_heavy": ModeRule(
            Complexity.HIGH, 2, 100, 3_000, strict=True, single_tier_preferred=True
        ),
        "schema_heavy": ModeRule(
            Complexity.HIGH, 2, 20, 1_000, strict=True, single_tier_preferred=True
        ),
    },
    severity_upgrades=(),
    agents={},
    debt=DebtPolicy(
        enabled=True,
        phases_max=3,
        category="debt_cleanup",
        complexity=Complexity.MEDIUM,
        incident_token_cap=400_000,
    ),
)
