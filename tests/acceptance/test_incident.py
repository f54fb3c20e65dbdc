"""Each kind of exhaustion, end to end: the run ends in its state and leaves a complete incident."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from autopack.core.limit import Limit, limit_of
from autopack.core.run import PhaseState, Run, RunState
from autopack.core.tier import Cleanliness, tiers
from tests.lab import Done, Lab, phase
from tests.repos import write

GOOD = phase("P1", "do: write src/a.txt one", "do: tokens 400")
OVER = phase("P1", "do: write src/a.txt one", "do: tokens 1400")
TWICE = phase("P1", "do 1: write state/P2 red", "do 2: write src/a.txt one")
RED = phase("P2", "do: write state/P2 red", "do: tokens 500")
NEXT = phase("P2", "do: write src/b.txt two", "do: tokens 700")
SPENT = phase("P2", "do: tokens 300000", "do: exit 3")
HANGS = phase("P1", "do: write src/b.txt two", "do: hang 30")
RISKY = phase("P2", "do: write src/b.txt two", category="debt_cleanup")
FAILS = {"ci.py": "import sys, os\nprint('ci says no')\nsys.exit(os.path.exists('state/P2'))\n"}
EXIT = 'commands = [{ run = "python3 ci.py", seconds_max = 30 }]'
CRITICAL = '[run]\nsafety_profile = "safety_critical"\n'
JUDGE = 'auditor = "judge"\n[agents.judge]\ntype = "scripted"\npatches = "../tools/verdicts"\n'
RECORDED = 'type = "scripted"\npatches = "../tools/patches"'
ADDS = "--- /dev/null\n+++ b/src/a.txt\n@@ -0,0 +1 @@\n+one\n"
BUDGET = RunState.DONE_FAILED_BUDGET_EXHAUSTED
HUMAN = RunState.DONE_FAILED_REQUIRES_HUMAN_REVIEW
ENVIRONMENT = RunState.DONE_FAILED_ENVIRONMENT
PARTS = ("## Cause: ", "## Where to look", "## What to do next", "## Budgets", "## Reproduce",
         "## Timeline", "## Attempts", "autopack run view r",
         "last good snapshot: ", "- python: ", "- git: git version", "spec.json")  # fmt: skip


def made(
    lab: Lab, project: str = "", ruleset: dict[str, Any] | None = None, worker: str = ""
) -> Lab:
    """A project whose auditor is silent, perhaps with a ruleset or another builder."""
    write(lab.tools, {"verdicts/none": ""})
    lab.make(ci=EXIT, files=FAILS, machine=JUDGE, project=project, worker=worker)
    if ruleset:
        rules = json.dumps({"version": 1, **ruleset})
        write(lab.project, {".autonomous_runs/project_ruleset_lab.json": rules})
    return lab


def folder_of(lab: Lab) -> Path:
    return lab.project / ".autonomous_runs" / "r"


def incident(lab: Lab) -> str:
    """The incident, complete; deleted, it is made again byte by byte, with the run's other files."""
    folder = folder_of(lab) / "incident"
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    text = whole["incident.md"].decode()
    assert [part for part in PARTS if part not in text] == []
    left = [p for p in lab.load().phases if p.state is not PhaseState.COMPLETE]
    assert ("autopack run retry r" in text) == bool(left)
    assert ("git merge autonomous/r" in text) != bool(left)
    frozen = json.loads(whole["spec.json"])
    assert (frozen["run_id"], frozen["base_commit"]) == ("r", lab.base)
    (folder / "incident.md").unlink()
    (folder / "spec.json").unlink()
    assert lab.cli("run", "view", "r").code == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
    return text


def complete(lab: Lab, limit: Limit, state: RunState, done: Done) -> str:
    """The incident of a run that this limit ended: cause, last good state, attempts, budgets."""
    run = lab.load()
    assert run.failure is not None
    assert (run.state, limit_of(run.failure), done.code) == (state, limit, 1), done.err
    text = incident(lab)
    plain = text.replace("\\_", "_")
    assert f"## Cause: {run.failure.cause.value}" in plain
    assert f"- ended by: {limit.value}" in plain
    good = run.tip if run.snapshots else f"none; the base is {lab.base}"
    assert f"- last good snapshot: {good}" in plain
    for event in lab.of_kind("attempt_ended"):
        own = plain.partition(f"### Phase {event.phase_id}\n")[2].partition("\n### ")[0]
        assert f"#### Attempt {event.attempt}" in own
    every = (path for path in (lab.root / "state/logs").rglob("*") if path.is_file())
    logs = [path for path in every if path.name != "supervisor.log"]
    assert logs
    assert [path for path in map(str, logs) if path not in plain] == []
    lab.check_sound()
    return plain


