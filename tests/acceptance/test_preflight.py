"""`autopack preflight` from outside: what it judges, what it leaves, how it refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from autopack import wiring
from autopack.cli.main import perform
from autopack.process.limits import Limits
from autopack.process.runner import run
from tests.lab import ROOT, Lab
from tests.repos import git, write

TELLS = 'commands = [{ run = ["sh", "-c", "exit 0"], seconds_max = 30 }]'


@pytest.mark.slow
def test_green_is_cached_records_no_run_and_the_script_says_the_same(lab: Lab) -> None:
    lab.make()
    first = lab.cli("preflight", "--json")
    assert (first.code, first.data["preflight"]["outcome"]) == (0, "green"), first
    (tried,) = first.data["preflight"]["attempts"]
    assert Path(tried["log_folder"], "0.log").exists()
    argv = ["sh", str(ROOT / "scripts" / "preflight_gate.sh"), "--json"]
    given = {**lab.environment, "CI_PROFILE": "normal", "MAX_ATTEMPTS": "1"}
    path = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{given['PATH']}"
    again = run(argv, env={**given, "PATH": path}, cwd=lab.project, limits=Limits(40))
    assert again.exit_code == 0, again
    told = json.loads(again.stdout)["preflight"]
    assert (told["profile"], told["attempts"][0]["cached"]) == ("normal", True)
    with wiring.reading(lab.loaded) as store:
        assert store is not None
        assert store.runs() == []
    lab.check_untouched()
    assert "preflight" not in git(lab.bare, "for-each-ref")


def test_the_work_tree_is_captured_as_an_agents_is_and_its_red_is_told(lab: Lab) -> None:
    lab.make()
    write(lab.project, {"state/mode": "red\n", "mine/large.bin": "x"})
    write(lab.project / ".git", {"info/exclude": "mine/\n"})
    hook = "#!/bin/sh\ntouch ../hooked\n"
    config = git(lab.project, "config", "core.fsmonitor", "touch hooked")
    write(lab.project / ".git", {"hooks/post-checkout": hook})
    assert config == ""
    refused = lab.cli("preflight")
    assert refused.code == 2
    assert "not committed (new: state/mode)" in refused.err
    done = lab.cli("preflight", "--worktree", "--backoff", "0", "--json")
    told = done.data["preflight"]
    assert (done.code, told["outcome"], told["worktree"]) == (1, "red", True)
    assert len(told["attempts"]) == 2, "two alike settle it"
    assert told["attempts"][1]["evidence"]["findings"][0]["test"] == "lab::works"
    assert not list(lab.root.rglob("hooked"))
    assert "refs/autopack/_preflight" not in git(lab.bare, "for-each-ref")
    lab.check_untouched()


def test_what_judges_may_come_from_a_base_and_zero_tests_judge_nothing(lab: Lab) -> None:
    lab.make()
    text = (lab.project / "autopack.toml").read_text()
    write(lab.project, {"state/mode": "zero\n"})
    weaker = text.replace("{report}", "weak.xml").replace(
        'report = "junit"', 'report = "exit-code"'
    )
    write(lab.project, {"autopack.toml": weaker})
    git(lab.project, "add", "--all")
    git(lab.project, "commit", "--quiet", "--message=weaker")
    assert lab.cli("preflight").code == 0, "its own word: exit code"
    done = lab.cli("preflight", "--base", lab.base, "--attempts", "1", "--json")
    assert (done.code, done.data["preflight"]["outcome"]) == (4, "invalid")


BAD = [
    (["--profile", "loose"], {}, "--profile 'loose'"),
    ([], {"CI_PROFILE": "loose"}, "CI_PROFILE 'loose'"),
    (["--attempts", "0"], {}, "--attempts 0"),
    (["--attempts", "11"], {}, "--attempts 11"),
    ([], {"MAX_ATTEMPTS": "many"}, "MAX_ATTEMPTS 'many'"),
    ([], {"MAX_ATTEMPTS": "٣"}, "must be a whole number, 1 to 10"),
    (["--backoff", "601"], {}, "--backoff 601"),
    ([], {"BACKOFF_SECONDS": "-1"}, "BACKOFF_SECONDS '-1'"),
    (["HEAD", "--worktree"], {}, "--worktree judges what lies on HEAD"),
    (["no-such-branch"], {}, "the base no-such-branch names no commit"),
    (["--base=--output=x"], {}, "names no commit"),
]


@pytest.mark.parametrize(("arguments", "variables", "said"), BAD, ids=range(len(BAD)))
def test_bad_input_is_told_before_anything_is_run(
    lab: Lab,
    arguments: list[str],
    variables: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lab.make(ci=TELLS)
    for name, value in {**lab.environment, **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(lab.project)
    assert perform(["preflight", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not (lab.root / "state" / "logs" / "preflight").exists()
