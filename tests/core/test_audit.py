"""Who is asked when: each trigger of the auditor, and what each of its answers does there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.core import audit, machine
from autopack.core.command import Audit, Build, Check, Land, Test
from autopack.core.event import (
    AttemptEnded,
    AuditEnded,
    BasePrepared,
    CandidateChecked,
    CandidateTested,
    CiVerdict,
    EnvironmentPrepared,
    Event,
    GateVerdict,
    Happened,
    IssueRecorded,
    Outcome,
    Recommendation,
)
from autopack.core.issue import IssueReport, IssueSeverity, IssueSource, SeverityUpgrade
from autopack.core.run import Candidate, Cause, Evidence, Finding, Phase, Run, Step
from autopack.core.spec import Complexity, PhaseSpec, RunSpec
from autopack.core.strategy import high_risk
from tests.core.walk import AGED, phase_spec, run_spec

CANDIDATE = Candidate("1", "c1", "t1", "base")
PATCHED = Candidate("1.a1", "c2", "t2", "base")
PLAIN = phase_spec("P1")
MAJOR = IssueReport("grave", IssueSource.SELF_DOUBT, severity=IssueSeverity.MAJOR)
MINOR = IssueReport("slight", IssueSource.SELF_DOUBT, severity=IssueSeverity.MINOR)
RED = CandidateTested("P1", CiVerdict.FAIL, Evidence("ci", "1 of 3 tests failed"))
GREEN = CandidateTested("P1", CiVerdict.PASS)
PASSES = CandidateChecked("P1", GateVerdict.PASS)
FINDING = Finding("scope", "outside", "src/a.py")
REFUSED = CandidateChecked("P1", GateVerdict.FAIL, (FINDING,))
EMPTY = AttemptEnded("P1", 1, Outcome.EMPTY, evidence=Evidence("builder", "changed nothing: no 1"))


def audited(phase: PhaseSpec = PLAIN) -> RunSpec:
    return replace(run_spec(phase), auditor="auditor")


def drive(run: Run, *events: Event) -> Run:
    """Answer the oldest pending command with each event; recordings as they are."""
    for event in events:
        answers = 0 if isinstance(event, IssueRecorded) else run.pending[0].number
        answer = machine.advance(run, Happened(event, 0, answers))
        assert isinstance(answer, machine.Advanced), answer
        run = answer.run
    return run


def working(spec: RunSpec, *events: Event) -> Run:
    return drive(machine.create(spec).run, BasePrepared(), EnvironmentPrepared("digest"), *events)


def submitted(*issues: IssueReport) -> AttemptEnded:
    return AttemptEnded("P1", 1, Outcome.SUBMITTED, 5, CANDIDATE, issues=issues)


def said(what: Recommendation, candidate: Candidate | None = None) -> AuditEnded:
    return AuditEnded("P1", what, 5, "look there", candidate)


def asked(run: Run) -> Audit:
    (pending,) = run.pending
    assert isinstance(pending.command, Audit), pending
    return pending.command


def doing(run: Run) -> type:
    return type(run.pending[0].command)


# --- major issues and risk ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "report"),
    [
        (audited(), MAJOR),
        (replace(audited(), severity_upgrades=(SeverityUpgrade(source="self_doubt"),)), MINOR),
        (replace(audited(), known_issues=(AGED,)), replace(MINOR, issue_key=AGED.issue_key)),
        (
            audited(replace(PLAIN, issue_severity=IssueSeverity.MAJOR)),
            replace(MINOR, severity=None),
        ),
    ],
    ids=["reported", "upgraded", "aged", "by category"],
)
def test_a_major_issue_asks_before_ci(spec: RunSpec, report: IssueReport) -> None:
    run = working(spec, submitted(report), PASSES)
    assert asked(run).reason == f"major issues: {report.issue_key}"
    assert doing(drive(run, said(Recommendation.APPROVE))) is Test


def test_a_minor_issue_asks_nobody() -> None:
    assert doing(working(audited(), submitted(MINOR), PASSES)) is Test


def test_one_that_comes_while_ci_runs_asks_before_it_lands_and_green_stays() -> None:
    run = working(audited(), submitted(), PASSES)
    run = drive(run, IssueRecorded("P1", MAJOR, "me"), GREEN)
    assert asked(run).reason == "major issues: grave"
    run = drive(run, said(Recommendation.APPROVE))
    assert doing(run) is Land
    assert run.ci_runs_used == 1


def test_a_patch_of_a_green_candidate_is_tested_again_and_counted() -> None:
    run = working(audited(), submitted(), PASSES)
    run = drive(run, IssueRecorded("P1", MAJOR, "me"), GREEN)
    run = drive(run, said(Recommendation.APPROVE, PATCHED))
    assert doing(run) is Check
    run = drive(run, PASSES)
    assert isinstance(run.pending[0].command, Test)
    assert run.pending[0].command.candidate == PATCHED
    assert drive(run, GREEN).ci_runs_used == 2


def test_what_was_approved_once_asks_no_more_but_a_new_one_does() -> None:
    run = working(audited(), submitted(MAJOR), PASSES, said(Recommendation.APPROVE), RED)
    assert doing(drive(run, submitted(MAJOR), PASSES)) is Test
    other = replace(MAJOR, issue_key="other")
    assert asked(drive(run, submitted(other), PASSES)).reason == "major issues: other"


@pytest.mark.parametrize("what", [Recommendation.INVALID, Recommendation.REVISE])
def test_what_is_no_approval_lets_nothing_land(what: Recommendation) -> None:
    run = working(audited(), submitted(MAJOR), PASSES, said(what))
    assert doing(run) is (Audit if what is Recommendation.INVALID else Build)
    if what is Recommendation.REVISE:
        assert asked(drive(run, submitted(), PASSES)).reason == "major issues: grave"


def test_high_risk_asks_where_somebody_can_answer() -> None:
    risky = replace(PLAIN, high_risk=True, task_category="web", complexity=Complexity.HIGH)
    assert asked(working(audited(risky), submitted(), PASSES)).reason == (
        "high risk: web, complexity high"
    )
    assert doing(working(run_spec(risky), submitted(), PASSES)) is Test
    nobody = replace(risky, auditor_attempts_max=0)
    assert doing(working(audited(nobody), submitted(), PASSES)) is Test


def test_risk_is_the_rulesets_to_say() -> None:
    assert high_risk("schema_change", Complexity.LOW)
    assert high_risk("docs", Complexity.HIGH)
    assert not high_risk("docs", Complexity.MEDIUM)


def test_many_keys_are_told_in_few_words() -> None:
    reports = tuple(replace(MAJOR, issue_key=f"key_{n}") for n in range(8))
    run = working(audited(), submitted(*reports), PASSES)
    assert asked(run).reason == "major issues: key_0, key_1, key_2, key_3, key_4 and 3 more"


# --- attempts spent -------------------------------------------------------------------------------


def spent(spec: RunSpec | None = None) -> Run:
    """A phase whose last attempt was refused by the gate."""
    run = working(spec or audited(), EMPTY, submitted(), REFUSED)
    assert run.phase("P1").step is Step.AUDITING
    return run


def test_spent_attempts_ask_with_the_evidence_instead_of_failing() -> None:
    audit_asked = asked(spent())
    assert audit_asked.reason.startswith("no attempt is left after 2 attempts; the last: the gate")
    assert audit_asked.evidence is not None
    assert audit_asked.evidence.findings == (FINDING,)
    assert audit_asked.instead_of is not None
    assert audit_asked.instead_of.cause is Cause.POLICY_VIOLATION


@pytest.mark.parametrize(
    ("answers", "cause", "reason"),
    [
        ([Recommendation.APPROVE], Cause.POLICY_VIOLATION, "the auditor agrees: look there"),
        ([Recommendation.ESCALATE], Cause.REQUIRES_HUMAN_REVIEW, "the auditor escalates"),
        ([Recommendation.INVALID] * 2, Cause.POLICY_VIOLATION, "the auditor gave no verdict"),
    ],
)
def test_nothing_refused_is_approved(
    answers: list[Recommendation], cause: Cause, reason: str
) -> None:
    run = drive(spent(), *map(said, answers))
    assert run.ended
    assert run.failure is not None
    assert run.failure.cause is cause
    assert reason in run.failure.reason
    assert "no attempt is left after 2 attempts" in run.failure.reason
    assert not run.snapshots


def test_a_revision_is_one_more_attempt_with_notes_and_findings() -> None:
    run = drive(spent(), said(Recommendation.REVISE))
    (pending,) = run.pending
    assert isinstance(pending.command, Build)
    assert pending.command.evidence == Evidence("auditor", "look there", (FINDING,))
    run = drive(run, submitted(), REFUSED)
    assert asked(run).attempt == 2
    assert drive(run, said(Recommendation.REVISE)).phase("P1").attempts_granted == 2
    last = drive(run, said(Recommendation.REVISE), submitted(), REFUSED)
    assert last.ended, "the auditor's own attempts are spent"


@pytest.mark.parametrize("what", [Recommendation.APPROVE, Recommendation.REVISE])
def test_its_patch_goes_through_gate_and_ci(what: Recommendation) -> None:
    run = drive(spent(), said(what, PATCHED))
    assert isinstance(run.pending[0].command, Check)
    run = drive(run, PASSES, GREEN)
    assert doing(run) is Land
    asks = drive(spent(), said(what, PATCHED), CandidateChecked("P1", GateVerdict.NEEDS_AUDITOR))
    assert doing(asks) is (Test if what is Recommendation.APPROVE else Audit)


def test_a_red_patch_asks_again_until_that_is_spent_too() -> None:
    run = drive(spent(), said(Recommendation.APPROVE, PATCHED), PASSES, RED)
    assert asked(run).attempt == 2
    run = drive(run, said(Recommendation.APPROVE, replace(PATCHED, name="1.a2")), PASSES, RED)
    assert run.ended
    assert run.failure is not None
    assert run.failure.cause is Cause.REQUIRES_HUMAN_REVIEW


def test_work_that_cannot_be_used_is_not_what_its_patch_stands_on() -> None:
    one = audited(replace(PLAIN, builder_attempts_max=1))
    kept = AttemptEnded("P1", 1, Outcome.REFUSED, 5, CANDIDATE, Evidence("gate", "no patch"))
    assert asked(working(one, kept)).candidate.commit == "base"
    assert asked(working(one, EMPTY)).candidate.commit == "base"
    left = AttemptEnded("P1", 1, Outcome.TIMED_OUT, 5, CANDIDATE, Evidence("builder", "late"))
    assert asked(working(one, left)).candidate == CANDIDATE


def test_nobody_is_asked_without_auditor_attempts_or_tokens() -> None:
    assert working(run_spec(PLAIN), EMPTY, submitted(), REFUSED).ended
    assert working(
        audited(replace(PLAIN, auditor_attempts_max=0)), EMPTY, submitted(), REFUSED
    ).ended
    dear = replace(submitted(), tokens=1001)
    run = working(audited(), EMPTY, dear, REFUSED)
    assert run.failure is not None
    assert run.failure.cause is Cause.BUDGET_EXHAUSTED


# --- stalls ---------------------------------------------------------------------------------------

THREE = replace(PLAIN, builder_attempts_max=3)
AGAIN = replace(EMPTY, attempt=2, evidence=Evidence("builder", "changed nothing: no 2"))


def test_two_empty_attempts_in_a_row_ask() -> None:
    run = working(audited(THREE), EMPTY, AGAIN)
    assert asked(run).reason == "stall: two attempts in a row ended alike: changed nothing: no 2"
    assert asked(run).stalled


@pytest.mark.parametrize("answer", [Recommendation.APPROVE, Recommendation.INVALID])
def test_after_a_stall_the_builder_goes_on_without_help(answer: Recommendation) -> None:
    run = drive(working(audited(THREE), EMPTY, AGAIN), said(answer))
    assert doing(run) is Build
    assert run.phase("P1").attempts_granted == 0
    assert not run.phase("P1").approved


def test_a_stall_whose_audit_takes_all_tokens_ends_the_phase() -> None:
    dear = replace(said(Recommendation.APPROVE), tokens=1000)
    run = drive(working(audited(THREE), EMPTY, AGAIN), dear)
    assert run.failure is not None
    assert run.failure.cause is Cause.BUDGET_EXHAUSTED


def test_a_stall_leaves_the_audit_that_the_phase_needs_to_land() -> None:
    one = replace(THREE, auto_apply=False, auditor_attempts_max=1)
    assert doing(working(audited(one), EMPTY, AGAIN)) is Build
    two = replace(one, auditor_attempts_max=2)
    assert doing(working(audited(two), EMPTY, AGAIN)) is Audit


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (Evidence("ci", "3 of 9 in 0.71 s"), Evidence("ci", "3 of 9 in 0.66 s"), True),
        (Evidence("ci", "3 of 9 failed"), Evidence("gate", "3 of 9 failed"), False),
        (Evidence("builder", "failed: a"), Evidence("builder", "failed: b"), True),
        (Evidence("builder", "failed: a"), Evidence("builder", "late: a"), False),
        (Evidence("auditor", "do it"), Evidence("auditor", "do it"), False),
        (Evidence("conflict", "both"), Evidence("conflict", "both"), False),
        (
            Evidence("ci", "red", (Finding("test", "1 != 2", test="a"),)),
            Evidence("ci", "red again", (Finding("test", "1 != 2", test="a"),)),
            True,
        ),
        (
            Evidence("ci", "red", (Finding("test", "it is 1", test="a"),)),
            Evidence("ci", "red", (Finding("test", "it is gone", test="a"),)),
            False,
        ),
        (
            Evidence("ci", "red", (Finding("test", "at 0x7f00", test="a"),)),
            Evidence("ci", "red", (Finding("test", "at 0x7fff", test="a"),)),
            True,
        ),
    ],
)
def test_what_counts_as_the_same_evidence(first: Evidence, second: Evidence, same: bool) -> None:
    phase = Phase(PLAIN, evidence=first)
    assert bool(audit.stalled(phase, second)) is same


findings = st.builds(
    Finding, st.sampled_from(["a", "b"]), st.text(max_size=5), st.sampled_from(["", "p"])
)


@given(st.lists(findings, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_findings_says_nothing(found: list[Finding], rng: object) -> None:
    shuffled = [*found]
    rng.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random
    one, other = Evidence("ci", "red", tuple(found)), Evidence("ci", "red", tuple(shuffled))
    assert audit.fingerprint(one) == audit.fingerprint(other)
