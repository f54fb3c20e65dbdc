"""The gate's checks as data: order, verdicts, waivers; and what the machine makes of them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from autopack.core import gate, machine
from autopack.core.command import (
    Audit,
    Build,
    Check,
    Land,
    Pending,
    Reapply,
    Test,
    is_inline,
)
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
    Recommendation,
    SnapshotLanded,
)
from autopack.core.gate import ORDER, REQUIRED, arranged
from autopack.core.issue import IssueSource
from autopack.core.run import (
    Candidate,
    CheckResult,
    CheckVerdict,
    Finding,
    Run,
    Severity,
    Step,
)
from tests.core.walk import phase_spec, run_spec

FINDINGS = st.builds(
    Finding,
    rule=st.sampled_from(["a", "b"]),
    message=st.sampled_from(["m", "n"]),
    path=st.sampled_from(["p", "q", ""]),
    line=st.integers(0, 3),
    severity=st.sampled_from(Severity),
)


def asks(path: str = "ci.yml", line: int = 1) -> Finding:
    return Finding("protected-path", "asks", path, line, Severity.ASK)


def test_required_checks_are_there_whatever_a_project_names() -> None:
    assert arranged(()) == ("structure", "scope", "protected", "secrets", "deliverables")
    assert arranged(("mine", "commands", "scope", "mine")) == (
        "structure", "scope", "protected", "secrets", "commands", "mine", "deliverables",
    )  # fmt: skip


@given(st.lists(st.sampled_from([*ORDER, "mine", "theirs"])))
def test_each_check_comes_once_and_in_order(named: list[str]) -> None:
    found = arranged(named)
    assert set(found) == set(named) | REQUIRED
    assert len(found) == len(set(found))
    known = [name for name in found if name in ORDER]
    assert known == sorted(known, key=ORDER.index)
    assert found[-1] == ORDER[-1]


@given(st.lists(FINDINGS, max_size=6), st.lists(FINDINGS, max_size=6))
def test_only_what_was_asked_and_approved_is_waived(
    before: list[Finding], now: list[Finding]
) -> None:
    first = gate.result("check", before, ())
    given_ = gate.waiver([first], "fine", 1)
    waivers = [given_] if given_ else []
    again = gate.result("check", before, waivers)
    assert again.verdict is not CheckVerdict.NEEDS_AUDITOR
    assert (again.verdict is CheckVerdict.WAIVED) == (first.verdict is CheckVerdict.NEEDS_AUDITOR)
    other = gate.result("check", now, waivers)
    questions = {(f.rule, f.path, f.message) for f in now if f.severity is Severity.ASK}
    answered = {(f.rule, f.path, f.message) for f in before if f.severity is Severity.ASK}
    refused = any(f.severity is Severity.REFUSE for f in now)
    assert (other.verdict is CheckVerdict.FAIL) == refused
    if not refused and questions:
        waived = given_ is not None and questions <= answered
        expected = CheckVerdict.WAIVED if waived else CheckVerdict.NEEDS_AUDITOR
        assert other.verdict is expected
        assert other.reason == ("fine" if waived else "")


def test_a_waiver_is_for_one_check_and_not_for_another_of_the_same_words() -> None:
    given_ = gate.waiver([gate.result("mine", [asks()], ())], "fine", 1)
    assert given_
    assert gate.result("mine", [asks(line=9)], [given_]).verdict is CheckVerdict.WAIVED
    assert gate.result("other", [asks()], [given_]).verdict is CheckVerdict.NEEDS_AUDITOR


def test_one_failure_fails_and_one_question_asks() -> None:
    passed, asked = gate.result("a", [], ()), gate.result("b", [asks()], ())
    failed = gate.result("c", [Finding("scope", "out", "x")], ())
    assert gate.overall([passed]) is GateVerdict.PASS
    assert gate.overall([passed, asked]) is GateVerdict.NEEDS_AUDITOR
    assert gate.overall([failed, asked]) is GateVerdict.FAIL
    assert gate.overall(gate.approved([passed, asked], "fine")) is GateVerdict.PASS


# --- in the machine -------------------------------------------------------------------------------


class Walk:
    """Two phases beside each other, driven answer by answer."""

    def __init__(self, *, commands: bool = False) -> None:
        spec = run_spec(phase_spec("P1"), phase_spec("P2"))
        spec = replace(spec, auditor="auditor", parallel_max=2, gate_commands=commands)
        self.run: Run = machine.create(spec).run
        self.take(BasePrepared(), self.run.pending[0])
        self.take(EnvironmentPrepared("d"), self.run.pending[0])

    def asked(self, kind: type, phase_id: str) -> Pending:
        (found,) = (
            p
            for p in self.run.pending
            if isinstance(p.command, kind) and getattr(p.command, "phase_id", "") == phase_id
        )
        return found

    def take(self, event: Event, asked: Pending) -> None:
        answer = machine.advance(self.run, Happened(event, 0, asked.number))
        assert isinstance(answer, machine.Advanced), answer
        self.run = answer.run

    def submit(self, phase_id: str) -> None:
        made = Candidate("1", f"c-{phase_id}", f"t-{phase_id}", self.run.tip)
        ended = AttemptEnded(phase_id, 1, Outcome.SUBMITTED, 5, made)
        self.take(ended, self.asked(Build, phase_id))

    def check(self, phase_id: str, *findings: Finding) -> None:
        """The gate's answer as the performer makes it."""
        waivers = self.run.phase(phase_id).waivers
        found = gate.result("protected", findings, waivers)
        event = CandidateChecked(phase_id, gate.overall([found]), findings, (found,))
        self.take(event, self.asked(Check, phase_id))

    def land_other(self) -> None:
        """P2 lands first, so that P1 is made again behind it."""
        self.submit("P2")
        self.check("P2")
        self.take(CandidateTested("P2", CiVerdict.PASS), self.asked(Test, "P2"))
        self.take(SnapshotLanded("P2", "c-P2", "tag"), self.asked(Land, "P2"))

    def reapply(self) -> None:
        made = Candidate("1.r1", "c-r", "t-r", self.run.tip)
        self.take(CandidateReapplied("P1", made), self.asked(Reapply, "P1"))


