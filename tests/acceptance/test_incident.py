"""Each kind of exhaustion, end to end: the run ends in its state and leaves a complete incident."""

from __future__ import annotations

import json
import shlex
import subprocess

import pytest

from autopack.core.limit import Limit, limit_of
from autopack.core.run import RunState
from tests.lab import Lab, phase
from tests.repos import write

GOOD = phase("P1", "do: write src/a.txt one", "do: tokens 400")
RED = phase("P2", "do: write state/P2 red", "do: tokens 500")
SPENT = phase("P2", "do: tokens 300000", "do: exit 3")
HANGS = phase("P2", "do: write src/b.txt two", "do: hang 30")
SPARSE = "token_cap = 300_100"
FAILS = {"ci.py": "import sys, os\nprint('ci says no')\nsys.exit(os.path.exists('state/P2'))\n"}
EXIT = 'commands = [{ run = "python3 ci.py", seconds_max = 30 }]'
PARTS = ("## Cause: ", "## Where to look", "## What to do next", "## Budgets", "## Reproduce",
         "## Timeline", "## Attempts", "autopack run retry r", "autopack run view r",
         "last good snapshot: ", "- python: ", "- git: git version", "spec.json")  # fmt: skip


def incident(lab: Lab) -> str:
    """The incident, complete and the same when it is made again."""
    folder = lab.project / ".autonomous_runs" / "r" / "incident"
    text = (folder / "incident.md").read_text(encoding="utf-8")
    assert [part for part in PARTS if part not in text] == []
    frozen = json.loads((folder / "spec.json").read_text())
    assert (frozen["run_id"], frozen["base_commit"]) == ("r", lab.base)
    (folder / "incident.md").unlink()
    assert lab.cli("run", "view", "r").code == 0
    return text


@pytest.mark.parametrize(
    ("limit", "state", "options", "last"),
    [
        (Limit.BUILDER_ATTEMPTS, RunState.DONE_FAILED_REQUIRES_HUMAN_REVIEW, (), RED),
        (Limit.PHASE_TOKENS, RunState.DONE_FAILED_BUDGET_EXHAUSTED, (), SPENT),
        (Limit.RUN_TOKENS, RunState.DONE_FAILED_BUDGET_EXHAUSTED, ("--token-cap", "300100"), RED),
    ],
)
def test_an_exhaustion_leaves_its_state_and_an_incident(
    lab: Lab, limit: Limit, state: RunState, options: tuple[str, ...], last: str
) -> None:
    done = lab.make(ci=EXIT, files=FAILS).run(GOOD, last, options=options)
    assert done.code == 1, done.err
    run = lab.load()
    assert run.failure is not None
    assert (run.state, limit_of(run.failure)) == (state, limit)
    text = incident(lab)
    assert f"- ended by: {limit.value}".replace("_", "") in text.replace("\\_", "").replace("_", "")
    assert f"last good snapshot: {run.tip}" in text
    lab.check_sound()


def test_the_commands_of_an_incident_make_the_candidate_and_its_verdict_again(lab: Lab) -> None:
    assert lab.make(ci=EXIT, files=FAILS).run(GOOD, RED).code == 1
    text = incident(lab)
    assert "ci says no" in text
    assert "#### Attempt 2" in text
    commit = lab.kept()["P2/2"]
    assert commit in text
    block = text.partition("## Reproduce")[2].partition("```text\n")[2].partition("\n```")[0]
    lines = block.splitlines()
    assert lines[0].startswith("git clone --shared")
    where = lab.root / "again"
    write(where, {"here": ""})
    script = " && ".join(lines)
    shown = subprocess.run(
        ["sh", "-c", script], cwd=where, env=lab.environment, capture_output=True, check=False
    )
    assert shown.returncode == 1, shown
    assert b"ci says no" in shown.stdout
    assert shlex.split(lines[-1]) == ["python3", "ci.py"]
    at = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=where / "reproduce-P2", env=lab.environment,
        capture_output=True, check=True,
    )  # fmt: skip
    assert at.stdout.decode().strip() == commit
