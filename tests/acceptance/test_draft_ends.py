"""How a draft ends otherwise: cancelled at work, too dear for its run, or on another base."""

from __future__ import annotations

import pytest

from tests.acceptance.test_draft import GOOD, says
from tests.lab import Lab, until


@pytest.mark.slow
def test_a_draft_under_way_is_cancelled_and_made_again(lab: Lab) -> None:
    lab.make()
    goal = "\n".join(["do: hang 60", says(GOOD)])
    started = lab.start("run", "--goal", goal, "--run-id", "r")
    until(lambda: list(lab.root.glob("state/clones/r/_plan/*/src")), "the agent works")
    assert lab.cli("run", "list", "--json").data["runs"][0]["state"] == "PLAN_BOOTSTRAP"
    assert lab.cli("run", "cancel", "r").code == 0
    assert started.wait(30) == 1
    run = lab.load()
    assert run.failure is not None
    assert run.failure.reason.startswith("cancelled")
    assert run.draft is None
    assert not lab.delivered()
    (lab.tools / "go").write_text("")
    again = lab.cli("run", "retry", "r")
    assert again.code == 0, again.err
    assert len(lab.load("r-r1").snapshots) == 2
    lab.check_sound()


def test_a_plan_must_fit_into_what_its_draft_left(lab: Lab) -> None:
    lab.make()
    goal = "\n".join(["do: tokens 60000", says(GOOD)])
    done = lab.cli("run", "--goal", goal, "--run-id", "r", "--token-cap", "100000")
    assert done.code == 1, done
    first, *_ = (event.findings[0].message for event in lab.of_kind("plan_rejected"))
    assert "the run has 40,000 left of 100,000, its plan took 60,000" in first
    assert "--token-cap 360000 is the least" in first
    run = lab.load()
    assert (run.state.value, run.tokens_spent) == ("DONE_FAILED_BUDGET_EXHAUSTED", 120_000)
    assert not run.snapshots
    lab.check_sound()


@pytest.mark.slow
def test_only_a_plan_is_no_work_to_do_again(lab: Lab) -> None:
    lab.make()
    assert lab.cli("run", "--goal", says(GOOD), "--run-id", "r", "--plan-only").code == 0
    done = lab.cli("run", "retry", "r", "--onto", "main")
    assert (done.code, "for its plan only" in done.err) == (2, True), done
    assert "comprehensive_plan.md" in done.err
