"""What a run starts with: wishes over the project's settings over its ruleset.

The environment's wishes are the command line's by then. Never decides whether a run may begin.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from autopack.core.ruleset import CategoryAgents, Ruleset
from autopack.core.spec import RunScope, RunSpec, SafetyProfile
from autopack.core.strategy import (
    aging_of,
    category_rule,
    on_phase_failure_of,
    run_minor_issues_max,
    run_scope_of,
)

if TYPE_CHECKING:
    from autopack.app.rulesets import Current
    from autopack.core.project import RunSettings


def settled(wish: RunSettings, project: RunSettings, ruleset: Ruleset) -> RunSettings:
    """Wishes over the project's settings over its ruleset."""
    minutes = project.duration_minutes_max or ruleset.run_max_duration_minutes
    safety = wish.safety_profile or project.safety_profile or ruleset.default_safety_profile
    failed = wish.on_phase_failure or project.on_phase_failure
    return replace(
        project,
        safety_profile=safety,
        on_phase_failure=failed or on_phase_failure_of(safety, ruleset),
        parallel_max=wish.parallel_max or project.parallel_max,
        token_cap=wish.token_cap or project.token_cap or ruleset.run_token_cap,
        phases_max=wish.phases_max or project.phases_max or ruleset.run_max_phases,
        duration_minutes_max=wish.duration_minutes_max or minutes,
        promote=wish.promote or project.promote,
    )


def unnamed(ruleset: Ruleset, fixed: frozenset[str]) -> Ruleset:
    """The ruleset without the agents of roles that are fixed."""
    agents = {
        category: CategoryAgents(
            "" if "builder" in fixed else named.builder, "" if "auditor" in fixed else named.auditor
        )
        for category, named in ruleset.agents.items()
    }
    return replace(ruleset, agents=agents)


def scope_of(settings: RunSettings, ruleset: Ruleset) -> RunScope:
    """The run scope of settled settings."""
    return settings.run_scope or run_scope_of(safety_of(settings), ruleset)


def safety_of(settings: RunSettings) -> SafetyProfile:
    """The safety profile of settled settings."""
    return settings.safety_profile or SafetyProfile.NORMAL


def ruled(spec: RunSpec, found: Current) -> RunSpec:
    """What else of its ruleset a run keeps."""
    ruleset = found.ruleset
    categories = dict.fromkeys(phase.task_category for phase in spec.phases)
    return replace(
        spec,
        ruleset=found.label,
        aging=aging_of(spec.safety_profile, ruleset),
        minor_issues_max=run_minor_issues_max(len(spec.phases), ruleset),
        minor_issues_per_phase=ruleset.run_minor_issues_per_phase,
        severity_upgrades=ruleset.severity_upgrades,
        category_rules=tuple(category_rule(each, ruleset) for each in categories),
    )
