"""What `run view` and `run list` say of a run: everything once, and nothing of it cut away."""

from __future__ import annotations

import dataclasses

import pytest

from autopack.app.draft import drafting
from autopack.app.report import run_view
from autopack.app.sentences import landed
from autopack.cli import telling, view
from autopack.core import event as ev
from autopack.core.builtin import BUILT_IN
from autopack.core.draft import Draft
from autopack.core.run import Cause, Evidence, Failure, Finding, Phase, Run, Stage, Step
from autopack.settings import load_for_store
from tests.app.test_report import log, run_of, spec
from tests.cli.world import World

LONG = "the builder failed: ended with exit code 7: step one\n" + "\n".join(
    f"line {number}: {'x' * 100}" for number in range(10)
)
"""As a crashed builder leaves it: far longer than a cell of the table."""


def failed(phase_id: str, index: int, evidence: Evidence | None, reason: str = "") -> Phase:
    said = (
        reason or f"no attempt is left after 2 attempts; the last: {evidence and evidence.summary}"
    )
    failure = Failure(Cause.REQUIRES_HUMAN_REVIEW, said, phase_id)
    return Phase(
        spec(phase_id, index), Step.FAILED, attempts_used=2, evidence=evidence, failure=failure
    )


def shown(*phases: Phase, **changes: object) -> str:
    failure = next((phase.failure for phase in phases if phase.failure), None)
    changes = {"stage": Stage.DONE, "failure": failure, **changes}
    return "\n".join(telling.lines(run_view(run_of(*phases, **changes)), None))


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence("builder", LONG),
        Evidence("builder", "the builder ran out of time: wall_seconds_max = 600 s is spent"),
        Evidence("builder", "the attempt ended well and changed nothing"),
        Evidence("gate", "the gate refused the change", (Finding("scope", "is outside", "a"),)),
    ],
)
def test_every_failed_phase_tells_its_summary_in_full_once(evidence: Evidence) -> None:
    first = failed("F1", 1, Evidence("builder", "something else"))
    said = shown(first, failed("F2", 2, evidence))
    told = said.partition("F2 Name of F2, last evidence:\n")[2]
    assert [line.removeprefix("    | ") for line in told.splitlines()][
        : len(evidence.summary.splitlines())
    ] == evidence.summary.splitlines()
    alone = shown(failed("F2", 2, evidence))
    assert all(alone.count(line) == 1 for line in evidence.summary.splitlines())


def test_where_the_branch_stands_is_told_when_it_moved() -> None:
    tip, other = "a" * 40, "b" * 40
    run = run_view(run_of(Phase(spec("F1", 1), Step.COMPLETE), stage=Stage.DONE, tip=tip,
                          delivered=tip))  # fmt: skip
    same = "\n".join(telling.lines(run, None, tip))
    assert f"delivered up to {tip[:12]}" in same
    assert f"..{run.branch}" in same
    assert "now:" not in same
    moved = "\n".join(telling.lines(run, None, other))
    assert f"now: {run.branch} stands at {other[:12]}" in moved
    assert f"next: git log --oneline {run.base_ref}..{tip[:12]}" in moved
    assert f"now: {run.branch} is not there" in "\n".join(telling.lines(run, None, ""))


def test_the_branch_is_looked_at_where_the_run_delivered_it(world: World) -> None:
    tip = world.toy()
    loaded = load_for_store(world.repo, world.env)
    run = run_view(run_of(Phase(spec("F1", 1), Step.COMPLETE), tip=tip, delivered=tip))
    run = dataclasses.replace(run, repository=str(world.repo))
    assert view.branch_now(loaded, run) == ""
    world.git("branch", run.branch)
    assert view.branch_now(loaded, run) == tip
    assert view.branch_now(loaded, dataclasses.replace(run, repository="/gone")) is None


def test_the_table_is_whole_where_nobody_measures_lines() -> None:
    reason = f"the environment refused {'x' * 200} end"
    run = run_view(run_of(failed("F2", 2, None, reason), stage=Stage.DONE))
    assert not [
        line for line in telling.lines(run, None) if line.startswith("  F2") and reason in line
    ]
    (row,) = (line for line in telling.lines(run, None, None, 1000) if line.startswith("  F2"))
    assert row.endswith(reason)


def test_no_header_stands_alone() -> None:
    said = shown(failed("F1", 1, Evidence("builder", LONG)))
    assert "last evidence" not in said
    assert "F1 Name of F1:" not in said


def test_what_stopped_the_run_is_not_said_again_for_those_it_stopped() -> None:
    first = failed("F1", 1, Evidence("builder", LONG))
    assert first.failure is not None
    second = failed("F2", 2, None, f"stopped: {first.failure.reason}")
    said = shown(first, second)
    assert said.count("step one") == 1
    assert "stopped: as above" in said


def test_a_long_reason_without_evidence_is_told_in_full() -> None:
    reason = f"the environment refused {'x' * 200} end"
    second = failed("F2", 2, None, reason)
    said = shown(failed("F1", 1, Evidence("builder", "other")), second)
    assert said.count(reason) == 1


def test_a_long_text_keeps_its_end_where_errors_are_told() -> None:
    told = telling.quoted("\n".join(f"line {number}" for number in range(1, 101)))
    assert told[0] == "    | line 1"
    assert told[-1] == "    | line 100"
    assert f"    … {100 - telling.QUOTED_LINES_MAX} lines more" in told


def successor() -> Run:
    before = Phase(spec("F1", 1), Step.SKIPPED, needed=False, skipped_because="landed in nightly")
    run = run_of(before, Phase(spec("F2", 2), Step.BUILDING))
    told = dataclasses.replace(run.spec, run_id="nightly-r1", predecessor="nightly", landed=("F1",))
    return dataclasses.replace(run, spec=told)


def test_a_successor_counts_what_landed_before_it() -> None:
    said = "\n".join(telling.lines(run_view(successor()), None))
    assert "1 of 2 phases landed, 1 of them in nightly, 0 of" in said
    assert "skipped" not in said


def test_a_first_attempt_is_attempt_1() -> None:
    said = "\n".join(telling.lines(run_view(successor()), None))
    (line,) = (line for line in said.splitlines() if line.startswith("  F2"))
    assert "attempt 1" in line


def test_a_run_without_a_fence_says_so() -> None:
    assert "sandbox = none: agents and CI see this machine" in shown(Phase(spec("F1", 1)))


def test_why_an_auditors_answer_was_invalid_is_told() -> None:
    spent = failed("F1", 1, None, "the auditor's attempts are spent")
    run = run_of(spent, stage=Stage.DONE, failure=spent.failure)
    invalid = ev.AuditEnded("F1", ev.Recommendation.INVALID, 0, "no valid verdict: not JSON")
    said = "\n".join(telling.lines(run_view(run, log(invalid)), None))
    assert "the auditor's last answer: no valid verdict: not JSON" in said


def test_a_plan_that_is_being_drafted_is_not_there_yet() -> None:
    run = run_of(Phase(spec("F1", 1)))
    spoken = dataclasses.replace(
        run, spec=drafting(run.spec, Draft("a goal"), BUILT_IN), stage=Stage.BOOTSTRAP
    )
    assert landed(spoken) == "no plan yet"
    assert landed(dataclasses.replace(spoken, stage=Stage.DONE)) == "no plan was drafted"
