"""Spec 2's tables cell by cell, and every formula, read from the published ruleset."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.core.builtin import BUILT_IN
from autopack.core.plan import CompiledPlan, PlanOptions, compile_plan
from autopack.core.plan_draft import PhaseDraft, PlanDraft, TierDraft
from autopack.core.ruleset import CategoryAgents, Ruleset, to_text
from autopack.core.spec import (
    CategoryRule,
    CiProfile,
    Complexity,
    SafetyProfile,
)
from autopack.core.strategy import (
    aging_of,
    budgets_of,
    category_rule,
    default_mode,
    on_phase_failure_of,
    run_minor_issues_max,
    run_scope_of,
    tier_minor_issues_max,
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
| anything_else | medium | normal | 3 | 2 | 500,000 | yes | – | minor | 2.0 |
"""
MODE_TABLE = """
| tweak_light | low | 2 | 2 / 150 | - |
| scaffolding_heavy | medium | 3 | 20 / 1,500 | - |
| refactor_heavy | high | 2 | 100 / 3,000 | strict, single tier preferred |
| schema_heavy | high | 2 | 20 / 1,000 | strict, single tier preferred |
"""
COLUMNS = ("complexity", "ci_profile", "builder_attempts_max", "auditor_attempts_max",
           "incident_token_cap", "auto_apply", "auditor_profile", "severity",
           "minor_tolerance")  # fmt: skip


def cells(table: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n") if line
    ]


@cache
def published() -> dict[str, Any]:
    """The ruleset that users read."""
    path = Path(__file__).parents[2] / "docs" / "reference" / "ruleset.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


CATEGORIES = list(published()["category_defaults"])
MODES = list(published()["builder_modes"])


# --- the published ruleset is the specification's, and the code's ---------------------------------


@pytest.mark.parametrize("row", cells(CATEGORY_TABLE), ids=lambda row: row[0])
def test_the_category_table_is_published(row: list[str]) -> None:
    told = published()["category_defaults"][row[0]]
    assert [
        row[0],
        told["complexity"],
        told["ci_profile"],
        str(told["builder_attempts_max"]),
        str(told["auditor_attempts_max"]),
        f"{told['incident_token_cap']:,}",
        "yes" if told["auto_apply"] else "no",
        told["auditor_profile"] or "–",
        told["severity"],
        f"{told['minor_tolerance']:.1f}",
    ] == row


@pytest.mark.parametrize("row", cells(MODE_TABLE), ids=lambda row: row[0])
def test_the_mode_table_is_published(row: list[str]) -> None:
    told = published()["builder_modes"][row[0]]
    notes = {"strict": "strict", "single_tier_preferred": "single tier preferred"}
    assert [
        row[0],
        told["complexity"],
        str(told["builder_attempts_max"]),
        f"{told['files_max']} / {told['changed_lines_max']:,}",
        ", ".join(note for key, note in notes.items() if told[key]) or "-",
    ] == row


def test_nothing_is_published_beside_the_tables() -> None:
    assert sorted(row[0] for row in cells(CATEGORY_TABLE)) == sorted(CATEGORIES)
    assert [row[0] for row in cells(MODE_TABLE)] == MODES
    strict = [row[0] for row in cells(CATEGORY_TABLE) if row[2] == "strict"]
    assert published()["high_risk_categories"] == strict


def test_the_rest_of_the_specification_is_published() -> None:
    told = published()
    assert (told["run_token_cap"], told["run_max_phases"]) == (5_000_000, 25)
    assert told["run_max_duration_minutes"] == 120
    assert (told["tier_token_factor"], told["tier_ci_runs_per_phase"]) == (3, 2)
    assert told["run_minor_issues_per_phase"] == 3
    assert (told["default_safety_profile"], told["default_run_scope"]) == ("normal", "multi_tier")
    normal, critical = (told["safety_profiles"][each.value] for each in SafetyProfile)
    assert (normal["minor_tolerance"], normal["aging_runs"], normal["aging_tiers"]) == (2, 3, 2)
    assert (critical["minor_tolerance"], critical["aging_runs"], critical["aging_tiers"]) == (
        *(1, 2, 1),
    )
    assert told["aliases"] == {
        "schema_change": {"category": "schema_contract_change", "auditor_profile": ""},
        "security_auth": {"category": "security_auth_change", "auditor_profile": ""},
        "index_registry_maintenance": {"category": "index_registry_change", "auditor_profile": ""},
        "bulk_operation": {"category": "bulk_multi_file_operation", "auditor_profile": ""},
        "orchestrator": {
            "category": "cross_cutting_refactor",
            "auditor_profile": "orchestrator_review",
        },
    }


