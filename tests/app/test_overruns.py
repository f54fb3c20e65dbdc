"""Reports of runs: empty data, shares, and who is responsible."""

from __future__ import annotations

from dataclasses import replace

from autopack.app.backlog_summary import TOP_MAX, backlog_summary
from autopack.app.metrics import run_metrics, tier_metrics
from autopack.app.overruns import budget_analysis
from autopack.app.past import Choice, past_runs
from autopack.core import machine
from autopack.core.backlog import Facts, Resolution, Sighting, backlog
from autopack.core.event import Happened, RunCreated
from autopack.core.issue import Issue, IssueSeverity, IssueSource
from autopack.core.run import Cause, Failure, Phase, Stage, Step
from autopack.testing import MemoryStore
from tests.app.test_report import run_of, spec
from tests.core.walk import phase_spec, run_spec

SPENT = Failure(Cause.BUDGET_EXHAUSTED, "incident_token_cap of 200,000 tokens is spent", "F2")


def test_of_no_runs_nothing() -> None:
    told = budget_analysis([])
    assert (told.runs_looked_at, told.average_token_utilization) == (0, 0.0)
    assert (told.limits, told.failures, told.slices) == ((), (), ())


def test_what_a_budget_ended() -> None:
    landed = Phase(spec("F1", 1), Step.COMPLETE, 1, auditor_attempts_used=1, tokens_spent=50_000)
    spent = Phase(spec("F2", 2, "T2"), Step.FAILED, 2, tokens_spent=200_000, failure=SPENT)
    run = run_of(landed, spent, stage=Stage.DONE, failure=SPENT)
    fine = run_of(replace(landed, auditor_attempts_used=0), stage=Stage.DONE)
    told = budget_analysis([run, fine])
    assert [(each.limit, each.runs, each.phases) for each in told.limits] == [
        ("incident_token_cap", 1, 1)
    ]
    (failure,) = told.failures
    assert (failure.tiers_responsible, failure.auditor_helped) == (("T2",), True)
    assert failure.token_utilization == 0.05
    assert told.average_token_utilization == 0.03
    (kind,) = told.slices
    assert (kind.phases, kind.landed, kind.failed, kind.share) == (3, 2, 1, 1.0)
    assert kind.limits == {"incident_token_cap": 1}


def test_flags_of_a_tier() -> None:
    used = Phase(spec("F1", 1), Step.COMPLETE, 1, ci_runs_used=5, tokens_spent=600_001)
    (tier,) = tier_metrics(run_of(used, tier_caps_hit=("T1",)))
    assert tier.budget_flags == ("token_cap", "ci_run_cap")
    assert (tier.promotion_blocked, tier.cleanliness) == (True, "not_clean")
    (clean,) = tier_metrics(run_of(replace(used, ci_runs_used=4, tokens_spent=600_000)))
    assert (clean.budget_flags, clean.promotion_blocked) == ((), False)


def test_past_runs_are_chosen_newest_first_over_pages() -> None:
    store = MemoryStore()
    for number in range(230):
        of = replace(run_spec(phase_spec("P1")), run_id=f"r{number}", project_id=f"p{number % 2}")
        store.create(machine.create(of).run, Happened(RunCreated(of), 100))
    found = past_runs(store, Choice(project_id="p1"), 100)
    assert [run.run_id for run in found] == [f"r{number}" for number in range(229, 30, -2)]
    assert past_runs(store, Choice(state="DONE_SUCCESS"), 5) == []
    assert len(past_runs(store, Choice(), 1000)) == 230
    metrics = run_metrics(found[0], store)
    assert (metrics.started_at, metrics.completed_at) == (100, None)
    assert (metrics.token_utilization, metrics.phase_states) == (0.0, {"QUEUED": 1})


def sighting(key: str, run: int, times: int = 1) -> Sighting:
    found = Issue(key, IssueSeverity.MINOR, IssueSeverity.MINOR, IssueSource.PROBE, "c",
                  expected_fail=False, occurrence_count=times, evidence_refs=(), description="")  # fmt: skip
    return Sighting(run, f"r{run}", "T1", "P1", run, found)


def test_the_backlog_in_short() -> None:
    seen = [sighting(f"often{n:02}", 1, 100 - n) for n in range(TOP_MAX + 5)]
    seen += [sighting("old", run) for run in (1, 2, 3)] + [sighting("gone", 1)]
    facts = Facts(seen, resolutions=[Resolution("gone", 1, "me", "mended", 5)])
    told = backlog_summary("p", backlog(facts))
    assert told.total_issues == TOP_MAX + 7
    assert (told.open_count, told.needs_cleanup_count, told.resolved_count) == (TOP_MAX + 5, 1, 1)
    assert told.top_aging_issues[0].issue_key == "old"
    assert [each.issue_key for each in told.needs_cleanup] == ["old"]
    assert len(told.top_recurring_issues) == TOP_MAX
    assert told.top_recurring_issues[0].issue_key == "often00"
    assert backlog_summary("p", ()).top_aging_issues == ()
