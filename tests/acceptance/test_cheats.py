"""Cheats through the command line: the gate asks, the auditor rejects, nothing lands.

All kinds are judged in tests/hostile/test_cheats; here is what a run makes of the answer.
"""

from __future__ import annotations

import pytest

from autopack.core.run import RunState
from tests.lab import Lab, phase
from tests.repos import write

JUDGE = 'auditor = "judge"\n[agents.judge]\ntype = "scripted"\npatches = "../tools/verdicts"\n'
FILES: dict[str, str | bytes] = {
    "tests/test_sums.py": "from sums import double\ndef test_sum(): assert double(2) == 4\n",
    "src/sums.py": "def double(x): return sum([x, x])\n",
    "pyproject.toml": "[tool.coverage.report]\nfail_under = 90\n",
}
CHEATS = {
    "test-emptied": "write tests/test_sums.py def test_sum(): pass",
    "test-hook": "write tests/conftest.py def pytest_sessionfinish(session): session.exitstatus = 0",
    "source-stub": "write src/sums.py def double(x): return None",
    "test-configuration": "write pyproject.toml [tool.coverage]",
}


def judged(lab: Lab, *verdicts: str) -> Lab:
    """A project with tests, whose auditor says these, one audit after the other."""
    given = {
        f"verdicts/F1/{number}.toml": f'recommendation = "{verdict}"\nnotes = "look at {number}"\n'
        for number, verdict in enumerate(verdicts, 1)
    }
    write(lab.tools, {"verdicts/none": "", **given})
    return lab.make(machine=JUDGE, files=FILES)


def does(*task: str) -> str:
    return phase("F1", *task, scope="**", category="docs")


@pytest.mark.parametrize(("rule", "act"), CHEATS.items(), ids=CHEATS)
def test_what_the_auditor_rejects_does_not_land(lab: Lab, rule: str, act: str) -> None:
    done = judged(lab, "escalate").run(does(f"do: {act}"))
    assert done.code == 1, done.err
    assert lab.load().state is RunState.DONE_FAILED_REQUIRES_HUMAN_REVIEW
    (checked,) = lab.of_kind("candidate_checked")
    assert rule in {finding.rule for finding in checked.findings}
    assert "candidate_tested" not in lab.kinds()
    assert not lab.delivered()
    assert f"    {rule}: " in lab.cli("run", "view", "r").out
    assert rule in (lab.project / ".autonomous_runs/r/incident/incident.md").read_text()


def test_who_cheats_is_sent_back_and_lands_honest_work(lab: Lab) -> None:
    cheat = CHEATS["test-emptied"].replace("write", "do 1: write", 1)
    done = judged(lab, "revise").run(does(cheat, "do 2: write src/more.txt more"))
    assert done.code == 0, done.err
    first, second = lab.of_kind("candidate_checked")
    assert [each.rule for each in first.findings] == ["test-emptied"]
    assert second.findings == ()
    assert len(lab.of_kind("audit_ended")) == 1


def test_without_an_auditor_it_does_not_land(lab: Lab) -> None:
    done = lab.make(files=FILES).run(does("do: " + CHEATS["test-emptied"]))
    assert done.code == 1, done.err
    assert lab.load().state is RunState.DONE_FAILED_POLICY_VIOLATION
    assert not lab.delivered()
    told = lab.cli("run", "view", "r").out
    assert "test-emptied" in told
    assert "test_sum checks nothing any more" in told