def test_the_published_ruleset_is_the_built_in_one() -> None:
    assert json.loads(to_text(BUILT_IN)) == published()


# --- every cell is used --------------------------------------------------------------------------


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("column", COLUMNS)
def test_a_category_gets_its_cell(category: str, column: str) -> None:
    assert (
        getattr(category_rule(category), column)
        == published()["category_defaults"][category][column]
    )


@pytest.mark.parametrize("alias", published()["aliases"])
def test_an_alias_gets_the_cells_of_what_it_stands_for(alias: str) -> None:
    told = published()["aliases"][alias]
    rule = category_rule(told["category"])
    expected = replace(rule, auditor_profile=told["auditor_profile"] or rule.auditor_profile)
    assert category_rule(alias) == expected


def test_an_unknown_category_is_anything_else_under_its_own_name() -> None:
    assert category_rule("frontend") == replace(category_rule("anything_else"), category="frontend")


@pytest.mark.parametrize("category", [*CATEGORIES, *published()["aliases"], "frontend"])
@pytest.mark.parametrize("mode", MODES)
def test_a_compiled_phase_has_every_cell(category: str, mode: str) -> None:
    phase = compiled([category], mode=mode).phases[0]
    told, size = published(), published()["builder_modes"][mode]
    alias = told["aliases"].get(category, {"category": category, "auditor_profile": ""})
    row = told["category_defaults"].get(
        alias["category"], told["category_defaults"]["anything_else"]
    )
    assert phase.task_category == alias["category"]
    assert phase.complexity == row["complexity"]
    assert phase.incident_token_cap == row["incident_token_cap"]
    assert phase.auditor_attempts_max == row["auditor_attempts_max"]
    assert phase.auto_apply == row["auto_apply"]
    assert phase.auditor_profile == (alias["auditor_profile"] or row["auditor_profile"])
    assert phase.issue_severity == row["severity"]
    assert (phase.files_max, phase.changed_lines_max) == (
        size["files_max"],
        size["changed_lines_max"],
    )


# --- formulas --------------------------------------------------------------------------------------


@pytest.mark.parametrize("category", [*CATEGORIES, "frontend"])
@pytest.mark.parametrize("mode", MODES)
def test_attempts_are_the_smaller_of_mode_and_category(category: str, mode: str) -> None:
    budgets = budgets_of(category, Complexity.LOW, mode, SafetyProfile.NORMAL)
    rows = published()["category_defaults"]
    row, size = rows.get(category, rows["anything_else"]), published()["builder_modes"][mode]
    assert budgets.builder_attempts_max == min(
        row["builder_attempts_max"], size["builder_attempts_max"]
    )


@pytest.mark.parametrize("category", [*CATEGORIES, *published()["aliases"], "frontend"])
@pytest.mark.parametrize("complexity", Complexity)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("safety", SafetyProfile)
def test_ci_is_strict_for_risk_complexity_mode_or_safety(
    category: str, complexity: Complexity, mode: str, safety: SafetyProfile
) -> None:
    told = published()
    name = told["aliases"].get(category, {"category": category})["category"]
    expected = (
        name in told["high_risk_categories"]
        or complexity == "high"
        or told["builder_modes"][mode]["strict"]
        or told["safety_profiles"][safety.value]["strict_ci"]
    )
    got = budgets_of(category, complexity, mode, safety).ci_profile
    assert got is (CiProfile.STRICT if expected else CiProfile.NORMAL)


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_phases_own_complexity_never_lowers_ci(category: str) -> None:
    own = compiled([category]).phases[0]
    low = compiled([category], complexity="low").phases[0]
    assert (low.complexity, low.ci_profile) == (Complexity.LOW, own.ci_profile)


@pytest.mark.parametrize("complexity", Complexity)
def test_a_phases_own_complexity_chooses_prompt_and_size(complexity: Complexity) -> None:
    phase = compiled(["tests"], complexity=complexity.value).phases[0]
    mode = published()["default_modes"][complexity.value]
    size = published()["builder_modes"][mode]
    assert (phase.builder_mode, phase.files_max) == (mode, size["files_max"])
    assert size["complexity"] == complexity


@pytest.mark.parametrize("complexity", Complexity)
@pytest.mark.parametrize("category", [*CATEGORIES, "schema_change", "frontend"])
def test_a_category_may_have_a_mode_of_its_own(category: str, complexity: Complexity) -> None:
    told = published()
    name = told["aliases"].get(category, {"category": category})["category"]
    own = told["category_defaults"].get(name, {}).get("builder_mode")
    assert default_mode(category, complexity) == (own or told["default_modes"][complexity.value])
    assert bool(own) == (name == "schema_contract_change")


