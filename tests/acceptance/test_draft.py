"""A run without a plan: an agent drafts one, the compiler judges it, and it runs as any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autopack.core.builtin import BUILT_IN
from autopack.core.strategy import category_rule
from tests.lab import Lab, phase

FILE = "autopack-plan.md"


def plan(*phases: str) -> str:
    return "\n\n".join(["# What an agent would do", "## Tier T1: all of it", *phases])


def says(text: str, number: str = "") -> str:
    """The line of a goal that has our agent write this plan."""
    return f"do{number}: plan {json.dumps(text)}"


GOOD = plan(phase("P1", "do: write src/a.txt one"), phase("P2", "do: write src/b.txt two"))
BAD = plan(phase("P1", "do: write src/a.txt one", needs="P9"))


def draft(lab: Lab, *lines: str, options: tuple[str, ...] = ()) -> int:
    lab.make()
    done = lab.cli("run", "--goal", "\n".join(["Reach it.", *lines]), "--run-id", "r", *options)
    return done.code


def test_a_drafted_plan_runs_as_any_other(lab: Lab) -> None:
    assert draft(lab, "do: tokens 70", says(GOOD)) == 0
    run = lab.load()
    assert run.state.value == "DONE_SUCCESS"
    assert [phase.phase_id for phase in run.phases] == ["P1", "P2"]
    assert len(run.snapshots) == 2
    assert run.tokens_spent >= 70
    assert lab.kinds()[:5] == ["run_created", "base_prepared", "attempt_ended", "plan_drafted",
                               "base_prepared"]  # fmt: skip
    assert run.spec.title == "What an agent would do"
    folder = lab.project / ".autonomous_runs" / "r"
    assert "Reach it." in (folder / "spec.md").read_text()
    assert "### Phase P2" in (folder / "comprehensive_plan.md").read_text()
    assert (folder / "phases" / "phase_00__plan.md").exists()
    assert not list((folder / "tiers").glob("*_plan*"))
    assert set(lab.kept()) >= {"_plan/1", "P1/1"}
    assert lab.cli("run", "view", "r").code == 0
    assert lab.cli("report", "run", "r", "--json").code == 0
    assert lab.cli("salvage", "r").code == 0
    lab.check_untouched()
    lab.check_sound()


@pytest.mark.slow
def test_a_drafted_plan_is_split_as_any_other(lab: Lab) -> None:
    """Its cost and its goal are the first part's; the next ones are runs with a plan."""
    parts = (
        "## Tier T1: first", phase("P1", "do: write src/a.txt one"),
        "## Tier T2: then", phase("P2", "do: write src/b.txt two", needs="P1"),
    )  # fmt: skip
    lab.make(project='[run]\nrun_scope = "single_tier"')
    goal = "\n".join(["Reach it.", "do: tokens 70", says("\n\n".join(["# In parts", *parts]))])
    done = lab.cli("run", "--goal", goal, "--run-id", "r")
    assert done.code == 0, done.err
    assert "r: DONE_SUCCESS\nr-2 begins: part 2 of 2 (T2)\n" in done.err
    first, second = lab.load("r"), lab.load("r-2")
    assert [[phase.phase_id for phase in run.phases] for run in (first, second)] == [["P1"], ["P2"]]
    assert (first.spec.series, second.spec.series, second.spec.part) == ("r", "r", 2)
    assert second.spec.base_commit == first.tip == first.delivered
    assert first.draft is not None
    assert (first.draft.tokens_spent, first.tokens_spent) == (70, 70)
    assert (second.draft, second.tokens_spent) == (None, 0)
    assert "plan_drafted" not in lab.kinds("r-2")
    folder = lab.project / ".autonomous_runs"
    for run_id, told in (("r", "### Phase P1"), ("r-2", "### Phase P2")):
        assert told in (folder / run_id / "comprehensive_plan.md").read_text()
    assert (set(lab.kept("r")), set(lab.kept("r-2"))) == ({"_plan/1", "P1/1"}, {"P2/1"})
    lab.check_untouched()
    lab.check_sound()


@pytest.mark.slow
def test_only_the_plan_is_one_file_for_all_its_runs(lab: Lab) -> None:
    lab.make(project='[run]\nrun_scope = "single_tier"')
    tiers = [
        f"## Tier T{n}: part {n}\n\n{phase(f'P{n}', f'do: write src/{n}.txt one')}" for n in (1, 2)
    ]
    goal = says("\n\n".join(["# In parts", *tiers]))
    options = ("--run-id", "r", "--plan-only")
    done = lab.cli("run", "--goal", goal, *options)
    assert done.code == 0, done.err
    assert lab.load().state.value == "DONE_SUCCESS"
    path = lab.project / ".autonomous_runs" / "r" / "comprehensive_plan.md"
    assert lab.cli("run", "view", "r-2").code == 2
    again = lab.cli("run", path, "--run-id", "s")
    assert again.code == 0, again.err
    assert [len(lab.load(run_id).snapshots) for run_id in ("s", "s-2")] == [1, 1]
    lab.check_sound()


