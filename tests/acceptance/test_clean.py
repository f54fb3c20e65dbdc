"""Clean-up through the command line: what goes, what stays, and a death in the middle of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autopack.core.run import RunState
from tests.lab import Lab, phase, until
from tests.process.ground import alive, new_mark
from tests.repos import git, refs, write

NOW = {
    "AUTOPACK_RETENTION_DAYS": "0",
    "AUTOPACK_LOGS_RETENTION_DAYS": "0",
    "AUTOPACK_QUARANTINE_RETENTION_DAYS": "0",
}
RED = phase("F1", "do: write src/one.txt one", "do: write state/mode red")
GOOD = phase("F2", "do: write src/two.txt two")
QUARANTINED = "refs/autopack/_quarantine/r/F1"


def ended(lab: Lab) -> Lab:
    """F1 is red, F2 landed, and nothing was due yet."""
    assert lab.make().run((RED, GOOD)).code == 1
    until(lab.idle, "the supervisor has ended")
    return lab


def set_aside(lab: Lab, number: int = 1) -> Path:
    """A clone in quarantine, as when its capture was given up."""
    folder = lab.root / "state" / "quarantine" / "r" / "F1" / f"attempt-{number}"
    git(lab.root, "clone", "-q", str(lab.project), str(folder))
    shutil.move(folder / ".git" / "index", folder.with_name(f"{folder.name}.index"))
    write(folder, {"src/rescued.txt": f"{number}\n", "debug.log": "ignored\n"})
    return folder


def check_kept(lab: Lab, works: dict[str, str]) -> None:
    """Each commit of a work is reachable in one of the repositories."""
    here = set(git(lab.bare, "rev-list", "--all").split())
    there = set(git(lab.project, "rev-list", "--branches", "--tags").split())
    lost = {name: commit for name, commit in works.items() if commit not in here | there}
    assert not lost
    for folder in (lab.bare, lab.project):
        assert git(folder, "fsck", "--strict", "--no-dangling") == ""


@pytest.mark.slow
def test_nothing_goes_before_its_time(lab: Lab) -> None:
    before = refs(ended(lab).bare)
    done = lab.cli("clean", "--json")
    assert done.code == 0, done.err
    assert done.data["alone"]
    entries = done.data["entries"]
    assert {entry["what"] for entry in entries} == {"attempt", "logs", "artefacts"}
    assert not any(entry["goes"] for entry in entries)
    attempts = [entry for entry in entries if entry["what"] == "attempt"]
    assert {entry["why"] for entry in attempts} == {"30 more days (retention_days = 30)"}
    assert refs(lab.bare) == before


@pytest.mark.slow
def test_what_landed_goes_what_did_not_stays_and_a_dry_run_only_tells(lab: Lab) -> None:
    ended(lab).variables.update(NOW)
    before, works = refs(lab.bare), lab.kept()
    planned = lab.cli("clean", "--dry-run")
    assert planned.code == 0, planned.err
    assert "would go" in planned.out
    assert refs(lab.bare) == before
    done = lab.cli("clean", "--json")
    assert done.code == 0, done.err
    gone = {entry["place"]: entry["why"] for entry in done.data["entries"] if entry["goes"]}
    landed = lab.load().snapshots[0].commit
    assert gone["refs/autopack/r/F2/1"] == f"{landed[:12]} is on your branches or tags"
    assert str(lab.root / "state" / "logs" / "runs" / "r") in gone
    assert lab.kept() == {name: at for name, at in works.items() if name.startswith("F1/")}
    stays = [entry for entry in done.data["entries"] if entry["place"] == "refs/autopack/r/F1/1"]
    assert stays[0]["why"] == "your repository does not have it"
    assert not (lab.root / "state" / "logs" / "runs" / "r").exists()
    check_kept(lab, works)
    assert len(lab.cli("salvage", "r", "--json").data["works"]) == 2
    again = lab.cli("clean", "--json").data["entries"]
    assert not any(entry["goes"] for entry in again)
    lab.check_sound()
    assert lab.cli("undo", "r").code == 0
    assert lab.cli("run", lab.plan(GOOD), "--run-id", "r").code == 2, "the id stays used"


@pytest.mark.slow
def test_a_repository_that_is_gone_keeps_its_work(lab: Lab) -> None:
    ended(lab).variables.update(NOW)
    works = lab.kept()
    lab.project.rename(lab.root / "moved")
    done = lab.cli("clean")
    assert done.code == 0, done.err
    assert lab.kept() == works
    assert f"{lab.project} is no folder" in done.out


@pytest.mark.slow
def test_a_clone_in_quarantine_goes_when_all_of_it_is_kept(lab: Lab) -> None:
    folder = set_aside(ended(lab))
    early = lab.cli("clean", "--json").data["entries"]
    assert [entry["why"] for entry in early if entry["what"] == "clone"] == [
        "7 more days (quarantine_retention_days = 7)"
    ]
    shown = lab.cli("salvage", "r", "--json").data["clones"]
    assert [clone["folder"] for clone in shown] == [str(folder)]
    lab.variables.update(NOW)
    nested = set_aside(lab, 2)
    write(nested, {"inner/.git/HEAD": "ref: refs/heads/main\n", "inner/file": "inside\n"})
    done = lab.cli("clean", "--json")
    clones = {
        e["place"]: (e["goes"], e["why"]) for e in done.data["entries"] if e["what"] == "clone"
    }
    assert clones[str(folder)] == (True, f"kept as {QUARANTINED}/attempt-1")
    goes, why = clones[str(nested)]
    assert not goes
    assert "inner is a repository of its own" in why
    assert not folder.exists()
    assert (nested / "inner" / "file").read_text() == "inside\n"
    assert git(lab.bare, "show", f"{QUARANTINED}/attempt-1:src/rescued.txt") == "1"
    assert git(lab.bare, "show", f"{QUARANTINED}/attempt-1:debug.log") == "ignored"
    works = lab.cli("salvage", "r", "--json").data["works"]
    assert [work["files"] for work in works if work["quarantined"]] == [
        ["debug.log", "src/rescued.txt"]
    ]
    kept = lab.kept()
    refused = lab.cli("clean", "--drop", nested.parent)
    assert refused.code == 2
    assert str(nested) in refused.err
    planned = lab.cli("clean", "--drop", nested, "--dry-run")
    assert (planned.code, nested.exists()) == (0, True), planned.err
    dropped = lab.cli("clean", "--drop", nested)
    assert dropped.code == 0, dropped.err
    assert str(nested) in dropped.out
    assert "you named it, with all that it holds" in dropped.out
    assert not nested.exists()
    assert lab.kept() == kept


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "told to end"])
def test_what_a_dead_supervisor_s_clone_holds_is_kept(lab: Lab, end: signal.Signals) -> None:
    """It ends with its agent at work; the next one keeps what is there, then does it again."""
    mark = new_mark()
    lab.make().record(phase("F1", "do: write src/one.txt one", f"do 1: hang {mark}"))
    supervisor = lab.start("supervise", "--until-idle")
    until(lambda: alive(mark), "the agent works")
    supervisor.send_signal(end)
    supervisor.wait(20)
    until(lambda: not alive(mark), "its agent is dead")
    (lab.tools / "go").touch()
    assert lab.cli("supervise", "--until-idle").code == 0
    assert lab.load().state is RunState.DONE_SUCCESS
    found = {ref for ref in refs(lab.bare) if "/_quarantine/" in ref}
    assert found == {f"{QUARANTINED}/attempt-1"}
    assert git(lab.bare, "show", f"{QUARANTINED}/attempt-1:src/one.txt") == "one"
    assert list((lab.root / "state" / "clones").iterdir()) == []


@pytest.mark.slow
def test_a_supervisor_with_nothing_left_to_do_cleans_up_once_a_day(lab: Lab) -> None:
    lab.variables.update(NOW)
    assert lab.make().run((RED, GOOD)).code == 1
    until(lab.idle, "the supervisor has ended")
    assert {name.partition("/")[0] for name in lab.kept()} == {"F1"}
    assert lab.cli("run", lab.plan(GOOD), "--run-id", "again").code == 0
    until(lab.idle, "the supervisor has ended")
    assert set(lab.kept("again")) == {"F2/1"}, "it was cleaned up today already"


@pytest.mark.slow
def test_beside_a_run_only_what_is_over_goes(lab: Lab) -> None:
    ended(lab).variables.update(NOW)
    mark = new_mark()
    plan = lab.plan(GOOD, phase("F3", f"do: hang {mark}"))
    started = lab.start("run", plan, "--run-id", "open")
    until(lambda: alive(mark), "the agent works")
    done = lab.cli("clean", "--json")
    assert done.code == 0, done.err
    assert not done.data["alone"]
    assert {entry["run_id"] for entry in done.data["entries"] if entry["goes"]} == {"r"}
    assert set(lab.kept("open")) == {"F2/1"}
    assert {entry["why"] for entry in done.data["entries"] if entry["run_id"] == "open"} == {
        "its run is open"
    }
    assert lab.cli("run", "cancel", "open").code == 0
    started.wait(20)
    lab.check_sound()


def test_without_the_reserve_a_run_fails_and_says_why(lab: Lab) -> None:
    lab.variables["AUTOPACK_DISK_RESERVE_BYTES"] = str(1 << 60)
    lab.make().record(GOOD, infra_retries_max=0)
    done = lab.cli("run", "watch", "r")
    assert done.code == 1
    run = lab.load()
    assert run.state is RunState.DONE_FAILED_ENVIRONMENT
    assert run.failure
    for word in (str(lab.root / "data"), "must stay free (disk_reserve_bytes)", "autopack clean"):
        assert word in run.failure.reason
    assert "attempt_ended" not in lab.kinds()


def test_with_nothing_ever_run_nothing_is_made(lab: Lab) -> None:
    lab.make()
    done = lab.cli("clean")
    assert (done.code, done.out) == (0, "0 things gone; 0 stay\n")
    assert not (lab.root / "data").exists()


@pytest.mark.slow  # a command for each call of git
@pytest.mark.timeout(900)
def test_killed_at_any_call_of_git_it_loses_nothing_and_goes_on(lab: Lab) -> None:
    """kill -9 for who started the n-th git: the clean-up itself, or the launcher of a long call."""
    ended(lab).variables.update(NOW)
    set_aside(lab)
    saved, works = lab.root / "saved", lab.kept()
    for folder in ("data", "state"):
        shutil.copytree(lab.root / folder, saved / folder, symlinks=True)
    real, tool, count = shutil.which("git"), lab.root / "bin" / "git", lab.root / "count"
    tool.parent.mkdir()
    calls = 0
    for at in range(1, 100):
        for folder in ("data", "state"):
            shutil.rmtree(lab.root / folder)
            shutil.copytree(saved / folder, lab.root / folder, symlinks=True)
        count.write_text("")
        when = ("before", "after")[at % 2]
        kill = f"[ $(wc -l < {count}) -eq {at} ] && kill -9 $PPID"
        tool.write_text(
            f"#!/bin/sh\necho >> {count}\n[ {when} = before ] && {kill}\n"
            f'{real} "$@"; code=$?\n[ {when} = after ] && {kill}\nexit $code\n'
        )
        tool.chmod(0o755)
        path = f"{tool.parent}:{os.environ['PATH']}"
        cleaning = subprocess.run(
            [sys.executable, "-m", "autopack.cli.main", "clean"], check=False, capture_output=True,
            env={**lab.environment, "PATH": path}, cwd=lab.project,
        )  # fmt: skip
        check_kept(lab, works)
        rescued = list((lab.root / "state").rglob("rescued.txt"))
        assert rescued or git(lab.bare, "show", f"{QUARANTINED}/attempt-1:src/rescued.txt") == "1"
        if int(count.read_text().count("\n")) < at:
            assert cleaning.returncode == 0, cleaning
            break
        calls = at
    assert calls > 5
    assert lab.cli("clean").code == 0
    assert set(lab.kept()) == {"F1/1", "F1/2"}
    assert not list((lab.root / "state" / "quarantine").rglob("*.txt"))
    lab.check_sound()
