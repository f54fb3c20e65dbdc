"""The `command` builder on real input: a program that edits files, or misbehaves, in its fence."""

from __future__ import annotations

import socket

import pytest

from autopack.core.run import Cause, RunState
from tests.lab import Lab, phase
from tests.process.ground import alive, new_mark
from tests.repos import git, refs


def landed(lab: Lab, path: str) -> str:
    """A file of the delivered branch."""
    return git(lab.project, "show", f"autonomous/r:{path}")


def test_it_reads_its_prompt_and_variables_and_its_work_lands(lab: Lab) -> None:
    lab.variables = {"FROM_OUTSIDE": "passed", "SECRET": "kept"}
    env = 'env = { GIVEN = "set" }\npass_env = ["FROM_OUTSIDE"]'
    lab.make(worker=lab.command("{prompt_file}") + "\n" + env)
    task = (
        "do: tell src/prompt.md prompt",
        "do: tell src/ids.txt AUTOPACK_PHASE_ID",
        *(f"do: tell src/{name.lower()}.txt {name}" for name in
          ("GIVEN", "FROM_OUTSIDE", "SECRET", "AUTOPACK_RUN_ID", "SOURCE_DATE_EPOCH")),
        "do: write build.log made",
        "do: tokens 1234",
    )  # fmt: skip
    scope = {"category": "feature_scaffolding", "scope": "src/**, build.log"}
    done = lab.run(phase("F1", *task, **scope, deliver="build.log"), options=("--json",))
    assert done.code == 0, done.err
    run = done.data["run"]
    assert (run["state"], run["tokens_spent"]) == ("DONE_SUCCESS", 1234)
    assert "do: tell src/prompt.md prompt" in landed(lab, "src/prompt.md")
    assert "`src/**`" in landed(lab, "src/prompt.md")
    assert landed(lab, "src/ids.txt") == "F1"
    assert landed(lab, "src/given.txt") == "set"
    assert landed(lab, "src/from_outside.txt") == "passed"
    assert landed(lab, "src/autopack_run_id.txt") == "r"
    assert landed(lab, "src/secret.txt") == "(unset)"
    assert landed(lab, "src/source_date_epoch.txt") == "(unset)"
    assert landed(lab, "build.log") == "made"  # .gitignore hides it, `deliver` names it
    assert set(lab.delivered()) == {
        "refs/heads/autonomous/r",
        "refs/tags/autonomous/r/tier-T1/phase-F1",
    }
    lab.check_untouched()
    lab.check_sound()


def test_the_prompt_may_come_on_standard_input(lab: Lab) -> None:
    lab.make(worker=lab.command() + '\nprompt = "stdin"')
    done = lab.run(phase("F1", "do: write src/app.txt second"))
    assert done.code == 0, done.err
    assert landed(lab, "src/app.txt") == "second"