@pytest.mark.slow
def test_what_is_wrong_with_a_draft_is_its_next_attempts_evidence(lab: Lab) -> None:
    second = plan(phase("P1", "do: write src/a.txt one"))
    assert draft(lab, says(BAD, " 1"), says(second, " 2")) == 0
    (rejected,) = lab.of_kind("plan_rejected")
    assert "unknown phase 'P9'" in rejected.findings[0].message
    (prompt,) = (lab.root / "state" / "logs").rglob("_plan/attempt-2/prompt.md")
    assert "unknown phase 'P9'" in prompt.read_text()
    assert lab.load().draft is not None
    lab.check_sound()


@pytest.mark.slow
@pytest.mark.parametrize("only", [(), ("--plan-only",)])
def test_a_draft_larger_than_one_run_is_refused_and_drafted_again(
    lab: Lab, only: tuple[str, ...]
) -> None:
    lines = says(GOOD, " 1"), says(plan(phase("P1", "do: write src/a.txt one")), " 2")
    assert draft(lab, *lines, options=("--max-phases", "1", *only)) == 0
    (rejected,) = lab.of_kind("plan_rejected")
    told = "2 phases; a drafted plan has at most 1 in all (max_phases)"
    assert any(told in finding.message for finding in rejected.findings)
    assert [phase.phase_id for phase in lab.load().phases] == ["P1"]
    lab.check_sound()


@pytest.mark.slow
def test_what_the_owner_should_know_of_a_drafted_plan_is_told(lab: Lab) -> None:
    """The builder audits its own work in a phase that needs an audit."""
    audited = phase("P1", "do: write src/a.txt one", category="security_auth_change")
    goal = "\n".join(["Reach it.", says(plan(audited))])
    lab.make()
    options = ("--run-id", "r", "--auditor", "worker", "--plan-only")
    assert lab.cli("run", "--goal", goal, *options).code == 0
    (made,) = lab.of_kind("plan_drafted")
    note = "worker is builder and auditor of P1: it audits its own work; name another auditor"
    assert note in made.notes
    listed = lab.cli("run", "view", "r").out
    assert note in " ".join(listed.split()), listed


@pytest.mark.slow
def test_the_whole_cap_is_there_for_the_run_of_a_plan_that_is_only_drafted(lab: Lab) -> None:
    """What drafting took is held against a run that drafts and goes on, and the cap it is told."""
    lines = "do: tokens 70", says(plan(phase("P1", "do: write src/a.txt one")))
    need = category_rule("tests", BUILT_IN).incident_token_cap
    cap = ("--token-cap", str(need + 10))
    assert draft(lab, *lines, options=cap) == 1
    rejected = lab.of_kind("plan_rejected")
    assert f"--token-cap {need + 70} or more" in rejected[0].findings[0].message
    goal = "\n".join(["Reach it.", *lines])
    done = lab.cli("run", "--goal", goal, "--run-id", "s", "--plan-only", *cap)
    assert done.code == 0, done


@pytest.mark.slow
def test_a_builder_given_for_a_retry_wins_over_the_ruleset(lab: Lab) -> None:
    assert draft(lab, says(BAD)) == 1
    lab.cli("run", "retry", "r", "--builder", "worker")
    made = lab.load("r-r1").spec
    assert made.draft is not None
    assert made.draft.fixed == ("builder",)


@pytest.mark.slow
def test_never_a_plan_ends_the_run_with_an_incident_and_is_tried_again(lab: Lab) -> None:
    assert draft(lab, says(BAD)) == 1
    run = lab.load()
    assert run.state.value == "DONE_FAILED_REQUIRES_HUMAN_REVIEW"
    assert len(lab.of_kind("plan_rejected")) == 3
    folder = lab.project / ".autonomous_runs" / "r"
    assert "unknown phase 'P9'" in (folder / "incident" / "incident.md").read_text()
    assert "There is none yet" in (folder / "comprehensive_plan.md").read_text()
    assert not lab.delivered()
    lab.check_sound()
    again = lab.cli("run", "retry", "r")
    assert again.code == 1
    assert len(lab.of_kind("plan_rejected", "r-r1")) == 3
    assert lab.load("r-r1").spec.draft == run.spec.draft