def named(text: str) -> list[str]:
    """The budgets that the table says ended the run."""
    table = text.partition("## Budgets")[2].partition("\n## ")[0]
    return [row.split(" | ")[0].removeprefix("| ") for row in table.splitlines()
            if row.endswith("| ended the run |")]  # fmt: skip


def reproduced(lab: Lab, text: str, code: int) -> list[str]:
    """The commands of the first block, after they were run and ended with `code`."""
    block = text.partition("## Reproduce")[2].partition("```text\n")[2].partition("\n```")[0]
    lines = block.splitlines()
    assert lines[0].startswith("git clone --shared")
    where = lab.root / "again"
    where.mkdir()
    shown = subprocess.run(
        ["sh", "-ec", "\n".join(lines)],
        cwd=where, env=lab.environment, capture_output=True, check=False,
    )  # fmt: skip
    assert shown.returncode == code, shown
    assert (b"ci says no" in shown.stdout) == bool(
        re.search(r"^python3 ci\.py$", block, re.MULTILINE)
    )
    return lines


# --- what tokens, attempts and audits come to ------------------------------------------------------


@pytest.mark.slow
def test_the_runs_tokens(lab: Lab) -> None:
    done = made(lab).run(GOOD, RED, options=("--token-cap", "300100"))
    text = complete(lab, Limit.RUN_TOKENS, BUDGET, done)
    assert named(text) == ["tokens"]
    assert "| tokens | 400 | 300,100 | tokens | ended the run |" in text
    reproduced(lab, text, 0)


@pytest.mark.slow
def test_the_tokens_of_a_phase(lab: Lab) -> None:
    text = complete(lab, Limit.PHASE_TOKENS, BUDGET, made(lab).run(GOOD, SPENT))
    assert named(text) == ["tokens of P2"]
    assert "| tokens of P2 | 300,000 | 300,000 |" in text
    reproduced(lab, text, 0)


@pytest.mark.slow
def test_the_attempts_of_a_builder(lab: Lab) -> None:
    text = complete(lab, Limit.BUILDER_ATTEMPTS, HUMAN, made(lab).run(GOOD, RED))
    assert named(text) == ["attempts of P2"]
    assert "ci says no" in text.partition("#### Attempt 2")[2]
    commit = lab.kept()["P2/2"]
    lines = reproduced(lab, text, 1)
    assert shlex.split(lines[-1]) == ["python3", "ci.py"]
    at = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=lab.root / "again" / "reproduce-P2",
        env=lab.environment, capture_output=True, check=True,
    )  # fmt: skip
    assert at.stdout.decode().strip() == commit


@pytest.mark.slow
def test_the_attempts_of_an_auditor(lab: Lab) -> None:
    text = complete(lab, Limit.AUDITOR_ATTEMPTS, HUMAN, made(lab).run(GOOD, RISKY))
    assert named(text) == ["audits of P2"]
    assert "| audits of P2 | 1 | 1 |" in text
    section = text.partition("## Reproduce")[2]
    assert "the auditor did not approve its last candidate, which CI never judged" in section
    assert "ci.py" not in section.partition("## Timeline")[0], "CI never saw it"
    shown = subprocess.run(
        shlex.split(section.partition("```text\n")[2].partition("\n```")[0]),
        cwd=lab.root, env=lab.environment, capture_output=True, check=True,
    )  # fmt: skip
    assert b"+++ b/src/b.txt\n" in shown.stdout


# --- what time and the machine come to -------------------------------------------------------------


def told(lab: Lab, last: str, phase_id: str, **changes: Any) -> Done:
    """A run of recorded answers, P1 a good one, with these changes of its spec, to its end."""
    recordings = {"P1/1.patch": ADDS, f"{phase_id}/1.toml": last}
    write(lab.tools, {f"patches/{name}": text for name, text in recordings.items()})
    made(lab, worker=RECORDED).record(
        phase("P1", "Anything."), phase(phase_id, "Anything."), **changes
    )
    return lab.cli("run", "watch", "r")


PARKED = 'outcome = "parked"\nparked_until = 99999999999\ntokens = 5\n'


@pytest.mark.slow
def test_the_runs_minutes(lab: Lab) -> None:
    made(lab).record(HANGS, duration_seconds_max=1)
    done = lab.cli("run", "watch", "r")
    text = complete(lab, Limit.DURATION, BUDGET, done)
    assert named(text) == ["duration"]
    reproduced(lab, text, 0)


