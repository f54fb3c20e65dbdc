"""What is said at the end of a run that landed nothing, or whose cleanup failed."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.test_series import SINGLE, summary
from tests.lab import Lab, phase
from tests.repos import git, refs, write

KEY = "src__debt"
REPORTED = json.dumps([{"issue_key": KEY, "evidence_refs": ["path:src/debt.txt:1"]}])
JUDGE = 'auditor = "judge"\n[agents.judge]\ntype = "scripted"\npatches = "../tools/verdicts"'


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_branch_of_a_series_whose_last_part_only_failed_to_clean_up(lab: Lab) -> None:
    write(lab.tools, {"verdicts/none/1.toml": 'recommendation = "approve"\n'})
    lab.make(project=SINGLE, machine=JUDGE)
    for name in ("a", "b"):
        task = (f"do: write src/debt.txt {name}", f"do: issues {REPORTED}")
        made = lab.cli("run", lab.plan(phase("F1", *task)), "--run-id", name)
        assert made.code == 0, made.err
        git(lab.project, "merge", "-q", "--ff-only", f"autonomous/{name}")
    done = lab.run(phase("F1", "do: write src/one.txt one"))
    assert done.code == 0, done.err
    run = lab.load("r-2")
    assert (run.state.value, run.snapshots) == ("DONE_SUCCESS", ()), run
    assert "refs/heads/autonomous/r-2" not in refs(lab.project)
    said = f"cleanup of {KEY} failed (does not fail the run): "
    assert f"  {said}" in done.out
    assert "  branch: autonomous/r, which holds what landed before\n" in done.out
    assert "  next: git log --oneline HEAD..autonomous/r\n" in done.out
    assert git(lab.project, "log", "--format=%s", "HEAD..autonomous/r")
    told = lab.cli("run", "view", "r-2", "--json").data["run"]
    assert (told["branch"], told["work_branch"]) == ("", "autonomous/r")
    assert [each["issue_key"] for each in told["cleanup_failures"]] == [KEY]
    text = summary(lab, "r-2")
    assert said in text.replace("\\", "")
    assert "- branch: none: nothing landed; what landed before is on autonomous/r\n" in text
    first = lab.cli("run", "view", "r").out
    assert "next: git log --oneline HEAD..autonomous/r\n" in first
    promoted = lab.cli("promote", "r-2")
    assert promoted.code == 0, promoted.out + promoted.err
    assert "pull request 1 (open)" in promoted.out
    assert git(lab.project, "rev-parse", "autonomous/r-2^") == lab.load("r").tip
    told = lab.cli("run", "view", "r-2", "--json").data["run"]
    assert (told["branch"], told["delivered"]) == ("autonomous/r-2", told["tip"])
    lab.check_sound()
