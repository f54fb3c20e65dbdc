"""The main job on real input: this project's own repository, an agent that edits it, its own tests.

Agent and plan are those of `examples/on-itself`. Instead of preparing an environment, which needs a
registry, CI uses the Python that runs this test, with the clone's own `src` on its path.
"""

from __future__ import annotations

import json
import os
from typing import Final, NoReturn

import pytest

from autopack.core.run import RunState
from tests.lab import ROOT, Lab
from tests.repos import commit_all, git, refs, write

DEAR: Final = ("machine", "drafting", "ruleset", "ruleset_schema", "notice", "flake_lab", "plan")
"""Rooms of the core's tests that are left out: each execution is one of five."""
COMMAND: Final = " ".join([
    "env PYTHONPATH=src python -m pytest -v -p no:cacheprovider --junitxml={report} tests/core",
    *(f"--ignore=tests/core/test_{name}.py" for name in DEAR),
])  # fmt: skip
EXAMPLE: Final = "examples/on-itself"


def cloned(lab: Lab) -> str:
    """This project on main of a repository of the lab, with other settings; its base commit."""
    try:
        shallow = git(ROOT, "rev-parse", "--is-shallow-repository") == "true"
    except AssertionError:
        missing(f"{ROOT} is no git checkout (an unpacked archive?): there is nothing to clone")
    if shallow:
        missing(f"{ROOT} is a shallow clone; `git fetch --unshallow` completes it")
    (lab.root / "home").mkdir()
    git(lab.root, "clone", "-q", "--no-hardlinks", str(ROOT), str(lab.project))
    git(lab.project, "checkout", "-q", "-B", "main")
    git(lab.project, "remote", "remove", "origin")
    for ref in refs(lab.project):
        if ref != "refs/heads/main":
            git(lab.project, "update-ref", "-d", ref)
    agent = lab.project / EXAMPLE / "agent.py"
    settings = (
        f'builder = "writer"\n[agents.writer]\ncommand = ["python3", {json.dumps(str(agent))}]\n'
        f"read_only = [{json.dumps(str(agent.parent))}]\n"
        f'[project]\nid = "lab"\n'
        f'[ci.normal]\ncommands = [{{ run = "{COMMAND}", report = "junit", seconds_max = 240 }}]\n'
    )
    write(lab.project, {"autopack.toml": settings})
    return commit_all(lab.project, "settings of a test")


def missing(reason: str) -> NoReturn:
    """Tell why there is nothing to work on; under CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_agent_s_work_on_this_project_lands_after_its_own_tests(lab: Lab) -> None:
    lab.base = cloned(lab)
    plan = lab.project / EXAMPLE / "plan.md"
    done = lab.cli("run", plan, "--run-id", "r", "--json", seconds_max=280)
    assert done.code == 0, done.err
    run = lab.load()
    assert run.state is RunState.DONE_SUCCESS
    assert [snapshot.phase_id for snapshot in run.snapshots] == ["F1", "F2"]
    assert run.tokens_spent == 2 * 1234

    tested = lab.of_kind("candidate_tested")
    assert [(each.verdict.value, each.cached, each.weak) for each in tested] == [
        ("pass", False, False),
        ("pass", False, False),
    ]
    assert tested[0].tests_run == tested[1].tests_run > 300
    changed = git(lab.project, "diff", "--name-only", "main", "autonomous/r").split()
    assert changed == [
        "docs/quickstart.md",
        "src/autopack/core/words.py",
        "tests/core/test_shortened.py",
    ]
    assert "def shortened(" in git(lab.project, "show", "autonomous/r:src/autopack/core/words.py")
    (log,) = (lab.root / "state" / "logs").rglob("F1/ci-*/0.log")
    said = log.read_text()
    assert f"{tested[0].tests_run} passed" in said
    assert "tests/core/test_shortened.py::test_a_long_text_is_cut PASSED" in said
    lab.check_untouched()
    lab.check_sound()
    assert git(lab.project, "status", "--porcelain") == ""
