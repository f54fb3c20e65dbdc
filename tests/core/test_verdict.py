"""What an auditor agreed to by a test's source is not asked again by the test's id."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autopack.core import machine
from autopack.core.command import Audit
from autopack.core.event import (
    AttemptEnded,
    AuditEnded,
    BasePrepared,
    CandidateChecked,
    CandidateTested,
    CiVerdict,
    EnvironmentPrepared,
    GateVerdict,
    Happened,
    Outcome,
    Recommendation,
)
from autopack.core.run import (
    Candidate,
    CheckResult,
    CheckVerdict,
    Finding,
    Run,
    Severity,
)
from tests.core.walk import phase_spec, run_spec

SPEC = replace(run_spec(phase_spec("P1")), auditor="auditor")


def judged(rule: str, path: str, said: str, gone: Finding) -> Run:
    """A run whose auditor agreed to what the ratchet asked, and whose tests then ask."""
    asks = Finding(rule, said, path, severity=Severity.ASK)
    checks = (CheckResult("ratchet", CheckVerdict.NEEDS_AUDITOR, (asks,)),)
    made = Candidate("1", "c1", "t", "base")
    run = machine.create(SPEC).run
    for event in (
        BasePrepared(),
        EnvironmentPrepared("d"),
        AttemptEnded("P1", 1, Outcome.SUBMITTED, 5, made),
        CandidateChecked("P1", GateVerdict.NEEDS_AUDITOR, (asks,), checks),
        AuditEnded("P1", Recommendation.APPROVE, 1, "it was no use"),
        CandidateTested("P1", CiVerdict.PASS, tests_run=1, findings=(gone,)),
    ):
        answer = machine.advance(run, Happened(event, 0, run.pending[0].number, 1.0))
        assert isinstance(answer, machine.Advanced), answer
        run = answer.run
    return run


def finding(test: str, rule: str = "test_vanished") -> Finding:
    return Finding(rule, f"{test} is gone now", severity=Severity.ASK, test=test)


@pytest.mark.parametrize(
    ("rule", "said", "gone"),
    [
        ("test-deleted", "test_one is gone", finding("tests.test_a::test_one")),
        ("test-deleted", "test_one is gone", finding("tests.test_a::test_one[1-2]")),
        ("test-deleted", "TestA.test_one is gone", finding("tests.test_a.TestA::test_one")),
        ("test-skipped", "test_one: skip", finding("tests.test_a::test_one", "test_silenced")),
    ],
)
def test_one_audit_is_enough(rule: str, said: str, gone: Finding) -> None:
    run = judged(rule, "tests/test_a.py", said, gone)
    (check,) = (each for each in run.phase("P1").checks if each.check == "test_ids")
    assert (check.verdict, check.reason) == (CheckVerdict.WAIVED, "it was no use")
    assert not any(isinstance(each.command, Audit) for each in run.pending)


@pytest.mark.parametrize(
    "gone",
    [
        finding("tests.test_a::test_one_more"),
        finding("tests.test_b::test_one"),
        finding("tests.test_a.TestA::test_one"),
        finding("other.tests.test_a::test_one"),
        finding("tests.test_a::test_one", "test_silenced"),
        finding("test_one"),
    ],
)
def test_another_test_is_asked_about(gone: Finding) -> None:
    run = judged("test-deleted", "tests/test_a.py", "test_one is gone", gone)
    (check,) = (each for each in run.phase("P1").checks if each.check == "test_ids")
    assert check.verdict is CheckVerdict.NEEDS_AUDITOR
