"""A run's strategy as it is frozen in its spec, as a record; and what differs between two records.

The file `project_implementation_strategy_v1.json`, `autopack strategy` and its diffs show this one
record. Never decides.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from autopack.app.rulesets import BUILT_IN_ORIGIN, Current
from autopack.app.settle import ruled
from autopack.core import series
from autopack.core.ruleset import Ruleset, to_data
from autopack.core.spec import CategoryRule, PhaseSpec, RunSpec, TierSpec
from autopack.core.strategy import (
    agents_of,
    budgets_of,
    category_rule,
    tier_minor_issues_max,
    tier_token_cap,
)

VERSION: Final = 1
_PLANNED: Final = frozenset({"phase_id", "name", "task", "scope", "needs", "packs", "deliver"})
"""What a phase has from its plan and not from the strategy."""


@dataclass(frozen=True)
class Difference:
    """One value that two records do not share; None: not there."""

    path: str
    before: Any
    after: Any


def strategy_of(spec: RunSpec) -> dict[str, Any]:
    """The strategy of a run, in the shape of its file."""
    return {
        "strategy_version": VERSION,
        "run_id": spec.run_id,
        "project_id": spec.project_id,
        "ruleset": spec.ruleset or BUILT_IN_ORIGIN,
        "safety_profile": spec.safety_profile.value,
        "run_scope": spec.run_scope.value,
        "on_phase_failure": spec.on_phase_failure.value,
        "run_token_cap": spec.token_cap,
        "run_max_phases": spec.phases_max,
        "run_max_duration_minutes": spec.duration_seconds_max // 60,
        "max_minor_issues_total": spec.minor_issues_max,
        "aging": asdict(spec.aging),
        "warnings": [crowded] if (crowded := series.crowded(spec)) else [],
        "severity_upgrades": [_said(asdict(upgrade)) for upgrade in spec.severity_upgrades],
        "category_strategies": {rule.category: _category(rule) for rule in spec.category_rules},
        "tier_strategies": {tier.tier_id: _tier(tier, spec) for tier in spec.tiers},
        "phase_strategies": {phase.phase_id: _phase(phase, spec) for phase in spec.phases},
    }


def strategy_text(spec: RunSpec) -> str:
    """The same as the text of the file: the same run gives the same text."""
    return json.dumps(strategy_of(spec), indent=2) + "\n"


def _category(rule: CategoryRule) -> dict[str, Any]:
    return {key: value for key, value in asdict(rule).items() if key != "category"}


def _said(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if value}


def _tier(tier: TierSpec, spec: RunSpec) -> dict[str, Any]:
    return {
        "name": tier.name,
        "phases": [phase.phase_id for phase in spec.phases if phase.tier_id == tier.tier_id],
        "token_cap": tier.token_cap,
        "ci_run_cap": tier.ci_run_cap,
        "minor_issues_max": tier.minor_issues_max,
        "major_issues_max": tier.major_issues_max,
    }


def _phase(phase: PhaseSpec, spec: RunSpec) -> dict[str, Any]:
    row = {key: value for key, value in asdict(phase).items() if key not in _PLANNED}
    return row | {
        "builder": spec.builder_of(phase.phase_id),
        "auditor": spec.auditor_of(phase.phase_id),
    }


def recompiled(spec: RunSpec, found: Current) -> RunSpec:
    """The run as another ruleset would have it; complexity and mode stay as they were planned.

    So does an auditor profile that an alias brought, and what was said for the run itself: its
    profile, scope and caps.
    """
    ruleset = found.ruleset
    phases = tuple(_again(phase, spec, ruleset) for phase in spec.phases)
    tiers = tuple(_tier_again(tier, phases, spec, ruleset) for tier in spec.tiers)
    return ruled(replace(spec, phases=phases, tiers=tiers), found)


def _again(phase: PhaseSpec, spec: RunSpec, ruleset: Ruleset) -> PhaseSpec:
    category, mode = phase.task_category, phase.builder_mode
    budgets = budgets_of(
        category, phase.complexity, mode, spec.safety_profile, ruleset, cleanup=bool(phase.cleans)
    )
    frozen = {rule.category: rule.auditor_profile for rule in spec.category_rules}
    own = phase.auditor_profile != frozen.get(category, phase.auditor_profile)
    agents = agents_of(category, ruleset)
    return replace(
        phase,
        **asdict(budgets) | ({"auditor_profile": phase.auditor_profile} if own else {}),
        issue_severity=category_rule(category, ruleset).severity,
        builder=agents.builder,
        auditor=agents.auditor,
    )


def _tier_again(
    tier: TierSpec, phases: tuple[PhaseSpec, ...], spec: RunSpec, ruleset: Ruleset
) -> TierSpec:
    mine = [phase for phase in phases if phase.tier_id == tier.tier_id]
    categories, safety = [phase.task_category for phase in mine], spec.safety_profile
    return replace(
        tier,
        token_cap=tier_token_cap(mine, ruleset),
        ci_run_cap=ruleset.tier_ci_runs_per_phase * len(mine),
        minor_issues_max=tier_minor_issues_max(categories, safety, ruleset),
        major_issues_max=ruleset.safety_profiles[safety.value].major_tolerance,
    )


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Every value in which two records differ, by its path; an empty one is as none."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    return [
        Difference(path, old.get(path), new.get(path))
        for path in dict.fromkeys((*old, *new))
        if _given(old.get(path)) != _given(new.get(path))
    ]


def ruleset_differences(before: Ruleset, after: Ruleset) -> list[Difference]:
    """What one ruleset of a project changes in another; whose they are is no policy."""
    old, new = (to_data(replace(each, project_id="")) for each in (before, after))
    return differences(old, new)


def _given(value: object) -> object:
    return None if value in ("", []) else value


def _leaves(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in record.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        elif not isinstance(value, Mapping):
            yield f"{prefix}{key}", list(value) if isinstance(value, tuple) else value
