"""A whole run of somebody who is not root, with a home of their own.

Root's tests become such a user first; anybody else's whole suite is this already.
"""

from __future__ import annotations

import os
from typing import Final

from autopack.core.run import RunState
from autopack.process.folders import give
from autopack.process.limits import Identity
from tests.lab import Lab, phase, until
from tests.repos import git

SOMEBODY: Final = Identity(65_532, 65_532)
"""Neither root nor the user that root's agents become."""


def test_a_run_with_a_refusal_and_a_red_test_ends_well(lab: Lab) -> None:
    lab.make()
    root = os.geteuid() == 0
    first = phase("F1", "do: write src/one.txt one", "do 1: write README.md mine")
    second = phase("F2", "do 1: write state/mode red", "do 2: write src/two.txt two")
    reaches = phase("F3", f"do: reach {lab.tools} 127.0.0.1:9", needs="F2")
    plan = lab.plan((first, second), reaches)
    if root:
        lab.identity = SOMEBODY
        give(lab.root, SOMEBODY)
    done = lab.cli("run", plan, "--run-id", "r", "--parallel", "2", "--json")
    assert done.code == 0, done.err
    assert done.data["run"]["state"] == "DONE_SUCCESS"
    for command in (("doctor",), ("events", "verify"), ("run", "view", "r")):
        also = lab.cli(*command)
        assert also.code == 0, (command, also)
    until(lab.idle, "the supervisor has ended")

    if root:
        strangers = [path for path in lab.root.rglob("*") if path.lstat().st_uid != SOMEBODY.uid]
        assert not strangers, "made by somebody else"
        give(lab.root, Identity(0, 0))
        lab.identity = None
    run = lab.load()
    assert run.state is RunState.DONE_SUCCESS
    assert {each.phase_id: each.attempts_used for each in run.phases} == {"F1": 2, "F2": 2, "F3": 1}
    reached = git(lab.project, "show", "autonomous/r:src/reach.txt").splitlines()
    assert len(reached) == 4
    assert not [line for line in reached if line.endswith("DONE")]
    lab.check_untouched()
    lab.check_sound()