@pytest.mark.slow
def test_the_fence_keeps_it_from_the_host_and_the_network(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = lab.make().run(phase("F1", f"do: reach {lab.tools} 127.0.0.1:{port}"))
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()
    assert done.code == 0, done.err
    lines = landed(lab, "src/reach.txt").splitlines()
    assert [line.partition(":")[0] for line in lines] == ["write", "read", "system", "connect"]
    assert not [line for line in lines if line.endswith("DONE")]
    assert not (lab.tools / "mark").exists()


@pytest.mark.slow
def test_evidence_reaches_the_next_attempt(lab: Lab) -> None:
    task = ("do 1: write README.md mine", "do 2: tell src/prompt.md prompt")
    done = lab.make().run(phase("F1", *task))
    assert done.code == 0, done.err
    assert "README.md: is outside the phase's scope" in landed(lab, "src/prompt.md")
    assert sorted(lab.kept()) == ["F1/1", "F1/2"]
    assert git(lab.bare, "show", f"{lab.kept()['F1/1']}:README.md") == "mine"


BAD = {
    "fails": (
        ("do: write src/half.txt half", "do: exit 3"), Cause.REQUIRES_HUMAN_REVIEW, "failed",
        "ended with exit code 3; its last output: the agent gives up",
    ),
    "changes nothing": (
        ("Think about it.",), Cause.REQUIRES_HUMAN_REVIEW, "empty", "changed nothing",
    ),
    "out of scope": (
        ("do: write README.md mine",), Cause.POLICY_VIOLATION, "submitted", "refused the change",
    ),
    "nested repository": (
        ("do: nest src/sub",), Cause.POLICY_VIOLATION, "refused", "cannot become a candidate",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", BAD)
def test_bad_work_ends_the_run_in_its_state_with_evidence(lab: Lab, name: str) -> None:
    task, cause, outcome, said = BAD[name]
    done = lab.make().run(phase("F1", *task))
    assert done.code == 1, done.err
    run = lab.load()
    assert run.state is RunState[f"DONE_FAILED_{cause.value}"]
    assert run.failure
    assert run.failure.phase_id == "F1"
    assert run.phase("F1").attempts_used == 2
    ended = lab.of_kind("attempt_ended")
    assert [each.outcome.value for each in ended] == [outcome] * 2
    evidence = run.phase("F1").evidence
    assert evidence
    assert said in evidence.summary
    if name == "nested repository":
        assert [finding.rule for finding in evidence.findings] == ["nested-repository"]
    expected = {"F1/1", "F1/2"} if name in {"fails", "out of scope"} else set()
    assert set(lab.kept()) == expected
    assert not lab.delivered()
    lab.check_untouched()
    lab.check_sound()


def test_what_failed_had_written_is_kept(lab: Lab) -> None:
    lab.make().run(phase("F1", "do 1: write src/half.txt half", "do 1: exit 1"))
    assert git(lab.bare, "show", f"{lab.kept()['F1/1']}:src/half.txt") == "half"


@pytest.mark.slow
def test_one_that_hangs_is_ended_with_its_children_at_the_wall_limit(lab: Lab) -> None:
    mark = new_mark()  # the limit leaves time to start and to write on a machine that is busy
    lab.make(worker=lab.command("{prompt_file}") + "\nwall_seconds_max = 4")
    done = lab.run(phase("F1", "do: write src/some.txt some", f"do: hang {mark}"))
    assert done.code == 1, done.err
    assert not alive(mark)
    assert lab.load().state is RunState.DONE_FAILED_REQUIRES_HUMAN_REVIEW
    ended = lab.of_kind("attempt_ended")
    assert [each.outcome.value for each in ended] == ["timed_out"] * 2
    assert set(lab.kept()) == {"F1/1", "F1/2"}  # what it had written is kept
    assert "ran out of time" in done.out + done.err


def test_a_failed_phase_takes_those_that_need_it_along_and_no_others(lab: Lab) -> None:
    bad, needy = phase("F1", "do: exit 1"), phase("F2", "do: write src/two.txt two", needs="F1")
    free = phase("F3", "do: write src/three.txt three")
    done = lab.make().run((bad, needy, free))
    assert done.code == 1, done.err
    steps = {each.phase_id: each.state.value for each in lab.load().phases}
    assert steps == {"F1": "FAILED", "F2": "SKIPPED", "F3": "COMPLETE"}
    assert landed(lab, "src/three.txt") == "three"


def test_on_phase_failure_stop_starts_nothing_more(lab: Lab) -> None:
    tiers = (phase("F1", "do: exit 1"), phase("F2", "do: write src/two.txt two"))
    done = lab.make().run(tiers, options=("--on-phase-failure", "stop"))
    assert done.code == 1, done.err
    steps = {each.phase_id: each.state.value for each in lab.load().phases}
    assert steps == {"F1": "FAILED", "F2": "SKIPPED"}
    assert set(refs(lab.project)) == {"refs/heads/main"}
