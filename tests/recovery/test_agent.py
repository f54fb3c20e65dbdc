"""kill -9 of the supervisor while an agent works: no process outlives it, no attempt counts twice."""

from __future__ import annotations

import signal

from autopack.core.run import RunState
from tests.lab import Lab, phase, until
from tests.process.ground import alive, new_mark
from tests.recovery.ground import finish


def test_the_agent_dies_with_its_supervisor_and_its_attempt_is_made_again(lab: Lab) -> None:
    mark = new_mark()
    lab.make().record(phase("F1", "do: write src/one.txt one", f"do: hang {mark}"))
    supervisor = lab.start("supervise", "--until-idle")
    until(lambda: alive(mark), "the agent and its child work")
    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait(10)
    until(lambda: not alive(mark), "the agent is gone", seconds=5)
    until(lab.idle, "nothing else is left", seconds=5)
    assert "attempt_ended" not in lab.kinds()

    (lab.tools / "go").touch()
    run = finish(lab)
    assert run.state is RunState.DONE_SUCCESS
    assert run.phase("F1").attempts_used == 1
    assert lab.kinds().count("attempt_ended") == 1
    assert list(lab.kept()) == ["F1/1"]
    lab.check_sound()
    lab.check_untouched()


def test_a_supervisor_that_is_told_to_end_cuts_the_agent_off_and_leaves_no_trace(lab: Lab) -> None:
    mark = new_mark()
    lab.make().record(phase("F1", "do: write src/one.txt one", f"do: hang {mark}"))
    supervisor = lab.start("supervise", "--until-idle")
    until(lambda: alive(mark), "the agent works")
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(20) == 0
    assert not alive(mark)
    assert "attempt_ended" not in lab.kinds()

    (lab.tools / "go").touch()
    assert finish(lab).state is RunState.DONE_SUCCESS
    assert lab.load().phase("F1").attempts_used == 1
