"""A series: nothing of a plan is lost or done twice, each run stays inside its bounds."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.core import machine, series
from autopack.core.builtin import BUILT_IN
from autopack.core.event import Delivered, Happened
from autopack.core.ids import id_problem
from autopack.core.notice import notices
from autopack.core.plan import CompiledPlan, PlanOptions, compile_plan
from autopack.core.plan_draft import PhaseDraft, PlanDraft, TierDraft
from autopack.core.run import Cause, Failure, Run, Snapshot, Stage
from autopack.core.spec import RunScope, RunSpec
from autopack.core.strategy import category_rule, run_minor_issues_max
from tests.core.walk import phase_spec, run_spec

MULTI, SINGLE = RunScope.MULTI_TIER, RunScope.SINGLE_TIER


def planned(*sizes: int, scope: RunScope = MULTI, phases_max: int = 3) -> RunSpec:
    """A run of tiers with so many phases; each phase needs the one before it."""
    phases = [
        phase_spec(f"F{tier}.{number}", f"T{tier}", 0)
        for tier, size in enumerate(sizes, 1)
        for number in range(1, size + 1)
    ]
    phases = [replace(phase, phase_index=index) for index, phase in enumerate(phases, 1)]
    needing = [
        replace(phase, needs=(phases[index - 1].phase_id,) if index else ())
        for index, phase in enumerate(phases)
    ]
    return replace(
        run_spec(*needing),
        run_scope=scope,
        phases_max=phases_max,
        minor_issues_per_phase=BUILT_IN.run_minor_issues_per_phase,
        minor_issues_max=run_minor_issues_max(len(phases)),
    )


def succeeded(spec: RunSpec, tip: str = "tip", *, landed: bool = True) -> Run:
    """The run as it ends when all went well."""
    snapshots = (Snapshot(spec.phases[0].phase_id, tip, "tag"),) if landed else ()
    run = machine.create(spec).run
    return replace(
        run, stage=Stage.DONE, pending=(), snapshots=snapshots, tip=tip if landed else run.tip
    )


def chain(spec: RunSpec) -> list[RunSpec]:
    """All runs of a plan, when each succeeds."""
    runs = [series.first_part(spec)]
    while (following := series.next_part(succeeded(runs[-1], f"tip{len(runs)}"))) is not None:
        runs.append(following)
    return runs


@pytest.mark.parametrize(
    ("sizes", "scope", "parts"),
    [
        ((1, 1, 1), MULTI, [3]), ((1, 1, 1), SINGLE, [1, 1, 1]), ((2, 2, 1), MULTI, [2, 3]),
        ((3, 3), MULTI, [3, 3]), ((1, 3, 1), MULTI, [1, 3, 1]), ((2,), SINGLE, [2]),
    ],
)  # fmt: skip
def test_tiers_are_packed_in_order(
    sizes: tuple[int, ...], scope: RunScope, parts: list[int]
) -> None:
    assert [len(spec.phases) for spec in chain(planned(*sizes, scope=scope))] == parts


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=7),
    st.integers(5, 9),
    st.sampled_from(RunScope),
)
def test_a_series_does_the_whole_plan_once_and_in_order(
    sizes: list[int], phases_max: int, scope: RunScope
) -> None:
    spec = planned(*sizes, scope=scope, phases_max=phases_max)
    runs = chain(spec)
    done = [phase for run in runs for phase in run.phases]
    assert [replace(phase, needs=()) for phase in done] == [
        replace(phase, needs=()) for phase in spec.phases
    ]
    assert tuple(tier for run in runs for tier in run.tiers) == spec.tiers
    assert [run.part for run in runs] == list(range(1, len(runs) + 1))
    for run, following in zip(runs, [*runs[1:], None], strict=True):
        mine = {phase.phase_id for phase in run.phases}
        assert all(set(phase.needs) <= mine for phase in run.phases)
        assert len(run.phases) <= phases_max
        assert run.minor_issues_max == run_minor_issues_max(len(run.phases))
        assert scope is MULTI or len(run.tiers) == 1
        assert series.parts_of(run) == len(runs)
        machine.create(run)
        if following is not None:
            assert (following.predecessor, following.series) == (run.run_id, "r")
            assert following.run_id == f"r-{following.part}" == series.reserved(run)[0]
            whole_fits = len(run.phases) + sum(
                phase.tier_id == following.tiers[0].tier_id for phase in following.phases
            )
            assert scope is SINGLE or whole_fits > phases_max, "the next tier had room"
    assert series.whole(runs[0]).phases[: len(runs[0].phases)] == runs[0].phases
    assert len(series.whole(runs[0]).phases) == len(spec.phases)


def test_one_run_is_no_series() -> None:
    spec = planned(1, 1)
    assert series.first_part(spec) == spec
    assert (series.parts_of(spec), series.reserved(spec)) == (1, ())
    assert series.next_part(succeeded(spec)) is None


def test_the_next_part_begins_at_the_tip_and_needs_nothing_that_is_done() -> None:
    first = series.first_part(planned(2, 2, scope=SINGLE))
    second = series.next_part(succeeded(replace(first, landed=("F1.1",)), "e" * 40))
    assert second is not None
    assert (second.base_ref, second.base_commit) == ("autonomous/r", "e" * 40)
    assert second.landed == ()
    assert [(p.phase_id, p.phase_index, p.needs) for p in second.phases] == [
        ("F2.1", 3, ()), ("F2.2", 4, ("F2.1",)),
    ]  # fmt: skip
    assert [tier.tier_index for tier in second.tiers] == [2]
    nothing = series.next_part(succeeded(first, landed=False))
    assert nothing is not None
    assert (nothing.base_ref, nothing.base_commit) == ("main", "base")


def test_a_mode_that_prefers_a_single_tier_is_named_among_several() -> None:
    phases = (phase_spec("P1"), phase_spec("P2", "T2", 2))
    spec = run_spec(*phases)
    assert series.crowded(spec) == ""
    spec = replace(spec, phases=tuple(replace(p, single_tier_preferred=True) for p in phases))
    assert series.crowded(spec).startswith("P1, P2: ")
    assert series.crowded(replace(spec, run_scope=RunScope.SINGLE_TIER)) == ""
    assert series.crowded(replace(spec, tiers=spec.tiers[:1])) == ""


def test_only_success_goes_on() -> None:
    first = series.first_part(planned(1, 1, scope=SINGLE))
    done = succeeded(first)
    failed = replace(done, failure=Failure(Cause.ENVIRONMENT, "no"))
    assert series.next_part(failed) is None
    assert series.next_part(replace(done, stage=Stage.CLOSING)) is None


def test_each_part_has_the_rules_of_its_categories() -> None:
    spec = planned(1, 1, 1, scope=SINGLE)
    words = ("docs", "tests", "docs")
    phases = tuple(replace(p, task_category=w) for p, w in zip(spec.phases, words, strict=True))
    rules = tuple(category_rule(word) for word in ("docs", "tests"))
    runs = chain(replace(spec, phases=phases, category_rules=rules))
    assert [[rule.category for rule in run.category_rules] for run in runs] == [
        ["docs"], ["tests"], ["docs"],
    ]  # fmt: skip
    assert [rule.category for rule in series.whole(runs[0]).category_rules] == ["docs", "tests"]


@pytest.mark.parametrize("stem", ["r", "x" * 64, "a." * 32, "n" * 61 + "..x"[1:]])
def test_every_name_is_an_id_and_no_two_are_the_same(stem: str) -> None:
    names = list(islice(series.names(stem, 12), 120))
    assert len(set(names)) == len(names)
    assert not [name for name in names if id_problem(name)]
    assert list(islice(series.names("r", 2), 3)) == ["r-2", "r-2-r1", "r-2-r2"]


def test_a_retry_goes_on_where_the_series_would_have() -> None:
    first = series.first_part(planned(1, 1, 1, scope=SINGLE))
    second = series.next_part(succeeded(replace(first, run_id="r-r1", predecessor="r")))
    assert second is not None
    assert (second.run_id, second.predecessor, second.part) == ("r-2", "r-r1", 2)


def test_the_worst_case_is_that_of_all_runs() -> None:
    phase = PhaseDraft("F", category="tests", complexity="low", scope=("a",), task="do it")
    draft = PlanDraft(
        "plan.md",
        tuple(TierDraft(f"T{n}", "", (replace(phase, id=f"F{n}"),)) for n in range(1, 4)),
    )
    cap = 250_000
    of_phase = category_rule("tests").incident_token_cap
    for scope, tokens in ((MULTI, cap), (SINGLE, 3 * min(cap, of_phase))):
        plan = compile_plan(draft, PlanOptions(token_cap=cap, run_scope=scope))
        assert isinstance(plan, CompiledPlan)
        assert plan.worst_case.tokens == tokens
        assert plan.worst_case.incident_tokens == 3 * of_phase
        assert len(plan.parts) == (3 if scope is SINGLE else 1)


def test_a_notice_says_which_part_has_ended() -> None:
    first = series.first_part(planned(1, 1, scope=SINGLE))
    after = succeeded(first)
    before = replace(after, stage=Stage.CLOSING)
    (told,) = notices(before, Happened(Delivered("tip"), 0), after)
    assert told.facts["series"] == {"id": "r", "part": 1, "parts": 2}
    single = succeeded(planned(1))
    closing = replace(single, stage=Stage.CLOSING)
    (alone,) = notices(closing, Happened(Delivered("tip"), 0), single)
    assert "series" not in alone.facts
