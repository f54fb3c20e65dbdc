"""Categories and builder modes as data, and the budgets that follow from them (spec 2).

One row per category and mode; every number of the tables is here. Reads no ruleset file and knows
no run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from autopack.core.issue import IssueSeverity
from autopack.core.spec import (
    CiProfile,
    Complexity,
    SafetyProfile,
)


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

    @property
    def high_risk(self) -> bool:
        """Categories whose own complexity is high: their CI is always strict."""
        return self.complexity is Complexity.HIGH


@dataclass(frozen=True)
class ModeRule:
    """A row of the builder modes table: size limits of one candidate."""

    mode: str
    complexity: Complexity
    builder_attempts_max: int
    files_max: int
    changed_lines_max: int
    strict: bool
    single_tier: bool
    """A single tier is preferred."""


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


ANYTHING_ELSE = _ordinary("", Complexity.MEDIUM, 3, 2, 500_000)
"""The row of every category that has none of its own."""
CATEGORIES: dict[str, CategoryRule] = {
    rule.category: rule
    for rule in (
        _risky("cross_cutting_refactor", 2, 2, 1_000_000, "refactor_review"),
        _risky("index_registry_change", 2, 2, 800_000, "index_review"),
        _risky("schema_contract_change", 2, 3, 1_000_000, "schema_review"),
        _risky("bulk_multi_file_operation", 1, 2, 1_500_000, "bulk_review"),
        _risky("security_auth_change", 2, 3, 800_000, "security_review", tolerance=0.5),
        _ordinary("feature_scaffolding", Complexity.MEDIUM, 3, 2, 500_000),
        _ordinary("docs", Complexity.LOW, 2, 1, 200_000),
        _ordinary("tests", Complexity.LOW, 3, 1, 300_000),
        _ordinary("debt_cleanup", Complexity.MEDIUM, 2, 1, 400_000, "debt_cleanup_review"),
    )
}
ALIASES: dict[str, str] = {
    "schema_change": "schema_contract_change",
    "security_auth": "security_auth_change",
    "index_registry_maintenance": "index_registry_change",
    "bulk_operation": "bulk_multi_file_operation",
    "orchestrator": "cross_cutting_refactor",
}
ALIAS_AUDITOR_PROFILES: dict[str, str] = {"orchestrator": "orchestrator_review"}
"""Aliases that bring an auditor profile of their own."""
DEFAULT_CATEGORY = "feature_scaffolding"
"""Of a phase that names none: the same numbers as anything else, with a name."""

MODES: dict[str, ModeRule] = {
    rule.mode: rule
    for rule in (
        ModeRule("tweak_light", Complexity.LOW, 2, 2, 150, strict=False, single_tier=False),
        ModeRule("scaffolding_heavy", Complexity.MEDIUM, 3, 20, 1_500, False, False),
        ModeRule(
            "refactor_heavy",
            Complexity.HIGH,
            2,
            100,
            3_000,
            strict=True,
            single_tier=True,
        ),
        ModeRule("schema_heavy", Complexity.HIGH, 2, 20, 1_000, strict=True, single_tier=True),
    )
}
_MODE_OF_COMPLEXITY = {
    Complexity.LOW: "tweak_light",
    Complexity.MEDIUM: "scaffolding_heavy",
    Complexity.HIGH: "refactor_heavy",
}


def canonical_category(category: str) -> str:
    """The category an alias stands for; any other name unchanged."""
    return ALIASES.get(category, category)


def category_rule(category: str) -> CategoryRule:
    """The row of a category or alias; an unknown one gets "anything else" under its own name."""
    name = canonical_category(category)
    rule = CATEGORIES.get(name) or replace(ANYTHING_ELSE, category=name)
    profile = ALIAS_AUDITOR_PROFILES.get(category)
    return replace(rule, auditor_profile=profile) if profile else rule


def default_mode(category: str, complexity: Complexity) -> str:
    """The builder mode of a phase that names none."""
    if canonical_category(category) == "schema_contract_change":
        return "schema_heavy"
    return _MODE_OF_COMPLEXITY[complexity]


def ci_profile_of(
    category: str, complexity: Complexity, safety_profile: SafetyProfile
) -> CiProfile:
    """Strict for a high-risk category, a high complexity or a safety-critical run."""
    strict = (
        category_rule(category).high_risk
        or complexity is Complexity.HIGH
        or safety_profile is SafetyProfile.SAFETY_CRITICAL
    )
    return CiProfile.STRICT if strict else CiProfile.NORMAL


def budgets_of(
    category: str, complexity: Complexity, mode: str, safety_profile: SafetyProfile
) -> PhaseBudgets:
    """The budgets of a phase; `mode` is a key of `MODES`, `category` any name or alias."""
    rule, size = category_rule(category), MODES[mode]
    return PhaseBudgets(
        ci_profile=ci_profile_of(category, complexity, safety_profile),
        auto_apply=rule.auto_apply,
        auditor_profile=rule.auditor_profile,
        builder_attempts_max=min(size.builder_attempts_max, rule.builder_attempts_max),
        auditor_attempts_max=rule.auditor_attempts_max,
        incident_token_cap=rule.incident_token_cap,
        files_max=size.files_max,
        changed_lines_max=size.changed_lines_max,
    )
