"""Six runs of one project: a minor issue appears, ages, is cleaned, resolves, and returns."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.lab import Lab, phase
from tests.repos import git, write

KEY = "messy__debt_file"
DEBT = f"debt-{hashlib.sha256(KEY.encode()).hexdigest()[:8]}"
REPORTED = json.dumps([{
    "issue_key": KEY, "category": "mess", "description": "debt.txt is dirty",
    "evidence_refs": ["path:src/debt.txt", "test:lab::clean"],
}])  # fmt: skip
PATCH = """\
diff --git a/src/debt.txt b/src/debt.txt
--- a/src/debt.txt
+++ b/src/debt.txt
@@ -1 +1 @@
-dirty
+clean
"""
MACHINE = """\
auditor = "judge"
[agents.judge]
type = "scripted"
patches = "../tools/verdicts"
[agents.cleaner]
type = "scripted"
patches = "../tools/patches"
"""
RULES = {"version": 1, "agents": {"debt_cleanup": {"builder": "cleaner"}}}


def merged(lab: Lab, name: str, *doings: str) -> Lab:
    """A run that lands, and its branch merged by the user."""
    done = lab.cli("run", lab.plan(phase("F1", *doings)), "--run-id", name)
    assert done.code == 0, done.err + done.out
    git(lab.project, "merge", "-q", "--ff-only", f"autonomous/{name}")
    return lab


def entry(lab: Lab) -> dict[str, object]:
    listed = lab.cli("issues", "list", "--all", "--json")
    assert listed.code == 0, listed.err
    return dict(listed.data["issues_by_key"][KEY])


def planned(lab: Lab) -> list[str]:
    """The phases that a next run would have."""
    done = lab.cli("run", lab.plan(phase("F1", "do: write src/x.txt x")), "--dry-run", "--json")
    assert done.code == 0, done.err
    return [str(each) for each in done.data["dry_run"]["order"]]


def filed_issues(lab: Lab, run_id: str) -> list[dict[str, object]]:
    """The issues in the file of the run's first phase."""
    file = lab.project / ".autonomous_runs" / run_id / "issues" / "phase_01_F1_issues.json"
    return list(json.loads(file.read_text())["issues"])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_issue_over_six_runs(lab: Lab) -> None:
    write(lab.tools, {
        f"verdicts/{DEBT}/1.toml": 'recommendation = "approve"\n', f"patches/{DEBT}/1.patch": PATCH
    })  # fmt: skip
    lab.make(machine=MACHINE)
    rules = lab.project / ".autonomous_runs" / "project_ruleset_lab.json"
    rules.parent.mkdir()
    rules.write_text(json.dumps(RULES))

    dirty = ("do: write src/debt.txt dirty", f"do: issues {REPORTED}")
    merged(lab, "r1", *dirty)
    assert (entry(lab)["status"], entry(lab)["age_in_runs"]) == ("open", 1)
    assert planned(lab) == ["F1"]

    merged(lab, "r2", "do: write src/two.txt two", f"do: issues {REPORTED}")
    aged = entry(lab)
    assert (aged["status"], aged["age_in_runs"], aged["age_in_tiers"]) == ("needs_cleanup", 2, 2)
    assert planned(lab) == ["F1", DEBT]
    shown = lab.cli("run", lab.plan(phase("F1", "do: write src/x.txt x")), "--dry-run").out
    assert "debt_cleanup" in shown
    assert f"{DEBT} cleans up the known issue {KEY}" in shown
    assert "src/debt.txt" in shown

    merged(lab, "r3", "do: tell src/prompt.txt prompt")
    run = lab.load("r3")
    spec = run.phase(DEBT).spec
    assert (spec.task_category, spec.complexity, spec.scope, spec.cleans) == (
        "debt_cleanup", "medium", ("src/debt.txt",), KEY
    )  # fmt: skip
    assert run.resolved == (KEY,)
    written = (lab.project / ".autonomous_runs/r3/comprehensive_plan.md").read_text()
    assert "### Phase F1" in written
    assert DEBT not in written
    assert "1 phase for known issues, which a run adds by itself" in written
    assert (lab.project / "src/debt.txt").read_text() == "clean\n"
    done = entry(lab)
    assert (done["status"], done["resolved_by"], done["cleaned_in"]) == ("resolved", "r3", "r3")

    merged(lab, "r4", "do: write src/four.txt four")
    assert entry(lab)["status"] == "resolved"
    assert planned(lab) == ["F1"]

    write(lab.tools, {"verdicts/F1/1.toml": 'recommendation = "approve"\n'})  # it is skipped again
    merged(lab, "r5", *dirty)
    back = entry(lab)
    assert (back["status"], back["age_in_runs"], back["resolved_before"]) == ("needs_cleanup", 3, 1)
    assert (back["first_seen_run_id"], back["last_seen_run_id"]) == ("r1", "r5")
    (filed,) = filed_issues(lab, "r5")
    assert (filed["issue_key"], filed["first_seen_run"], filed["last_seen_run"]) == (
        KEY,
        "r1",
        "r5",
    )

    merged(lab, "r6", "do: write src/six.txt six")
    assert lab.load("r6").resolved == (KEY,)
    assert (entry(lab)["status"], entry(lab)["resolved_before"]) == ("resolved", 1)

    late = lab.cli("issues", "record", "r2", "F1", KEY, "--description", "still there")
    assert late.code == 0, late.err
    assert (entry(lab)["status"], entry(lab)["resolved_before"]) == ("needs_cleanup", 2)
    assert entry(lab)["age_in_runs"] == 3
    lab.check_sound()
