"""The landing queue: each phase tested on the work ahead of it, believed only when its turn comes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autopack.core import machine
from autopack.core.command import Audit, Build, Check, Land, Pending, Reapply, Test
from autopack.core.event import (
    AttemptEnded,
    AuditEnded,
    BasePrepared,
    CancelRequested,
    CandidateChecked,
    CandidateReapplied,
    CandidateTested,
    CiVerdict,
    CommandFailed,
    EnvironmentPrepared,
    Event,
    GateVerdict,
    Happened,
    Outcome,
    ReapplyConflicted,
    Recommendation,
    SnapshotLanded,
)
from autopack.core.run import (
    Candidate,
    Cause,
    Evidence,
    Run,
    Step,
)
from autopack.core.schedule import schedule
from autopack.core.spec import (
    RunSpec,
    SafetyProfile,
)
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

    def submit(self, phase_id: str, verdict: GateVerdict = GateVerdict.PASS) -> None:
        """The attempt ends with a candidate, which the gate judges; the queue decides the rest."""
        asked = self.asked(phase_id)
        assert isinstance(asked.command, Build)
        name = str(asked.command.attempt)
        made = Candidate(name, f"{phase_id}/{name}", "tree", asked.command.parent)
        self.take(AttemptEnded(phase_id, asked.command.attempt, Outcome.SUBMITTED, 1, made), asked)
        self.gate(phase_id, verdict)

    def gate(self, phase_id: str, verdict: GateVerdict = GateVerdict.PASS) -> None:
        asked = self.asked(phase_id)
        assert isinstance(asked.command, Check)
        self.take(CandidateChecked(phase_id, verdict), asked)

    def reapply(self, phase_id: str, verdict: GateVerdict = GateVerdict.PASS) -> None:
        """Made again where the machine asked for it, and judged by the gate again."""
        asked = self.asked(phase_id)
        assert isinstance(asked.command, Reapply)
        name = asked.command.name
        made = Candidate(name, f"{phase_id}/{name}", "tree", asked.command.onto)
        self.take(CandidateReapplied(phase_id, made), asked)
        self.gate(phase_id, verdict)

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


def test_red_on_work_that_lands_is_red_and_granted_an_attempt() -> None:
    queue = Queue()
    queue.line_up("P1", "P2")
    queue.ci("P2", CiVerdict.FAIL)
    queue.ci("P1", CiVerdict.PASS)
    assert queue.step("P2") is Step.LANDING_QUEUED
    queue.land("P1")
    assert queue.step("P2") is Step.BUILDING
    phase = queue.run.phase("P2")
    assert (phase.attempts_used, phase.attempts_granted, phase.ci_runs_used) == (1, 1, 1)
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
    queue.ci("P2", CiVerdict.FAIL)
    phase = queue.run.phase("P2")
    assert (phase.step, phase.attempts_granted, phase.ci_runs_used) == (Step.BUILDING, 0, 1)


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
    assert queue.step("P2") is Step.LANDING_QUEUED  # P1's may prove to be free
    queue.ci("P1", CiVerdict.PASS)
    failure = queue.run.failure
    assert failure is not None
    assert (failure.cause, failure.phase_id) == (Cause.BUDGET_EXHAUSTED, "P2")
    assert queue.run.tier_caps_hit == ("T1",), "it was not passed, and it ended the phase"


def test_a_cached_verdict_leaves_the_cap_to_who_waits() -> None:
    tiers = tuple(replace(tier, ci_run_cap=1) for tier in SPEC.tiers)
    queue = Queue(replace(SPEC, safety_profile=SafetyProfile.SAFETY_CRITICAL, tiers=tiers))
    queue.submit("P1")
    queue.submit("P2")
    queue.reapply("P2")
    asked = queue.asked("P1")
    queue.take(CandidateTested("P1", CiVerdict.PASS, cached=True), asked)
    assert queue.step("P2") is Step.TESTING
    assert queue.run.phase("P1").ci_runs_used == 0


AUDITED = replace(SPEC, auditor="auditor")


def test_who_asks_for_an_audit_is_audited_on_landed_work_only_and_lands_last() -> None:
    queue = Queue(AUDITED)
    queue.submit("P1")
    queue.submit("P2")
    queue.reapply("P2", GateVerdict.NEEDS_AUDITOR)
    assert queue.step("P2") is Step.LANDING_QUEUED
    queue.submit("P3")
    queue.reapply("P3")
    tested = queue.asked("P3").command
    assert isinstance(tested, Test)
    assert tested.candidate.parent == "P1/1"
    queue.ci("P1", CiVerdict.PASS)
    queue.land("P1")
    audit = queue.asked("P2").command
    assert isinstance(audit, Audit)
    assert audit.candidate.parent == queue.run.tip
    assert queue.run.landing_queue == ("P3",)
    queue.ci("P3", CiVerdict.PASS)
    queue.take(AuditEnded("P2", Recommendation.APPROVE), queue.asked("P2"))
    assert queue.step("P3") is Step.LANDING
    behind = queue.asked("P2").command
    assert isinstance(behind, Reapply)
    assert behind.onto == "P3/1.r1"


def test_an_auditors_patch_is_what_is_made_again() -> None:
    queue = Queue(AUDITED)
    queue.submit("P1", GateVerdict.NEEDS_AUDITOR)
    queue.submit("P2")
    asked = queue.asked("P1")
    patched = Candidate("1.a1", "P1/1.a1", "tree", "base")
    queue.take(AuditEnded("P1", Recommendation.APPROVE, candidate=patched), asked)
    queue.gate("P1")
    again = queue.asked("P1").command
    assert isinstance(again, Reapply)
    assert again.candidate == patched


def test_a_revision_with_a_patch_is_what_is_made_again() -> None:
    queue = Queue(AUDITED)
    queue.submit("P1", GateVerdict.NEEDS_AUDITOR)
    patched = Candidate("1.a1", "P1/1.a1", "tree", "base")
    queue.take(AuditEnded("P1", Recommendation.REVISE, candidate=patched), queue.asked("P1"))
    assert queue.run.phase("P1").origin == patched


def test_an_approval_does_not_outlive_its_attempt() -> None:
    queue = Queue(AUDITED)
    queue.submit("P1", GateVerdict.NEEDS_AUDITOR)
    queue.take(AuditEnded("P1", Recommendation.APPROVE), queue.asked("P1"))
    queue.ci("P1", CiVerdict.FAIL)
    queue.submit("P1", GateVerdict.NEEDS_AUDITOR)
    assert queue.step("P1") is Step.AUDITING


def test_a_revision_grants_one_attempt_and_no_more() -> None:
    queue = Queue(AUDITED)
    queue.submit("P1")
    queue.submit("P2")
    queue.reapply("P2", GateVerdict.NEEDS_AUDITOR)
    queue.ci("P1", CiVerdict.PASS)
    queue.land("P1")
    queue.take(AuditEnded("P2", Recommendation.REVISE), queue.asked("P2"))
    assert queue.run.phase("P2").attempts_granted == 1


def test_what_is_made_again_is_what_was_submitted() -> None:
    queue = Queue()
    queue.line_up("P1", "P2", "P3")
    queue.ci("P1", CiVerdict.PASS)
    queue.land("P1")
    queue.ci("P2", CiVerdict.FAIL)  # believed: P2 leaves, P3 stood on it
    queue.ci("P3", CiVerdict.CANCELLED)
    again = queue.asked("P3").command
    assert isinstance(again, Reapply)
    assert (again.candidate.name, again.onto) == ("1", "P1/1")


def test_green_on_the_branch_lands_whatever_is_ahead() -> None:
    """A doubt on work that failed goes behind; it must not hold up who is green on the branch."""
    queue = Queue()
    queue.line_up("P1", "P2")
    queue.ci("P2", CiVerdict.FAIL)
    queue.submit("P3")
    queue.reapply("P3")
    queue.ci("P1", CiVerdict.FAIL)
    assert list(queue.run.landing_queue) == ["P3", "P2"]


def test_one_landing_at_a_time_though_two_are_green_on_the_branch() -> None:
    queue = Queue()
    queue.line_up("P1")
    queue.ci("P1", CiVerdict.PASS)
    assert queue.step("P1") is Step.LANDING
    other = replace(
        queue.run.phase("P2"), step=Step.TESTING, candidate=Candidate("1", "P2/1", "t", "base")
    )
    test = Pending(90, Test("P2", Candidate("1", "P2/1", "t", "base"), other.spec.ci_profile))
    pending = tuple(p for p in queue.run.pending if p != queue.asked("P2"))
    queue.run = replace(
        queue.run,
        phases=tuple(other if p.phase_id == "P2" else p for p in queue.run.phases),
        pending=(*pending, test),
        landing_queue=("P2", "P1"),
        commands_issued=90,
    )
    queue.ci("P2", CiVerdict.PASS)
    assert sum(isinstance(p.command, Land) for p in queue.run.pending) == 1


def test_a_moot_test_that_the_environment_failed_costs_nothing() -> None:
    queue = Queue(replace(SPEC, infra_retries_max=0))
    queue.line_up("P1", "P2")
    queue.ci("P1", CiVerdict.FAIL)
    queue.take(CommandFailed("the disk is full"), queue.asked("P2"))
    assert queue.step("P2") is Step.TESTING  # what was submitted stands on the branch
    assert queue.run.phase("P2").infra_retries_used == 0


def test_making_again_on_work_that_failed_is_given_up_without_cost() -> None:
    queue = Queue(replace(SPEC, infra_retries_max=0))
    queue.submit("P1")
    queue.submit("P2")
    queue.ci("P1", CiVerdict.FAIL)
    queue.take(CommandFailed("git was killed"), queue.asked("P2"))
    assert queue.step("P2") is Step.TESTING


def test_a_gate_on_work_that_failed_is_not_tried_again() -> None:
    queue = Queue(replace(SPEC, infra_retries_max=0))
    queue.submit("P1")
    queue.submit("P2")
    asked = queue.asked("P2")
    assert isinstance(asked.command, Reapply)
    made = Candidate("1.r1", "P2/1.r1", "tree", asked.command.onto)
    queue.take(CandidateReapplied("P2", made), asked)
    queue.ci("P1", CiVerdict.FAIL)
    queue.take(CommandFailed("git was killed"), queue.asked("P2"))
    assert queue.step("P2") is Step.TESTING


def test_a_refusal_after_it_was_made_again_names_policy_and_is_granted() -> None:
    queue = Queue(
        replace(
            SPEC,
            conflicts_max=0,
            phases=tuple(replace(phase, builder_attempts_max=1) for phase in SPEC.phases),
        )
    )
    queue.submit("P1")
    queue.submit("P2")
    queue.reapply("P2", GateVerdict.FAIL)
    queue.ci("P1", CiVerdict.PASS)
    queue.land("P1")
    failure = queue.run.phase("P2").failure
    assert failure is not None
    assert failure.cause is Cause.POLICY_VIOLATION
    queue = Queue()
    queue.submit("P1")
    queue.submit("P2")
    queue.reapply("P2", GateVerdict.FAIL)
    queue.ci("P1", CiVerdict.PASS)
    queue.land("P1")
    assert queue.run.phase("P2").attempts_granted == 1


def test_a_stop_tells_what_is_known_of_those_who_wait() -> None:
    queue = Queue()
    queue.line_up("P1", "P2", "P3")
    queue.ci("P2", CiVerdict.FAIL)
    queue.ci("P3", CiVerdict.CANCELLED)
    queue.reapply("P3")
    queue.ci("P3", CiVerdict.PASS)
    answer = machine.advance(queue.run, Happened(CancelRequested("me"), 0))
    assert isinstance(answer, machine.Advanced)
    told = [phase.failure.reason for phase in answer.run.phases if phase.failure]
    assert told == [
        "stopped: on work that had not landed: CI said fail; kept under its ref",
        "stopped: green on work that had not landed; kept under its ref",
    ]
    assert answer.run.phase("P2").evidence == Evidence("ci", "CI said fail")


@pytest.mark.parametrize("step", [Step.LANDING_QUEUED, Step.TESTING, Step.REAPPLYING])
def test_a_record_that_knows_no_queue_is_taken_into_it(step: Step) -> None:
    queue = Queue(replace(SPEC, parallel_max=1))
    queue.submit("P1")
    asked = queue.asked("P1")
    phase = replace(queue.run.phase("P1"), step=step, origin=None)
    pending: tuple[Pending, ...] = (asked,)
    if step is Step.LANDING_QUEUED:
        pending = ()
    if step is Step.REAPPLYING and phase.candidate:
        pending = (Pending(90, Reapply("P1", phase.candidate, "base", "1.r1")),)
    old = replace(
        queue.run,
        phases=tuple(phase if p.phase_id == "P1" else p for p in queue.run.phases),
        pending=pending,
        commands_issued=90,
        landing_queue=(),
    )
    queue.run = schedule(old)
    if step is Step.REAPPLYING:
        queue.conflict("P1")
        assert queue.step("P1") is Step.BUILDING
    else:
        queue.ci("P1", CiVerdict.PASS)
        assert queue.step("P1") is Step.LANDING


def test_a_run_of_one_at_a_time_never_makes_anything_again() -> None:
    queue = Queue(replace(SPEC, parallel_max=1))
    for phase_id in ("P1", "P2", "P3"):
        queue.submit(phase_id)
        queue.ci(phase_id, CiVerdict.PASS)
        queue.land(phase_id)
    assert all(phase.reapplies_used == 0 for phase in queue.run.phases)