@pytest.mark.slow
def test_the_minutes_that_a_run_is_parked(lab: Lab) -> None:
    done = told(lab, PARKED, "P2", parked_seconds_max=0)
    text = complete(lab, Limit.PARKED_MINUTES, BUDGET, done)
    assert named(text) == ["parked"]
    assert "| tokens of P2 | 5 | " in text
    reproduced(lab, text, 0)


@pytest.mark.slow
def test_the_times_that_a_phase_is_parked(lab: Lab) -> None:
    done = told(lab, PARKED, "P2", parks_max=0)
    assert named(complete(lab, Limit.PARKS, BUDGET, done)) == ["parks of P2"]


@pytest.mark.parametrize("retries", [0, 1])
@pytest.mark.slow
def test_the_retries_of_a_machine_that_fails(lab: Lab, retries: int) -> None:
    done = told(lab, "outcme = 1\n", "P3", infra_retries_max=retries)
    text = complete(lab, Limit.INFRA_RETRIES, ENVIRONMENT, done)
    assert named(text) == ["infra retries of P3"]
    assert f"| infra retries of P3 | {retries} | {retries} | retries |" in text
    assert lab.kinds().count("command_failed") == retries + 1
    reproduced(lab, text, 0)


# --- what a tier may take --------------------------------------------------------------------------

TOKENS = {"tier_token_factor": 1, "category_defaults": {"tests": {"incident_token_cap": 1000}}}
CI_RUNS = {"tier_ci_runs_per_phase": 1}


def unclean(run: Run) -> list[str]:
    return [t.spec.tier_id for t in tiers(run) if t.cleanliness is Cleanliness.NOT_CLEAN]


@pytest.mark.parametrize(
    ("rules", "phases", "limit", "row"),
    [
        (TOKENS, (OVER, NEXT), Limit.TIER_TOKENS, "tokens of tier T1 | 1,400 | 2,000 | tokens"),
        (CI_RUNS, (TWICE, NEXT), Limit.TIER_CI_RUNS, "CI runs of tier T1 | 2 | 2 | CI runs"),
    ],
    ids=["tokens", "CI runs"],
)
@pytest.mark.slow
def test_the_caps_of_a_tier_end_what_is_safety_critical(
    lab: Lab, rules: dict[str, Any], phases: tuple[str, ...], limit: Limit, row: str
) -> None:
    done = made(lab, CRITICAL, rules).run(phases)
    text = complete(lab, limit, BUDGET, done)
    assert named(text) == [row.partition(" | ")[0]]
    assert f"| {row} | ended the run |" in text
    assert [snapshot.phase_id for snapshot in lab.load().snapshots] == ["P1"]
    reproduced(lab, text, 0)


@pytest.mark.parametrize(
    ("rules", "phases"), [(TOKENS, (OVER, NEXT)), (CI_RUNS, (TWICE, NEXT))], ids=["tokens", "CI"]
)
def test_otherwise_the_run_goes_on_and_the_tier_is_not_clean(
    lab: Lab, rules: dict[str, Any], phases: tuple[str, ...]
) -> None:
    done = made(lab, "", rules).run(phases)
    run = lab.load()
    assert (done.code, run.state, unclean(run)) == (0, RunState.DONE_SUCCESS, ["T1"]), done.err
    assert not (folder_of(lab) / "incident").exists()
    assert "cleanliness: not" in (folder_of(lab) / "tiers" / "tier_01_part_1.md").read_text()


@pytest.mark.slow
def test_a_tier_that_passed_its_cap_with_its_last_phase_ends_a_critical_run(lab: Lab) -> None:
    """Nothing of it waits any more: only when it is judged its cap is seen to be passed."""
    done = made(lab, CRITICAL, TOKENS).run((phase("P1", "do: write src/a.txt a", "do: tokens 2500"),
                                            ))  # fmt: skip
    text = complete(lab, Limit.TIER, BUDGET, done)
    assert named(text) == ["tokens of tier T1"]
    assert "No phase failed." in text
    assert lab.load().tip in reproduced(lab, text, 0)[2]


@pytest.mark.slow
def test_the_whole_folder_is_made_again(lab: Lab) -> None:
    assert made(lab).run(GOOD, RED).code == 1
    folder = folder_of(lab)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for path in before:
        path.unlink()
    assert lab.cli("run", "view", "r").code == 0
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
