"""Runs and events as the JSON that `--json` prints. A public shape: change SCHEMA_VERSION with it.

Never prints.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from autopack.core.run import Phase, Run
from autopack.core.tier import Tier, tiers

if TYPE_CHECKING:
    from autopack.app.ports import Recorded


def row(run: Run) -> dict[str, Any]:
    """A run in a list."""
    states = [phase.state.value for phase in run.phases]
    return {
        "run_id": run.run_id,
        "project_id": run.spec.project_id,
        "repository": run.spec.repository,
        "state": run.state.value,
        "ended": run.ended,
        "phases": {state: states.count(state) for state in sorted(set(states))},
        "tokens_spent": run.tokens_spent,
        "token_cap": run.spec.token_cap,
    }


def detail(run: Run) -> dict[str, Any]:
    """Everything of a run that a reader may build on."""
    spec = run.spec
    return row(run) | {
        "base_ref": spec.base_ref,
        "base_commit": spec.base_commit,
        "branch": spec.branch,
        "tip": run.tip,
        "delivered": run.delivered,
        "delivery_refusal": run.delivery_refusal,
        "builder": spec.builder,
        "auditor": spec.auditor,
        "sandbox": spec.sandbox,
        "safety_profile": spec.safety_profile.value,
        "on_phase_failure": spec.on_phase_failure.value,
        "parallel_max": spec.parallel_max,
        "duration_seconds_max": spec.duration_seconds_max,
        "active_seconds": run.active_seconds,
        "ci_runs_used": run.ci_runs_used,
        "predecessor": spec.predecessor,
        "failure": dataclasses.asdict(run.failure) if run.failure else None,
        "snapshots": [dataclasses.asdict(snapshot) for snapshot in run.snapshots],
        "tiers": [_tier(tier) for tier in tiers(run)],
    }


def event(recorded: Recorded) -> dict[str, Any]:
    """An event as it was logged."""
    happened = recorded.happened
    return {
        "sequence": recorded.sequence,
        "at": happened.at,
        "answers": happened.answers,
        "active_seconds": happened.active_seconds,
        "event": dataclasses.asdict(happened.event),
        "digest": recorded.digest,
    }


def _tier(tier: Tier) -> dict[str, Any]:
    return {
        "tier_id": tier.spec.tier_id,
        "name": tier.spec.name,
        "state": tier.state.value,
        "cleanliness": tier.cleanliness.value,
        "phases": [_phase(phase) for phase in tier.phases],
    }


def _phase(phase: Phase) -> dict[str, Any]:
    return {
        "phase_id": phase.phase_id,
        "name": phase.spec.name,
        "state": phase.state.value,
        "step": phase.step.value,
        "attempts_used": phase.attempts_used,
        "attempts_left": phase.attempts_left,
        "ci_runs_used": phase.ci_runs_used,
        "tokens_spent": phase.tokens_spent,
        "token_cap": phase.spec.incident_token_cap,
        "candidate": phase.candidate.commit if phase.candidate else "",
        "failure": dataclasses.asdict(phase.failure) if phase.failure else None,
        "evidence": dataclasses.asdict(phase.evidence) if phase.evidence else None,
        "skipped_because": phase.skipped_because,
    }
