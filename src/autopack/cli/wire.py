"""Runs and events as the JSON that `--json` prints. A public shape: change SCHEMA_VERSION with it.

Made from the read models of `app.report`, whose names may change where these may not. Never prints.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autopack.app.evidence import LandedProof
    from autopack.app.outcome import Places
    from autopack.app.ports import Recorded
    from autopack.app.report import PhaseView, RunView, TierView


def row(run: RunView) -> dict[str, Any]:
    """A run in a list."""
    states = [phase.state for phase in run.phases]
    tokens = run.budget("tokens")
    return {
        "run_id": run.run_id,
        "project_id": run.project_id,
        "repository": run.repository,
        "state": run.state,
        "ended": run.ended,
        "phases": {state: states.count(state) for state in sorted(set(states))},
        "tokens_spent": int(tokens.used),
        "token_cap": int(tokens.limit),
        "series": dataclasses.asdict(run.series) if run.series else None,
    }


def detail(run: RunView, places: Places | None = None) -> dict[str, Any]:
    """Everything of a run that a reader may build on; `places` null: they are not known."""
    duration = run.budget("duration")
    return row(run) | {
        "base_ref": run.base_ref,
        "base_commit": run.base_commit,
        "branch": "" if run.ended and not (run.snapshots or run.delivered) else run.branch,
        "tip": "" if run.plan_only else run.tip,
        "work_branch": run.work_branch,
        "delivered": run.delivered,
        "delivery_refusal": run.delivery_refusal,
        "promotion_eligible_to_main": run.promotion.eligible,
        "promotion": dataclasses.asdict(run.promotion),
        "builder": run.builder,
        "auditor": run.auditor,
        "sandbox": run.sandbox,
        "safety_profile": run.safety_profile,
        "on_phase_failure": run.on_phase_failure,
        "parallel_max": run.parallel_max,
        "duration_seconds_max": int(duration.limit),
        "active_seconds": duration.used,
        "ci_runs_used": run.ci_runs_used,
        "predecessor": run.predecessor,
        "failure": dataclasses.asdict(run.failure) if run.failure else None,
        "minor_issue_count": run.issues.minor_issue_count,
        "major_issue_count": run.issues.major_issue_count,
        "debt_status": run.issues.debt_status,
        "resolved_issues": list(run.issues.resolved),
        "cleanup_failures": [dataclasses.asdict(each) for each in run.cleanup_failures],
        "snapshots": [dataclasses.asdict(snapshot) for snapshot in run.snapshots],
        "proofs": [_proof(proof) for proof in run.proofs],
        "draft": _phase(run.draft) if run.draft else None,
        "tiers": [_tier(tier) for tier in run.tiers],
        "places": _places(places) if places else None,
    }


def _proof(proof: LandedProof) -> dict[str, Any]:
    """What CI's tests say for a landed commit."""
    exonerated = [
        {"test": red.test, "kind": red.kind.value, "reason": red.reason, "issue_key": red.issue_key}
        for red in proof.exonerated
    ]
    return {
        "phase_id": proof.phase_id,
        "commit": proof.commit,
        "tests_run": proof.tests_run,
        "weak": proof.weak,
        "proved": list(proof.proved),
        "exonerated": exonerated,
    }


def _places(places: Places) -> dict[str, str | None]:
    """Absolute paths; null: there is none."""
    return {name: place or None for name, place in dataclasses.asdict(places).items()}


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


def _tier(tier: TierView) -> dict[str, Any]:
    return {
        "tier_id": tier.tier_id,
        "name": tier.name,
        "state": tier.state,
        "cleanliness": tier.cleanliness,
        "minor_issue_count": tier.minor_issues,
        "minor_issues_max": tier.minor_issues_max,
        "major_issue_count": tier.major_issues,
        "major_issues_max": tier.major_issues_max,
        "phases": [_phase(phase) for phase in tier.phases],
    }


def _phase(phase: PhaseView) -> dict[str, Any]:
    return {
        "phase_id": phase.phase_id,
        "name": phase.name,
        "state": phase.state,
        "step": phase.step,
        "attempts_used": phase.attempts_used,
        "attempts_left": phase.attempts_max - phase.attempts_used,
        "ci_runs_used": phase.ci_runs_used,
        "tokens_spent": phase.tokens_spent,
        "token_cap": phase.incident_token_cap,
        "candidate": phase.candidate,
        "kept": [dataclasses.asdict(kept) for kept in phase.kept],
        "failure": dataclasses.asdict(phase.failure) if phase.failure else None,
        "evidence": dataclasses.asdict(phase.evidence) if phase.evidence else None,
        "checks": [dataclasses.asdict(check) for check in phase.checks],
        "skipped_because": phase.skipped_because,
        "minor_issue_count": phase.issues.minor_issue_count,
        "major_issue_count": phase.issues.major_issue_count,
        "issue_state": phase.issues.issue_state,
        "issue_keys": [found.issue_key for found in phase.issues.issues],
    }
