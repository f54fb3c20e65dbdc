"""A plan that is split: runs that follow each other, watched, failed, gone on with and cancelled."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from autopack.core.run import RunState
from tests.lab import Lab, phase, until
from tests.repos import git, refs

SINGLE = '[run]\nrun_scope = "single_tier"'
ONE = phase("F1", "do: write src/one.txt one")
TWO = phase("F2", "do: write src/two.txt two", needs="F1")
THREE = phase("F3", "do: write src/three.txt three", needs="F1, F2")
SLOW = phase("F1", "do: hang 60")
SOON = phase("F2", "do: hang 60")
BROKEN = phase("F2", "do: exit 3", needs="F1")


def viewed(lab: Lab, run_id: str) -> dict[str, Any]:
    return dict(lab.cli("run", "view", run_id, "--json").data["run"])


def names(lab: Lab) -> list[str]:
    return [run["run_id"] for run in lab.cli("run", "list", "--json").data["runs"]]


def summary(lab: Lab, run_id: str) -> str:
    return document(lab, run_id, "run_summary.md")


def document(lab: Lab, run_id: str, name: str) -> str:
    return (lab.project / ".autonomous_runs" / run_id / name).read_text()


@pytest.mark.slow
def test_a_tier_a_run_to_the_end(lab: Lab) -> None:
    done = lab.make(project=SINGLE).run(ONE, TWO, THREE)
    assert done.code == 0, done.err
    assert names(lab) == ["r-3", "r-2", "r"]
    assert "r: DONE_SUCCESS\nr-2 begins: part 2 of 3 (T2)\n" in done.err
    assert "r-3 begins: part 3 of 3 (T3)" in done.err
    assert done.out.startswith("r-3: DONE_SUCCESS\n"), "the summary is that of the last run"
    assert "part 3 of 3 of r, continues r-2" in done.out
    runs = [lab.load(run_id) for run_id in ("r", "r-2", "r-3")]
    for before, after in pairwise(runs):
        assert after.spec.base_commit == before.tip == before.delivered
        assert after.spec.base_ref == before.spec.branch
    subjects = git(lab.project, "log", "--format=%s", "main..autonomous/r-3").splitlines()
    assert len(subjects) == 3, "all work of the series is on its last branch"
    assert [run.spec.minor_issues_max for run in runs] == [3, 3, 3]
    lab.check_untouched()
    lab.check_sound()


@pytest.mark.slow
def test_every_view_tells_the_place_in_the_series(lab: Lab) -> None:
    assert lab.make(project=SINGLE).run(ONE, TWO, THREE).code == 0
    rest = [{"part": 2, "tiers": ["T2"], "phases": 1}, {"part": 3, "tiers": ["T3"], "phases": 1}]
    assert viewed(lab, "r")["series"] == {
        "series": "r", "part": 1, "parts": 3, "next_run": "r-2", "rest": rest,
        "latest": "r-3", "latest_state": "DONE_SUCCESS", "latest_ended": True,
        "work_branch": "autonomous/r-3",
    }  # fmt: skip
    said = lab.cli("run", "view", "r").out
    assert "  part 1 of 3 of r\n  goes on in: r-2\n" in said
    assert "next: git log --oneline HEAD..autonomous/r-3" in said, "all of it is done"
    assert "tiers to come" not in lab.cli("report", "run", "r").out
    assert "3/3 of r" in lab.cli("run", "list").out
    assert "part 2 of 3 of r" in lab.cli("report", "run", "r-2").out
    assert "- series: part 2 of 3 of r\n- continues: r\n" in summary(lab, "r-2")
    assert "- tiers after it: part 2 (T2, 1 phase), part 3 (T3, 1 phase)\n" in summary(lab, "r")
    assert "tiers after it" not in summary(lab, "r-3")
    watched = lab.cli("run", "watch", "r", "--json")
    assert (watched.code, watched.data["run"]["run_id"]) == (0, "r-3")
    late = lab.cli("run", "cancel", "r")
    assert late.code == 2
    assert "its series ended in r-3: DONE_SUCCESS" in late.err


@pytest.mark.slow
def test_the_plan_is_split_where_it_has_too_many_phases(lab: Lab) -> None:
    done = lab.make().run(ONE, TWO, THREE, options=("--max-phases", "2"))
    assert done.code == 0, done.err
    assert [len(lab.load(run_id).phases) for run_id in ("r", "r-2")] == [2, 1]
    first, later = (
        lab.project / ".autonomous_runs" / name / "comprehensive_plan.md" for name in ("r", "r-2")
    )
    assert "Only part 2 of 2: the plan of run r" in later.read_text()
    again = lab.cli("run", first, "--run-id", "s", "--max-phases", "2", "--dry-run", "--json")
    assert [part["tiers"] for part in again.data["dry_run"]["parts"]] == [["T1", "T2"], ["T3"]]
    too_large = lab.cli("run", lab.plan((ONE, TWO, THREE)), "--max-phases", "2")
    assert too_large.code == 2
    said = "work.md:3: tier T1 has 3 phases, a run at most 2 (max_phases); make 2 tiers of it"
    assert said in too_large.err


@pytest.mark.slow
def test_a_dry_run_tells_the_runs_and_the_worst_of_all(lab: Lab) -> None:
    plan = lab.make(project=SINGLE).plan(ONE, TWO, THREE)
    told = lab.cli("run", plan, "--run-id", "r", "--dry-run")
    assert told.code == 0, told.err
    assert told.out.startswith("r: 3 phases in 3 tiers, 3 runs one after another on main")
    assert "\nrun r: part 1 of 3, 1 phase\n" in told.out
    assert "\nrun r-3: part 3 of 3, 1 phase, after r-2 has succeeded\n" in told.out
    data = lab.cli("run", plan, "--dry-run", "--token-cap", "300000", "--json").data
    assert data["runs"] == ["work-1", "work-1-2", "work-1-3"]
    assert [part["tiers"] for part in data["dry_run"]["parts"]] == [["T1"], ["T2"], ["T3"]]
    assert data["dry_run"]["tokens_max"] == 900_000
    assert data["forecast"]["phases"] == 3
    strategy = lab.cli("strategy", "dry-run", plan, "--json").data
    assert list(strategy["strategy"]["tier_strategies"]) == ["T1", "T2", "T3"]
    assert [run["tiers"] for run in strategy["runs"]] == [["T1"], ["T2"], ["T3"]]
    assert names(lab) == []


@pytest.mark.slow
def test_a_failed_part_ends_the_series_and_its_retry_goes_on(lab: Lab) -> None:
    done = lab.make(project=SINGLE).run(ONE, BROKEN, THREE)
    assert done.code == 1, done.out
    assert names(lab) == ["r-2", "r"]
    assert "not begun: part 3 (T3, 1 phase); a retry goes on with that" in done.out
    refused = lab.cli("run", "retry", "r")
    assert refused.code == 2
    assert "run r succeeded" in refused.err
    assert "autopack run retry r-2" in refused.err, "it names the part that can be retried"
    agent = lab.tools / "agent.py"
    agent.write_text(agent.read_text().replace("sys.exit(int(rest))", "put('src/two.txt', '2')"))
    git(lab.project, "branch", "autonomous/r-3")
    refused = lab.cli("run", "retry", "r-2")
    assert (refused.code, "git branch -m autonomous/r-3" in refused.err) == (2, True), refused
    git(lab.project, "branch", "-D", "autonomous/r-3")
    again = lab.cli("run", "retry", "r-2")
    assert again.code == 0, again.err + again.out
    assert names(lab) == ["r-3", "r-2-r1", "r-2", "r"]
    assert lab.load("r-3").spec.predecessor == "r-2-r1"
    assert again.out.startswith("r-3: DONE_SUCCESS")
    assert viewed(lab, "r")["series"]["latest"] == "r-3", "through the retry"
    assert git(lab.project, "show", "autonomous/r-3:src/two.txt") == "2"
    watched = lab.cli("run", "watch", "r")
    assert (watched.code, watched.out.startswith("r-3: DONE_SUCCESS")) == (0, True), watched
    assert "r-2-r1 begins: part 2 of 3" in watched.err


@pytest.mark.slow
def test_a_part_that_is_made_again_on_another_base_goes_on_under_free_names(lab: Lab) -> None:
    assert lab.make(project=SINGLE).run(ONE, TWO).code == 0
    again = lab.cli("run", "retry", "r", "--onto", "main")
    assert again.code == 0, again.err
    assert names(lab) == ["r-2-r1", "r-r1", "r-2", "r"]
    begun = git(lab.project, "rev-parse", "main")
    (lab.project / "NEW.md").write_text("new")
    git(lab.project, "add", "NEW.md")
    git(lab.project, "commit", "-qm", "more")
    second = lab.cli("run", "retry", "r-2", "--onto", "main")
    assert second.code == 0, second.err
    assert "main does not hold what r-2 began on" in second.err
    assert names(lab)[0] == "r-2-r2"
    moved = git(lab.project, "rev-parse", "main")
    later = f"{begun} (the base that the series was given, without what landed since)"
    for run_id, told in (("r-2", later), ("r-r1", begun), ("r-2-r1", later), ("r-2-r2", moved)):
        assert f"looked at: {told}\n" in document(lab, run_id, "context.md")
        assert f" at {told}, by what" in document(lab, run_id, "architecture.md")


@pytest.mark.slow
def test_a_cancel_ends_the_series(lab: Lab) -> None:
    lab.make(project=SINGLE)
    started = lab.cli("run", lab.plan(SLOW, TWO), "--run-id", "r", "--detach")
    assert started.code == 0, started.err
    taken = lab.cli("run", lab.plan(ONE, name="other"), "--run-id", "r-2")
    assert taken.code == 2
    assert "keeps it for a part of a series" in taken.err
    asked = lab.cli("run", "cancel", "r")
    assert "r ends soon and with it its series" in asked.err
    assert lab.cli("run", "watch", "r").code == 1
    assert names(lab) == ["r"]


@pytest.mark.slow
def test_a_cancel_that_comes_late_names_the_part_that_is_under_way(lab: Lab) -> None:
    lab.make(project=SINGLE)
    assert lab.cli("run", lab.plan(ONE, SOON), "--run-id", "r", "--detach").code == 0
    until(lambda: "r-2" in names(lab), "the second part began")
    late = lab.cli("run", "cancel", "r")
    assert late.code == 2
    assert "`autopack run cancel r-2` ends it there" in late.err
    again = lab.cli("run", "retry", "r", "--onto", "main")
    assert again.code == 2
    assert "run r-2 continues r and is still under way" in again.err
    assert lab.cli("run", "cancel", "r-2").code == 0
    watched = lab.cli("run", "watch", "r", "--json")
    assert (watched.code, watched.data["run"]["run_id"]) == (1, "r-2")


@pytest.mark.slow
def test_a_refused_delivery_does_not_stop_the_series(lab: Lab) -> None:
    lab.make(project=SINGLE)
    lock = lab.project / ".git" / "refs" / "heads" / "autonomous" / "r.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    done = lab.run(ONE, TWO)
    assert done.code == 0, done.err
    assert "make it good: autopack run deliver r\n" in done.err
    assert "refs/heads/autonomous/r" not in refs(lab.project)
    last = refs(lab.project)["refs/heads/autonomous/r-2"]
    assert git(lab.project, "show", f"{last}:src/one.txt") == "one", "it holds the first part's"
    lock.unlink()
    assert lab.cli("run", "deliver", "r").code == 0
    assert refs(lab.project)["refs/heads/autonomous/r"] == lab.load("r").tip
    assert lab.cli("undo", "r").code == 0
    assert refs(lab.project)["refs/heads/autonomous/r-2"] == last
    lab.check_sound()


def test_what_an_earlier_part_saw_is_known_to_the_next(lab: Lab) -> None:
    doubt = {"issue_key": "one__is_untested", "evidence_refs": ["path:src/one.txt"]}
    first = phase("F1", "do: write src/one.txt one", f"do: issues {json.dumps([doubt])}")
    second = phase("F2", "do: tell src/prompt.md prompt")
    assert lab.make(project=SINGLE).run(first, second).code == 0
    known = [issue.issue_key for issue in lab.load("r-2").spec.known_issues]
    assert known == ["one__is_untested"]
    assert "one__is_untested" in git(lab.project, "show", "autonomous/r-2:src/prompt.md")


@pytest.mark.slow
def test_a_series_over_a_server(tmp_path: Path, database: str) -> None:
    lab = Lab(tmp_path, DATABASE_URL=database)
    try:
        assert lab.make(project=SINGLE).run(ONE, TWO).code == 0
        assert lab.load("r-2").state is RunState.DONE_SUCCESS
        lab.check_sound()
    finally:
        lab.close()


def test_a_dry_run_tells_of_attempts_that_are_granted_side_by_side(lab: Lab) -> None:
    lab.make()
    beside = lab.plan((phase("F1", "One."), phase("F2", "Two.")), name="beside")
    assert "each may be granted 2 attempts more" in lab.cli("run", beside, "--dry-run").out
    behind = lab.plan((phase("F1", "One."), phase("F2", "Two.", needs="F1")), name="behind")
    assert "may be granted" not in lab.cli("run", behind, "--dry-run").out
