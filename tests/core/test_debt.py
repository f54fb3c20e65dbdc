"""Debt phases: for aged issues whose files are known, few, in a tier of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autopack.core.backlog import BacklogIssue, IssueStatus
from autopack.core.builtin import BUILT_IN
from autopack.core.debt import debt_of, pattern_of
from autopack.core.issue import IssueSeverity
from autopack.core.plan import CompiledPlan, compile_plan
from autopack.core.plan_draft import PhaseDraft, PlanDraft, TierDraft

FILES = {"src/a.py", "src/b.py"}
POLICY = BUILT_IN.debt
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


def test_an_aged_issue_gets_a_phase_restricted_to_its_files() -> None:
    refs = ("path:src/a.py:3", "path:src/gone.py", "test:t::x", "path:src/b.py")
    debt = debt_of([aged("old", *refs)], POLICY, DRAFT, FILES.__contains__, room=9, auditor=True)
    plan = debt.added(DRAFT, single_tier=False)
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


def test_in_a_single_tier_the_last_one_gets_longer() -> None:
    debt = debt_of([aged()], POLICY, DRAFT, FILES.__contains__, room=9, auditor=True)
    plan = debt.added(DRAFT, single_tier=True)
    assert [len(tier.phases) for tier in plan.tiers] == [2]


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
    debt = debt_of([entry], POLICY, DRAFT, everywhere.__contains__, room=9, auditor=auditor)
    assert debt.phases == ()
    assert debt.added(DRAFT, single_tier=False) == DRAFT
    assert len(debt.notes) == bool(told)
    assert all(told in note for note in debt.notes)


@pytest.mark.parametrize(("room", "made"), [(0, 0), (1, 1), (99, POLICY.phases_max)])
def test_they_are_bounded(room: int, made: int) -> None:
    many = [aged(f"k{n}") for n in range(POLICY.phases_max + 2)]
    debt = debt_of(many, POLICY, DRAFT, FILES.__contains__, room=room, auditor=True)
    assert len(debt.phases) == made
    assert len({phase.id for phase in debt.phases}) == made
    assert len(debt.notes) == len(many) - made
    assert set(debt.cleans or ()) == {phase.id for phase in debt.phases}
    off = replace(POLICY, enabled=False)
    assert not debt_of(many, off, DRAFT, FILES.__contains__, room=9, auditor=True).phases


def test_ids_that_are_taken_are_left_alone() -> None:
    (first,) = debt_of([aged()], POLICY, DRAFT, FILES.__contains__, room=1, auditor=True).phases
    clash = PlanDraft(
        "p", (TierDraft("debt", "mine", (replace(DRAFT.tiers[0].phases[0], id=first.id),)),)
    )
    debt = debt_of([aged()], POLICY, clash, FILES.__contains__, room=1, auditor=True)
    assert [phase.id for phase in debt.phases] == [f"{first.id}-2"]
    assert [tier.id for tier in debt.added(clash, single_tier=False).tiers] == ["debt", "debt-2"]


def test_a_pattern_is_for_one_file_whatever_its_name_holds() -> None:
    assert pattern_of("src/a[1]*?.py") == r"src/a\[1\]\*\?.py"
    assert pattern_of("#x") == r"\#x"
