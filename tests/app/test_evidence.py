"""What speaks for each landed commit, followed through a run's events."""

from __future__ import annotations

from dataclasses import replace

from autopack.app.evidence import AuditProof, LandedProof, Proofs
from autopack.core.blame import Blamed, Exoneration
from autopack.core.event import (
    AttemptEnded,
    AuditEnded,
    CandidateChecked,
    CandidateTested,
    CiVerdict,
    Event,
    GateVerdict,
    Outcome,
    Recommendation,
    SnapshotLanded,
)
from autopack.core.idset import PROVED_MAX
from autopack.core.run import CheckResult, CheckVerdict, Finding, Phase, Run, Severity, Stage, Step
from tests.core.walk import phase_spec, run_spec

FLAKE = Exoneration("t::flaky", Blamed.FLAKY, "green in a rerun", "f" * 16, ("fail", "pass"))
GONE = Finding("test_vanished", "t::gone ran, is gone", severity=Severity.ASK, test="t::gone")
GREEN = CandidateTested("P1", CiVerdict.PASS, tests_run=3, proved=("t::new",))


def proof(*events: Event, checks: tuple[CheckResult, ...] = ()) -> LandedProof:
    """What is said of P1, which landed after these events."""
    phase = Phase(phase_spec("P1"), Step.COMPLETE, checks=checks)
    followed = Proofs(Run(run_spec(phase.spec), Stage.DONE, (phase,), version=9))
    for event in (*events, SnapshotLanded("P1", "c1", "tag")):
        followed.follow(event)
    (landed,) = followed.landed
    return landed


def test_the_tests_that_a_commit_turned_green_and_those_it_is_not_blamed_for() -> None:
    said = proof(replace(GREEN, exonerated=(FLAKE,)))
    assert (said.tests_run, said.proved, said.exonerated) == (3, ("t::new",), (FLAKE,))
    assert said.proof == "1 test red without it, green with it"
    assert not said.weak
    assert said.ci == "normal: 3 tests, 1 red and exonerated, the others green"
    assert proof(GREEN).ci == "normal: 3 tests green"


def test_only_the_last_green_of_the_attempt_that_landed_speaks() -> None:
    """Made again on a branch that moved, it was tested again: that is what landed."""
    red = CandidateTested("P1", CiVerdict.FAIL, exonerated=(FLAKE,), proved=("t::red",))
    other = replace(GREEN, phase_id="P2", proved=("t::other",))
    said = proof(GREEN, red, AttemptEnded("P1", 2, Outcome.SUBMITTED), GREEN, other,
                 replace(GREEN, proved=("t::last",)))  # fmt: skip
    assert (said.proved, said.exonerated) == (("t::last",), ())
    lost = proof(GREEN, AttemptEnded("P1", 2, Outcome.SUBMITTED))
    assert (lost.proved, lost.tests_run) == ((), 0)


def test_no_test_that_was_red_without_it_is_said_and_so_is_a_limit() -> None:
    assert proof(replace(GREEN, proved=())).proof == "no test is known to be red without it"
    many = tuple(map(str, range(PROVED_MAX)))
    assert proof(replace(GREEN, proved=many)).proof.startswith(f"at least {PROVED_MAX} tests red")


def test_an_audit_of_an_earlier_attempt_is_kept_apart_from_those_of_what_landed() -> None:
    said = proof(
        AttemptEnded("P1", 1, Outcome.SUBMITTED),
        CandidateChecked("P1", GateVerdict.NEEDS_AUDITOR),
        AuditEnded("P1", Recommendation.REVISE, notes="keep the test"),
        AttemptEnded("P1", 2, Outcome.SUBMITTED),
        CandidateChecked("P1", GateVerdict.PASS),
        GREEN,
    )
    assert (said.gate, said.audits) == ("pass", ())
    assert said.audits_before == (AuditProof("revise", "keep the test", 1),)


def test_what_vanished_and_an_auditor_waived_is_no_plain_pass() -> None:
    waived = CheckResult("test_ids", CheckVerdict.WAIVED, (GONE,), "of no use")
    checked = CandidateChecked("P1", GateVerdict.PASS)
    told = (checked, replace(GREEN, findings=(GONE,)), AuditEnded("P1", Recommendation.APPROVE))
    said = proof(*told, checks=(waived,))
    assert said.gate == "waived by the auditor"
    assert said.beside == (GONE,)
    assert proof(checked, GREEN).gate == "pass"
