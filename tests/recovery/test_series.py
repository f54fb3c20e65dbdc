"""kill -9 around the end of a part: the next one is there once, and the series ends as if nothing
had happened.
"""

from __future__ import annotations

from typing import Any

import pytest

from autopack import wiring
from autopack.core.run import RunState
from tests.lab import Lab, phase, processes, until
from tests.recovery.ground import host
from tests.recovery.places import WHEN, die_at_save
from tests.repos import refs, write

SINGLE = '[run]\nrun_scope = "single_tier"'
WEAK = 'commands = [{ run = "true", seconds_max = 30 }]'
PATCH = """\
diff --git a/src/{0}.txt b/src/{0}.txt
new file mode 100644
--- /dev/null
+++ b/src/{0}.txt
@@ -0,0 +1 @@
+{0}
"""
PLAN = (phase("F1", "First."), phase("F2", "Second.", needs="F1"))
RUNS = ("r", "r-2")


def begun(lab: Lab) -> Lab:
    """A plan of two parts, the first of which waits for a supervisor."""
    write(lab.tools, {f"patches/{name}/1.patch": PATCH.format(name) for name in ("F1", "F2")})
    worker = 'type = "scripted"\npatches = "../tools/patches"'
    return lab.make(ci=WEAK, worker=worker, project=SINGLE).record(*PLAN)


def ended(lab: Lab) -> tuple[list[list[str]], dict[str, str], dict[str, str]]:
    """What there is when all is done: what happened to each run but deliveries, and all refs."""
    until(lab.idle, f"no process is left: {processes(lab.root)}")
    with wiring.reading(lab.loaded) as store:
        assert store is not None
        assert [run.run_id for run in store.runs()] == [*reversed(RUNS)]
        assert [store.verify(run_id) for run_id in RUNS] == [[], []]
    first, second = (lab.load(run_id) for run_id in RUNS)
    assert first.state is second.state is RunState.DONE_SUCCESS
    assert second.spec.base_commit == first.tip
    assert second.delivered == second.tip
    kinds = [[kind for kind in lab.kinds(each) if not kind.startswith("deliver")] for each in RUNS]
    return kinds, refs(lab.bare), refs(lab.project)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """How the series ends when nobody is killed, and the save with which its first part ended."""
    lab = begun(Lab(tmp_path_factory.mktemp("series")))
    done = host(lab, "before", 0)
    assert done.returncode == 0, done.stderr
    return {"end": ended(lab), "save": len(lab.events("r")) - 1}


@WHEN
@pytest.mark.parametrize("off", [-1, 0, 1])
def test_killed_around_the_hand_over(
    lab: Lab, undisturbed: dict[str, Any], when: str, off: int
) -> None:
    die_at_save(begun(lab), when, undisturbed["save"] + off)
    if (when, off) == ("before", 0):
        assert not lab.load("r").ended
        assert next_ids(lab) == []
    if (when, off) == ("after", 0):
        assert lab.load("r").ended
        assert next_ids(lab) == ["r-2"], "the part is recorded with the end of the one before"
    finished = lab.cli("run", "watch", "r")
    assert finished.code == 0, finished.err
    assert finished.out.startswith("r-2: DONE_SUCCESS")
    assert ended(lab) == undisturbed["end"]


@pytest.mark.slow
@WHEN
def test_killed_at_the_hand_over_on_postgresql(
    server_lab: Lab, undisturbed: dict[str, Any], when: str
) -> None:
    die_at_save(begun(server_lab), when, undisturbed["save"])
    assert server_lab.cli("supervise", "--until-idle").code == 0
    assert ended(server_lab) == undisturbed["end"]


def next_ids(lab: Lab) -> list[str]:
    with wiring.reading(lab.loaded) as store:
        assert store is not None
        return store.continued("r")
