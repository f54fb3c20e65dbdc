"""Reports of real runs through the command line: every shape, each as text, JSON and Markdown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.acceptance.terminal import Terminal
from tests.lab import CI, EPOCH, FILES, Lab, phase
from tests.repos import user_repository

GOOD = phase("P1", "do: write src/a.txt one", "do: tokens 400", category="docs")
LATE = phase("P2", "do 1: tokens 300", "do 2: write src/b.txt two", "do 2: tokens 500")
BAD = phase("P3", "do: tokens 70", "do: exit 3", complexity="low")
RUN = {
    "active_minutes", "ci_runs_used", "completed_at", "debt_status", "failure_cause",
    "failure_reason", "major_issues_count", "max_duration_minutes", "max_minor_issues_total",
    "minor_issues_count", "parked_minutes", "phase_count", "phase_states", "project_id", "run_id",
    "excess_issues", "part", "parts", "predecessor", "series", "tiers_to_come",
    "run_scope", "safety_profile", "started_at", "state", "tier_count", "token_cap",
    "token_utilization", "tokens_used",
}  # fmt: skip
TIER = {
    "budget_flags", "ci_run_cap", "ci_runs_used", "cleanliness", "major_issues_count",
    "max_major_issues_tolerated", "max_minor_issues_tolerated", "minor_issues_count", "name",
    "phase_count", "phase_states", "promotion_blocked", "state", "tier_id", "tier_index",
    "token_cap", "tokens_used",
}  # fmt: skip
PHASE = {
    "active_minutes", "auditor_attempts", "builder_attempts", "builder_mode", "checks", "ci_runs_used",
    "complexity", "failure_reason", "incident_token_cap", "limit", "major_issues_count",
    "max_auditor_attempts", "max_builder_attempts", "minor_issues_count", "name", "parked_minutes",
    "phase_id", "state", "task_category", "tier_id", "tokens_used", "tokens_wasted", "tries",
}  # fmt: skip


@pytest.mark.slow
def test_reports_of_a_run_that_failed_in_part(lab: Lab) -> None:
    lab.make()
    plan = lab.plan(GOOD, (LATE, BAD))
    nothing = lab.cli("report", "forecast", plan, "--json").data["forecast"]
    assert nothing["phases_without_data"] == ["P1", "P2", "P3"]
    assert {each["basis"] for each in nothing["slices"]} == {"no data"}
    assert "no data" in lab.cli("run", plan, "--dry-run").out
    assert lab.cli("report", "runs", "--json").data["runs"] == []

    assert lab.cli("run", plan, "--run-id", "r").code == 1
    (run,) = lab.cli("report", "runs", "--project", "lab", "--json").data["runs"]
    assert set(run) == RUN
    assert run["phase_states"] == {"COMPLETE": 2, "FAILED": 1}
    assert run["tokens_used"] == 400 + 300 + 500 + 2 * 70
    assert run["token_utilization"] == round(run["tokens_used"] / run["token_cap"], 4)
    assert lab.cli("report", "runs", "--state", "done_success", "--json").data["runs"] == []

    tiers = lab.cli("report", "tiers", "r", "--json").data["tiers"]
    assert [set(tier) for tier in tiers] == [TIER, TIER]
    assert [tier["tokens_used"] for tier in tiers] == [400, 940]

    review = lab.cli("report", "run", "r", "--json").data
    assert set(review) == {"schema_version", "run", "limit", "issues", "tokens_landed",
                           "tokens_planned", "tokens_wasted", "waste_share", "tiers", "draft",
                           "phases"}  # fmt: skip
    assert [set(each) for each in review["phases"]] == [PHASE] * 3
    assert (review["tokens_landed"], review["tokens_wasted"]) == (900, 440)
    assert review["phases"][2]["limit"] == review["limit"] == "max_builder_attempts"
    assert [(t["attempt"], t["result"], t["use"]) for t in review["phases"][1]["tries"]] == [
        (1, "empty", "wasted"),
        (2, "submitted", "landed"),
    ]

    budget = lab.cli("report", "budget", "--json").data
    assert set(budget) == {"schema_version", "project_id", "runs_looked_at", "total_budget_failures",
                           "average_token_utilization", "limits", "failures", "slices"}  # fmt: skip
    assert budget["limits"] == [{"limit": "max_builder_attempts", "runs": 1, "phases": 1}]
    assert budget["failures"][0]["tiers_responsible"] == ["T2"]
    assert {s["task_category"]: s["tokens"] for s in budget["slices"]} == {
        "docs": 400,
        "tests": 940,
    }

    forecast = lab.cli("run", plan, "--dry-run", "--json").data["forecast"]
    told = {s["category"]: (s["basis"], s["samples"], s["tokens"]) for s in forecast["slices"]}
    assert told == {
        "docs": ("same category, complexity and mode", 1, {"median": 400, "p90": 400}),
        "tests": ("same category, complexity and mode", 1, {"median": 800, "p90": 800}),
    }
    assert forecast["minutes"]["median"] > 0
    assert forecast["tokens"]["median"] == 400 + 2 * 800


@pytest.mark.slow
def test_reports_for_people(lab: Lab) -> None:
    hostile = GOOD.replace("does P1", "<script>alert(1)</script> [x](http://e) `|")
    lab.make().run(hostile)
    commands = (["runs"], ["tiers", "r"], ["run", "r"], ["budget"], ["backlog"],
                ["forecast", str(lab.plan(hostile, name="again"))])  # fmt: skip
    for command in commands:
        said = lab.cli("report", *command)
        assert (said.code, said.err) == (0, ""), said
        written = lab.cli("report", *command, "--markdown").out
        assert written.startswith("# ")
        tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(written)
        kinds = {t.type for t in tokens} | {c.type for t in tokens for c in t.children or ()}
        assert not kinds & {"html_block", "html_inline", "link_open", "image", "code_inline"}
    empty = lab.cli("report", "backlog", "--json").data
    assert (empty["project_id"], empty["total_issues"]) == ("lab", 0)
    assert set(empty) == {"schema_version", "project_id", "total_issues", "open_count",
                          "needs_cleanup_count", "resolved_count", "reopened_count",
                          "top_aging_issues", "top_recurring_issues", "needs_cleanup"}  # fmt: skip


def test_what_is_not_there_is_said(lab: Lab) -> None:
    lab.make()
    for command in (["run", "r"], ["tiers", "r"]):
        refused = lab.cli("report", *command)
        assert refused.code == 2
        assert "there is no run r" in refused.err
    refused = lab.cli("report", "runs", "--state", "DONE_SUCCES")
    assert refused.code == 2
    assert "did you mean DONE_SUCCESS?" in refused.err
    assert lab.cli("report", "runs", "--limit", "0").code == 2


@pytest.mark.slow
def test_a_run_ended_when_it_ended(lab: Lab) -> None:
    lab.make().run(GOOD)
    before = lab.cli("report", "run", "r", "--json").data["run"]
    assert (before["started_at"], before["completed_at"]) == (EPOCH, EPOCH)
    lab.variables["SOURCE_DATE_EPOCH"] = str(EPOCH + 3600)
    assert lab.cli("issues", "record", "r", "P1", "seen__later").code == 0
    assert lab.events()[-1].happened.at == EPOCH + 3600
    assert lab.cli("report", "run", "r", "--json").data["run"] == {
        **before, "minor_issues_count": 1, "debt_status": "has_minor_issues",
    }  # fmt: skip
    (listed,) = lab.cli("report", "runs", "--json").data["runs"]
    assert listed["completed_at"] == EPOCH


@pytest.mark.slow
def test_reports_are_of_the_project_one_stands_in(lab: Lab) -> None:
    lab.make().run(GOOD)
    toml = (lab.project / "autopack.toml").read_text().replace('id = "lab"', 'id = "other"')
    other = lab.root / "other"
    user_repository(other, {**FILES, "autopack.toml": toml, "ci.py": CI})
    assert lab.cli("run", lab.plan(GOOD), "--run-id", "o", cwd=other).code == 0

    def told(*options: str, cwd: Path = lab.project) -> tuple[str | None, list[str]]:
        runs = lab.cli("report", "runs", "--json", *options, cwd=cwd).data
        return runs["project_id"], [run["run_id"] for run in runs["runs"]]

    assert told() == ("lab", ["r"])
    assert told("--project", "other") == ("other", ["o"])
    assert told("--all-projects") == told(cwd=lab.root / "home") == (None, ["o", "r"])
    shown = lab.cli("report", "runs", cwd=other).out
    assert shown.startswith("project other of this folder: 1 run\n")
    assert "  RUN  PROJECT  STATE" in shown
    for options, looked_at in (((), 1), (("--all-projects",), 2)):
        budget = lab.cli("report", "budget", "--json", *options).data
        assert budget["runs_looked_at"] == looked_at
    refused = lab.cli("report", "budget", "--project", "othr")
    assert refused.code == 2
    assert "did you mean other?" in refused.err
    assert lab.cli("report", "runs", "--project", "lab", "--all-projects").code == 2


@pytest.mark.slow
def test_a_report_has_one_form(lab: Lab) -> None:
    lab.make().run(GOOD)
    for report in (["runs"], ["tiers", "r"], ["backlog"], ["budget"], ["run", "r"],
                   ["forecast", str(lab.plan(GOOD))]):  # fmt: skip
        refused = lab.cli("report", *report, "--json", "--markdown")
        assert (refused.code, refused.out) == (2, "")
        assert json.loads(refused.err)["hint"] == "leave one out"


@pytest.mark.slow
def test_reports_fit_a_terminal(lab: Lab) -> None:
    doubt = json.dumps([{"issue_key": "one__" + "x" * 60, "severity": "major"}])
    lab.make().run(GOOD + f"do: issues {doubt}\n")
    lab.variables["COLUMNS"] = "80"
    for command in ("report runs", "report run r", "report tiers r", "report budget",
                    "report backlog", "issues list"):  # fmt: skip
        with Terminal(lab, *command.split()) as terminal:
            assert terminal.wait() == 0
            lines = terminal.read().replace("\r", "").splitlines()
            assert lines
            assert max(map(len, lines)) <= 80, terminal.shown
    assert "excess issues (tier T1: 1 major of 0)" in lab.cli("report", "run", "r").out
    assert "  1 major issue, debt: excess issues (tier T1: 1 major of 0)\n" in (
        lab.cli("run", "view", "r").out
    )
    listed = lab.cli("issues", "list").out
    assert "SEVERITY  COUNTS AS" in listed
    assert "seen 1 time in" in lab.cli("issues", "record", "r", "P1", "another").out
