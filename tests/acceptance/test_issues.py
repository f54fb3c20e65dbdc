"""Issues of a run, from who reports them to the files and views: agents, auditors, tests that stay red."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autopack.core.run import RunState
from tests.lab import Lab, phase, until
from tests.process.ground import alive, new_mark
from tests.repos import git, write

DOUBT = {
    "issue_key": "one__is_untested",
    "severity": "minor",
    "category": "tests",
    "evidence_refs": ["path:src/one.txt:1", "test:lab::works"],
    "description": "one has no test \u202e of its own",
}
WRITE = "do: write src/one.txt one"
ONE = phase("F1", WRITE, f"do: issues {json.dumps([DOUBT])}")
JUDGE = 'auditor = "judge"\n[agents.judge]\ntype = "scripted"\npatches = "../tools/verdicts"\n'


def files(lab: Lab, run_id: str = "r") -> dict[str, Any]:
    folder = lab.project / ".autonomous_runs" / run_id / "issues"
    return {path.name: json.loads(path.read_text()) for path in sorted(folder.iterdir())}


def keys(lab: Lab, name: str = "phase_01_F1_issues.json", run_id: str = "r") -> list[str]:
    return [each["issue_key"] for each in files(lab, run_id)[name]["issues"]]


def viewed(lab: Lab, run_id: str = "r") -> dict[str, Any]:
    done = lab.cli("run", "view", run_id, "--json")
    assert done.code == 0, done.err
    return dict(done.data["run"])


def backlog(lab: Lab) -> dict[str, dict[str, Any]]:
    done = lab.cli("issues", "list", "--all", "--json")
    assert done.code == 0, done.err
    return dict(done.data["issues_by_key"])


def test_an_agents_doubt_is_in_files_views_and_backlog(lab: Lab) -> None:
    lab.make()
    tells = phase("F2", "do: tell src/prompt.md prompt", needs="F1")
    done = lab.run((ONE, tells))
    assert done.code == 0, done.err
    found = files(lab)
    assert list(found) == [
        "phase_01_F1_issues.json", "phase_02_F2_issues.json", "run_issue_index.json",
    ]  # fmt: skip
    assert found["phase_01_F1_issues.json"] == {
        "phase_id": "F1", "tier_id": "T1", "minor_issue_count": 1, "major_issue_count": 0,
        "issue_state": "has_minor_issues",
        "issues": [{
            "issue_key": "one__is_untested", "severity": "minor", "effective_severity": "minor",
            "source": "self_doubt", "category": "tests", "task_category": "tests",
            "complexity": "low", "expected_fail": False, "occurrence_count": 1,
            "first_seen_run": "r", "last_seen_run": "r",
            "evidence_refs": ["path:src/one.txt:1", "test:lab::works"],
            "description": "one has no test  of its own",
        }],
    }  # fmt: skip
    assert found["phase_02_F2_issues.json"]["issue_state"] == "no_issues"
    entry = found["run_issue_index.json"]["issues_by_key"]["one__is_untested"]
    assert (entry["seen_in_phases"], entry["seen_in_tiers"]) == (["F1"], ["T1"])

    run = viewed(lab)
    assert (run["minor_issue_count"], run["debt_status"]) == (1, "has_minor_issues")
    assert [each["issue_keys"] for each in run["tiers"][0]["phases"]] == [
        ["one__is_untested"], [],
    ]  # fmt: skip
    shown = lab.cli("run", "view", "r").out
    assert "  1 minor issue, debt: has minor issues\n" in shown
    assert "one__is_untested" in shown
    assert backlog(lab)["one__is_untested"]["last_seen_run_id"] == "r"
    prompt = git(lab.project, "show", "autonomous/r:src/prompt.md")
    assert "- one__is_untested (minor): one has no test" in prompt, "the next phase knows of it"
    message = git(lab.project, "log", "--format=%B", "autonomous/r")
    assert "one__is_untested" not in message, "no text of an agent is in the branch's messages"
    lab.check_sound()
    lab.check_untouched()


@pytest.mark.slow
def test_a_repeat_counts_once_and_happens_often(lab: Lab) -> None:
    lab.make()
    task = ("do 1: write state/mode red", "do 2: write src/one.txt one")
    done = lab.run(phase("F1", *task, f"do: issues {json.dumps([DOUBT])}"))
    assert done.code == 0, done.err
    (issue,) = files(lab)["phase_01_F1_issues.json"]["issues"]
    assert issue["occurrence_count"] == 2
    assert viewed(lab)["minor_issue_count"] == 1


@pytest.mark.slow
def test_an_auditors_issue_is_the_auditors(lab: Lab) -> None:
    said = (
        'recommendation = "approve"\n'
        '[[issues]]\nissue_key = "naming__odd"\nseverity = "major"\ndescription = "odd names"\n'
    )
    write(lab.tools, {"verdicts/F1/1.toml": said})
    lab.make(machine=JUDGE)
    done = lab.run(phase("F1", WRITE, category="debt_cleanup"))
    assert done.code == 0, done.err
    (issue,) = files(lab)["phase_01_F1_issues.json"]["issues"]
    assert (issue["source"], issue["severity"], issue["issue_key"]) == (
        "auditor", "major", "naming__odd",
    )  # fmt: skip
    run = viewed(lab)
    assert run["state"] == "DONE_SUCCESS"
    assert run["tiers"][0]["cleanliness"] == "not_clean", "no major issue is tolerated"
    assert run["debt_status"] == "excess_minor_issues"
    assert ", not clean, 1 major issue" in lab.cli("run", "view", "r").out
    summary = lab.project / ".autonomous_runs/r/run_summary.md"
    assert "- debt: excess issues (tier T1: 1 major of 0)\n" in summary.read_text()


@pytest.mark.slow
def test_a_test_that_stays_red_is_an_issue_and_resolves_when_it_is_green(lab: Lab) -> None:
    lab.make()
    done = lab.run(phase("F1", "do: write state/mode red", "do 2: write src/x.txt x"))
    assert done.code == 1, done.err
    assert lab.load().state is RunState.DONE_FAILED_REQUIRES_HUMAN_REVIEW
    (issue,) = files(lab)["phase_01_F1_issues.json"]["issues"]
    assert issue["source"] == "test"
    assert issue["evidence_refs"] == ["test:lab::works"]
    assert "it is red" in issue["description"]
    key = issue["issue_key"]
    assert key.startswith("test_failure__lab_works__")
    assert backlog(lab)[key]["status"] == "open"

    again = lab.cli("run", lab.plan(phase("F1", WRITE)), "--run-id", "later")
    assert again.code == 0, again.err
    assert [event.passed for event in lab.of_kind("candidate_tested", "later")] == [("lab::works",)]
    assert viewed(lab, "later")["resolved_issues"] == [key]
    assert backlog(lab)[key]["status"] == "resolved"
    lab.check_sound()


@pytest.mark.slow
def test_red_tests_beyond_those_that_are_named_are_told(lab: Lab) -> None:
    case = "<testcase classname='lab' name='t%d'><failure message='no'/></testcase>"
    ci = (
        "import sys\nfrom pathlib import Path\n"
        "many = 25 if Path('src/one.txt').exists() else 0\n"
        f"cases = ''.join({case!r} % n for n in range(many)) or '<testcase name=\"ok\"/>'\n"
        "Path(sys.argv[1]).write_text(f'<testsuite>{cases}</testsuite>')\nsys.exit(many > 0)\n"
    )
    lab.make(files={"ci.py": ci})
    assert lab.run(phase("F1", WRITE)).code == 1
    assert len(keys(lab)) == 20
    told = (lab.project / ".autonomous_runs/r/phases/phase_01_F1.md").read_text()
    assert "| and 5 more at least |" in told
    lab.check_sound()


@pytest.mark.slow
def test_a_retry_knows_what_its_predecessor_left(lab: Lab) -> None:
    ci = (
        "import sys\nfrom pathlib import Path\n"
        "red = Path('src/one.txt').exists() and not Path('state/mended').exists()\n"
        "case = \"<testcase classname='lab' name='works'>%s</testcase>\"\n"
        "said = case % ('<failure message=\"no\"/>' * red)\n"
        "Path(sys.argv[1]).write_text(f'<testsuite>{said}</testsuite>')\nsys.exit(red)\n"
    )
    lab.make(files={"ci.py": ci})
    assert lab.run(phase("F1", WRITE)).code == 1
    (key,) = backlog(lab)
    write(lab.project, {"state/mended": "yes\n"})
    git(lab.project, "add", "state")
    git(lab.project, "commit", "-qm", "mended")
    again = lab.cli("run", "retry", "r", "--onto", "main", "--json")
    assert again.code == 0, again.err
    assert [known.issue_key for known in lab.load("r-r1").spec.known_issues] == [key]
    assert backlog(lab)[key]["resolved_by"] == "r-r1"


@pytest.mark.slow
def test_evidence_that_names_nothing_is_refused_and_its_help_shows_how(lab: Lab) -> None:
    lab.make()
    assert lab.run(phase("F1", WRITE)).code == 0
    for ref in (
        "path:src/a.txt:abc",
        "path:src/a.txt:0",
        "path:src/a.txt:-1",
        "path:",
        "test:",
        "",
    ):
        done = lab.cli("issues", "record", "r", "F1", "k", f"--evidence={ref}")
        assert (done.code, "evidence_refs: " in done.err) == (2, True), ref
    assert backlog(lab) == {}
    told = ("path:src/a.txt:12", "path:src/a.txt", "test:lab::works", "12:30 it broke: see x")
    done = lab.cli("issues", "record", "r", "F1", "k", *(f"--evidence={each}" for each in told))
    assert done.code == 0, done.err
    assert set(backlog(lab)["k"]["evidence_refs"]) == set(told)
    shown = " ".join(lab.cli("issues", "record", "--help").out.split())
    assert "test:<id>, path:<file>[:<line>] or text" in shown


@pytest.mark.slow
def test_a_cached_green_result_resolves_too(lab: Lab) -> None:
    lab.make()
    assert lab.run(phase("F1", WRITE)).code == 0
    told = ("issues", "record", "r", "F1", "flaky", "--evidence", "test:lab::works")
    assert lab.cli(*told).code == 0
    again = lab.cli("run", lab.plan(phase("F1", WRITE)), "--run-id", "later")
    assert again.code == 0, again.err
    (tested,) = lab.of_kind("candidate_tested", "later")
    assert (tested.cached, tested.passed) == (True, ("lab::works",))
    assert backlog(lab)["flaky"]["status"] == "resolved"


@pytest.mark.slow
@pytest.mark.parametrize(
    "said",
    [
        "issues not JSON",
        'issues [{"issue_key": "../../../etc/passwd"}]',
        'issues [{"issue_key": "good"}, {"issue_key": "a/b"}]',
        'issues [{"issue_key": "k", "evidence_refs": ["path:../../secret"]}]',
        'issues [{"issue_key": "k", "effective_severity": "minor"}]',
        "flood 100000",
        "flood 3000000",
    ],
)
def test_a_hostile_file_is_ignored_and_the_attempt_is_not(lab: Lab, said: str) -> None:
    lab.make()
    done = lab.run(phase("F1", WRITE, f"do: {said}"))
    assert done.code == 0, done.err
    assert keys(lab) == []
    assert backlog(lab) == {}
    (log,) = (lab.root / "state" / "logs").rglob("agent.log")
    why = "its issues file is ignored: "
    assert why in log.read_text()
    (ended,) = lab.of_kind("attempt_ended")
    assert (ended.evidence, ended.note.startswith(why), len(ended.note) < 2_001) == (
        None,
        True,
        True,
    )
    assert f"F1  attempt 1 submitted: {why}" in lab.cli("run", "view", "r").out
    assert why in lab.cli("events", "list", "r", "--json").out
    (page,) = (lab.project / ".autonomous_runs/r/phases").glob("*F1*.md")
    assert why in page.read_text()
    written = {path.name for path in (lab.project / ".autonomous_runs/r/issues").rglob("*")}
    assert written == {"phase_01_F1_issues.json", "run_issue_index.json"}
    lab.check_untouched()


@pytest.mark.slow
def test_half_a_surrogate_pair_is_kept_as_what_stands_for_it(lab: Lab) -> None:
    lab.make()
    said = 'issues [{"issue_key": "odd", "description": "\\ud800", "category": "a\\udfffb"}]'
    done = lab.run(phase("F1", WRITE, f"do: {said}"))
    assert done.code == 0, done.err
    (found,) = lab.load().phases[0].issues
    assert (found.description, found.category) == ("\ufffd", "a\ufffdb")
    assert "notes on attempts" not in lab.cli("run", "view", "r").out


@pytest.mark.slow
def test_issues_survive_a_supervisor_and_their_files(lab: Lab) -> None:
    mark = new_mark()
    lab.make()
    hangs = phase("F2", f"do 1: hang {mark}", "do: write src/two.txt two", needs="F1")
    started = lab.start("run", lab.plan((ONE, hangs)), "--run-id", "r")
    until(lambda: alive(mark), "the second agent works")
    folder = lab.project / ".autonomous_runs/r/issues"
    until((folder / "phase_01_F1_issues.json").exists, "the first phase has its file")
    before = (folder / "phase_01_F1_issues.json").read_bytes()
    started.kill()
    started.wait(20)
    lab.close()
    for path in folder.iterdir():
        path.unlink()
    Path(lab.tools / "go").touch()
    done = lab.cli("run", "watch", "r")
    assert done.code == 0, done.err
    assert (folder / "phase_01_F1_issues.json").read_bytes() == before
    assert keys(lab, "phase_02_F2_issues.json") == []
    (issue,) = files(lab)["phase_01_F1_issues.json"]["issues"]
    assert issue["occurrence_count"] == 1
    lab.check_sound()
