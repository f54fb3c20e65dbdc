"""From a plan to a pull request through the command line, with pull requests as files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.acceptance.test_flakes import made
from tests.lab import Lab, phase, until
from tests.repos import git, write

ONE = phase("F1", "do: write src/one.txt one")
TWO = phase("F2", "do: write src/two.txt two")
RED = "nothing is to do"
HOSTILE = "fixes #1 @admin <script>x</script> ![i](http://evil/x) | `` ` GH-2"


@pytest.fixture
def auto(lab: Lab) -> Lab:
    """A project whose good runs become pull requests by themselves."""
    lab.variables["AUTOPACK_RUN_PROMOTE"] = "auto"
    return lab.make()


@pytest.fixture
def tested(lab: Lab) -> Lab:
    """The same with tests that are green, red until the feature is there, and flaky."""
    lab.variables["AUTOPACK_RUN_PROMOTE"] = "auto"
    return made(lab, one="green", two="needs", three="flaky")


def pulls(lab: Lab) -> list[Path]:
    return sorted((lab.project / ".autonomous_runs" / "pull_requests").glob("*.md"))


def changed(lab: Lab) -> list[str]:
    """What the promotion's commit changes."""
    return git(lab.project, "diff", "--name-only", "autonomous/r^", "autonomous/r").splitlines()


def test_a_forge_that_nobody_brings_starts_nothing(auto: Lab) -> None:
    auto.variables["AUTOPACK_FORGE__KIND"] = "gitea"
    done = auto.run(phase("F1", "do: write src/one.txt one"))
    assert done.code == 2
    assert "gitea" in done.err
    assert not auto.events()


def test_a_good_run_becomes_one_pull_request_with_its_evidence(tested: Lab) -> None:
    done = tested.run(phase("F1", "do: write src/feature it", HOSTILE), TWO)
    assert done.code == 0, done.err
    assert "pull request 1 (open): file://" in done.out
    (pull,) = pulls(tested)
    text = pull.read_text()
    run = tested.load()
    proven = [snapshot.commit for snapshot in run.snapshots]
    for said in (
        "## Phases",
        proven[0][:12],
        proven[1][:12],
        "normal: 3 tests, 1 red and exonerated, the others green",
        "pass",
    ):
        assert said in text
    assert f"`F1` ({proven[0][:12]}), 1 test red without it, green with it: `tests.a::two`" in text
    assert f"`F2` ({proven[1][:12]}): no test is known to be red without it" in text
    (key,) = [found.issue_key for found in run.every_phase[0].issues]
    excused = text.partition("## Red tests that are not the change's doing")[2]
    assert f"`tests.a::three`: `red, then green on the same commit`; issue `{key}`" in excused
    view = tested.cli("run", "view", "r").out
    assert "1 test red without it, green with it\n" in view
    assert f"not blamed for tests.a::three: {key}" in view
    (shown, _) = tested.cli("run", "view", "r", "--json").data["run"]["proofs"]
    assert (shown["proved"], shown["exonerated"][0]["issue_key"]) == (["tests.a::two"], key)
    assert "main has not moved" in text
    assert git(tested.project, "rev-parse", "autonomous/r^") == proven[-1]
    assert all(name.startswith(".autonomous_runs/r/") for name in changed(tested))
    assert ".autonomous_runs/r/evidence.md" in changed(tested)
    assert ".autonomous_runs/r/issues/run_issue_index.json" in changed(tested)
    summary = git(tested.project, "show", "autonomous/r:.autonomous_runs/r/run_summary.md")
    assert "promotion_eligible_to_main: yes" in summary
    statuses = json.loads((pull.parent / "statuses.json").read_text())
    assert {commit: set(said) for commit, said in statuses.items()} == {
        commit: {"autopack/gate", "autopack/ci"} for commit in proven
    }
    again = tested.cli("promote", "r", "--json")
    assert again.code == 0, again.err
    assert again.data["run"]["promotion"]["number"] == 1
    assert pulls(tested) == [pull]
    assert git(tested.project, "status", "--porcelain") == ""
    tested.check_untouched()
    tested.check_sound()


@pytest.mark.slow
def test_what_a_person_merged_is_done_and_the_branch_stays_theirs(auto: Lab) -> None:
    assert auto.run(ONE).code == 0
    git(auto.project, "merge", "-q", "--ff-only", "autonomous/r")
    git(auto.project, "branch", "-q", "-D", "autonomous/r")
    done = auto.cli("promote", "r")
    assert done.code == 0, done.err
    assert "pull request 1 (merged)" in done.out
    assert "refs/heads/autonomous/r" not in auto.delivered()
    assert len(pulls(auto)) == 1
    assert git(auto.project, "status", "--short") == "", "what was merged is the person's"


