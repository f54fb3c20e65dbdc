"""Spec 2's tables, cell by cell as the specification prints them, and the formulas on them."""

from __future__ import annotations

import pytest

from autopack.core.spec import (
    CiProfile,
    Complexity,
    SafetyProfile,
)
from autopack.core.strategy import (
    ALIASES,
    CATEGORIES,
    MODES,
    budgets_of,
    category_rule,
    default_mode,
)

CATEGORY_TABLE = """
| cross_cutting_refactor | high | strict | 2 | 2 | 1,000,000 | no | refactor_review | major | 1.0 |
| index_registry_change | high | strict | 2 | 2 | 800,000 | no | index_review | major | 1.0 |
| schema_contract_change | high | strict | 2 | 3 | 1,000,000 | no | schema_review | major | 1.0 |
| bulk_multi_file_operation | high | strict | 1 | 2 | 1,500,000 | no | bulk_review | major | 1.0 |
| security_auth_change | high | strict | 2 | 3 | 800,000 | no | security_review | major | 0.5 |
| feature_scaffolding | medium | normal | 3 | 2 | 500,000 | yes | – | minor | 2.0 |
| docs | low | normal | 2 | 1 | 200,000 | yes | – | minor | 2.0 |
| tests | low | normal | 3 | 1 | 300,000 | yes | – | minor | 2.0 |
| debt_cleanup | medium | normal | 2 | 1 | 400,000 | no | debt_cleanup_review | minor | 2.0 |
| anything else | medium | normal | 3 | 2 | 500,000 | yes | – | minor | 2.0 |
"""
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in CATEGORY_TABLE.strip().splitlines()
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_category_row(row: list[str]) -> None:
    rule = category_rule(row[0])
    shown = [
        rule.category,
        rule.complexity,
        rule.ci_profile,
        str(rule.builder_attempts_max),
        str(rule.auditor_attempts_max),
        f"{rule.incident_token_cap:,}",
        "yes" if rule.auto_apply else "no",
        rule.auditor_profile or "–",
        rule.severity,
        f"{rule.minor_tolerance:.1f}",
    ]
    assert shown == row


def test_no_category_beside_the_table() -> None:
    assert set(CATEGORIES) == {row[0] for row in ROWS} - {"anything else"}


def test_modes() -> None:
    rows = [
        (
            m.mode,
            m.complexity.value,
            m.builder_attempts_max,
            m.files_max,
            m.changed_lines_max,
        )
        for m in MODES.values()
    ]
    assert rows == [
        ("tweak_light", "low", 2, 2, 150),
        ("scaffolding_heavy", "medium", 3, 20, 1500),
        ("refactor_heavy", "high", 2, 100, 3000),
        ("schema_heavy", "high", 2, 20, 1000),
    ]
    assert {m.mode for m in MODES.values() if m.strict and m.single_tier} == {
        "refactor_heavy",
        "schema_heavy",
    }


def test_aliases_name_rows() -> None:
    assert ALIASES == {
        "schema_change": "schema_contract_change",
        "security_auth": "security_auth_change",
        "index_registry_maintenance": "index_registry_change",
        "bulk_operation": "bulk_multi_file_operation",
        "orchestrator": "cross_cutting_refactor",
    }
    assert all(category_rule(alias).category == name for alias, name in ALIASES.items())
    assert category_rule("schema_change") == CATEGORIES["schema_contract_change"]


def test_orchestrator_has_its_own_review() -> None:
    assert category_rule("orchestrator").auditor_profile == "orchestrator_review"
    assert category_rule("cross_cutting_refactor").auditor_profile == "refactor_review"


def test_unknown_category_keeps_its_name() -> None:
    assert category_rule("frontend").category == "frontend"


@pytest.mark.parametrize(
    ("category", "complexity", "mode"),
    [
        ("docs", Complexity.LOW, "tweak_light"),
        ("frontend", Complexity.MEDIUM, "scaffolding_heavy"),
        ("frontend", Complexity.HIGH, "refactor_heavy"),
        ("schema_contract_change", Complexity.LOW, "schema_heavy"),
        ("schema_change", Complexity.HIGH, "schema_heavy"),
    ],
)
def test_default_mode(category: str, complexity: Complexity, mode: str) -> None:
    assert default_mode(category, complexity) == mode


@pytest.mark.parametrize("category", [*CATEGORIES, *ALIASES, "frontend"])
@pytest.mark.parametrize("complexity", Complexity)
@pytest.mark.parametrize("safety", SafetyProfile)
def test_ci_is_strict_for_risk_complexity_or_safety(
    category: str, complexity: Complexity, safety: SafetyProfile
) -> None:
    risky = category in ALIASES or category in {row[0] for row in ROWS if row[2] == "strict"}
    expected = risky or complexity == "high" or safety == "safety_critical"
    got = budgets_of(category, complexity, "tweak_light", safety).ci_profile
    assert got is (CiProfile.STRICT if expected else CiProfile.NORMAL)


@pytest.mark.parametrize("category", [*CATEGORIES, "frontend"])
@pytest.mark.parametrize("mode", MODES)
def test_attempts_are_the_smaller_of_mode_and_category(category: str, mode: str) -> None:
    budgets = budgets_of(category, Complexity.LOW, mode, SafetyProfile.NORMAL)
    pair = (
        MODES[mode].builder_attempts_max,
        category_rule(category).builder_attempts_max,
    )
    assert budgets.builder_attempts_max == min(pair)
    assert (budgets.files_max, budgets.changed_lines_max) == (
        MODES[mode].files_max,
        MODES[mode].changed_lines_max,
    )