@given(
    st.lists(st.sampled_from([*CATEGORIES, "frontend"]), min_size=1), st.sampled_from(SafetyProfile)
)
def test_a_tiers_tolerance_is_the_floor_of_a_sum_of_minima(
    categories: list[str], safety: SafetyProfile
) -> None:
    told, most = published(), published()["safety_profiles"][safety.value]["minor_tolerance"]
    rows = told["category_defaults"]
    shares = [min(rows.get(c, rows["anything_else"])["minor_tolerance"], most) for c in categories]
    tier = compiled(categories, safety).tiers[0]
    assert tier.minor_issues_max == math.floor(sum(shares))  # the published ones are exact halves
    assert tier.major_issues_max == told["safety_profiles"][safety.value]["major_tolerance"]


@pytest.mark.parametrize(
    ("categories", "normal", "critical"),
    [(["docs", "tests"], 4, 2), (["security_auth_change"], 0, 0),
     (["security_auth_change", "docs"], 2, 1), (["security_auth_change"] * 3, 1, 1)],
)  # fmt: skip
def test_tolerances_by_example(categories: list[str], normal: int, critical: int) -> None:
    assert tier_minor_issues_max(categories, SafetyProfile.NORMAL) == normal
    assert tier_minor_issues_max(categories, SafetyProfile.SAFETY_CRITICAL) == critical


@given(st.permutations([0.1, 0.2, 0.7, 0.3, 0.7]))
def test_a_tolerance_does_not_depend_on_the_order_of_phases(shares: list[float]) -> None:
    ruleset = replace(
        BUILT_IN,
        category_defaults={
            **BUILT_IN.category_defaults,
            **{f"c{n}": row(f"c{n}", each) for n, each in enumerate(shares)},
        },
    )
    categories = [f"c{n}" for n in range(len(shares))]
    assert tier_minor_issues_max(categories, SafetyProfile.NORMAL, ruleset) == 2


def row(category: str, tolerance: float) -> CategoryRule:
    return replace(category_rule("docs"), category=category, minor_tolerance=tolerance)


@given(st.lists(st.sampled_from(CATEGORIES), min_size=1, max_size=9))
def test_a_tiers_caps_follow_from_its_phases(categories: list[str]) -> None:
    told = published()
    tier = compiled(categories).tiers[0]
    incident = sum(told["category_defaults"][each]["incident_token_cap"] for each in categories)
    assert tier.token_cap == told["tier_token_factor"] * incident
    assert tier.ci_run_cap == told["tier_ci_runs_per_phase"] * len(categories)
    most = told["run_minor_issues_per_phase"] * len(categories)
    assert run_minor_issues_max(len(categories)) == most


@pytest.mark.parametrize("safety", SafetyProfile)
def test_what_a_safety_profile_implies(safety: SafetyProfile) -> None:
    told = published()["safety_profiles"][safety.value]
    aging = aging_of(safety)
    assert (aging.runs, aging.tiers) == (told["aging_runs"], told["aging_tiers"])
    assert run_scope_of(safety) == told.get("run_scope", published()["default_run_scope"])
    assert on_phase_failure_of(safety) == told["on_phase_failure"]


def test_a_phase_without_a_category_gets_the_default_one() -> None:
    assert compiled([""]).phases[0].task_category == published()["default_category"]


# --- another ruleset -------------------------------------------------------------------------------


def test_a_plan_is_compiled_with_the_ruleset_it_is_given() -> None:
    ruleset = replace(
        BUILT_IN,
        category_defaults={**BUILT_IN.category_defaults, "docs": row("docs", 0.5)},
        agents={"docs": CategoryAgents("writer", "reader")},
        tier_token_factor=7,
    )
    plan = compiled(["docs", "docs"], ruleset=ruleset)
    assert [(phase.builder, phase.auditor) for phase in plan.phases] == [("writer", "reader")] * 2
    assert plan.tiers[0].minor_issues_max == 1
    assert plan.tiers[0].token_cap == 7 * 2 * plan.phases[0].incident_token_cap
    assert [phase.builder for phase in compiled(["docs"]).phases] == [""]


def compiled(
    categories: list[str],
    safety: SafetyProfile = SafetyProfile.NORMAL,
    ruleset: Ruleset = BUILT_IN,
    complexity: str = "",
    mode: str = "",
) -> CompiledPlan:
    phases = tuple(
        PhaseDraft(f"F1.{n}", "", each, complexity, mode, scope=("a.py",), task="do it")
        for n, each in enumerate(categories, 1)
    )
    options = PlanOptions(safety, phases_max=1000, ruleset=ruleset)
    plan = compile_plan(PlanDraft("plan.md", (TierDraft("T1", "one", phases),)), options)
    assert isinstance(plan, CompiledPlan), plan
    return plan
