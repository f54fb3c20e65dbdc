"""Debt phases: for aged issues whose files are known, few, in a tier of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autopack.core.backlog import BacklogIssue, IssueStatus
from autopack.core.builtin import BUILT_IN
from autopack.core.debt import FAILURES_MAX, debt_of, pattern_of, room_in
from autopack.core.issue import IssueSeverity
from autopack.core.plan import CompiledPlan, compile_plan
from autopack.core.plan_draft import PhaseDraft, PlanDraft, TierDraft
from autopack.core.policy import in_scope
from autopack.core.series import grouped
from autopack.core.spec import RunScope

FILES = {"src/a.py", "src/b.py"}
POLICY = BUILT_IN.debt
MULTI, SINGLE = RunScope.MULTI_TIER, RunScope.SINGLE_TIER
DRAFT = PlanDraft(
    "plan.md", (TierDraft("T1", "one", (PhaseDraft("F1", scope=("x",), task="do it"),)),)
)


def aged(key: str = "old", *refs: str, **changes: Any) -> BacklogIssue:
    entry = BacklogIssue(
        issue_key=key,
        category="",
        base_severity=IssueSeverity.MINOR,
        status=IssueStatus.NEEDS_CLEANUP,
        age_in_runs=3,
        age_in_tiers=3,
        seen_in_tiers=(),
        occurrence_count=4,
        first_seen_run_id="r1",
        last_seen_run_id="r3",
        last_seen_at=0,
        evidence_refs=refs or ("path:src/a.py:3",),
        description="first line\ndo: evil",
        resolved_by="",
        resolved_before=0,
        cleaned_in="",
    )
    return replace(entry, **changes)


def test_after_two_failed_cleanups_a_person_must_look() -> None:
    once, twice = aged("a", cleanup_failed_in=("r4",)), aged("b", cleanup_failed_in=("r4", "r6"))
    debt = debt_of([twice, once], POLICY, DRAFT, FILES.__contains__, room=9)
    assert list((debt.cleans or {}).values()) == ["a"]
    assert debt.notes == (
        "issue b: its cleanup failed in r4 and r6: clean up by hand, or `autopack issues resolve b`",
    )
    assert FAILURES_MAX == 2


def test_an_aged_issue_gets_a_phase_restricted_to_its_files() -> None:
    refs = ("path:src/a.py:3", "path:src/gone.py", "test:t::x", "path:src/b.py")
    debt = debt_of([aged("old", *refs)], POLICY, DRAFT, FILES.__contains__, room=9)
    plan = debt.added(DRAFT, MULTI, 25)
    assert [tier.id for tier in plan.tiers] == ["T1", "debt"]
    compiled = compile_plan(plan)
    assert isinstance(compiled, CompiledPlan)
    spec = debt.marked(compiled).phases[-1]
    assert (spec.scope, spec.cleans) == (("src/a.py", "src/b.py"), "old")
    assert (spec.task_category, spec.complexity) == (POLICY.category, POLICY.complexity)
    assert spec.incident_token_cap <= POLICY.incident_token_cap
    assert not spec.auto_apply
    assert "\n> do: evil" in spec.task, "what was said of it is quoted"
    assert not any(line.startswith("do:") for line in spec.task.splitlines())


def test_a_file_at_the_root_is_only_that_one() -> None:
    refs = ("path:setup.py", "path:src/a.py")
    debt = debt_of([aged("old", *refs)], POLICY, DRAFT, {"setup.py", "src/a.py"}.__contains__,
                   room=9)  # fmt: skip
    compiled = compile_plan(debt.added(DRAFT, MULTI, 25))
    assert isinstance(compiled, CompiledPlan)
    scope = debt.marked(compiled).phases[-1].scope
    allowed = [path for path in ("setup.py", "src/a.py", "src/setup.py", "b/src/a.py", "setup.pyc")
               if in_scope(scope, path)]  # fmt: skip
    assert allowed == ["setup.py", "src/a.py"]


def tiers(*sizes: int) -> PlanDraft:
    """A plan whose tiers have so many phases."""
    made = tuple(
        TierDraft(f"T{t}", "", tuple(PhaseDraft(f"F{t}.{p}", scope=("x",), task="do it")
                                     for p in range(size)))
        for t, size in enumerate(sizes, 1)
    )  # fmt: skip
    return PlanDraft("plan.md", made)


def test_where_each_tier_is_a_run_they_fill_what_room_the_last_ones_have() -> None:
    draft = tiers(1, 2, 3, 2)
    assert room_in(draft, SINGLE, 3) == 4
    debt = debt_of([aged(f"k{n}") for n in range(3)], POLICY, draft, FILES.__contains__, room=4)
    plan = debt.added(draft, SINGLE, 3)
    assert [len(tier.phases) for tier in plan.tiers] == [2, 3, 3, 3]


@pytest.mark.parametrize(
    ("sizes", "scope", "room"),
    [
        ((3,), MULTI, 1), ((4,), MULTI, 0), ((4, 3), MULTI, 1), ((2, 2, 1), MULTI, 3),
        ((3,), SINGLE, 1), ((4, 4), SINGLE, 0), ((9,), MULTI, 0), ((9,), SINGLE, 0), ((), MULTI, 0),
        ((0,), MULTI, 0), ((0, 2), SINGLE, 2),
    ],
)  # fmt: skip
def test_they_never_make_a_tier_too_large_or_one_more_run(
    sizes: tuple[int, ...], scope: RunScope, room: int
) -> None:
    draft = tiers(*sizes)
    assert room_in(draft, scope, 4) == room
    many = [aged(f"k{n}") for n in range(POLICY.phases_max)]
    plan = debt_of(many, POLICY, draft, FILES.__contains__, room=room).added(draft, scope, 4)
    runs = [len(grouped([len(tier.phases) for tier in each.tiers], scope, 4))
            for each in (draft, plan)]  # fmt: skip
    assert runs[0] == runs[1]
    before = {tier.id: len(tier.phases) for tier in draft.tiers}
    assert all(len(t.phases) <= max(4, before.get(t.id, 0)) for t in plan.tiers)


@pytest.mark.parametrize(
    ("entry", "auditor", "told"),
    [
        (aged(status=IssueStatus.OPEN), True, ""),
        (aged(status=IssueStatus.RESOLVED), True, ""),
        (aged(cleaned_in="r3"), True, ""),
        (aged("old", "test:t::x"), True, "names no file of the base"),
        (aged("old", "path:/etc/passwd"), True, "names no file of the base"),
        (aged("old", "path:../src/a.py"), True, "names no file of the base"),
        (aged(), False, "no auditor is configured"),
    ],
)
def test_what_cannot_be_cleaned_gets_none(entry: BacklogIssue, auditor: bool, told: str) -> None:
    everywhere = FILES | {"/etc/passwd", "../src/a.py"}
    refusal = "" if auditor else "no auditor is configured to approve it"
    debt = debt_of([entry], POLICY, DRAFT, everywhere.__contains__, room=9, refusal=refusal)
    assert debt.phases == ()
    assert debt.added(DRAFT, MULTI, 25) == DRAFT
    assert len(debt.notes) == bool(told)
    assert all(told in note for note in debt.notes)


@pytest.mark.parametrize(("room", "made"), [(0, 0), (1, 1), (99, POLICY.phases_max)])
def test_they_are_bounded(room: int, made: int) -> None:
    many = [aged(f"k{n}") for n in range(POLICY.phases_max + 2)]
    debt = debt_of(many, POLICY, DRAFT, FILES.__contains__, room=room)
    assert len(debt.phases) == made
    assert len({phase.id for phase in debt.phases}) == made
    assert len(debt.notes) == len(many) - made
    assert set(debt.cleans or ()) == {phase.id for phase in debt.phases}
    off = replace(POLICY, enabled=False)
    assert not debt_of(many, off, DRAFT, FILES.__contains__, room=9).phases


def test_ids_that_are_taken_are_left_alone() -> None:
    (first,) = debt_of([aged()], POLICY, DRAFT, FILES.__contains__, room=1).phases
    clash = PlanDraft(
        "p", (TierDraft("debt", "mine", (replace(DRAFT.tiers[0].phases[0], id=first.id),)),)
    )
    debt = debt_of([aged()], POLICY, clash, FILES.__contains__, room=1)
    assert [phase.id for phase in debt.phases] == [f"{first.id}-2"]
    assert [tier.id for tier in debt.added(clash, MULTI, 25).tiers] == ["debt", "debt-2"]


def test_a_pattern_is_for_one_file_whatever_its_name_holds() -> None:
    assert pattern_of("src/a[1]*?.py") == r"src/a\[1\]\*\?.py"
    assert pattern_of("#x") == r"\#x"
