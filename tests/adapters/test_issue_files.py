"""Issue files: exactly the fields of the specification, the same text each time, nobody's commands."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autopack.adapters.files.artefacts import FileArtefacts
from autopack.adapters.files.summaries import phase_summary, run_summary, tier_summary
from autopack.app.issues_view import counted
from autopack.app.report import run_view
from autopack.cli import wire
from autopack.cli.telling import lines
from autopack.core import intake, machine
from autopack.core.event import CandidateTested, CiVerdict, Happened, IssueRecorded
from autopack.core.issue import (
    PHASE_ISSUES_MAX,
    Issue,
    IssueReport,
    IssueSeverity,
    IssueSource,
    KnownIssue,
)
from autopack.core.run import Phase, Run, Step
from tests.core.walk import phase_spec, run_spec

HOSTILE = "\x1b[31m<b>\n# Owned | `x` \u202e"
MINOR, MAJOR = IssueSeverity.MINOR, IssueSeverity.MAJOR


def issue(key: str, severity: IssueSeverity = MINOR, times: int = 1) -> Issue:
    return Issue(
        key, severity, severity, IssueSource.PROBE, "c", True, times, ("path:a.py",), HOSTILE
    )


def run_with(**issues: tuple[Issue, ...]) -> Run:
    """P1 landed, P2 is under way, P3 of the second tier waits; the old one was known before."""
    specs = [phase_spec("P1"), phase_spec("P2", "T1", 2), phase_spec("P3", "T2", 3)]
    spec = replace(
        run_spec(*specs),
        known_issues=(KnownIssue("old", MINOR, True, "r0", (), ""),),
        minor_issues_max=9,
    )
    spec = replace(spec, tiers=tuple(replace(t, minor_issues_max=1) for t in spec.tiers))
    run = machine.create(spec).run
    steps = {"P1": Step.COMPLETE, "P2": Step.TESTING, "P3": Step.QUEUED}
    phases = tuple(
        replace(p, step=steps[p.phase_id], issues=issues.get(p.phase_id, ())) for p in run.phases
    )
    return replace(run, phases=phases)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "toy/.git/info").mkdir(parents=True)
    (tmp_path / "toy/.git/HEAD").write_text("ref: refs/heads/main\n")
    return tmp_path / "toy"


def rendered(repository: Path, run: Run) -> dict[str, Any]:
    FileArtefacts(repository).render(run, [])
    folder = repository / ".autonomous_runs/r/issues"
    return {path.name: json.loads(path.read_text()) for path in sorted(folder.iterdir())}


def test_a_phase_file_has_the_fields_of_the_specification(repository: Path) -> None:
    run = run_with(P1=(issue("new", MAJOR, 3), issue("old")))
    found = rendered(repository, run)
    one = {
        "issue_key": "new", "severity": "major", "effective_severity": "major", "source": "probe",
        "category": "c", "task_category": "tests", "complexity": "low", "expected_fail": True,
        "occurrence_count": 3, "first_seen_run": "r", "last_seen_run": "r",
        "evidence_refs": ["path:a.py"], "description": HOSTILE,
    }  # fmt: skip
    other = one | {
        "issue_key": "old", "severity": "minor", "effective_severity": "minor",
        "occurrence_count": 1, "first_seen_run": "r0",
    }  # fmt: skip
    assert found["phase_01_P1_issues.json"] == {
        "phase_id": "P1", "tier_id": "T1", "issues": [one, other],
        "minor_issue_count": 1, "major_issue_count": 1, "issue_state": "has_major_issues",
    }  # fmt: skip


def test_a_file_for_each_phase_that_ended_or_has_issues(repository: Path) -> None:
    found = rendered(repository, run_with())
    assert list(found) == ["phase_01_P1_issues.json", "run_issue_index.json"]
    assert found["phase_01_P1_issues.json"]["issue_state"] == "no_issues"
    assert found["run_issue_index.json"] == {"run_id": "r", "issues_by_key": {}}
    assert "phase_03_P3_issues.json" in rendered(repository, run_with(P3=(issue("a"),)))


def test_the_index_tells_where_each_issue_was_seen(repository: Path) -> None:
    run = run_with(
        P1=(issue("a"), issue("b", times=2)), P2=(issue("a", MAJOR, 4),), P3=(issue("a"),)
    )
    index = rendered(repository, run)["run_issue_index.json"]["issues_by_key"]
    assert list(index) == ["a", "b"]
    assert index["a"] == {
        "category": "c", "severity": "major", "effective_severity": "major",
        "first_phase_index": 1, "last_phase_index": 3, "occurrence_count": 6,
        "seen_in_tiers": ["T1", "T2"], "seen_in_phases": ["P1", "P2", "P3"],
    }  # fmt: skip
    assert (index["b"]["occurrence_count"], index["b"]["last_phase_index"]) == (2, 1)


def test_files_are_plain_deterministic_and_made_again(repository: Path) -> None:
    run = run_with(P1=(issue("a"),))
    rendered(repository, run)
    path = repository / ".autonomous_runs/r/issues/phase_01_P1_issues.json"
    first = path.read_bytes()
    assert first.isascii()
    assert b"\x1b" not in first
    path.write_text("{}")
    rendered(repository, run)
    assert path.read_bytes() == first


def test_summaries_tell_counts_cleanliness_and_debt() -> None:
    view = run_view(run_with(P1=(issue("a"), issue("b"), issue("old", MAJOR))))
    summary = run_summary(view)
    assert "- minor issues: 2 of 9 tolerated\n- major issues: 1\n" in summary
    assert "- debt: excess issues (tier T1: 2 minor of 1; tier T1: 1 major of 0)\n" in summary
    tier = tier_summary(view.tiers[0])
    assert "- cleanliness: not_clean\n" in tier
    assert "- minor issues: 2 of 1 tolerated\n- major issues: 1 of 0 tolerated\n" in tier
    phase = phase_summary(view.phases[0])
    assert "- issues: has_major_issues\n" in phase
    assert "| old | major | major | probe | 1 |" in phase
    assert "\x1b" not in phase
    assert "<b>" not in phase


def test_run_view_tells_them_as_text_and_json() -> None:
    run = replace(run_with(P1=(issue("a"),), P2=(issue("b", MAJOR, 2),)), resolved=("old",))
    shown = "\n".join(lines(run_view(run), None))
    assert "  1 minor and 1 major issue, debt: excess issues (tier T1: 1 major of 0)\n" in shown
    assert "  resolved: old\n" in shown
    assert "T1 T1: IN_PROGRESS, not clean, 1 minor and 1 major issue" in shown
    assert shown.index("  b  major  seen 2 times  in P2") < shown.index("  a  minor  seen 1 time ")
    told = wire.detail(run_view(run))
    assert (told["minor_issue_count"], told["major_issue_count"]) == (1, 1)
    assert (told["debt_status"], told["resolved_issues"]) == ("excess_minor_issues", ["old"])
    tier = told["tiers"][0]
    assert (tier["cleanliness"], tier["minor_issues_max"], tier["major_issue_count"]) == (
        "not_clean", 1, 1,
    )  # fmt: skip
    assert [p["issue_state"] for p in tier["phases"]] == ["has_minor_issues", "has_major_issues"]
    assert tier["phases"][1]["issue_keys"] == ["b"]


def test_what_a_phase_does_not_keep_is_told() -> None:
    run = run_with(P1=tuple(issue(f"k{number:03}") for number in range(PHASE_ISSUES_MAX)))
    phase = replace(run.phases[0], issues_dropped=2)
    view = run_view(replace(run, phases=(phase, *run.phases[1:])))
    assert "| and 2 more at least |" in phase_summary(view.phases[0])


@pytest.mark.parametrize(
    ("minor", "major", "said"),
    [
        (0, 0, ""), (1, 0, "1 minor issue"), (2, 0, "2 minor issues"), (0, 1, "1 major issue"),
        (2, 1, "2 minor and 1 major issue"), (1, 2, "1 minor and 2 major issues"),
    ],
)  # fmt: skip
def test_counts_in_words(minor: int, major: int, said: str) -> None:
    assert counted(minor, major) == said


def test_a_recording_after_the_end_changes_the_files(repository: Path) -> None:
    run = run_with()
    report = IssueReport("late", IssueSource.PROBE, severity=MINOR)
    step = machine.advance(run, Happened(IssueRecorded("P1", report, "me"), 0))
    assert isinstance(step, machine.Advanced)
    found = rendered(repository, step.run)["phase_01_P1_issues.json"]
    assert [each["issue_key"] for each in found["issues"]] == ["late"]


def test_a_later_verdict_takes_back_what_an_earlier_one_showed() -> None:
    """A candidate that was made again is judged by its own CI run alone."""
    run = run_with()
    phases = tuple(replace(p, passed=("t",)) if p.phase_id == "P2" else p for p in run.phases)
    after = intake.take(replace(run, phases=phases), CandidateTested("P2", CiVerdict.PASS))
    assert isinstance(after.phase("P2"), Phase)
    assert after.phase("P2").passed == ()
