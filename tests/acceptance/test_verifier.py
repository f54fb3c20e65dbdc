"""Who decides red or green: CI in its fence, by its report, and an environment made once."""

from __future__ import annotations

import pytest

from autopack.core.run import RunState
from tests.lab import Lab, phase

PREPARED = """
[environment]
prepare = ["sh prepare.sh {cache}"]
inputs = ["prepare.sh"]
cache = [".kept"]
"""
PREPARE = """\
mkdir -p "$1/bin"
printf '#!/bin/sh\\nexit 0\\n' > "$1/bin/prepared-tool"
chmod 755 "$1/bin/prepared-tool"
"""
USES_IT = 'commands = [{ run = "prepared-tool", seconds_max = 30 }]'


@pytest.mark.parametrize(
    ("mode", "verdict", "said"),
    [
        ("red", "fail", "1 of 1 tests failed"),
        ("zero", "invalid", "no test ran"),
        ("missing", "invalid", "missing"),
        ("killed", "invalid", ""),
    ],
)
def test_what_is_not_green_never_lands(lab: Lab, mode: str, verdict: str, said: str) -> None:
    done = lab.make().run(phase("F1", f"do: write state/mode {mode}", "do 2: write src/x.txt x"))
    assert done.code == 1, done.err
    run = lab.load()
    assert run.state is RunState.DONE_FAILED_REQUIRES_HUMAN_REVIEW
    tested = lab.of_kind("candidate_tested")
    assert [each.verdict.value for each in tested] == [verdict] * 2
    evidence = run.phase("F1").evidence
    assert evidence
    assert evidence.source == "ci"
    assert said in evidence.summary
    assert run.ci_runs_used == 2
    assert set(lab.kept()) == {"F1/1", "F1/2"}
    assert not lab.delivered()


@pytest.mark.slow
def test_red_once_is_mended_with_the_test_as_evidence(lab: Lab) -> None:
    task = ("do 1: write state/mode red", "do 2: tell src/prompt.md prompt")
    done = lab.make().run(phase("F1", *task))
    assert done.code == 0, done.err
    (prompt,) = (lab.root / "state" / "logs").rglob("attempt-2/prompt.md")
    assert "it is red" in prompt.read_text()


def test_an_exit_code_alone_is_weak_evidence(lab: Lab) -> None:
    lab.make(ci='commands = [{ run = "test ! -e state/red", seconds_max = 30 }]')
    done = lab.run(phase("F1", "do 1: write state/red red", "do 2: write src/x.txt x"))
    assert done.code == 0, done.err
    tested = lab.of_kind("candidate_tested")
    assert [(each.verdict.value, each.weak) for each in tested] == [("fail", False), ("pass", True)]


@pytest.mark.slow
def test_the_environment_is_made_once_and_a_green_tree_is_green_again(lab: Lab) -> None:
    lab.make(ci=USES_IT, project=PREPARED, files={"prepare.sh": PREPARE})
    plan = lab.plan(phase("F1", "do: write src/one.txt one"))
    assert lab.cli("run", plan, "--run-id", "r").code == 0
    cache = lab.root / "cache" / "environments"
    (kept,) = cache.glob("*/complete.json")
    (made,) = (tool.stat() for tool in cache.rglob("prepared-tool"))

    again = lab.cli("run", plan, "--run-id", "again")
    assert again.code == 0, again.err
    (found,) = (tool.stat() for tool in cache.rglob("prepared-tool"))
    assert (found.st_ino, found.st_mtime_ns) == (made.st_ino, made.st_mtime_ns)
    first, second = (lab.of_kind("candidate_tested", run_id)[0] for run_id in ("r", "again"))
    assert (first.verdict.value, first.cached) == ("pass", False)
    assert (second.verdict.value, second.cached) == ("pass", True)
    assert (lab.load("r").ci_runs_used, lab.load("again").ci_runs_used) == (1, 0)
    assert not list((lab.root / "state" / "logs" / "runs" / "again").rglob("ci-*/*.log"))
    digests = {lab.load(run_id).environment_digest for run_id in ("r", "again")}
    assert digests == {kept.parent.name}


@pytest.mark.slow  # an environment that fails is tried again, 5 and 10 s later
def test_an_environment_that_cannot_be_made_ends_the_run(lab: Lab) -> None:
    lab.make(project=PREPARED, files={"prepare.sh": "echo no such package >&2; exit 1\n"})
    done = lab.run(phase("F1", "do: write src/one.txt one"))
    assert done.code == 1, done.err
    run = lab.load()
    assert run.state is RunState.DONE_FAILED_ENVIRONMENT
    assert run.failure
    assert "no such package" in run.failure.reason
    assert not lab.kept()
