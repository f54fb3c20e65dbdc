"""The disk fills in the middle of a run: it is told of, nothing is half written, and work goes on.

The user's repository is on another disk. What is tried again waits 5 and 10 s in between, so most
runs here may not try again.
"""

from __future__ import annotations

import pytest

from autopack.core.run import RunState
from tests.acceptance.disk import Disk, small_disk
from tests.lab import Lab, phase, until
from tests.process.ground import alive, end_sleeps, new_mark
from tests.repos import git

ONE = "do: write src/one.txt one"
BIG = "src/big.bin"


def check_whole(lab: Lab) -> None:
    """Logs, refs and both repositories are as if the disk had never been full."""
    lab.check_sound()
    lab.check_untouched()
    for folder in (lab.project, lab.bare):
        git(folder, "fsck", "--strict", "--no-dangling")
    assert git(lab.project, "status", "--porcelain") == ""


@pytest.mark.slow  # a capture that fails is tried again, 5 and 10 s later
@small_disk(megabytes=24)
def test_an_agent_that_fills_the_disk(disk: Disk, lab: Lab) -> None:
    """Neither its log nor its work can be stored: its files stay until the user makes room."""
    lab.make().record(phase("F1", ONE, f"do: fill {BIG}"))
    done = lab.cli("run", "watch", "r")
    assert done.code == 3, done
    assert f"the disk of {disk.folder}" in done.err
    assert "free some space there and try again; nothing is lost" in done.err
    until(lab.idle, "the supervisor has ended")
    (kept,) = disk.folder.rglob(BIG)
    assert kept.stat().st_size > 14 << 20
    assert "attempt_ended" not in lab.kinds()
    assert not lab.delivered()

    kept.unlink()
    cancelled = lab.cli("run", "cancel", "r")
    assert cancelled.code == 0, cancelled.err
    again = lab.cli("run", lab.plan(phase("F1", ONE)), "--run-id", "next")
    assert again.code == 0, again.err
    until(lab.idle, "the supervisor has ended")
    held = git(lab.bare, "for-each-ref", "--format=%(refname)", "refs/autopack/_quarantine/r/F1")
    assert {git(lab.bare, "show", f"{ref}:src/one.txt") for ref in held.split()} == {"one"}
    check_whole(lab)


@pytest.mark.slow  # a capture that fails is tried again, 5 and 10 s later
@small_disk(megabytes=24)
def test_a_candidate_that_does_not_fit(disk: Disk, lab: Lab) -> None:
    """The agent's file fits once: git cannot store it beside the clone. No fault of the agent's."""
    lab.make().record(phase("F1", f"do: noise {BIG} {14 << 20}"), infra_retries_max=0)
    done = lab.cli("run", "watch", "r")
    assert done.code == 1, done.err
    run = lab.load()
    assert run.state is RunState.DONE_FAILED_ENVIRONMENT, run.failure
    assert run.failure
    for word in ("could not be captured", "free disk space", "its clone is kept in"):
        assert word in run.failure.reason
    (kept,) = disk.folder.rglob(BIG)
    assert kept.stat().st_size == 14 << 20
    assert "attempt_ended" not in lab.kinds()
    until(lab.idle, "the supervisor has ended")
    check_whole(lab)

    kept.unlink()
    again = lab.cli("run", lab.plan(phase("F1", ONE)), "--run-id", "next")
    assert again.code == 0, again.err
    assert not list((lab.bare / "objects").rglob("tmp_obj_*"))


@small_disk(megabytes=24)
def test_a_store_that_cannot_write(disk: Disk, lab: Lab) -> None:
    """The supervisor ends; every command tells why; with space again the run ends well."""
    lab.disk = lab.root
    lab.variables = {"AUTOPACK_DATABASE_URL": f"sqlite:///{disk.folder}/autopack.db"}
    mark = new_mark()
    lab.make().record(phase("F1", ONE, f"do 1: hang {mark}"))
    supervisor = lab.start("supervise", "--until-idle")
    until(lambda: alive(mark), "the agent works")
    disk.fill()
    before = lab.kinds()

    asked = lab.cli("run", "cancel", "r")
    assert asked.code == 3
    assert "the disk is full; free space and try again" in asked.err
    (lab.tools / "go").touch()
    end_sleeps(mark)
    assert supervisor.wait(45) == 3
    said = (lab.root / "started.log").read_text()
    assert f"cannot write to the store {disk.folder}/autopack.db" in said
    assert "the disk is full; free space and try again" in said
    assert lab.kinds() == before

    for command in (("run", "list"), ("run", "view", "r"), ("events", "verify")):
        read = lab.cli(*command)
        assert read.code == 0, (command, read.err)
    for command in (("run", "watch", "r"), ("supervise", "--until-idle")):
        refused = lab.cli(*command)
        assert refused.code == 3, (command, refused.err)
        assert f"the disk of {disk.folder}" in refused.err
        assert "Traceback" not in refused.err

    disk.relieve()
    done = lab.cli("run", "watch", "r")
    assert done.code == 0, done.err
    assert lab.load().state is RunState.DONE_SUCCESS
    assert git(lab.project, "show", "autonomous/r:src/one.txt") == "one"
    check_whole(lab)


@pytest.mark.slow
@small_disk(megabytes=24)
def test_a_user_s_repository_that_is_full(disk: Disk, lab: Lab) -> None:
    """Only the delivery is refused: what landed is safe on another disk, and delivered later."""
    lab.disk, lab.project = lab.root, disk.folder / "project"
    mark = new_mark()
    lab.make().record(phase("F1", ONE, f"do 1: hang {mark}"))
    supervisor = lab.start("supervise", "--until-idle")
    until(lambda: alive(mark), "the agent works")
    disk.fill()
    end_sleeps(mark)
    assert supervisor.wait(45) == 0
    run = lab.load()
    assert run.state is RunState.DONE_SUCCESS
    assert "No space left on device" in run.delivery_refusal
    watched = lab.cli("run", "watch", "r")
    assert watched.code == 1
    assert "autopack run deliver r" in watched.out
    assert not lab.delivered()

    disk.relieve()
    done = lab.cli("run", "deliver", "r")
    assert done.code == 0, done.err
    assert git(lab.project, "show", "autonomous/r:src/one.txt") == "one"
    assert (lab.project / ".autonomous_runs" / "r" / "run_summary.md").read_text()
    assert not list((lab.project / ".git").rglob("tmp_*"))
    check_whole(lab)


@small_disk(megabytes=32)
@pytest.mark.slow
def test_an_attempt_that_finds_no_reserve_makes_room_first(disk: Disk, lab: Lab) -> None:
    """An ended run's logs go after their days, or at once when it is needed; then it starts."""
    lab.variables["AUTOPACK_DISK_RESERVE_BYTES"] = str(6 << 20)
    assert lab.make().run(phase("F1", ONE)).code == 0
    until(lab.idle, "the supervisor has ended")
    old = disk.folder / "state" / "logs" / "runs" / "r" / "old.log"
    old.write_bytes(bytes(disk.free - (5 << 20)))
    assert disk.free < 6 << 20
    lab.variables["AUTOPACK_LOGS_RETENTION_DAYS"] = "0"
    done = lab.cli("run", lab.plan(phase("F1", ONE)), "--run-id", "next")
    assert done.code == 0, done.err
    assert not old.exists()
    assert disk.free > 6 << 20
    check_whole(lab)
