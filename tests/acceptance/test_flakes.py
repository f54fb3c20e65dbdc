"""Red tests that are not the builder's doing, and tests that go: through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from autopack.core.run import RunState
from tests.lab import Lab, phase
from tests.repos import write

SUITE: Final = Path(__file__).parents[1].joinpath("suite.py").read_text(encoding="utf-8")
CI: Final = (
    'commands = [{ run = "python3 suite.py {report}", report = "junit", seconds_max = 30,'
    ' rerun = "python3 suite.py {report} {tests}" }]'
)
JUDGE: Final = (
    'auditor = "judge"\n[agents.judge]\ntype = "scripted"\npatches = "../tools/verdicts"\n'
)


def made(lab: Lab, machine: str = "", **modes: str) -> Lab:
    """A project whose tests behave so."""
    files = {"suite.py": SUITE, "tests/a.json": json.dumps(modes)}
    return lab.make(ci=CI, machine=machine, files=files)


def test_a_flaky_and_an_old_failure_cost_no_attempt_and_are_remembered(lab: Lab) -> None:
    """Twice in a phase and in two of them: each failure is one issue of the run, seen once."""
    done = made(lab, one="green", two="flaky", three="red").run(
        phase("F1", "do: write src/a.txt a"), phase("F2", "do: write src/b.txt b")
    )
    assert done.code == 0, done.err
    run = lab.load()
    assert [p.attempts_used for p in run.phases] == [1, 1]
    assert [p.ci_runs_used for p in run.phases] == [1, 1]
    kinds = [
        [each.kind.value for each in event.exonerated] for event in lab.of_kind("candidate_tested")
    ]
    assert kinds == [["flaky", "pre_existing"]] * 2
    issues = [found for p in run.phases for found in p.issues]
    assert sorted(found.issue_key.split("-")[0] for found in issues) == ["flake", "pre"]
    assert [found.occurrence_count for found in issues] == [1, 1]

    listed = lab.cli("issues", "list")
    assert "quarantined until 2026-01-15" in listed.out
    (key,) = [found.issue_key for found in issues if found.issue_key.startswith("flake-")]
    shown = lab.cli("issues", "show", key)
    assert "evidence: flaky:tests.a::two" in shown.out
    assert "2026-01-15" in lab.cli("report", "backlog").out
    told = "\n".join(
        path.read_text() for path in lab.project.glob(".autonomous_runs/r/phases/*.md")
    )
    assert "1 flaky, 1 red before" in told
    lab.check_sound()


@pytest.mark.slow
def test_strict_knows_the_flakes_of_earlier_runs(lab: Lab) -> None:
    """A green run does not resolve what is flaky, and a quarantine ends."""
    made(lab, one="green", two="flaky")
    strict = ("--safety-profile", "safety_critical")
    plan = lab.plan(phase("F1", "do: write src/a.txt a"))
    first = lab.cli("run", plan, "--run-id", "r1", *strict)
    assert first.code == 1, first.err
    assert "strict lets no unknown flake pass" in lab.cli("run", "view", "r1").out + first.err
    assert lab.cli("run", plan, "--run-id", "r2").code == 0
    assert lab.cli("run", plan, "--run-id", "r3", *strict).code == 0
    lab.variables["SOURCE_DATE_EPOCH"] = str(1_767_225_600 + 15 * 86_400)
    late = lab.cli("run", plan, "--run-id", "r4", *strict)
    assert late.code == 1, late.err
    assert "quarantine ended 2026-01-15" in lab.cli("issues", "list").out


@pytest.mark.slow
@pytest.mark.parametrize("verdict", ["approve", "escalate", ""])
def test_a_test_that_vanishes_asks_the_auditor_after_green(lab: Lab, verdict: str) -> None:
    """CI's verdict is kept: approved of, it lands without another test."""
    task = ('do: write tests/a.json {"one": "green"}',)
    verdicts = {"verdicts/F1/1.toml": f'recommendation = "{verdict}"\nnotes = "two was no use"\n'}
    write(lab.tools, {"verdicts/none": "", **(verdicts if verdict else {})})
    made(lab, JUDGE if verdict else "", one="green", two="green")
    done = lab.run(phase("F1", *task, scope="**"))
    run = lab.load()
    tested = lab.of_kind("candidate_tested")
    assert [(f.rule, f.test) for f in tested[0].findings] == [("test_vanished", "tests.a::two")]
    if verdict == "approve":
        assert done.code == 0, done.err
        assert lab.kinds().index("candidate_tested") < lab.kinds().index("audit_ended")
        assert len(tested) == 1
        (waived,) = [check for check in run.phase("F1").checks if check.check == "test_ids"]
        assert (waived.verdict.value, waived.reason) == ("waived", "two was no use")
        told = "\n".join(
            path.read_text() for path in lab.project.glob(".autonomous_runs/r/phases/*.md")
        )
        assert "test_vanished" in told
    else:
        assert done.code == 1
        review = RunState.DONE_FAILED_REQUIRES_HUMAN_REVIEW
        assert run.state is (review if verdict else RunState.DONE_FAILED_POLICY_VIOLATION)
        assert not lab.delivered()
    lab.check_sound()


@pytest.mark.slow
def test_new_tests_of_a_feature_must_need_it(lab: Lab) -> None:
    """The builder is told, and its next attempt proves its change."""
    made(lab, one="green")
    task = (
        'do 1: write tests/b.json {"two": "green"}',
        'do 2: write tests/b.json {"two": "needs"}',
        "do: write src/feature it",
    )
    done = lab.run(phase("F1", *task, category="feature_scaffolding", scope="**"))
    assert done.code == 0, done.err
    found = [(tuple(f.rule for f in event.findings), event.proved)
             for event in lab.of_kind("candidate_tested")]  # fmt: skip
    assert found == [(("test_proves_nothing",), ()), ((), ("tests.b::two",))]
    assert lab.load().phase("F1").attempts_used == 2
