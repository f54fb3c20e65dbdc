"""A run's spec from facts and wishes, and a successor's from what landed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from autopack.app.planning import Machine
from autopack.app.retry import (
    successor,
)
from autopack.app.start import (
    Ready,
    Wish,
    new_draft,
    new_run,
)
from autopack.app.surveyor import surveyed
from autopack.core import machine
from autopack.core.draft import Draft
from autopack.core.errors import OperatorFault
from autopack.core.plan_draft import PhaseDraft, PlanDraft, TierDraft
from autopack.core.run import (
    Cause,
    Failure,
    Run,
    Snapshot,
    Stage,
    Step,
)
from autopack.core.spec import (
    OnPhaseFailure,
    RunScope,
    SafetyProfile,
)

PROJECT = """\
[ci.normal]
commands = [{ run = "true" }]
[run]
parallel_max = 3
token_cap = 1000000
max_duration_minutes = 7
"""
HERE = Machine(frozenset({"b", "a"}), "b", "", "bubblewrap")


@dataclass(frozen=True)
class FakeFacts:
    head_branch: str = "main"
    default_branch: str = "main"
    empty: bool = False
    shallow: bool = False
    partial: bool = False
    dirty: bool = False
    object_format: str = "sha1"
    taken: tuple[str, ...] = ()

    def in_the_way(self, run_id: str) -> tuple[str, ...]:
        return tuple(ref for ref in self.taken if ref.endswith(("/autonomous", f"/{run_id}")))


@dataclass(frozen=True)
class FakeSource:
    """`ancestors`: pairs (old, new)."""

    facts: FakeFacts = FakeFacts()
    top: Path = Path("/work/my repo")
    commits: dict[str, str] = field(default_factory=lambda: {"main": "c" * 40})
    ancestors: frozenset[tuple[str, str]] = frozenset()
    files: tuple[str, ...] = ("autopack.toml",)
    project: str = PROJECT

    def commit(self, ref: str) -> str:
        return self.commits.get(ref, "")

    def read(self, commit: str, path: str) -> str | None:
        return self.project if path == "autopack.toml" else None

    def listed(self, commit: str) -> dict[str, int]:
        return dict.fromkeys(self.files, 1)

    def has(self, commit: str, path: str) -> bool:
        return path in self.files

    def is_ancestor(self, old: str, new: str) -> bool:
        return (old, new) in self.ancestors


def draft(tiers: int = 1) -> PlanDraft:
    return PlanDraft(
        "plan.md",
        tuple(
            TierDraft(
                f"T{t}",
                f"tier {t}",
                tuple(
                    PhaseDraft(f"F{t}.{p}", "p", "tests", "low", scope=("a.py",), task="do it")
                    for p in (1, 2)
                ),
            )
            for t in range(1, tiers + 1)
        ),
    )


def ready(wish: Wish, source: FakeSource | None = None, tiers: int = 1) -> Ready:
    return new_run(wish, HERE, source or FakeSource(), draft(tiers), set())


def test_wishes_win_over_the_project_and_the_project_over_defaults() -> None:
    spec = ready(Wish("p", parallel_max=2)).spec
    assert (spec.parallel_max, spec.token_cap, spec.duration_seconds_max) == (2, 1_000_000, 420)
    assert (spec.phases_max, spec.run_scope) == (25, RunScope.MULTI_TIER)
    assert (spec.project_id, spec.base_ref, spec.base_commit) == ("my-repo", "main", "c" * 40)


def test_a_cap_that_no_phase_fits_is_refused_before_the_start() -> None:
    said = "no phase can start: it may need 300,000 tokens, the run has 22,000; --token-cap 300000"
    with pytest.raises(OperatorFault, match=said):
        ready(Wish("p", token_cap=22_000))
    assert ready(Wish("p", token_cap=300_000)).spec.token_cap == 300_000


def test_safety_critical_stops_at_a_failure_and_runs_one_tier_at_a_time() -> None:
    wish = Wish("p", safety_profile=SafetyProfile.SAFETY_CRITICAL)
    here = replace(HERE, auditor="a")
    spec = new_run(wish, here, FakeSource(), draft(), set()).spec
    assert spec.on_phase_failure is OnPhaseFailure.STOP
    assert (spec.series, spec.rest_tiers) == ("", ())
    split = new_run(wish, here, FakeSource(), draft(3), set())
    assert split.plan.parts == (("T1",), ("T2",), ("T3",))
    spec = split.spec
    assert [tier.tier_id for tier in (*spec.tiers, *spec.rest_tiers)] == ["T1", "T2", "T3"]
    assert (spec.series, spec.part, len(spec.phases), len(spec.rest_phases)) == ("p-1", 1, 2, 4)
    assert spec.minor_issues_max == 2 * (spec.minor_issues_per_phase or 0)
    assert [rule.category for rule in spec.rest_rules] == ["tests"]


def test_a_plan_over_max_phases_is_split_where_tiers_end() -> None:
    found = ready(Wish("p", phases_max=5), tiers=3)
    assert found.plan.parts == (("T1", "T2"), ("T3",))
    assert [phase.phase_id for phase in found.spec.rest_phases] == ["F3.1", "F3.2"]
    said = r"tier T1 has 2 phases, a run at most 1 \(max_phases\); make 2 tiers of it"
    with pytest.raises(OperatorFault, match=said):
        ready(Wish("p", phases_max=1))
    crowd = tuple(PhaseDraft(f"F{n}", scope=("a",), task="t") for n in range(5))
    with pytest.raises(OperatorFault, match="make 3 tiers of it"):
        new_run(Wish("p", phases_max=2), HERE, FakeSource(),
                PlanDraft("p", (TierDraft("T1", "t", crowd),)), set())  # fmt: skip


def test_all_runs_of_a_series_have_names_that_are_free_and_ids() -> None:
    wish = Wish("p", phases_max=2)
    assert new_run(wish, HERE, FakeSource(), draft(3), {"p-1-3", "p-2-2"}).spec.run_id == "p-3"
    taken = FakeSource(FakeFacts(taken=("refs/heads/autonomous/p-1-2",)))
    assert ready(wish, taken, tiers=2).spec.run_id == "p-2"
    with pytest.raises(
        OperatorFault, match=r"run id q-2 \(part of q, a plan of 2 runs\): the store"
    ):
        new_run(replace(wish, run_id="q"), HERE, FakeSource(), draft(2), {"q-2"})
    long = "x" * 63
    with pytest.raises(OperatorFault, match=f"run id '{long}-2' .part of {long}.*1 to 64"):
        new_run(replace(wish, run_id=long), HERE, FakeSource(), draft(2), set())
    whole = new_run(replace(wish, run_id=long), HERE, FakeSource(), draft(1), set())
    assert whole.spec.run_id == long


@pytest.mark.parametrize(
    ("name", "taken", "run_id"),
    [
        ("plan", (), "plan-1"),
        ("My plan (v2)", (), "My-plan-v2-1"),
        ("...", (), "run-1"),
        ("x" * 200, (), "x" * 48 + "-1"),
        ("plan", ("refs/heads/autonomous/plan-1", "refs/tags/autonomous/plan-2"), "plan-3"),
    ],
)
def test_a_run_is_named_after_its_plan(name: str, taken: tuple[str, ...], run_id: str) -> None:
    assert ready(Wish(name), FakeSource(FakeFacts(taken=taken))).spec.run_id == run_id


def test_the_store_knows_names_too() -> None:
    found = new_run(Wish("plan"), HERE, FakeSource(), draft(), {"plan-1", "plan-2"})
    assert found.spec.run_id == "plan-3"


def ended() -> Run:
    """F1.1 landed, F1.2 failed."""
    run = machine.create(ready(Wish("p", run_id="p")).spec).run
    first, second = run.phases
    return replace(
        run,
        stage=Stage.DONE,
        pending=(),
        phases=(replace(first, step=Step.COMPLETE), replace(second, step=Step.FAILED)),
        snapshots=(Snapshot("F1.1", "d" * 40, "tag"),),
        tip="d" * 40,
        failure=Failure(Cause.POLICY_VIOLATION, "no", "F1.2"),
    )


def test_a_successor_begins_at_the_last_snapshot() -> None:
    spec = successor(ended(), FakeSource(), HERE, set())
    assert (spec.run_id, spec.predecessor) == ("p-r1", "p")
    assert (spec.base_ref, spec.base_commit, spec.landed) == ("autonomous/p", "d" * 40, ("F1.1",))
    assert spec.survey is not None
    assert spec.survey.commit == ended().spec.base_commit


def test_a_successor_has_the_cap_that_is_asked_for_and_one_that_lets_it_start() -> None:
    run = ended()
    assert successor(run, FakeSource(), HERE, set()).token_cap == 1_000_000
    assert successor(run, FakeSource(), HERE, set(), token_cap=400_000).token_cap == 400_000
    with pytest.raises(OperatorFault, match="no phase can start: it may need 300,000 tokens"):
        successor(run, FakeSource(), HERE, set(), token_cap=299_999)


def test_successors_are_numbered_on() -> None:
    run = replace(ended(), spec=replace(ended().spec, run_id="p-r1", landed=("F1.1",)))
    assert successor(run, FakeSource(), HERE, {"p-r1"}).run_id == "p-r2"


def test_onto_another_base_only_what_it_holds_has_landed() -> None:
    source = FakeSource(commits={"main": "e" * 40})
    again = successor(ended(), source, HERE, set(), onto="main")
    assert (again.base_ref, again.base_commit, again.landed) == ("main", "e" * 40, ())
    assert again.survey == surveyed(source, "e" * 40)
    assert again.survey.commit == "e" * 40
    holding = replace(source, ancestors=frozenset({("d" * 40, "e" * 40)}))
    assert successor(ended(), holding, HERE, set(), onto="main").landed == ("F1.1",)
    with pytest.raises(OperatorFault, match="names no commit"):
        successor(ended(), source, HERE, set(), onto="nowhere")


def test_whether_the_gate_runs_programs_is_told_of_the_base_that_the_run_has() -> None:
    lint = replace(FakeSource(), project=PROJECT + '[gate]\ncommands = [{ run = "lint" }]\n')
    assert (ready(Wish("p"), lint).spec.gate_commands, ready(Wish("p")).spec.gate_commands) == (
        True,
        False,
    )
    assert successor(ended(), lint, HERE, set(), onto="main").gate_commands
    broken = replace(lint, project="gate = 1")
    assert not successor(ended(), broken, HERE, set(), onto="main").gate_commands


def test_a_retry_keeps_the_rest_of_its_series_and_the_builder_that_is_given_for_it() -> None:
    wish = Wish("p", run_id="p", phases_max=2)
    spec = replace(ready(wish, tiers=2).spec, landed=("F1.1",))
    rest = tuple(replace(phase, builder="other") for phase in spec.rest_phases)
    run = replace(ended(), spec=replace(spec, rest_phases=rest))
    again = successor(run, FakeSource(), replace(HERE, fixed=frozenset({"builder"})), set())
    assert (again.series, again.part, again.rest_tiers) == ("p", 1, spec.rest_tiers)
    assert again.rest_phases == spec.rest_phases
    with pytest.raises(OperatorFault, match=r"no \[agents.other"):
        successor(run, FakeSource(), HERE, set())
    large = tuple(replace(phase, incident_token_cap=900_000) for phase in spec.rest_phases)
    run = replace(run, spec=replace(spec, rest_phases=large))
    with pytest.raises(OperatorFault, match=r"phase F2.1 can never start"):
        successor(run, FakeSource(), HERE, set(), token_cap=800_000)
    done = replace(ended(), spec=spec, failure=None)
    source = FakeSource(commits={"main": "e" * 40})
    assert successor(done, source, HERE, set(), onto="main").rest_tiers == spec.rest_tiers


def test_the_builder_given_for_a_retry_wins_for_the_plan_that_is_still_to_be_drafted() -> None:
    wish, asked = Wish("p", run_id="p"), Draft("reach it", fixed=("auditor",))
    spec = new_draft(wish, HERE, FakeSource(), asked, set()).spec
    spec = replace(spec, draft=replace(asked, fixed=("auditor",)))
    run = replace(machine.create(spec).run, stage=Stage.DONE, pending=(),
                  failure=Failure(Cause.REQUIRES_HUMAN_REVIEW, "x"))  # fmt: skip
    here = replace(HERE, fixed=frozenset({"builder", "sandbox"}))
    again = successor(run, FakeSource(), here, set()).draft
    assert again == replace(asked, fixed=("auditor", "builder"))


def test_refused_while_under_way_or_when_nothing_is_left() -> None:
    with pytest.raises(OperatorFault, match="under way"):
        successor(replace(ended(), stage=Stage.WORKING), FakeSource(), HERE, set())
    with pytest.raises(OperatorFault, match="nothing to retry"):
        successor(replace(ended(), failure=None), FakeSource(), HERE, set())
    landed = replace(ended(), spec=replace(ended().spec, landed=("F1.2",)))
    with pytest.raises(OperatorFault, match="nothing is left"):
        successor(landed, FakeSource(), HERE, set())


def test_a_failed_part_with_nothing_left_can_be_retried_for_what_comes_after_it() -> None:
    """Its tier was not clean, say: the retry is somebody's word that the series may go on."""
    run = ended()
    done = replace(run, phases=tuple(replace(phase, step=Step.COMPLETE) for phase in run.phases))
    with pytest.raises(OperatorFault, match="nothing is left"):
        successor(done, FakeSource(), HERE, set())
    split = ready(Wish("p", run_id="p", phases_max=2), tiers=2).spec
    again = successor(replace(done, spec=split), FakeSource(), HERE, set())
    assert again.landed == ("F1.1", "F1.2")
    assert again.rest_tiers == split.rest_tiers