@pytest.mark.slow
def test_one_that_failed_is_told_every_reason_and_promotes_nothing(auto: Lab) -> None:
    assert auto.run(phase("F1", "do: write src/one.txt 1"), phase("F2", RED)).code == 1
    assert not pulls(auto)
    done = auto.cli("promote", "r")
    assert done.code == 1
    assert "it is DONE_FAILED_REQUIRES_HUMAN_REVIEW" in done.out
    told = auto.cli("promote", "r", "--json").data
    assert told["promotion_eligible_to_main"] is False
    assert told["reasons"][0].startswith("it is DONE_FAILED")
    shown = auto.cli("run", "view", "r", "--json").data["run"]
    assert shown["promotion_eligible_to_main"] is False
    assert "not eligible for promotion: it is DONE_FAILED" in auto.cli("run", "view", "r").out


@pytest.mark.slow
def test_a_manual_run_is_looked_at_first(lab: Lab) -> None:
    lab.variables["AUTOPACK_RUN_PROMOTE"] = ""
    lab.make(project='[run]\npromote = "manual"')
    done = lab.run(ONE)
    assert done.code == 0
    assert "`autopack promote r` opens one" in done.out
    assert not pulls(lab)
    dry = lab.cli("promote", "r", "--dry-run")
    assert dry.code == 0, dry.err
    assert "# Run `r`" in dry.out
    assert "pull request for main" in dry.out
    would = lab.cli("promote", "r", "--dry-run", "--json").data["would_send"]
    assert would["title"] == "[autopack] r: work"
    assert not pulls(lab)
    assert "promoted" not in lab.kinds()
    assert lab.cli("promote", "r").code == 0
    assert len(pulls(lab)) == 1


@pytest.mark.slow
def test_a_branch_that_is_checked_out_refuses_it_and_the_next_try_mends_it(lab: Lab) -> None:
    lab.make()
    assert lab.run(ONE).code == 0
    git(lab.project, "checkout", "-q", "autonomous/r")
    done = lab.cli("promote", "r")
    assert done.code == 1
    assert "not promoted: not delivered:" in done.out
    git(lab.project, "checkout", "-q", "main")
    assert lab.cli("run", "deliver", "r").code == 0
    assert lab.cli("promote", "r").code == 0
    assert len(pulls(lab)) == 1
    lab.check_sound()


@pytest.mark.slow
def test_a_promotion_is_undone_as_a_landing_is(auto: Lab) -> None:
    assert auto.run(ONE).code == 0
    done = auto.cli("undo", "r")
    assert done.code == 0, done.err
    (landed,) = auto.load().snapshots
    assert git(auto.project, "rev-parse", "autonomous/r") == landed.commit
    assert auto.cli("undo", "r", "--to", "autonomous/r/promotion").code == 0
    assert git(auto.project, "rev-parse", "autonomous/r") == auto.load().tip


@pytest.mark.slow
def test_a_run_waits_while_too_many_are_open_and_begins_when_one_is_closed(lab: Lab) -> None:
    lab.variables["AUTOPACK_RUN_PROMOTE"] = "auto"
    lab.make(project="[run]\npromotions_open_max = 1")
    assert lab.run(ONE).code == 0
    plan = lab.plan(phase("F1", "do: write src/two.txt two"), name="second")
    refused = lab.cli("run", plan, "--run-id", "s", "--no-wait")
    assert refused.code == 2
    assert "1 promotion pull request is open, at most 1 may be" in refused.err
    waiting = lab.start("run", plan, "--run-id", "s")
    until(lambda: "promotions_full" in kinds(lab), "it waits")
    assert "waits: as many promotion" in lab.cli("run", "view", "s").out
    assert lab.load("s").tokens_spent == 0
    (pull,) = pulls(lab)
    pull.write_text(pull.read_text().replace('state: "open"', "state: closed"))
    assert waiting.wait(60) == 0
    assert "room_awaited" in kinds(lab)
    assert len(pulls(lab)) == 2


def kinds(lab: Lab) -> list[str]:
    try:
        return lab.kinds("s")
    except Exception:  # noqa: BLE001  it is not recorded yet
        return []


@pytest.mark.slow
def test_what_others_wrote_drives_nothing_on_the_page(auto: Lab) -> None:
    write(auto.root, {"notes": HOSTILE})
    hostile = phase("F1", "do: write src/one.txt one").replace("does F1", HOSTILE)
    assert auto.cli("run", auto.plan(hostile, name="fixes #7 @you"), "--run-id", "r").code == 0
    text = pulls(auto)[0].read_text()
    outside = re.sub(r"(`+).*?\1", "", text.split("\n---\n", 1)[1])
    assert "@admin" not in outside
    assert "<script>" not in outside
    assert not re.search(r"(?:#|GH-)\d", text)
    assert "[autopack] r: fixes 7 you" in text


def test_bad_input_is_told(lab: Lab) -> None:
    lab.make(project='[run]\npromote = "sometimes"\npromotions_open_max = -1')
    done = lab.run(ONE)
    assert done.code == 2
    assert "run.promote" in done.err
    assert "run.promotions_open_max" in done.err
    assert lab.cli("promote", "nothing").code == 2
