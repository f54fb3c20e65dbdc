"""A sample of the flake lab with real suites: pytest in the fence, blamed by CI as it runs."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from autopack.adapters.ci.environment import Environments
from autopack.adapters.ci.local import LocalVerifier
from autopack.core.patch import FILE, Change, TreeDiff
from autopack.core.spec import CiProfile
from autopack.process.workbench import Workbench
from tests.adapters.commits import Commits, Greens, ci_task

SUITE = """\
import json, sys
from pathlib import Path

REPORT = next(word for word in sys.argv if word.startswith("--junitxml="))
EXECUTION = Path(REPORT.partition("=")[2]).parent.name
FAILS = json.loads(Path("src/fails.json").read_text())

def fails(test):
    assert not any(EXECUTION.endswith(each) for each in FAILS.get(test, [])), f"{test} is lost"

def test_green(): fails("green")
def test_one(): fails("one")
def test_two(): fails("two")
"""
NEW = "\ndef test_new(): fails('new')\n"
RERUNS = ["rerun1", "rerun2", "rerun3", "rerun4", "rerun5", "rerun6"]
EACH = ["0", *RERUNS]
THERE = ["base4", "base5", "parent", "parent-again"]
FIRST = ["0"]
WORD = f"{sys.executable} -m pytest -q -p no:cacheprovider --junitxml={{report}}"


def judged(folder: Path, bench: Workbench, fails: object, command: str, profile: CiProfile,
           new: bool) -> list[str]:  # fmt: skip
    """What a candidate that changes `src/code` alone comes to: its verdict and exonerations."""
    toml = "".join(f"[ci.{each}]\ncommands = [{{ {command}, seconds_max = 60 }}]\n"
                   for each in ("normal", "strict"))  # fmt: skip
    base = {
        "autopack.toml": toml,
        "tests/test_suite.py": SUITE,
        "src/fails.json": json.dumps(fails),
    }
    added = {"tests/test_suite.py": SUITE + NEW} if new else {}
    commits = Commits(base=base, candidate={**base, "src/code": "new", **added})
    change = (Change(b"src/code", FILE, FILE),)
    commits.diff = lambda parent, tree: TreeDiff(parent, tree, change)  # type: ignore[method-assign]  # a fake's own
    it = LocalVerifier(
        lambda _: commits.port, Greens(), bench, Environments(folder / "cache", bench)
    )
    task = replace(ci_task(folder / "task"), parent="base", tip="base", profile=profile)
    tested = it.test(task, threading.Event())
    found = [f"{each.test.partition('::')[2]}: {each.kind}" for each in tested.exonerated]
    return [tested.verdict.value, *sorted(found)]


CASES = {
    "flaky": ({"one": FIRST}, ["pass", "test_one: flaky"]),
    "two flaky": ({"one": FIRST, "two": ["0", "rerun1"]},
                  ["pass", "test_one: flaky", "test_two: flaky"]),
    "red before": ({"one": EACH + THERE}, ["pass", "test_one: pre_existing"]),
    "broken": ({"one": EACH}, ["fail"]),
    "flaky before, broken": ({"one": [*EACH, "base4", "parent"]}, ["fail"]),
    "new by data, flaky": ({"new": FIRST}, ["fail"]),
    "green": ({}, ["pass"]),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "whole"])
def test_blame_is_right_of_real_suites(
    tmp_path: Path, bench: Workbench, name: str, alone: bool
) -> None:
    fails, expected = CASES[name]
    rerun = f', rerun = "{WORD} {{tests}}"' if alone else ""
    command = f'run = "{WORD}", report = "junit"{rerun}'
    new = "new" in fails
    assert judged(tmp_path, bench, fails, command, CiProfile.NORMAL, new) == expected


@pytest.mark.slow
def test_strict_refuses_a_real_flake_that_nobody_knows(tmp_path: Path, bench: Workbench) -> None:
    command = f'run = "{WORD}", report = "junit"'
    assert judged(tmp_path, bench, {"one": FIRST}, command, CiProfile.STRICT, False) == ["fail"]
