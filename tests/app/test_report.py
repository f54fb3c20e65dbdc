"""What people are told of a run, in each of its steps."""

from __future__ import annotations

import dataclasses
import json
import typing

import pytest

from autopack.adapters.files.summaries import run_summary
from autopack.app.ports import Recorded
from autopack.app.report import run_view
from autopack.app.sentences import attempt_number, phase_sentence, run_sentence
from autopack.app.story import AHEAD, Teller, told
from autopack.cli.story import line
from autopack.core import event as ev
from autopack.core.command import Build, Pending
from autopack.core.issue import IssueReport, IssueSource
from autopack.core.run import (
    Candidate,
    Cause,
    Evidence,
    Failure,
    Finding,
    Phase,
    Run,
    Snapshot,
    Stage,
    Step,
)
from autopack.core.spec import (
    CiProfile,
    Complexity,
    PhaseSpec,
    RunSpec,
    TierSpec,
)

CANDIDATE = Candidate("2", "c" * 40, "t" * 40, "b" * 40)
EVIDENCE = Evidence("ci", "one test is red", (Finding("test", "assert 1 == 2", "a.py", 3),))


def spec(phase_id: str, index: int, tier_id: str = "T1") -> PhaseSpec:
    return PhaseSpec(
        phase_id=phase_id,
        tier_id=tier_id,
        phase_index=index,
        name=f"Name of {phase_id}",
        task="Do it.",
        task_category="docs",
        complexity=Complexity.LOW,
        builder_mode="tweak_light",
        scope=("src/**",),
        needs=(),
        packs=(),
        deliver=(),
        ci_profile=CiProfile.NORMAL,
        auto_apply=True,
        auditor_profile="",
        builder_attempts_max=2,
        auditor_attempts_max=1,
        incident_token_cap=200_000,
        files_max=2,
        changed_lines_max=150,
    )


def run_of(*phases: Phase, **changes: object) -> Run:
    tiers = dict.fromkeys(phase.spec.tier_id for phase in phases)
    run_spec = RunSpec(
        run_id="nightly",
        project_id="toy",
        repository="/somewhere/toy",
        base_ref="main",
        base_commit="b" * 40,
        tiers=tuple(TierSpec(each, i, each, 600_000, 4) for i, each in enumerate(tiers, 1)),
        phases=tuple(phase.spec for phase in phases),
        builder="scripted",
        auditor="",
        sandbox="none",
    )
    run = Run(run_spec, Stage.WORKING, phases)
    return dataclasses.replace(run, **changes)  # type: ignore[arg-type]  # fields by name


def log(*events: ev.Event) -> list[Recorded]:
    return [
        Recorded("nightly", number, ev.Happened(event, 1_700_000_000 + number), "")
        for number, event in enumerate(events, 1)
    ]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"step": Step.QUEUED}, "phase F1 waits for its turn"),
        ({"step": Step.BUILDING}, "phase F1 is being built, attempt 1 of 2"),
        ({"step": Step.PARKED}, "phase F1 waits at the provider's usage limit, attempt 1 of 2"),
        (
            {"step": Step.TESTING, "attempts_used": 2, "attempts_granted": 1},
            "phase F1 waits for CI, attempt 2 of 3",
        ),
        (
            {"step": Step.AUDITING, "attempts_used": 1},
            "phase F1 waits for the auditor, attempt 1 of 2",
        ),
        ({"step": Step.COMPLETE, "attempts_used": 1}, "phase F1 has landed after 1 attempt"),
        (
            {"step": Step.FAILED, "failure": Failure(Cause.ENVIRONMENT, "disk full", "F1")},
            "phase F1 has failed: disk full",
        ),
        (
            {"step": Step.SKIPPED, "skipped_because": "F0 failed"},
            "phase F1 was skipped: F0 failed",
        ),
    ],
)
def test_phase_sentences(changes: dict[str, object], sentence: str) -> None:
    phase = dataclasses.replace(Phase(spec("F1", 1)), **changes)  # type: ignore[arg-type]  # fields by name
    assert phase_sentence(run_of(phase), phase) == sentence


@pytest.mark.parametrize("step", Step)
def test_every_step_has_a_sentence(step: Step) -> None:
    phase = Phase(spec("F1", 1), step)
    assert phase_sentence(run_of(phase), phase).startswith("phase F1 ")


