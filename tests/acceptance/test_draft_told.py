"""What people are told of drafts: by salvage, reports, views and the run's story."""

from __future__ import annotations

import pytest

from tests.acceptance.test_draft import BAD, FILE, GOOD, draft, says
from tests.lab import Lab, phase


def test_a_draft_that_became_the_plan_is_no_salvage(lab: Lab) -> None:
    assert draft(lab, says(BAD, " 1"), says(GOOD, " 2")) == 0
    (work,) = lab.cli("salvage", "r", "--json").data["works"]
    assert (work["phase_id"], work["name"], work["files"]) == ("_plan", "1", [FILE])
    assert work["why"].startswith(f"the draft is no plan: plan: {FILE}:")
    assert "unknown phase 'P9'" in work["why"]


@pytest.mark.slow
def test_what_drafting_took_is_told_and_is_no_landed_work(lab: Lab) -> None:
    lines = ("do 1: tokens 40", says(BAD, " 1"), "do 2: tokens 70", says(GOOD, " 2"))
    assert draft(lab, *lines, options=("--plan-only",)) == 0
    review = lab.cli("report", "run", "r", "--json").data
    numbers = [review[f"tokens_{use}"] for use in ("landed", "planned", "wasted")]
    assert numbers == [0, 70, 40]
    assert [(t["tokens"], t["use"]) for t in review["draft"]["tries"]] == [
        (40, "wasted"),
        (70, "planned"),
    ]
    assert [each["phase_id"] for each in review["phases"]] == ["P1", "P2"]
    told = lab.cli("report", "run", "r").out
    assert "of which for the plan: 70\n  of which landed: 0\n" in told
    assert "nothing was tried yet" not in told
    assert [line.split()[-2:] for line in told.splitlines() if line.startswith("  _plan")][1:] == [
        ["40", "wasted"],
        ["70", "planned"],
    ]
    (shown,) = (s for s in lab.cli("run", "view", "r").out.splitlines() if s.startswith("  _plan"))
    assert shown.split() == ["_plan", "COMPLETE", "2", "attempts", "110", "tokens"]
    assert lab.cli("run", "view", "r", "--json").data["run"]["draft"]["tokens_spent"] == 110


@pytest.mark.slow
def test_a_draft_of_several_runs_is_told_as_a_whole(lab: Lab) -> None:
    tiers = [f"## Tier T{n}: part\n\n{phase(f'P{n}', f'do: write src/{n}.txt a')}" for n in (1, 2)]
    text = "\n\n".join(["# In parts", *tiers])
    lab.make(project='[run]\nrun_scope = "single_tier"')
    assert lab.cli("run", "--goal", says(text), "--run-id", "r").code == 0
    assert "the draft is a plan of 2 phases in 2 runs" in lab.cli("events", "list", "r").out


@pytest.mark.slow
def test_a_finding_names_its_place_once(lab: Lab) -> None:
    fenced = f"Here it is:\n\n```markdown\n{GOOD}\n```\n"
    assert draft(lab, says(BAD, " 1"), says(fenced, " 2"), says(GOOD, " 3")) == 0
    need, fence = (event.findings[0] for event in lab.of_kind("plan_rejected"))
    assert (need.path, need.line > 1, need.message.startswith("needs: ")) == (FILE, True, True)
    assert (fence.path, fence.line) == (FILE, 3)
    assert "its headings stand inside a code fence" in fence.message
