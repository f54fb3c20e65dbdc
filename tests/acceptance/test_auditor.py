"""Phases that land only with an auditor: recorded verdicts, and what comes of each."""

from __future__ import annotations

import pytest

from autopack.core.run import RunState
from tests.lab import Lab, phase
from tests.repos import write

JUDGE = 'auditor = "judge"\n[agents.judge]\ntype = "scripted"\npatches = "../tools/verdicts"\n'
RISKY = phase("F1", "do: tell src/prompt.md prompt", category="debt_cleanup")


def judged(lab: Lab, *verdicts: str) -> Lab:
    """A project whose auditor says these, one audit after the other."""
    given = {
        f"verdicts/F1/{number}.toml": f'recommendation = "{verdict}"\nnotes = "look at {number}"\n'
        for number, verdict in enumerate(verdicts, 1)
    }
    write(lab.tools, {"verdicts/none": "", **given})
    return lab.make(machine=JUDGE)


def test_approval_lets_it_be_tested_and_land(lab: Lab) -> None:
    done = judged(lab, "approve").run(RISKY)
    assert done.code == 0, done.err
    kinds = lab.kinds()
    assert kinds.index("audit_ended") < kinds.index("candidate_tested")
    assert lab.load().state is RunState.DONE_SUCCESS
    lab.check_sound()


def test_a_revision_is_one_more_attempt_that_knows_the_notes(lab: Lab) -> None:
    task = ("do: tell src/prompt.md prompt", "do 1: write src/one.txt one")
    done = judged(lab, "revise", "approve").run(phase("F1", *task, category="security_auth"))
    assert done.code == 0, done.err
    assert [each.recommendation.value for each in lab.of_kind("audit_ended")] == [
        "revise",
        "approve",
    ]
    found = lab.load().phase("F1")
    assert (found.attempts_used, found.attempts_granted) == (2, 1)
    prompts = list((lab.root / "state" / "logs").rglob("attempt-2/prompt.md"))
    assert [text.read_text().count("look at 1") for text in prompts] == [1]


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [("escalate", "the auditor escalates: look at 1"), ("", "the auditor's attempts are spent")],
)
def test_escalation_and_silence_end_before_a_person(lab: Lab, verdict: str, reason: str) -> None:
    done = judged(lab, *([verdict] if verdict else [])).run(RISKY)
    assert done.code == 1, done.err
    run = lab.load()
    assert run.state is RunState.DONE_FAILED_REQUIRES_HUMAN_REVIEW
    assert run.failure
    assert run.failure.reason.startswith(reason)
    assert "candidate_tested" not in lab.kinds()
    assert list(lab.kept()) == ["F1/1"]
    assert not lab.delivered()


def test_without_an_auditor_such_a_plan_is_refused_and_nothing_is_written(lab: Lab) -> None:
    done = lab.make().run(RISKY, options=("--json",))
    assert done.code == 2
    assert "no auditor, which these phases need to land: F1" in done.err
    assert done.out == ""
    for name in ("data", "state", "cache", "project/.autonomous_runs"):
        assert not (lab.root / name).exists(), name
    lab.check_untouched()
