"""CI at GitHub, through the command line: the double tests what is pushed, the run believes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autopack.core.run import RunState
from tests.double.hub import READER, WRITER, CheckRun, Repo, Stages
from tests.double.server import Double, gh_required, serving
from tests.forges import NAME
from tests.lab import Lab, phase, until
from tests.repos import git


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    with serving(tmp_path / "hub") as made:
        yield made


def at_github(lab: Lab, double: Double, client: str = "http", token: str = WRITER) -> Repo:
    """The lab's runs are tested by the double: red when `state/mode` of the commit says so."""
    lab.make()
    repo = double.hub.add(NAME, lab.project)

    def actions(branch: str, sha: str) -> Stages:
        assert branch == "autopack-candidate/r/F1"
        mode = git(repo.folder, "ls-tree", "--name-only", sha, "state/")
        red = mode and git(repo.folder, "show", f"{sha}:state/mode").strip() == "red"
        end = CheckRun("tests", "completed", "failure" if red else "success", "", "all were run")
        return [[], [end]]

    repo.actions = actions
    said = {
        "VERIFIER": "github", "FORGE__KIND": "github", "FORGE__REPOSITORY": NAME,
        "FORGE__REMOTE": double.remote(NAME), "FORGE__CLIENT": client,
        "FORGE__CHECKS_SETTLE_SECONDS": "0", "FORGE__WAIT_SECONDS_MAX": "5",
    }  # fmt: skip
    if client == "http":
        said["FORGE__API_URL"] = double.url
        lab.variables["GH_ENTERPRISE_TOKEN"] = token
    else:
        lab.variables |= double.gh(token)
    lab.variables |= {f"AUTOPACK_{key}": value for key, value in said.items()}
    return repo


@pytest.mark.slow
@pytest.mark.parametrize("client", ["http", "gh"])
def test_a_candidate_lands_by_the_word_of_github(lab: Lab, double: Double, client: str) -> None:
    if client == "gh":
        gh_required()
    repo = at_github(lab, double, client)
    hub = double.hub
    hub.fail("lost", "POST", "git-receive-pack")
    hub.fail("500", "GET", "check-runs")
    hub.fail("other-sha", "GET", "check-runs")
    done = lab.run(phase("F1", "do: write src/x.txt x"))
    assert done.code == 0, done.err
    (tested,) = lab.of_kind("candidate_tested")
    assert (tested.verdict.value, tested.weak) == ("pass", True)
    branch = "autopack-candidate/r/F1"
    assert repo.pushed == [(branch, lab.kept()["F1/1"]), (branch, "")]
    (log,) = (lab.root / "state" / "logs").rglob("checks.log")
    assert "all were run" in log.read_text()
    lab.check_untouched()
    lab.check_sound()
    assert not [path for path in lab.root.rglob("*") if path.is_file() and holds(path, WRITER)
                and "home" not in path.parts]  # fmt: skip


def holds(path: Path, word: str) -> bool:
    return word.encode() in path.read_bytes()


@pytest.mark.slow
def test_red_at_github_is_the_next_builders_evidence(lab: Lab, double: Double) -> None:
    repo = at_github(lab, double)
    task = ("do 1: write state/mode red", "do 2: tell src/prompt.md prompt")
    done = lab.run(phase("F1", *task))
    assert done.code == 0, done.err
    verdicts = [each.verdict.value for each in lab.of_kind("candidate_tested")]
    assert verdicts == ["fail", "pass"]
    (prompt,) = (lab.root / "state" / "logs").rglob("attempt-2/prompt.md")
    assert "all were run" in prompt.read_text()
    assert [sha == "" for _, sha in repo.pushed] == [False, True] * 2


def test_what_cannot_be_tested_there_is_refused_before_it_starts(lab: Lab, double: Double) -> None:
    at_github(lab, double, token=READER)
    done = lab.run(phase("F1", "do: write src/x.txt x"))
    assert done.code == 2
    assert "not push" in done.err
    lab.variables["AUTOPACK_FORGE__KIND"] = "local"
    done = lab.run(phase("F1", "do: write src/x.txt x"))
    assert done.code == 2
    assert "tests nothing that is pushed" in done.err
    assert not lab.events()


@pytest.mark.slow
def test_killed_while_it_waits_it_looks_again_and_pushes_nothing_twice(
    lab: Lab, double: Double
) -> None:
    repo = at_github(lab, double)
    going = [CheckRun("tests", "in_progress")]
    repo.actions = lambda _branch, _sha: [going]
    lab.record(phase("F1", "do: write src/x.txt x"), verifier="github")
    supervisor = lab.start("supervise", "--until-idle")
    until(lambda: double.hub.made("GET", "check-runs") > 1, "it waits for the checks")
    supervisor.kill()
    supervisor.wait()
    until(lab.idle, "all of it is gone")
    going[:] = [CheckRun("tests")]
    done = lab.cli("supervise", "--until-idle")
    assert done.code == 0, done.err
    branch = "autopack-candidate/r/F1"
    assert repo.pushed == [(branch, lab.kept()["F1/1"]), (branch, "")]
    assert len(lab.of_kind("candidate_tested")) == 1
    lab.check_sound()


@pytest.mark.slow
def test_no_report_in_time_never_lands(lab: Lab, double: Double) -> None:
    repo = at_github(lab, double)
    repo.actions = lambda _branch, _sha: []
    lab.variables["AUTOPACK_FORGE__CHECKS_SECONDS_MAX"] = "1"
    done = lab.run(phase("F1", "do: write src/x.txt x"))
    assert done.code == 1
    assert lab.load().state is RunState.DONE_FAILED_REQUIRES_HUMAN_REVIEW
    verdicts = {each.verdict.value for each in lab.of_kind("candidate_tested")}
    assert verdicts == {"invalid"}
    assert not lab.delivered()