def test_the_attempt_is_the_one_asked_for() -> None:
    phase = Phase(spec("F1", 1), Step.BUILDING, attempts_used=1)
    pending = (Pending(3, Build("F0", 7, "p", 1)), Pending(4, Build("F1", 2, "p", 1)))
    assert attempt_number(run_of(phase, pending=pending), phase) == 2


def test_run_sentences() -> None:
    queued, done = Phase(spec("F2", 2)), Phase(spec("F1", 1), Step.COMPLETE)
    landed = (Snapshot("F1", "c" * 40, "tag"),)
    testing = Phase(spec("F2", 2), Step.TESTING, attempts_used=1)
    failure = Failure(Cause.BUDGET_EXHAUSTED, "tokens are spent")
    shown = [
        run_sentence(run_of(queued, stage=Stage.CREATED)),
        run_sentence(run_of(queued, stage=Stage.QUEUEING)),
        run_sentence(run_of(done, testing, snapshots=landed)),
        run_sentence(run_of(done, stage=Stage.DONE, snapshots=landed)),
        run_sentence(run_of(done, queued, stage=Stage.DONE, snapshots=landed, failure=failure)),
    ]
    assert shown == [
        "run nightly is being prepared from main",
        "run nightly is preparing its environment",
        "run nightly is under way: 1 of 2 phases landed; phase F2 waits for CI, attempt 1 of 2",
        "run nightly is done: 1 of 1 phase landed",
        "run nightly ended as DONE_FAILED_BUDGET_EXHAUSTED: tokens are spent; 1 of 2 phases landed",
    ]


def test_run_view() -> None:
    done = Phase(spec("F1", 1), Step.COMPLETE, attempts_used=1, tokens_spent=70, ci_runs_used=1)
    open_ = Phase(spec("F2", 2, "T2"), Step.TESTING, attempts_used=2, tokens_spent=30)
    run = run_of(done, open_, snapshots=(Snapshot("F1", "c" * 40, "tag1"),), active_seconds=61.5)
    events = log(
        ev.RunCreated(run.spec),
        ev.AttemptEnded("F1", 1, ev.Outcome.SUBMITTED, 70, CANDIDATE),
        ev.DeliveryRefused("c" * 40, "checked out"),
        ev.CandidateTested("F2", ev.CiVerdict.FAIL, EVIDENCE, 4, weak=True),
    )
    view = run_view(run, iter(events))
    assert (view.started_at, view.changed_at) == (1_700_000_001, 1_700_000_004)
    assert [(t.tier_id, t.state, t.tokens_spent, t.ci_runs_used) for t in view.tiers] == [
        ("T1", "COMPLETE", 70, 1),
        ("T2", "IN_PROGRESS", 30, 0),
    ]
    first, second = view.phases
    assert (first.commit, first.tag, second.commit) == ("c" * 40, "tag1", "")
    assert [entry.what for entry in first.entries] == [
        "attempt 1 submitted, 70 tokens, candidate cccccccccccc"
    ]
    (red,) = second.entries
    assert (red.what, red.detail) == ("CI: fail (4 tests, by exit code alone)", "one test is red")
    assert red.findings[0].place == "a.py:3"
    assert [entry.what for entry in view.entries] == [
        "run created from bbbbbbbbbbbb",
        "delivery of cccccccccccc refused",
    ]
    assert [(b.name, b.used, b.limit) for b in view.budgets[:3]] == [
        ("tokens", 100, 5_000_000),
        ("phases", 2, 25),
        ("duration", 61.5, 7200),
    ]
    assert json.loads(json.dumps(dataclasses.asdict(view)))["tiers"][0]["phases"][0]["name"]


def test_a_view_without_events() -> None:
    view = run_view(run_of(Phase(spec("F1", 1))), [])
    assert (view.started_at, view.entries, view.phases[0].entries) == (0, (), ())


