"""What an agent says of its tokens: counted, or paid for when it cannot be read."""

from __future__ import annotations

import pytest

from autopack.core.run import RunState
from tests.lab import Lab, phase

TASK = phase("F1", "Anything.")


def worker(report: str, end: str = "true") -> str:
    """An agent that changes a file, writes this report and ends."""
    script = (
        f"mkdir -p src; echo one > src/one.txt; printf '{report}' > $AUTOPACK_USAGE_FILE; {end}"
    )
    return f"command = [\"sh\", \"-c\", '''{script}''']"


@pytest.mark.slow
def test_a_report_that_cannot_be_read_costs_the_whole_cap_and_is_told(lab: Lab) -> None:
    done = lab.make(worker=worker("not json")).run(TASK)
    assert done.code == 0, done.err
    run = lab.load()
    cap = run.spec.phases[0].incident_token_cap
    assert (run.state, run.tokens_spent) == (RunState.DONE_SUCCESS, cap)
    assert f"attempt 1 submitted, {cap:,} tokens" in done.err
    (log,) = (lab.root / "state" / "logs").rglob("agent.log")
    assert f"all {cap:,} tokens that it had are counted" in log.read_text()
    lab.check_sound()


@pytest.mark.slow
def test_it_is_the_evidence_of_an_attempt_that_failed(lab: Lab) -> None:
    done = lab.make(worker=worker('{"tokens": -5}', "exit 4")).run(TASK)
    assert done.code == 1, done.err
    assert lab.load().state is RunState.DONE_FAILED_BUDGET_EXHAUSTED
    assert lab.kinds().count("attempt_ended") == 1
    for told in (lab.cli("run", "view", "r").out, lab.cli("events", "list", "r").out):
        assert "its usage report cannot be read" in told


def test_no_report_is_no_claim(lab: Lab) -> None:
    script = "mkdir -p src; echo one > src/one.txt"
    done = lab.make(worker=f'command = ["sh", "-c", "{script}"]').run(TASK)
    assert done.code == 0, done.err
    assert lab.load().tokens_spent == 0
