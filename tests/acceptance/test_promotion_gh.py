"""A run becomes a pull request through the real gh, whatever goes wrong with one call.

The double has the repository, the run pushes to it over HTTP; one fault at each call that a
promotion makes, and exactly one pull request in the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.double.hub import WRITER, Repo
from tests.double.server import Double, gh_required, serving
from tests.forges import NAME
from tests.lab import Lab, phase
from tests.repos import git

BRANCH = "autonomous/r"
READS = ("500", "dropped", "garbage")
WRITES = ("lost", "dropped", "502", "cut")
CALLS = [
    ("GET", "/pulls", READS),
    ("GET", "info/refs", ("500", "dropped")),
    ("POST", "git-receive-pack", ("lost", "dropped", "502")),
    ("POST", "/pulls", (*WRITES, "secondary")),
    ("POST", "/statuses/", WRITES),
]
"""Each call of a promotion, by a part of its path, and what goes wrong with it."""
FAULTS = [(method, path, kind) for method, path, kinds in CALLS for kind in kinds]


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    with serving(tmp_path / "hub") as made:
        yield made


def at_github(lab: Lab, double: Double) -> Repo:
    """The lab's good runs become pull requests of the double, by gh."""
    gh_required()
    lab.make()
    repo = double.hub.add(NAME, lab.project)
    said = {
        "RUN_PROMOTE": "auto", "FORGE__KIND": "github", "FORGE__REPOSITORY": NAME,
        "FORGE__REMOTE": double.remote(NAME), "FORGE__CLIENT": "gh",
        "FORGE__WAIT_SECONDS_MAX": "5",
    }  # fmt: skip
    lab.variables |= {**{f"AUTOPACK_{key}": value for key, value in said.items()},
                      **double.gh(WRITER)}  # fmt: skip
    return repo


def check_one(lab: Lab, repo: Repo) -> None:
    """One pull request, of the run's branch with one commit of summaries, known to the run."""
    run = lab.load()
    assert [(pull.head, pull.state) for pull in repo.pulls.values()] == [(BRANCH, "open")]
    assert (run.promotion.number, run.promotion.refusal) == (1, "")
    assert run.tip == run.delivered == repo.at(BRANCH) == repo.pulls[1].head_sha
    (landed,) = run.snapshots
    assert git(lab.project, "rev-parse", f"{BRANCH}^") == landed.commit
    assert "## Phases" in repo.pulls[1].body
    said = {word.context for word in repo.words[landed.commit]}
    assert said == {"autopack/gate", "autopack/ci"}
    assert {branch for branch, _ in repo.pushed} == {BRANCH}
    lab.check_untouched()


def test_a_run_becomes_a_pull_request_through_gh(lab: Lab, double: Double) -> None:
    repo = at_github(lab, double)
    done = lab.run(phase("F1", "do: write src/x.txt x"))
    assert done.code == 0, done.err
    assert "pull request 1 (open): https://" in done.out
    check_one(lab, repo)
    for method, path, _ in CALLS:
        assert double.hub.made(method, path), f"a promotion makes no {method} {path}"
    again = lab.cli("promote", "r")
    assert again.code == 0, again.err
    check_one(lab, repo)
    lab.check_sound()


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("method", "path", "kind"), FAULTS)
def test_a_fault_at_each_call_leaves_one_pull_request(
    lab: Lab, double: Double, method: str, path: str, kind: str
) -> None:
    repo = at_github(lab, double)
    double.hub.fail(kind, method, path)
    plan = lab.plan(phase("F1", "do: write src/x.txt x"))
    done = lab.cli("run", plan, "--run-id", "r", seconds_max=100)
    assert done.code == 0, done.err
    assert not double.hub.faults[0].times, "the fault never came"
    if not lab.load().promotion.number:
        assert "not promoted: " in done.out
    assert lab.cli("promote", "r", seconds_max=100).code == 0
    check_one(lab, repo)