SAMPLES: dict[type[ev.Event], ev.Event] = {
    type(each): each
    for each in (
        ev.RunCreated(run_of(Phase(spec("F1", 1))).spec),
        ev.BasePrepared(),
        ev.EnvironmentPrepared("d"),
        ev.AttemptEnded("F1", 1, ev.Outcome.PARKED),
        ev.Unparked("F1", 3.0),
        ev.CandidateChecked("F1", ev.GateVerdict.NEEDS_AUDITOR),
        ev.PlanDrafted("F1", run_of(Phase(spec("F1", 1))).spec, ("HOSTILE",)),
        ev.PlanRejected("F1", (Finding("plan", "HOSTILE"),)),
        ev.AuditEnded("F1", ev.Recommendation.REVISE, notes="HOSTILE"),
        ev.CandidateTested("F1", ev.CiVerdict.PASS, cached=True),
        ev.CandidateReapplied("F1", CANDIDATE),
        ev.ReapplyConflicted("F1", Evidence("conflict", "HOSTILE")),
        ev.SnapshotLanded("F1", "c" * 40, "tag"),
        ev.Delivered("c" * 40),
        ev.DeliveryRefused("c" * 40, "HOSTILE"),
        ev.CommandFailed("HOSTILE"),
        ev.CancelRequested("HOSTILE"),
        ev.DeliveryRequested("HOSTILE"),
        ev.IssueRecorded(
            "F1", IssueReport("k", IssueSource.PROBE, description="HOSTILE"), "HOSTILE"
        ),
        ev.DurationSpent(),
        ev.Promoted(7, "file:///there", "c" * 40, notes=("HOSTILE",)),
        ev.PromotionRefused("HOSTILE"),
        ev.PromotionRequested("HOSTILE"),
        ev.PromotionsFull(5, 5),
        ev.RoomAwaited(found=True, waited_seconds=3.0),
    )
}


@pytest.mark.parametrize("kind", typing.get_args(ev.Event))
def test_every_event_is_told_apart_from_what_others_wrote(kind: type[ev.Event]) -> None:
    event = SAMPLES[kind]
    said = told(event)
    assert said.what
    assert "HOSTILE" not in said.what
    assert said.phase_id == getattr(event, "phase_id", "")


def test_infra_retries_are_those_of_the_run_and_of_each_phase_that_used_some() -> None:
    used = Phase(spec("F1", 1), Step.COMPLETE, infra_retries_used=2)
    view = run_view(run_of(used, Phase(spec("F2", 2)), infra_retries_used=1))
    told = {b.name: (b.used, b.limit) for b in view.budgets if "retries" in b.name}
    assert told == {"infra retries": (1, 2), "infra retries of F1": (2, 2)}
    assert "| infra retries of F1 | 2 | 2 | retries |" in run_summary(view)


def test_a_summary_says_that_nothing_fenced_the_run() -> None:
    assert "- sandbox: none: agents and CI saw the machine" in run_summary(
        run_view(run_of(Phase(spec("F1", 1))))
    )


def test_a_red_verdict_ahead_of_the_branch_says_that_it_may_not_count() -> None:
    first = Candidate("1", "c" * 40, "t" * 40, "b" * 40)
    other = Candidate("1", "e" * 40, "t" * 40, "b" * 40)
    again = Candidate("1.r1", "d" * 40, "t" * 40, first.commit)
    red = ev.CandidateTested("F2", ev.CiVerdict.FAIL, EVIDENCE, 4)
    begun: list[ev.Event] = [
        ev.AttemptEnded("F1", 1, ev.Outcome.SUBMITTED, 1, first),
        ev.AttemptEnded("F2", 1, ev.Outcome.SUBMITTED, 1, other),
    ]
    reapplied = ev.CandidateReapplied("F2", again)
    landed = ev.SnapshotLanded("F1", first.commit, "tag")
    cases: list[tuple[list[ev.Event], bool]] = [
        ([], False),
        ([reapplied], True),
        ([reapplied, landed], False),
        ([reapplied, ev.CandidateTested("F1", ev.CiVerdict.FAIL, EVIDENCE)], False),
    ]
    for before, ahead in cases:
        teller = Teller()
        for event in (*begun, *before):
            teller.told(event)
        assert (AHEAD in teller.told(red).what) is ahead, before


def test_an_event_line_keeps_the_end_where_a_traceback_says_what_is_wrong() -> None:
    text = "Traceback:\n" + "  File x\n" * 200 + "ValueError: the cause"
    event = ev.AttemptEnded("F1", 1, ev.Outcome.FAILED, 0, None, Evidence("builder", text))
    said = line(log(event)[0], Teller())
    assert "Traceback" in said
    assert said.endswith("ValueError: the cause")
    assert len(said) < 320
