"""Issues as the machine takes them: distinct keys count, whatever came first; tiers are judged."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopack.core import intake, issue, machine
from autopack.core.event import (
    AttemptEnded,
    BasePrepared,
    CandidateChecked,
    CandidateTested,
    CiVerdict,
    CommandFailed,
    Delivered,
    EnvironmentPrepared,
    Event,
    GateVerdict,
    Happened,
    IssueRecorded,
    Outcome,
    SnapshotLanded,
)
from autopack.core.issue import (
    IssueReport,
    IssueSeverity,
    IssueSource,
    IssueState,
    KnownIssue,
    SeverityUpgrade,
)
from autopack.core.run import Candidate, Cause, Evidence, Finding, Run, RunState, Stage, Step
from autopack.core.spec import OnPhaseFailure, RunSpec, SafetyProfile
from autopack.core.tier import Cleanliness, DebtStatus, debt_status, tiers
from tests.core.walk import phase_spec, run_spec

PROBE, MINOR, MAJOR = IssueSource.PROBE, IssueSeverity.MINOR, IssueSeverity.MAJOR
SPEC = run_spec(phase_spec("P1"), phase_spec("P2", "T2", 2))


def tolerant(spec: RunSpec, minor: int, *, critical: bool = False) -> RunSpec:
    """The spec with tiers that may have so many minor issues."""
    profile = SafetyProfile.SAFETY_CRITICAL if critical else SafetyProfile.NORMAL
    judged = tuple(replace(tier, minor_issues_max=minor) for tier in spec.tiers)
    return replace(spec, tiers=judged, safety_profile=profile)


class Story:
    """A run driven by hand; each answer is for the command that waits."""

    def __init__(self, spec: RunSpec = SPEC) -> None:
        self.run = machine.create(spec).run
        self.answer(BasePrepared())
        self.answer(EnvironmentPrepared("digest"))

    def answer(self, event: Event) -> Run:
        asked = next(
            each for each in self.run.pending if type(event) in machine.ANSWERS[type(each.command)]
        )
        return self.take(Happened(event, 0, asked.number))

    def take(self, happened: Happened) -> Run:
        answer = machine.advance(self.run, happened)
        assert isinstance(answer, machine.Advanced), answer
        self.run = answer.run
        return self.run

    def record(self, phase_id: str, report: IssueReport, recording: str = "") -> Run:
        return self.take(Happened(IssueRecorded(phase_id, report, "me", recording), 0))

    def refused(self, phase_id: str, report: IssueReport, recording: str = "") -> str:
        event = IssueRecorded(phase_id, report, "me", recording)
        answer = machine.advance(self.run, Happened(event, 0))
        assert isinstance(answer, machine.Refusal), answer
        return answer.reason

    def land(self, phase_id: str, *, passed: tuple[str, ...] = ()) -> Run:
        self.submit(phase_id)
        self.answer(CandidateTested(phase_id, CiVerdict.PASS, passed=passed))
        return self.answer(SnapshotLanded(phase_id, f"commit {phase_id}", "tag"))

    def submit(self, phase_id: str, *issues: IssueReport) -> None:
        attempt = self.run.phase(phase_id).attempts_used
        made = Candidate(str(attempt), f"commit {phase_id}", "tree", self.run.tip)
        self.answer(AttemptEnded(phase_id, attempt, Outcome.SUBMITTED, 1, made, issues=issues))
        self.answer(CandidateChecked(phase_id, GateVerdict.PASS))

    def fail_red(self, phase_id: str, *findings: Finding, more: int = 0) -> None:
        while self.run.phase(phase_id).step is not Step.FAILED:
            self.submit(phase_id)
            evidence = Evidence("ci", "red", findings, more)
            self.answer(CandidateTested(phase_id, CiVerdict.FAIL, evidence))


def report(key: str = "a_problem", **said: Any) -> IssueReport:
    return replace(IssueReport(key, PROBE), **said)


def test_a_repeat_raises_the_occurrence_count_alone() -> None:
    story = Story()
    for _ in range(3):
        story.record("P1", report())
    (found,) = story.run.phase("P1").issues
    assert (found.occurrence_count, found.effective_severity) == (3, MINOR)
    assert issue.counts(story.run.phase("P1").issues) == (1, 0)
    assert issue.issue_state(story.run.phase("P1").issues) is IssueState.HAS_MINOR_ISSUES
    assert story.run.issues_version == story.run.version


def test_one_recording_counts_once_however_often_it_is_sent() -> None:
    story = Story()
    story.record("P1", report(), "k1")
    assert "was made already" in story.refused("P1", report(), "k1")
    story.record("P1", report(), "k2")
    assert story.run.phase("P1").issues[0].occurrence_count == 2


@pytest.mark.parametrize(
    ("key", "told"),
    [("", "issue_key"), ("../x", "issue_key"), ("a/b", "issue_key"), ("a..b", "issue_key"),
     ("a" * 129, "issue_key"), ("a\n", "issue_key")],
)  # fmt: skip
def test_a_key_that_is_no_key_is_refused(key: str, told: str) -> None:
    assert told in Story().refused("P1", report(key))


def test_what_is_too_much_is_refused() -> None:
    story = Story()
    assert "no phase P9" in story.refused("P9", report())
    for said in (
        {"description": "x" * (issue.DESCRIPTION_CHARACTERS_MAX + 1)},
        {"category": "x" * (issue.CATEGORY_CHARACTERS_MAX + 1)},
        {"evidence_refs": ("x",) * (issue.EVIDENCE_MAX + 1)},
        {"evidence_refs": ("x" * (issue.EVIDENCE_CHARACTERS_MAX + 1),)},
    ):
        assert "at most" in story.refused("P1", report(**said))
    for number in range(issue.PHASE_ISSUES_MAX):
        story.record("P1", report(f"issue_{number}"))
    assert "200 issues" in story.refused("P1", report("one_more"))
    story.record("P1", report("issue_7"))
    assert len(story.run.phase("P1").issues) == issue.PHASE_ISSUES_MAX


def test_an_agent_that_reports_too_much_loses_the_rest_and_nothing_else() -> None:
    story = Story()
    many = [report(f"issue_{number}") for number in range(issue.PHASE_ISSUES_MAX + 5)]
    story.submit("P1", *many, report("../tricks"))
    phase = story.run.phase("P1")
    assert (len(phase.issues), phase.issues_dropped) == (issue.PHASE_ISSUES_MAX, 5)


def test_severity_is_what_was_reported_else_the_category_s() -> None:
    spec = replace(SPEC, phases=(replace(SPEC.phases[0], issue_severity=MAJOR), SPEC.phases[1]))
    story = Story(spec)
    story.record("P1", report("silent"))
    story.record("P1", report("said", severity=MINOR))
    story.record("P2", report("other"))
    severities = {each.issue_key: each.severity for p in story.run.phases for each in p.issues}
    assert severities == {"silent": MAJOR, "said": MINOR, "other": MINOR}


@pytest.mark.parametrize(
    ("rule", "upgraded"),
    [
        (SeverityUpgrade(issue_key="schema_*"), True),
        (SeverityUpgrade(issue_key="schema_*", category="other"), False),
        (SeverityUpgrade(category="schema"), True),
        (SeverityUpgrade(task_category="tests"), True),
        (SeverityUpgrade(task_category="docs"), False),
        (SeverityUpgrade(source="ci"), False),
        (SeverityUpgrade(source="probe", category="schema", task_category="tests"), True),
    ],
)
def test_an_upgrade_makes_it_count_as_major(rule: SeverityUpgrade, upgraded: bool) -> None:
    story = Story(replace(SPEC, severity_upgrades=(rule,)))
    story.record("P1", report("schema_x", category="schema"))
    (found,) = story.run.phase("P1").issues
    assert (found.severity, found.effective_severity) == (MINOR, MAJOR if upgraded else MINOR)
    assert found.upgraded is upgraded


def known(key: str, *refs: str, aged: bool = False) -> KnownIssue:
    return KnownIssue(key, MINOR, aged, "r0", refs, "")


def test_an_aged_issue_counts_as_major() -> None:
    story = Story(replace(SPEC, known_issues=(known("old", aged=True), known("young"))))
    story.record("P1", report("old"))
    story.record("P1", report("young"))
    effective = {each.issue_key: each.effective_severity for each in story.run.phase("P1").issues}
    assert effective == {"old": MAJOR, "young": MINOR}


def test_age_is_no_upgrade() -> None:
    story = Story(replace(SPEC, known_issues=(known("old", aged=True),)))
    story.record("P1", report("old"))
    assert not story.run.phase("P1").issues[0].upgraded


def cleaning(occurrences: int = 3) -> RunSpec:
    """P1 cleans the issue `old`, which was seen so often when the run was created."""
    first, second = SPEC.phases
    old = replace(known("old"), occurrence_count=occurrences)
    return replace(SPEC, phases=(replace(first, cleans="old"), second), known_issues=(old,))


def test_a_cleanup_knows_the_sightings_until_it_landed() -> None:
    story = Story(cleaning())
    story.record("P2", report("old"))
    story.record("P2", report("other"))
    story.land("P1")
    assert story.run.phase("P1").occurrences_known == 4
    story.record("P1", report("old"))
    story.land("P2")
    assert [phase.occurrences_known for phase in story.run.phases] == [4, 0]


def test_a_cleanup_that_failed_knows_them_too_unless_the_machine_failed() -> None:
    story = Story(cleaning())
    story.fail_red("P1")
    assert story.run.phase("P1").occurrences_known == 3
    story = Story(cleaning())
    while story.run.phase("P1").step is not Step.FAILED:
        story.answer(CommandFailed("the disk is full"))
    assert story.run.phase("P1").occurrences_known == 0
    assert Story(cleaning(0)).land("P1").phase("P1").occurrences_known == 0, "a run of before"


def test_what_is_resolved_tells_how_often_it_was_known_to_be_seen() -> None:
    old, older = known("old", "test:t"), known("older", "test:t")
    story = Story(replace(SPEC, known_issues=(replace(old, occurrence_count=3), older)))
    story.land("P1", passed=("t",))
    assert story.run.resolved == ("old", "older")
    assert intake.known_occurrences(story.run) == {"old": 3}


def test_a_cap_that_was_hit_alone_makes_a_tier_unclean() -> None:
    run = replace(Story(tolerant(SPEC, 1)).run, tier_caps_hit=("T1",))
    assert [t.cleanliness for t in tiers(run)] == [Cleanliness.NOT_CLEAN, Cleanliness.CLEAN]
    assert not tiers(run)[0].over_tolerance


def test_a_tier_is_not_clean_over_its_tolerance() -> None:
    story = Story(tolerant(SPEC, 1))
    story.record("P1", report("one"))
    assert tiers(story.run)[0].cleanliness is Cleanliness.CLEAN
    assert debt_status(story.run) is DebtStatus.HAS_MINOR_ISSUES
    story.record("P1", report("two"))
    assert [t.cleanliness for t in tiers(story.run)] == [Cleanliness.NOT_CLEAN, Cleanliness.CLEAN]
    assert debt_status(story.run) is DebtStatus.EXCESS_MINOR_ISSUES
    story.record("P2", report("three", severity=MAJOR))
    assert tiers(story.run)[1].cleanliness is Cleanliness.NOT_CLEAN
    story.land("P1")
    story.land("P2")
    assert story.run.stage is not Stage.STOPPING
    assert story.run.failure is None, "under normal it blocks promotion, not the run"


def test_a_run_is_over_its_own_tolerance() -> None:
    story = Story(replace(tolerant(SPEC, 5), minor_issues_max=1))
    assert debt_status(story.run) is DebtStatus.CLEAN
    story.record("P1", report("one"))
    story.record("P2", report("one"))
    assert debt_status(story.run) is DebtStatus.HAS_MINOR_ISSUES, "one problem, seen twice"
    story.record("P2", report("two"))
    assert debt_status(story.run) is DebtStatus.EXCESS_MINOR_ISSUES


def test_where_safety_is_critical_nothing_more_starts_in_a_tier_that_is_not_clean() -> None:
    phases = (phase_spec("P1"), phase_spec("P2", "T1", 2), phase_spec("P3", "T2", 3))
    story = Story(tolerant(run_spec(*phases), 0, critical=True))
    story.submit("P1", report("one"))
    story.answer(CandidateTested("P1", CiVerdict.PASS))
    run = story.answer(SnapshotLanded("P1", "commit P1", "tag"))
    assert [phase.step for phase in run.phases] == [Step.COMPLETE, Step.SKIPPED, Step.SKIPPED]
    assert run.failure is not None
    assert "T1 is not clean" in run.failure.reason


CHORE = replace(phase_spec("P2", "T2", 2), cleans="old")


def test_a_cleanup_that_fails_does_not_fail_the_run() -> None:
    phases = (phase_spec("P1"), CHORE, replace(phase_spec("P3", "T2", 3), cleans="older"))
    story = Story(replace(run_spec(*phases), on_phase_failure=OnPhaseFailure.STOP))
    story.land("P1")
    story.fail_red("P2", Finding("test", "boom", test="t::x"))
    story.land("P3")
    story.answer(Delivered(story.run.tip))
    assert story.run.state is RunState.DONE_SUCCESS
    assert story.run.phase("P2").step is Step.FAILED


def test_a_cleanup_that_the_environment_fails_is_the_environment_s_failure() -> None:
    story = Story(run_spec(phase_spec("P1"), CHORE))
    story.land("P1")
    while story.run.phase("P2").step is not Step.FAILED:
        story.answer(CommandFailed("disk full"))
    assert story.run.failure is not None
    assert story.run.failure.cause is Cause.ENVIRONMENT


def test_a_cleanup_starts_only_where_tokens_are_left() -> None:
    spec, need = run_spec(phase_spec("P1"), CHORE), CHORE.incident_token_cap
    story = Story(replace(spec, token_cap=need + 1))
    story.land("P1")
    assert story.run.phase("P2").step is Step.BUILDING, "P1 used one token"
    short = Story(replace(spec, token_cap=need))
    short.land("P1")
    skipped = short.run.phase("P2")
    assert (skipped.step, short.run.failure) == (Step.SKIPPED, None)
    assert "only where tokens are left" in skipped.skipped_because


def test_where_safety_is_critical_a_tier_that_is_not_clean_stops_the_run() -> None:
    story = Story(tolerant(SPEC, 0, critical=True))
    story.record("P1", report())
    assert story.run.stage is Stage.WORKING, "the tier has not ended"
    story.land("P1")
    assert story.run.failure
    assert story.run.failure.cause is Cause.REQUIRES_HUMAN_REVIEW
    assert "tier T1 is not clean: 1 minor issues (at most 0)" in story.run.failure.reason
    assert story.run.phase("P2").step is Step.SKIPPED


def test_a_red_test_that_stayed_red_is_an_issue_with_its_test_as_evidence() -> None:
    story = Story(replace(SPEC, on_phase_failure=SPEC.on_phase_failure))
    story.fail_red("P1", Finding("test", "boom", "tests/a.py", 7, test="tests.a::test_x"))
    (found,) = story.run.phase("P1").issues
    assert found.issue_key.startswith("test_failure__tests_a_test_x__")
    assert found.source is IssueSource.TEST
    assert found.evidence_refs == ("path:tests/a.py:7", "test:tests.a::test_x")
    assert found.occurrence_count == 1


def test_red_tests_that_ci_did_not_name_are_counted() -> None:
    story = Story()
    story.fail_red("P1", Finding("test", "boom", test="t::x"), more=7)
    found = story.run.phase("P1")
    assert (len(found.issues), found.issues_dropped) == (1, 7)


def test_what_an_attempt_said_before_its_machine_failed_is_kept() -> None:
    story = Story()
    story.answer(CommandFailed("the disk is full", 3, issues=(report("odd"),)))
    story.land("P1")
    assert [each.issue_key for each in story.run.phase("P1").issues] == ["odd"]


def test_a_red_test_that_was_mended_is_none() -> None:
    story = Story()
    story.submit("P1")
    evidence = Evidence("ci", "red", (Finding("test", "boom", test="t::x"),))
    story.answer(CandidateTested("P1", CiVerdict.FAIL, evidence))
    story.land("P1")
    assert story.run.phase("P1").issues == ()


@given(st.text(min_size=1, max_size=200), st.text(min_size=1, max_size=200))
def test_each_test_has_a_key_of_its_own(one: str, other: str) -> None:
    assert issue.KEY_PATTERN.fullmatch(intake.test_key(one))
    assert ".." not in intake.test_key(one)
    assert (intake.test_key(one) == intake.test_key(other)) == (one == other)


def test_a_known_issue_is_resolved_when_all_its_tests_were_green_in_what_landed() -> None:
    story = Story(
        replace(
            SPEC,
            known_issues=(known("both", "test:a", "test:b"), known("one", "test:a"), known("none")),
        )
    )
    story.land("P1", passed=("a",))
    assert list(story.run.resolved) == ["one"]
    story.land("P2", passed=("a", "b"))
    assert list(story.run.resolved) == ["both", "one"]
    story.record("P1", report("one"))
    assert list(story.run.resolved) == ["both"], "it was seen again"


def test_a_run_resolves_nothing_that_it_saw_itself() -> None:
    story = Story(replace(SPEC, known_issues=(known("one", "test:a"), known("two", "test:a"))))
    story.record("P2", report("one"))
    story.land("P1", passed=("a",))
    assert list(story.run.resolved) == ["two"]
    assert debt_status(story.run) is DebtStatus.HAS_MINOR_ISSUES


def test_what_is_seen_again_is_open_also_when_it_is_one_too_many() -> None:
    story = Story(replace(SPEC, known_issues=(known("one", "test:a"),)))
    story.land("P1", passed=("a",))
    many = [report(f"issue_{number}") for number in range(issue.PHASE_ISSUES_MAX)]
    assert list(story.run.resolved) == ["one"]
    story.submit("P2", *many, report("one"))
    assert story.run.resolved == ()


def test_green_in_what_did_not_land_resolves_nothing() -> None:
    story = Story(replace(SPEC, known_issues=(known("one", "test:a"),)))
    story.submit("P1")
    story.answer(CandidateTested("P1", CiVerdict.PASS, passed=("a",)))
    assert story.run.resolved == ()


RECORDINGS = st.lists(
    st.builds(
        IssueReport,
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(IssueSource),
        st.sampled_from(["", "x", "y"]),
        st.sampled_from([None, *IssueSeverity]),
        st.booleans(),
        st.lists(st.sampled_from(["test:t", "path:p", "free text"]), max_size=3).map(tuple),
        st.sampled_from(["", "one", "two"]),
    ),
    max_size=12,
)


@given(RECORDINGS, st.integers(0, 10**6))
@settings(max_examples=150, deadline=None)
def test_the_order_of_recordings_changes_nothing(found: list[IssueReport], seed: int) -> None:
    shuffled = list(found)
    random.Random(seed).shuffle(shuffled)
    runs = []
    for order in (found, shuffled):
        story = Story(tolerant(SPEC, 2))
        for each in order:
            story.record("P1", each)
        runs.append(story.run)
    one, other = runs
    assert one.phase("P1").issues == other.phase("P1").issues
    assert sum(each.occurrence_count for each in one.phase("P1").issues) == len(found)
    assert debt_status(one) is debt_status(other)
