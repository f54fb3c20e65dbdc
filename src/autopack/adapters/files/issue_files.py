"""The issue files of a run as JSON, in the form that promotion commits. Never writes a file."""

from __future__ import annotations

import dataclasses
import json

from autopack.adapters.files.escape import file_part
from autopack.app.issues_view import PhaseIssuesView
from autopack.app.report import PhaseView, RunView

INDEX = "run_issue_index.json"


def issue_files(run: RunView) -> dict[str, str]:
    """Text of each file by name: every phase that ended or has issues, and the run's index."""
    files = {
        f"phase_{phase.phase_index:02d}_{file_part(phase.phase_id)}_issues.json": _phase(phase)
        for phase in run.phases
        if phase.issues.told
    }
    by_key = {key: dataclasses.asdict(entry) for key, entry in run.issues.by_key.items()}
    return files | {INDEX: _text({"run_id": run.run_id, "issues_by_key": by_key})}


def _phase(phase: PhaseView) -> str:
    found: PhaseIssuesView = phase.issues
    return _text({
        "phase_id": found.phase_id,
        "tier_id": found.tier_id,
        "issues": [dataclasses.asdict(each) for each in found.issues],
        "minor_issue_count": found.minor_issue_count,
        "major_issue_count": found.major_issue_count,
        "issue_state": found.issue_state,
    })  # fmt: skip


def _text(record: dict[str, object]) -> str:
    """Without a character that drives a terminal, whatever an agent wrote."""
    return json.dumps(record, indent=2, ensure_ascii=True) + "\n"
