"""The landing queue: each phase tested on the work ahead of it, believed only when its turn comes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autopack.core import machine
from autopack.core.command import Build, Check, Land, Pending, Reapply, Test
from autopack.core.event import (
    AttemptEnded,
    BasePrepared,
    CandidateChecked,
    CandidateReapplied,
    CandidateTested,
    CiVerdict,
    EnvironmentPrepared,
    Event,
    GateVerdict,
    Happened,
    Outcome,
    ReapplyConflicted,
    SnapshotLanded,
)
from autopack.core.run import Candidate, Cause, Evidence, Run, RunSpec, SafetyProfile, Step
from tests.core.walk import phase_spec, run_spec

SPEC = replace(
    run_spec(*(phase_spec(f"P{index}", phase_index=index) for index in (1, 2, 3))), parallel_max=3
)
CONFLICT = Evidence("conflict", "both changed it")


class Queue:
    """Three phases side by side, driven by hand: `P1` is the first to pass the gate."""

    def __init__(self, spec: RunSpec = SPEC) -> None:
        self.run: Run = machine.create(spec).run
        self.take(BasePrepared(), self.run.pending[0])
        self.take(EnvironmentPrepared("digest"), self.run.pending[0])

    def take(self, event: Event, asked: Pending) -> None:
        answer = machine.advance(self.run, Happened(event, 0, asked.number))
        assert isinstance(answer, machine.Advanced), answer
        self.run = answer.run

    def asked(self, phase_id: str) -> Pending:
        return next(
            pending
            for pending in self.run.pending
            if getattr(pending.command, "phase_id", "") == phase_id
        )

    def step(self, phase_id: str) -> Step:
        return self.run.phase(phase_id).step

    def submit(self, phase_id: str) -> None:
        """The attempt ends with a candidate, which passes the gate; the queue decides the rest."""
        asked = self.asked(phase_id)
        assert isinstance(asked.command, Build)
        name = str(asked.command.attempt)
        made = Candidate(name, f"{phase_id}/{name}", "tree", asked.command.parent)
        self.take(AttemptEnded(phase_id, asked.command.attempt, Outcome.SUBMITTED, 1, made), asked)
        self.gate(phase_id)

    def gate(self, phase_id: str, verdict: GateVerdict = GateVerdict.PASS) -> None:
        asked = self.asked(phase_id)
        assert isinstance(asked.command, Check)
        self.take(CandidateChecked(phase_id, verdict), asked)

    def reapply(self, phase_id: str) -> None:
        """Made again where the machine asked for it, and let through the gate again."""
        asked = self.asked(phase_id)
        assert isinstance(asked.command, Reapply)
        name = asked.command.name
        made = Candidate(name, f"{phase_id}/{name}", "tree", asked.command.onto)
        self.take(CandidateReapplied(phase_id, made), asked)
        self.gate(phase_id)

    def conflict(self, phase_id: str) -> None:
        self.take(ReapplyConflicted(phase_id, CONFLICT), self.asked(phase_id))

    def ci(self, phase_id: str, verdict: CiVerdict) -> None:
        asked = self.asked(phase_id)
        assert isinstance(asked.command, Test)
        self.take(CandidateTested(phase_id, verdict), asked)

    def land(self, phase_id: str) -> None:
        asked = self.asked(phase_id)
        assert isinstance(asked.command, Land)
        landing = asked.command
        self.take(SnapshotLanded(phase_id, landing.candidate.commit, landing.tag), asked)

    def line_up(self, *phase_ids: str) -> None:
        """Each under test on the one ahead of it."""
        first, *others = phase_ids
        self.submit(first)
        for phase_id in others:
            self.submit(phase_id)
            self.reapply(phase_id)
        assert all(self.step(phase_id) is Step.TESTING for phase_id in phase_ids)


def test_phases_are_tested_side_by_side_each_on_the_one_ahead_and_once() -> None:
    queue = Queue()
    queue.line_up("P1", "P2", "P3")
    tested = [queue.asked(phase_id).command for phase_id in ("P1", "P2", "P3")]
    assert [c.candidate.parent for c in tested if isinstance(c, Test)] == [
        "base",
        "P1/1",
        "P2/1.r1",
    ]
    for phase_id in ("P3", "P2"):  # who is green early waits
        queue.ci(phase_id, CiVerdict.PASS)
        assert queue.step(phase_id) is Step.LANDING_QUEUED
    queue.ci("P1", CiVerdict.PASS)
    for phase_id in ("P1", "P2", "P3"):
        queue.land(phase_id)
    assert [s.commit for s in queue.run.snapshots] == ["P1/1", "P2/1.r1", "P3/1.r1"]
    assert [phase.ci_runs_used for phase in queue.run.phases] == [1, 1, 1]


def test_they_land_in_the_order_in_which_they_passed_the_gate() -> None:
    queue = Queue()
    queue.line_up("P3", "P1")
    assert queue.run.landing_queue == ("P3", "P1")
    queue.ci("P1", CiVerdict.PASS)
    queue.ci("P3", CiVerdict.PASS)
    queue.land("P3")
    queue.land("P1")
    assert [snapshot.phase_id for snapshot in queue.run.snapshots] == ["P3", "P1"]


def test_red_on_work_that_fails_costs_nothing() -> None:
    queue = Queue()
    queue.line_up("P1", "P2")
    queue.ci("P2", CiVerdict.FAIL)
    assert queue.step("P2") is Step.LANDING_QUEUED
    queue.ci("P1", CiVerdict.FAIL)
    assert queue.step("P1") is Step.BUILDING
    queue.ci("P2", CiVerdict.PASS)  # its own candidate stands on the base: no need to make it again
    queue.land("P2")
    assert queue.run.phase("P2").attempts_used == 1
    assert queue.run.phase("P2").ci_runs_used == 1


def test_red_on_work_that_lands_is_red() -> None:
    queue = Queue()
    queue.line_up("P1", "P2")
    queue.ci("P2", CiVerdict.FAIL)
    queue.ci("P1", CiVerdict.PASS)
    assert queue.step("P2") is Step.LANDING_QUEUED
    queue.land("P1")
    assert queue.step("P2") is Step.BUILDING
    phase = queue.run.phase("P2")
    assert (phase.attempts_used, phase.attempts_granted, phase.ci_runs_used) == (1, 0, 1)
    build = queue.asked("P2").command
    assert isinstance(build, Build)
    assert build.parent == "P1/1"


def test_who_is_in_doubt_is_passed_over_by_those_behind() -> None:
    queue = Queue()
    queue.line_up("P1", "P2", "P3")
    queue.ci("P2", CiVerdict.FAIL)
    assert [p.number for p in machine.interrupted(queue.run)] == [queue.asked("P3").number]
    queue.ci("P3", CiVerdict.CANCELLED)
    queue.reapply("P3")
    moved = queue.asked("P3").command
    assert isinstance(moved, Test)
    assert moved.candidate.parent == "P1/1"
    assert queue.run.phase("P3").infra_retries_used == 0


def test_a_moot_test_is_interrupted_and_its_verdict_not_believed() -> None:
    queue = Queue()
    queue.line_up("P1", "P2")
    assert machine.interrupted(queue.run) == ()
    queue.ci("P1", CiVerdict.FAIL)
    assert machine.interrupted(queue.run) == (queue.asked("P2"),)
    queue.ci("P2", CiVerdict.PASS)  # it was quicker than the interruption
    assert queue.run.phase("P2").ci_runs_used == 1
    tested = queue.asked("P2").command
    assert isinstance(tested, Test)
    assert tested.candidate.name == "1", "what was submitted stands on the branch as it is"
    queue.ci("P2", CiVerdict.FAIL)  # green before, red where the branch is now: granted an attempt
    phase = queue.run.phase("P2")
    assert (phase.step, phase.attempts_granted, phase.ci_runs_used) == (Step.BUILDING, 1, 1)


def test_a_conflict_with_work_that_lands_goes_back_to_the_builder_and_is_granted() -> None:
    queue = Queue()
    queue.submit("P1")
    queue.submit("P2")
    queue.conflict("P2")
    assert queue.step("P2") is Step.LANDING_QUEUED
    queue.ci("P1", CiVerdict.PASS)
    queue.land("P1")
    phase = queue.run.phase("P2")
    assert (phase.step, phase.attempts_granted) == (Step.BUILDING, 1)
    assert phase.evidence == CONFLICT


def test_a_conflict_with_work_that_fails_is_forgotten() -> None:
    queue = Queue()
    queue.submit("P1")
    queue.submit("P2")
    queue.conflict("P2")
    queue.ci("P1", CiVerdict.FAIL)
    assert queue.step("P2") is Step.TESTING
    assert queue.run.phase("P2").conflicts_used == 0


@pytest.mark.parametrize(
    ("verdict", "step"), [(CiVerdict.PASS, Step.BUILDING), (CiVerdict.FAIL, Step.TESTING)]
)
def test_a_gate_that_refuses_on_work_ahead_is_believed_once_that_lands(
    verdict: CiVerdict, step: Step
) -> None:
    queue = Queue()
    queue.submit("P1")
    queue.submit("P2")
    asked = queue.asked("P2")
    assert isinstance(asked.command, Reapply)
    made = Candidate("1.r1", "P2/1.r1", "tree", asked.command.onto)
    queue.take(CandidateReapplied("P2", made), asked)
    queue.gate("P2", GateVerdict.FAIL)
    assert queue.step("P2") is Step.LANDING_QUEUED
    queue.ci("P1", verdict)
    if verdict is CiVerdict.PASS:
        queue.land("P1")
        assert queue.step("P2") is step
    else:
        assert queue.step("P2") is step


def test_the_cap_of_ci_runs_counts_each_work_once() -> None:
    tiers = tuple(replace(tier, ci_run_cap=1) for tier in SPEC.tiers)
    queue = Queue(replace(SPEC, safety_profile=SafetyProfile.SAFETY_CRITICAL, tiers=tiers))
    queue.submit("P1")
    queue.submit("P2")
    queue.reapply("P2")
    failure = queue.run.failure
    assert failure is not None
    assert (failure.cause, failure.phase_id) == (Cause.BUDGET_EXHAUSTED, "P2")


def test_a_run_of_one_at_a_time_never_makes_anything_again() -> None:
    queue = Queue(replace(SPEC, parallel_max=1))
    for phase_id in ("P1", "P2", "P3"):
        queue.submit(phase_id)
        queue.ci(phase_id, CiVerdict.PASS)
        queue.land(phase_id)
    assert all(phase.reapplies_used == 0 for phase in queue.run.phases)