@pytest.mark.slow
def test_the_tokens_of_drafting_have_a_cap_of_their_own(lab: Lab) -> None:
    assert draft(lab, "do: tokens 250000", says(BAD)) == 1
    assert lab.load().state.value == "DONE_FAILED_BUDGET_EXHAUSTED"
    assert len(lab.of_kind("attempt_ended")) == 1


@pytest.mark.slow
def test_only_the_plan_and_then_a_run_of_it(lab: Lab) -> None:
    assert draft(lab, says(GOOD), options=("--plan-only",)) == 0
    assert lab.load().state.value == "DONE_SUCCESS"
    assert not lab.load().snapshots
    assert not lab.delivered()
    path = lab.project / ".autonomous_runs" / "r" / "comprehensive_plan.md"
    shown = lab.cli("run", "watch", "r")
    assert f"  plan: {path}\n  next: autopack run {path}\n" in shown.out
    told = lab.cli("run", "view", "r", "--json").data["run"]
    assert (told["branch"], told["tip"], told["places"]["plan"]) == ("", "", str(path))
    summary = path.with_name("run_summary.md").read_text()
    assert "- branch: none: plan only\n" in summary
    assert not any(word in summary for word in ("autonomous/r", "delivered: not yet"))
    assert "/2" not in lab.cli("run", "list").out.replace(str(lab.root), "")
    done = lab.cli("run", path, "--run-id", "s")
    assert done.code == 0, done
    assert len(lab.load("s").snapshots) == 2
    lab.check_sound()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ((says(GOOD), "do: write src/a.txt mine"), f"only {FILE} is to be written"),
        ((f"do: link {FILE} /etc/passwd",), "must be a plain file"),
        ((f"do: noise {FILE} 300000",), "300,000 bytes"),
        ((f"do: noise {FILE} 3000",), "not UTF-8"),
        ((f"do: write {FILE} nothing",), "the plan has no phases"),
        (("do: write src/a.txt mine",), "it was not written"),
        ((says(plan(phase("P1", "x", scope="../up"))),), "leaves the repository"),
    ],
)
def test_hostile_drafts_are_refused(lab: Lab, lines: tuple[str, ...], told: str) -> None:
    assert draft(lab, *lines) == 1
    rejected = lab.of_kind("plan_rejected")
    said = [f.message for event in rejected for f in event.findings]
    said += [
        f.message for e in lab.of_kind("attempt_ended") if e.evidence for f in e.evidence.findings
    ]
    assert any(told in message for message in said), said
    assert lab.load().failure is not None
    lab.check_untouched()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "exactly one of PLAN, --goal"),
        (("--goal", "a", "--goal-file", "b"), "exactly one of PLAN, --goal"),
        (("--goal", " "), "the goal is empty"),
        (("--goal", "x" * 20_001), "20,001 characters, at most 20,000: say it shorter"),
        (("--goal-file", "nowhere.txt"), "cannot read the goal"),
        (("--goal-file", "odd.txt"), "not UTF-8"),
        (("--goal-file", "long.txt"), "long.txt: too large: more than 80,003 bytes"),
        (("--goal-file", "wide.txt"), "20,001 characters"),
        (("--goal-file", "null.txt"), "NUL or half of a surrogate pair: take it out"),
        (("--goal", "a", "--dry-run"), "--plan-only has the plan drafted"),
        (("odd.txt", "--plan-only"), "--plan-only goes with --goal"),
        (("--goal", "a", "--builder", "nobody"), "no [agents.nobody]"),
    ],
)
def test_bad_goals_start_nothing(lab: Lab, arguments: tuple[str, ...], told: str) -> None:
    lab.make()
    Path(lab.project / "odd.txt").write_bytes(b"\xff\xfe")
    Path(lab.project / "long.txt").write_text("é" * 50_000, "utf-8")
    Path(lab.project / "null.txt").write_bytes(b"Reach\0it.")
    Path(lab.project / "wide.txt").write_text("é" * 20_001, "utf-8-sig")
    done = lab.cli("run", *arguments)
    assert (done.code, told in done.err) == (2, True), done
    assert not lab.kinds()


def test_a_goal_out_of_a_file_names_the_run(lab: Lab) -> None:
    lab.make()
    (lab.root / "better-words.txt").write_text(f"Reach it.\n{says(GOOD)}\n")
    done = lab.cli("run", "--goal-file", lab.root / "better-words.txt", "--plan-only", "--json")
    assert done.code == 0, done
    assert done.data["run"]["run_id"] == "better-words-1"
