"""Rows of the projection tables from a run: pure, so that a check can make them again.

Never reads a row back: a run is loaded from its record.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from autopack.adapters.store.codec import canonical, encode_run
from autopack.core.intake import known_occurrences
from autopack.core.issue import Issue, counts, issue_state
from autopack.core.run import Failure, Phase, Run
from autopack.core.tier import Tier, debt_status, tiers

Row = dict[str, Any]


def storable(text: str) -> str:
    """Text that columns take: what is no valid Unicode, and NUL, escaped (the record is exact)."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def run_row(run: Run, created_at: int, updated_at: int) -> Row:
    """The row of `autopack_runs`, without its number."""
    spec = run.spec
    return {
        "run_id": run.run_id,
        "version": run.version,
        "record": encode_run(run),
        "created_at": created_at,
        "updated_at": updated_at,
        "project_id": storable(spec.project_id),
        "repository": storable(spec.repository),
        "base_ref": storable(spec.base_ref),
        "base_commit": spec.base_commit,
        "branch": spec.branch,
        "predecessor": spec.predecessor,
        "builder": storable(spec.builder),
        "auditor": storable(spec.auditor),
        "sandbox": storable(spec.sandbox),
        "safety_profile": spec.safety_profile.value,
        "run_scope": spec.run_scope.value,
        "state": run.state.value,
        "stage": run.stage.value,
        "ended": run.ended,
        **_failure(run.failure),
        "failure_phase_id": run.failure.phase_id if run.failure else "",
        "token_cap": spec.token_cap,
        "tokens_spent": run.tokens_spent,
        "tokens_reserved": run.tokens_reserved,
        "ci_runs_used": run.ci_runs_used,
        "infra_retries_used": run.infra_retries_used,
        "active_seconds": float(run.active_seconds),
        "parked_seconds": float(run.parked_seconds),
        "tip": run.tip,
        "delivered": run.delivered,
        "delivery_refusal": storable(run.delivery_refusal),
        "environment_digest": run.environment_digest,
        "series": spec.series,
        "ruleset": spec.ruleset,
        "debt_status": debt_status(run).value,
        **_counted(found for phase in run.phases for found in phase.issues),
        "resolved_issues": canonical(list(run.resolved)),
        "resolved_occurrences": canonical(known_occurrences(run)),
    }


def tier_rows(run: Run) -> list[Row]:
    """The rows of `autopack_tiers`."""
    return [_tier_row(run.run_id, tier) for tier in tiers(run)]


def _tier_row(run_id: str, tier: Tier) -> Row:
    return {
        "run_id": run_id,
        "tier_id": tier.spec.tier_id,
        "tier_index": tier.spec.tier_index,
        "name": storable(tier.spec.name),
        "state": tier.state.value,
        "cleanliness": tier.cleanliness.value,
        "token_cap": tier.spec.token_cap,
        "tokens_spent": sum(phase.tokens_spent for phase in tier.phases),
        "ci_run_cap": tier.spec.ci_run_cap,
        "ci_runs_used": sum(phase.ci_runs_used for phase in tier.phases),
        "minor_issues": tier.minor_issues,
        "major_issues": tier.major_issues,
        "minor_issues_max": tier.spec.minor_issues_max,
        "major_issues_max": tier.spec.major_issues_max,
    }


def phase_rows(run: Run) -> list[Row]:
    """The rows of `autopack_phases`."""
    landed = {snapshot.phase_id: snapshot for snapshot in run.snapshots}
    rows = []
    for phase in run.phases:
        snapshot = landed.get(phase.phase_id)
        place = {
            "run_id": run.run_id,
            "snapshot_commit": snapshot.commit if snapshot else "",
            "snapshot_tag": snapshot.tag if snapshot else "",
        }
        rows.append(place | _phase_row(phase))
    return rows


def _phase_row(phase: Phase) -> Row:
    spec = phase.spec
    return {
        "phase_id": spec.phase_id,
        "tier_id": spec.tier_id,
        "phase_index": spec.phase_index,
        "name": storable(spec.name),
        "task_category": storable(spec.task_category),
        "complexity": spec.complexity.value,
        "builder_mode": storable(spec.builder_mode),
        "ci_profile": spec.ci_profile.value,
        "state": phase.state.value,
        "step": phase.step.value,
        "builder_attempts_max": spec.builder_attempts_max,
        "attempts_used": phase.attempts_used,
        "attempts_granted": phase.attempts_granted,
        "auditor_attempts_used": phase.auditor_attempts_used,
        "ci_runs_used": phase.ci_runs_used,
        "infra_retries_used": phase.infra_retries_used,
        "parks_used": phase.parks_used,
        "conflicts_used": phase.conflicts_used,
        "reapplies_used": phase.reapplies_used,
        "incident_token_cap": spec.incident_token_cap,
        "tokens_spent": phase.tokens_spent,
        "tokens_reserved": phase.tokens_reserved,
        "candidate_commit": phase.candidate.commit if phase.candidate else "",
        "candidate_tree": phase.candidate.tree if phase.candidate else "",
        "approved": phase.approved,
        "needed": phase.needed,
        "evidence_source": storable(phase.evidence.source) if phase.evidence else "",
        **_failure(phase.failure),
        "skipped_because": storable(phase.skipped_because),
        "cleans": spec.cleans,
        "issue_state": issue_state(phase.issues).value,
        "issues_dropped": phase.issues_dropped,
        "occurrences_known": phase.occurrences_known,
    }


def issue_rows(run: Run) -> list[Row]:
    """The rows of `autopack_issues`."""
    return [_issue_row(run.run_id, phase, each) for phase in run.phases for each in phase.issues]


def _issue_row(run_id: str, phase: Phase, each: Issue) -> Row:
    return {
        "run_id": run_id,
        "phase_id": phase.phase_id,
        "issue_key": each.issue_key,
        "tier_id": phase.spec.tier_id,
        "phase_index": phase.spec.phase_index,
        "severity": each.severity.value,
        "effective_severity": each.effective_severity.value,
        "source": each.source.value,
        "category": storable(each.category),
        "expected_fail": each.expected_fail,
        "occurrence_count": each.occurrence_count,
        "evidence_refs": canonical(list(each.evidence_refs)),
        "description": storable(each.description),
        "upgraded": each.upgraded,
    }


def _counted(issues: Iterable[Issue]) -> Row:
    minor, major = counts(issues)
    return {"minor_issues": minor, "major_issues": major}


def _failure(failure: Failure | None) -> Row:
    return {
        "failure_cause": failure.cause.value if failure else "",
        "failure_reason": storable(failure.reason) if failure else "",
    }
