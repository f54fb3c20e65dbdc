"""`autopack backtest` on small real repositories, through the program."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from autopack.cli import verdicts as verdicts_room
from autopack.cli.backtest import Told, told_to_end
from autopack.core.backtest import RuleShare, Summary
from autopack.core.run import Severity
from tests.cli.world import PLAN, SETTINGS, World, contents

if TYPE_CHECKING:
    from typing_extensions import Buffer

KEYS = {
    "repository", "branch", "tip", "order", "policy", "way", "ci", "sandbox", "commits_found",
    "commits_replayed", "complete", "interrupted", "fetch_seconds", "seconds",
    "commits_per_second", "verdicts", "identical_trees", "different_trees", "rules", "slowest",
    "changes", "commits",
}  # fmt: skip
COMMIT_KEYS = {
    "commit", "parent", "subject", "verdict", "before", "findings", "seconds", "identical",
    "files", "changed_lines", "largest_file_bytes", "ci",
}  # fmt: skip
POLICY = "[policy]\nmax_file_bytes = 1000\n"


def told(world: World, *arguments: str, code: int = 0, repo: str = ".") -> dict[str, Any]:
    """What `--json` says; the exit code must be `code`."""
    done = world.autopack("backtest", repo, *arguments, "--json")
    assert done.exit_code == code, (done.stdout.decode(), done.stderr.decode())
    return dict(json.loads(done.stdout)["backtest"])


def text(world: World, *arguments: str, code: int = 0, repo: str = ".") -> str:
    done = world.autopack("backtest", repo, *arguments)
    assert done.exit_code == code, (done.stdout.decode(), done.stderr.decode())
    return done.stdout.decode()


def refused(world: World, *arguments: str, code: int = 2, repo: str = ".") -> str:
    done = world.autopack("backtest", repo, *arguments)
    assert done.exit_code == code, done.stderr.decode()
    assert done.stdout == b""
    return done.stderr.decode()


def backtest_refs(world: World) -> list[str]:
    (ours,) = (world.root / "data" / "projects").glob("*/repo.git")
    return world.git("for-each-ref", "--format=%(refname)", "refs/autopack", cwd=ours).split()


def verdicts(found: Mapping[str, Any]) -> dict[str, str]:
    return {each["subject"]: each["verdict"] for each in found["commits"]}


def test_a_sentence_that_source_and_test_reword_alike_is_accepted_and_told(world: World) -> None:
    def files(message: str, tested: str) -> dict[str, str]:
        test = f"def test_port():\n    assert said() == '{tested}'\n"
        return {"port.py": f"MESSAGE = '{message}'\n", "tests/test_port.py": test}

    world.commit(files("the port is wrong", "the port is wrong"))
    world.commit(files("this port is taken", "this port is taken"))
    world.git("commit", "--quiet", "--amend", "--message=reworded")
    world.commit(files("this port is taken", "this port is free"))
    world.git("commit", "--quiet", "--amend", "--message=bent")
    found = told(world, "--last", "2")
    assert verdicts(found) == {"reworded": "accept", "bent": "needs_auditor"}
    severities = {each["subject"]: [(f["rule"], f["severity"]) for f in each["findings"]]
                  for each in found["commits"]}  # fmt: skip
    assert severities["reworded"] == [("expectation-changed", "note")]


@pytest.fixture
def odd(world: World) -> World:
    """Four commits: ordinary, one that an auditor must see, one that is too large, an empty one."""
    world.commit({"a.py": "1\n"})
    world.commit({"AGENTS.md": "do\n"})
    world.git("commit", "--quiet", "--amend", "--message=instructs")
    world.commit({"big.txt": "x" * 2_000})
    world.git("commit", "--quiet", "--amend", "--message=big")
    world.git("commit", "--quiet", "--allow-empty", "--message=nothing")
    return world


def test_each_commit_gets_its_verdict_and_nothing_is_touched(odd: World) -> None:
    before = contents(odd.repo)
    found = told(odd, "--last", "10", code=1)
    assert contents(odd.repo) == before
    assert set(found) == KEYS
    assert all(set(each) == COMMIT_KEYS for each in found["commits"])
    assert verdicts(found) == {
        "nothing": "refuse", "big": "accept", "instructs": "needs_auditor", "files": "accept",
    }  # fmt: skip
    assert found["verdicts"] == {"accept": 2, "needs_auditor": 1, "refuse": 1}
    assert (found["identical_trees"], found["different_trees"]) == (3, [])
    assert found["complete"]
    assert found["policy"].startswith("the defaults")
    assert found["tip"] == odd.git("rev-parse", "HEAD")
    rules = {rule["rule"]: (rule["severity"], rule["share"]) for rule in found["rules"]}
    assert found["rules"][1]["paths"] == [{"path": "AGENTS.md", "commits": 1}]
    assert rules == {"empty-change": ("refuse", 0.25), "protected-path": ("ask", 0.25)}
    assert backtest_refs(odd) == []
    assert not (odd.root / "data" / "autopack.db").exists()
    assert list((odd.root / "state" / "clones").iterdir()) == []


@pytest.mark.slow
def test_another_policy_is_tried_and_its_changes_are_told(odd: World) -> None:
    (odd.root / "other.toml").write_text(POLICY)
    found = told(odd, "--last", "3", "--config", "../other.toml", code=1)
    assert verdicts(found)["big"] == "refuse"
    big = odd.git("rev-parse", "HEAD~1")
    assert found["changes"] == [{"commit": big, "before": "accept", "after": "refuse"}]
    shown = text(odd, "--last", "3", "--config", "../other.toml", code=1)
    assert "[policy] max_file_bytes = 2000" in shown
    assert "1 verdict changed" in shown
    assert f"{big[:12]} accept -> refuse" in shown
    odd.commit({"autopack.toml": POLICY})
    assert verdicts(told(odd, "--last", "4", code=1))["big"] == "refuse"
    loose = text(odd, "--last", "4", "--config", "/dev/null", code=1)
    assert f"{big[:12]} refuse -> accept" in loose


@pytest.mark.slow
def test_the_remedy_that_is_told_takes_the_commit(odd: World) -> None:
    (odd.root / "other.toml").write_text(POLICY)
    found = told(odd, "--last", "2", "--config", "../other.toml", code=1)
    remedy = {rule["rule"]: rule["remedy"] for rule in found["rules"]}["file-size"]
    (odd.root / "other.toml").write_text(remedy.replace("] ", "]\n"))
    found = told(odd, "--last", "2", "--config", "../other.toml", code=1)
    assert verdicts(found)["big"] == "accept"


def test_the_text_tells_counts_rules_remedies_and_trees(odd: World) -> None:
    shown = text(odd, "--last", "10", "--way", "clone", code=1)
    for words in ("needs auditor  1  25.0 %", "protected-path  asks", "to have them taken",
                  "trees: 3 of 3 identical", "way: clone", "slowest", "empty-change"):  # fmt: skip
        assert words in shown
    assert backtest_refs(odd) == []


def test_a_slow_rate_is_seconds_a_commit() -> None:
    assert verdicts_room._rate(3 / 158) == "52.7 s a commit"
    assert verdicts_room._rate(2.54) == "2.5 commits/s"


def test_what_an_option_mends_is_told_apart_from_the_settings() -> None:
    shares = [RuleShare(rule, Severity.REFUSE, 1, 1.0, "a" * 40, (), remedy)
              for rule, remedy in (("ci-cancelled", "--seconds: more"), ("file-size", "[policy] x"))]  # fmt: skip
    said = list(verdicts_room._remedies(cast("Summary", SimpleNamespace(rules=shares))))
    assert [line for line in said if line.startswith("to have")] == [
        "to have them taken, in autopack.toml:", "to have them taken, with an option of backtest:",
    ]  # fmt: skip
    assert said[-1].split() == ["ci-cancelled", "--seconds:", "more"]


def test_a_config_that_is_not_there_is_named_once(odd: World) -> None:
    said = odd.autopack("backtest", str(odd.repo), "--config", "/nope").stderr.decode()
    assert "--config /nope: No such file or directory" in said
    assert said.count("/nope") == 1


def test_without_refusals_it_leaves_with_0_also_from_a_bare_repository(odd: World) -> None:
    odd.git("reset", "--quiet", "--hard", "HEAD~1")
    bare = odd.root / "bare.git"
    odd.git("clone", "--quiet", "--bare", str(odd.repo), str(bare))
    found = told(odd, "--last", "10", repo=str(bare))
    assert found["verdicts"] == {"accept": 2, "needs_auditor": 1, "refuse": 0}


@pytest.mark.slow
def test_what_cannot_be_backtested_is_told(world: World) -> None:
    assert "git clone" in refused(world, repo="https://example.org/x.git")
    assert "https://github.com/o/n" in refused(world, repo="github:o/n")
    assert "is no folder" in refused(world, repo="nowhere")
    assert "no git repository" in refused(world)


def test_an_option_or_a_policy_that_is_wrong_is_told(world: World) -> None:
    world.toy()
    assert "10,000" in refused(world, "--last", "0")
    assert "10,000" in refused(world, "--last", "10001")
    assert "no.toml" in refused(world, "--config", "no.toml")
    (world.repo / "policy.toml").write_text(POLICY)
    world.commit({"autopack.toml": POLICY})
    assert "autopack init" in refused(world, "--ci", "--config", "policy.toml")
    world.commit({"autopack.toml": "[policy]\nmax_fils = 1\n"})
    assert "did you mean 'max_files'" in refused(world)


@pytest.mark.slow
def test_ci_judges_history_by_the_profile_of_today(world: World) -> None:
    world.commit({"a.py": "def add(a, b):\n    return a - b\n"})
    world.git("commit", "--quiet", "--amend", "--message=no test yet")
    world.toy()
    world.git("commit", "--quiet", "--amend", "--message=red")
    world.commit({"a.py": "def add(a, b):\n    return a + b\n"})
    world.git("commit", "--quiet", "--amend", "--message=green")
    found = told(world, "--ci", code=1)
    assert found["sandbox"] == "bubblewrap"
    by_name = {each["subject"]: each for each in found["commits"]}
    assert {name: each["verdict"] for name, each in by_name.items()} == {
        "no test yet": "refuse", "red": "refuse", "green": "accept",
    }  # fmt: skip
    assert {name: each["ci"]["verdict"] for name, each in by_name.items()} == {
        "no test yet": "fail", "red": "fail", "green": "pass",
    }  # fmt: skip
    assert [finding["rule"] for finding in by_name["red"]["findings"]] == [
        "protected-path", "ci-fail",
    ]  # fmt: skip
    log = Path(by_name["red"]["ci"]["log"])
    assert "FAIL: test_add" in "".join(each.read_text() for each in log.iterdir())
    shown = text(world, "--ci", "--last", "1")
    assert "CI: 1 pass; 1 by exit code alone, 1 known from before" in shown
    assert backtest_refs(world) == []


def test_an_environment_that_cannot_be_made_is_no_judgement(world: World) -> None:
    world.toy(SETTINGS + '[environment]\nprepare = ["false"]\ncache = ["kept"]\n')
    shown = text(world, "--ci", code=1)
    assert "CI: 1 infra" in shown
    assert "which says nothing of the commit" in shown


def test_ctrl_c_in_the_middle_of_a_write_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's buffer refuses whoever writes into it while it writes."""
    ours, theirs = pty.openpty()

    class Screen(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def isatty(self) -> bool:
            return True

        def fileno(self) -> int:
            return theirs

        def write(self, data: Buffer, /) -> int:
            signal.raise_signal(signal.SIGINT)
            return os.write(theirs, bytes(data))

    told = Told()
    screen = io.TextIOWrapper(io.BufferedWriter(Screen()), line_buffering=True)
    with monkeypatch.context() as changed, told_to_end(told, "ending"):
        changed.setattr("sys.stderr", screen)
        print("3/10 commits", file=sys.stderr)
    shown = b""
    while b"3/10 commits" not in shown:
        shown += os.read(ours, 1_000)
    screen.detach()
    os.close(ours)
    os.close(theirs)
    assert told.is_set()
    assert b"once more ends it now" in shown
    assert b"3/10 commits" in shown


def test_ctrl_c_tells_what_was_found_and_leaves_nothing(world: World) -> None:
    world.commit({"a.py": "0\n"})
    stream = "".join(
        f"commit refs/heads/main\ncommitter T <t@example.org> {n} +0000\ndata 2\nc\n"
        f"{'from refs/heads/main^0' if n == 1 else ''}\nM 100644 inline a.py\ndata 6\n{n:05}\n\n"
        for n in range(1, 1_001)
    )  # fmt: skip
    done = subprocess.run(
        ["git", "fast-import", "--quiet"], input=stream.encode(), cwd=world.repo, check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(world.home)},
    )  # fmt: skip
    assert done.returncode == 0
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "autopack.cli.main", "backtest", ".", "--last", "1000", "--json"]
    with subprocess.Popen(
        argv, cwd=world.repo, env=world.env, stdout=subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        while b"/1000 commits" not in shown:
            shown += os.read(ours, 1_000)
        process.send_signal(signal.SIGINT)
        out = process.stdout.read() if process.stdout else b""
    os.close(ours)
    found = json.loads(out)["backtest"]
    assert process.returncode == 130
    assert (found["interrupted"], found["complete"], found["commits_found"]) == (True, False, 1_000)
    assert 0 < found["commits_replayed"] < 1_000
    assert found["verdicts"]["accept"] == found["commits_replayed"]
    assert backtest_refs(world) == []


def test_what_ctrl_c_tells_wakes_who_waits() -> None:
    told = Told()
    assert not told.wait(0)
    waits = threading.Thread(target=told.wait, daemon=True)
    waits.start()
    told.set()
    waits.join(20)
    assert not waits.is_alive()
    assert told.is_set()
    assert told.wait()


@pytest.mark.slow
def test_a_run_can_be_built_by_history(world: World) -> None:
    settings = SETTINGS.replace('type = "scripted"\npatches = "../patches"',
                                'type = "replay"\ncommits = { "F1.1" = "wrong fixed" }')  # fmt: skip
    base = world.toy(settings)
    world.git("checkout", "--quiet", "-b", "wrong")
    world.commit({"a.py": "def add(a, b):\n    return a * b\n"})
    world.git("checkout", "--quiet", "-b", "fixed", base)
    fixed = world.commit({"a.py": "def add(a, b):\n    return a + b\n"})
    world.git("checkout", "--quiet", "main")
    world.plan.write_text(PLAN)
    done = world.autopack("run", str(world.plan), "--json")
    assert done.ok, done.stderr.decode()
    run = json.loads(done.stdout)["run"]
    assert (run["state"], run["tokens_spent"]) == ("DONE_SUCCESS", 0)
    assert run["tiers"][0]["phases"][0]["attempts_used"] == 2
    trees = [world.git("rev-parse", f"{name}^{{tree}}") for name in (run["branch"], fixed)]
    assert trees[0] == trees[1]
