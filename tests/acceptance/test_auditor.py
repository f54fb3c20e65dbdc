"""Phases that land only with an auditor: recorded verdicts, and what comes of each."""

from __future__ import annotations

import pytest

from autopack.core.run import RunState
from tests.lab import Lab, phase
from tests.repos import git, write

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


@pytest.mark.slow
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


# --- asked about more than approval ---------------------------------------------------------------

PATCH = """\
diff --git a/src/app.txt b/src/app.txt
--- a/src/app.txt
+++ b/src/app.txt
@@ -1 +1 @@
-first
+mended
diff --git a/outside.txt b/outside.txt
deleted file mode 100644
--- a/outside.txt
+++ /dev/null
@@ -1 +0,0 @@
-here
"""
"""On top of the refused work, of which it takes out what was refused."""


def asked(lab: Lab) -> list[str]:
    """Why the auditor was asked, each time."""
    return [each.reason for each in lab.of_kind("audit_ended")]


@pytest.mark.slow
def test_spent_attempts_end_in_its_patch_which_gate_and_ci_judge(lab: Lab) -> None:
    write(lab.tools, {"verdicts/F1/1.patch": PATCH})
    task = ("do: write outside.txt here",)  # out of scope, each time
    done = judged(lab, "approve").run(phase("F1", *task))
    assert done.code == 0, done.err
    assert asked(lab)[0].startswith("no attempt is left after 2 attempts; the last: the gate")
    run = lab.load()
    landed = run.phase("F1").candidate
    assert landed is not None
    assert landed.name == "2.a1"
    assert git(lab.project, "show", "autonomous/r:src/app.txt") == "mended"
    assert "outside.txt" not in git(lab.project, "ls-tree", "-r", "--name-only", "autonomous/r")
    lab.check_sound()


def test_what_was_red_to_the_end_does_not_land_by_approval(lab: Lab) -> None:
    done = judged(lab, "approve").run(phase("F1", "do: write state/mode red"))
    assert done.code == 1
    failure = lab.load().failure
    assert failure
    assert "no attempt is left after" in failure.reason
    assert failure.reason.endswith("the auditor agrees: look at 1")
    assert not lab.delivered()


@pytest.mark.slow
def test_a_major_issue_and_a_high_risk_are_looked_at_before_ci(lab: Lab) -> None:
    told = '[{"issue_key": "race__queue", "severity": "major", "description": "two writers"}]'
    tiers = (
        phase("F1", "do: write src/one.txt one", f"do: issues {told}"),
        phase("F2", "do: write src/two.txt two", complexity="high"),
    )
    write(lab.tools, {"verdicts/F2/1.toml": 'recommendation = "approve"\n'})
    done = judged(lab, "approve").run(*tiers)
    assert done.code == 0, done.err
    assert asked(lab) == ["major issues: race__queue", "high risk: tests, complexity high"]
    shown = lab.cli("run", "view", "r").out + lab.cli("events", "list", "r").out
    assert "asked because: major issues: race__queue" in shown


def test_a_program_is_told_all_that_is_known(lab: Lab) -> None:
    """Reason, evidence, changed files and known issues stand in the auditor's prompt."""
    told = '[{"issue_key": "race__queue", "description": "two writers"}]'
    task = ("do: write src/one.txt one", "do: write outside.txt x", f"do: issues {told}")
    command = lab.command("{prompt_file}")
    lab.make(machine=f'auditor = "judge"\n[agents.judge]\n{command}\n').run(phase("F1", *task))
    first = min((lab.root / "state" / "logs").rglob("audit-*/prompt.md"))
    prompt = first.read_text()
    for word in (
        "no attempt is left after 2 attempts", "the gate refused the change", "[scope] outside.txt",
        "added  src/one.txt  (1 lines)", "race__queue (minor): two writers",
    ):  # fmt: skip
        assert word in prompt, word
    assert asked(lab)
    assert lab.load().state is RunState.DONE_FAILED_POLICY_VIOLATION