def approved(walk: Walk) -> Walk:
    walk.submit("P1")
    walk.check("P1", asks())
    assert walk.run.phase("P1").step is Step.AUDITING
    walk.land_other()
    audit = walk.asked(Audit, "P1")
    walk.take(AuditEnded("P1", Recommendation.APPROVE, 1, "it must be so"), audit)
    return walk


def test_an_approval_waives_what_was_asked_with_its_reason() -> None:
    phase = approved(Walk()).run.phase("P1")
    (check,) = phase.checks
    assert (check.verdict, check.reason) == (CheckVerdict.WAIVED, "it must be so")
    (waiver,) = phase.waivers
    assert (waiver.reason, waiver.audit) == ("it must be so", 1)


def test_work_made_again_keeps_its_waiver_for_the_same_questions() -> None:
    walk = approved(Walk())
    walk.reapply()
    walk.check("P1", asks(line=40))
    phase = walk.run.phase("P1")
    assert phase.step is Step.TESTING
    assert [(c.verdict, c.reason) for c in phase.checks] == [(CheckVerdict.WAIVED, "it must be so")]


def test_work_made_again_is_asked_about_anew_for_what_is_new() -> None:
    walk = approved(Walk())
    walk.reapply()
    walk.check("P1", asks(), asks("other.yml"))
    assert walk.run.phase("P1").step is Step.AUDITING
    again = walk.asked(Audit, "P1")
    assert isinstance(again.command, Audit)
    assert again.command.attempt == 2


def test_a_new_attempt_has_no_waiver() -> None:
    walk = approved(Walk())
    walk.reapply()
    failed = Finding("scope", "out", "x")
    walk.check("P1", failed)
    phase = walk.run.phase("P1")
    assert (phase.step, phase.checks, phase.waivers) == (Step.BUILDING, (), ())


def test_a_log_of_before_checks_were_told_apart_goes_as_it_went() -> None:
    walk = approved(Walk())
    walk.reapply()
    old = CandidateChecked("P1", GateVerdict.NEEDS_AUDITOR, (asks("new.yml"),))
    walk.take(old, walk.asked(Check, "P1"))
    assert walk.run.phase("P1").step is Step.TESTING


def test_what_the_gate_did_not_look_at_is_not_tested() -> None:
    """A look that ends early because the work ahead moved leaves the candidate that it saw."""
    walk = Walk(commands=True)
    walk.submit("P1")
    walk.submit("P2")
    walk.check("P1")
    walk.check("P2")
    made = Candidate("1.r1", "c-r", "t-r", "c-P1")
    walk.take(CandidateReapplied("P2", made), walk.asked(Reapply, "P2"))
    look = walk.asked(Check, "P2")
    assert not is_inline(look.command)
    walk.take(CandidateTested("P1", CiVerdict.FAIL), walk.asked(Test, "P1"))
    assert walk.run.phase("P1").step is Step.BUILDING
    assert look in machine.interrupted(walk.run)
    walk.take(CommandFailed("told to end early"), look)
    phase = walk.run.phase("P2")
    assert (phase.step, phase.candidate) == (Step.TESTING, phase.origin)
    assert not phase.infra_retries_used


def test_a_short_look_is_inline_and_one_with_commands_is_told_when_the_run_stops() -> None:
    candidate = Candidate("1", "c", "t", "p")
    assert is_inline(Check("P1", candidate))
    walk = Walk(commands=True)
    walk.submit("P1")
    look = walk.asked(Check, "P1")
    stopping = machine.advance(walk.run, Happened(CancelRequested("me"), 0))
    assert isinstance(stopping, machine.Advanced)
    assert look in machine.interrupted(stopping.run)


def test_a_command_that_was_red_before_is_an_issue_once_a_command() -> None:
    walk = Walk()
    walk.submit("P1")
    red = Finding(gate.RED_BEFORE, "`lint` is red\ntail 1", severity=Severity.NOTE)
    walk.check("P1", red)
    phase = walk.run.phase("P1")
    assert phase.step is Step.TESTING
    (found,) = phase.issues
    assert (found.source, found.occurrence_count) == (IssueSource.STATIC_CHECK, 1)
    assert found.description.startswith("`lint` is red")
    same = gate.result("commands", [replace(red, message="`lint` is red\ntail 2")], ())
    assert next(gate.red_before([same])).message.endswith("tail 2")
    assert CheckResult("commands", CheckVerdict.PASS, (red,)) == gate.result("commands", [red], ())
