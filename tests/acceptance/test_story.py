"""What the command line and the incident tell of a run that failed: what, why, where, what next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab import Lab, phase, until
from tests.process.ground import alive, new_mark
from tests.repos import git, write

SCOPE = phase("F1", "do: write README.md mine")
RED = phase("F1", "do: write state/mode red")


def incident(lab: Lab) -> Path:
    return lab.project / ".autonomous_runs" / "r" / "incident" / "incident.md"


def test_a_refused_change_is_told_with_rule_path_place_and_next_step(lab: Lab) -> None:
    done = lab.make().run(SCOPE)
    assert done.code == 1, done.err
    shown = lab.cli("run", "view", "r").out
    for told in (done.out, shown):
        assert "scope: README.md: is outside the phase's scope" in told
        assert str(incident(lab)) in told
        assert "autopack run retry r" in told
    assert "autopack run view r" in done.out
    assert "autopack run view r" not in shown
    assert "2 attempts" in shown
    logs = lab.root / "state" / "logs" / "runs" / "r"
    assert str(logs) in shown
    assert logs.is_dir()
    for name, commit in lab.kept().items():
        assert f"refs/autopack/r/{name} ({commit[:12]})" in shown
    assert f"git --git-dir={lab.bare} show refs/autopack/r/F1/2" in shown
    written = incident(lab).read_text()
    for told in ("scope at README.md: is outside the phase", str(logs), str(lab.bare),
                 "refs/autopack/r/F1/1", f"show {'refs/autopack/r/F1/2'}",
                 "autopack run retry r"):  # fmt: skip
        assert told in written, told
    again = written.partition("## Reproduce")[2].partition("## Timeline")[0]
    assert "the gate refused its last candidate, which CI never judged" in again
    assert f"diff {lab.base} refs/autopack/r/F1/2" in again
    assert "scope at README.md" in again
    assert "ci.py" not in again


@pytest.mark.slow
def test_a_failed_run_that_landed_everything_has_nothing_to_retry(lab: Lab) -> None:
    doubt = json.dumps([{"issue_key": "one__is_untested", "severity": "major"}])
    critical = ("--safety-profile", "safety_critical")
    task = phase("F1", "do: write src/a.txt one", f"do: issues {doubt}")
    done = lab.make().run(task, options=critical)
    assert done.code == 1, done.err
    assert lab.cli("run", "retry", "r").code == 2
    told = [done.out, lab.cli("run", "view", "r").out, incident(lab).read_text()]
    for each in told:
        assert "run retry" not in each
        for command in ("autopack report run r", "autopack issues list", "git merge autonomous/r"):
            assert command in each, each
    assert "one__is_untested" in lab.cli("issues", "list").out
    git(lab.project, "merge", "--ff-only", "autonomous/r")

    good = lab.cli("run", lab.plan(phase("F2", "do: write src/b.txt b")), "--run-id", "s", "--json")
    assert good.code == 0, good.err
    assert good.data["run"]["places"]["incident"] is None


@pytest.mark.slow
def test_the_json_of_a_run_tells_the_same(lab: Lab) -> None:
    lab.make().run(SCOPE)
    run = lab.cli("run", "view", "r", "--json").data["run"]
    (shown,) = run["tiers"][0]["phases"]
    (finding,) = shown["evidence"]["findings"]
    assert (finding["rule"], finding["path"], finding["line"]) == ("scope", "README.md", 0)
    assert {kept["ref"]: kept["commit"] for kept in shown["kept"]} == {
        f"refs/autopack/r/{name}": commit for name, commit in lab.kept().items()
    }
    assert run["places"]["incident"] == str(incident(lab))
    assert run["places"]["repository"] == str(lab.bare)


@pytest.mark.slow
def test_a_red_ci_is_told_with_the_test_that_failed(lab: Lab) -> None:
    done = lab.make().run(RED)
    assert done.code == 1, done.err
    shown = lab.cli("run", "view", "r").out
    for told in (done.out, shown, incident(lab).read_text()):
        assert "1 of 1 test" in told
        assert "it is red" in told
    assert "\\x0a" not in done.out + shown


@pytest.mark.slow
def test_lines_of_others_stay_lines_and_pass_for_none_of_ours(lab: Lab) -> None:
    """CI says two lines and an escape on its own; they are quoted, each on its line."""
    ci = 'commands = [{ run = ["sh", "-c", "printf \'first\\\\nnext: \\\\033[1mforged\\\\n\'; false"] }]'
    done = lab.make(ci=ci).run(phase("F1", "do: write src/one.txt one"))
    assert done.code == 1, done.err
    for told in (done.out, lab.cli("run", "view", "r").out):
        assert "\n    | first\n    | next: " in told, told
        assert "\x1b" not in told
        assert "\\x0a" not in told
        assert [line for line in told.splitlines() if line.startswith("  next:")] == [
            line for line in told.splitlines() if "next: autopack" in line
        ]


@pytest.mark.slow
def test_a_broken_settings_file_hinders_no_reading_and_no_cancelling(lab: Lab) -> None:
    mark = new_mark()
    started = lab.make().start("run", lab.plan(phase("F1", f"do: hang {mark}")), "--run-id", "r")
    until(lambda: alive(mark), "the agent works")
    write(lab.project, {"autopack.toml": "builder = \n"})
    for command in (("run", "list"), ("run", "view", "r"), ("events", "list", "r"),
                    ("events", "verify"), ("run", "cancel", "r")):  # fmt: skip
        done = lab.cli(*command)
        assert done.code == 0, (command, done.err)
        assert f"{lab.project}/autopack.toml is passed over" in done.err
        assert f"{lab.project}/autopack.toml:1: not TOML" in done.err
    watched = lab.cli("run", "watch", "r", "--json")
    assert watched.code == 1
    assert watched.data["run"]["failure"]["reason"].startswith("cancelled")
    assert '"code": "warning"' in watched.err
    started.wait(20)
    assert lab.cli("run", lab.plan(SCOPE)).code == 2


@pytest.mark.slow
def test_a_reason_is_told_once_and_a_tier_once(lab: Lab) -> None:
    first = phase("F1", "do: write state/mode red")
    second = phase("F2", "do: write src/two.txt two", needs="F1")
    planned = lab.make().cli("run", lab.plan((first, second)), "--dry-run").out
    assert planned.count("T1 part 1") == 1
    assert planned.count("PHASE  CATEGORY") == 1
    assert lab.run((first, second)).code == 1
    shown = lab.cli("run", "view", "r").out
    assert shown.count("no attempt is left after 2 attempts") == 1
    assert "it needs F1, which did not land" in shown
    assert "0 attempts" in shown


@pytest.mark.slow
def test_a_delivery_asked_for_again_tells_only_what_is_new(lab: Lab) -> None:
    assert lab.make().run(phase("F1", "do: write src/one.txt one")).code == 0
    again = lab.cli("run", "deliver", "r")
    assert again.code == 0, again.err
    assert "delivery asked for" in again.err
    assert "run created" not in again.err
    assert "1 of 1 phase landed, 0 of 5,000,000 tokens, 1 CI run\n" in again.out


@pytest.mark.slow
def test_no_empty_folder_is_left_where_clones_were(lab: Lab) -> None:
    assert lab.make().run(phase("F1", "do: write src/one.txt one")).code == 0
    until(lab.idle, "the supervisor ends")
    lab.cli("supervise", "--until-idle")  # deletes what the first may have left to the next
    assert list((lab.root / "state" / "clones").iterdir()) == []


@pytest.mark.slow
def test_retry_and_cancel_say_why_they_cannot(lab: Lab) -> None:
    mark = new_mark()
    started = lab.make().start("run", lab.plan(phase("F1", f"do: hang {mark}")), "--run-id", "r")
    until(lambda: alive(mark), "the agent works")
    for command, run_id, words in (
        ("retry", "r", "run r is still under way"),
        ("deliver", "r", "run r has no snapshot to deliver"),
        ("retry", "nobody", "there is no run nobody"),
        ("cancel", "nobody", "there is no run nobody"),
    ):
        done = lab.cli("run", command, run_id)
        assert done.code == 2, (command, done)
        assert words in done.err
        assert "hint: " in done.err
        assert done.out == ""
    assert lab.cli("run", "cancel", "r").code == 0
    assert started.wait(20) == 1
    ended = lab.cli("run", "cancel", "r", "--json")
    assert ended.code == 2
    assert "run r has ended: DONE_FAILED_REQUIRES_HUMAN_REVIEW" in ended.err


def test_a_cap_too_small_for_all_is_refused_with_one_that_is_enough(lab: Lab) -> None:
    plan = lab.make().plan(tuple(phase(f"F{n}", "do: write src/a.txt a") for n in (1, 2)))
    refused = lab.cli("run", plan, "--token-cap", "10")
    assert refused.code == 2
    assert "--token-cap 300000 is the least" in refused.err
    assert "600000 lets all start" in refused.err
    assert lab.cli("run", plan, "--token-cap", "600000", "--dry-run").code == 0
