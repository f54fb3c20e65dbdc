"""Runs through the real program, engine, git and fence: started, watched, cancelled, retried."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from autopack.process.sandbox import SandboxMissing, probe
from tests.cli.world import PATCH, World


@pytest.fixture(autouse=True)
def _sandbox() -> None:
    try:
        probe()
    except SandboxMissing as fault:
        if os.environ.get("CI"):
            pytest.fail(str(fault))
        pytest.skip(f"no working sandbox: {fault}")


def run_of(world: World, run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = world.read("run", "view", run_id)["run"]
    return found


def test_a_run_lands_and_is_delivered(world: World) -> None:
    base = world.toy()
    done = world.autopack("run", str(world.plan))
    assert done.exit_code == 0, done.stderr.decode()
    said, progress = done.stdout.decode(), done.stderr.decode()
    assert "plan-1: DONE_SUCCESS" in said
    assert "git log --oneline main..autonomous/plan-1" in said
    assert "F1.1: landed" in progress
    assert "\x1b" not in progress + said
    assert world.git("show", "autonomous/plan-1:a.py").endswith("a + b")
    assert world.git("rev-parse", "main") == base
    assert world.git("status", "--porcelain") == ""
    run = run_of(world, "plan-1")
    assert run["state"] == "DONE_SUCCESS"
    assert run["delivered"] == run["tip"] == world.git("rev-parse", "autonomous/plan-1")
    events = world.read("events", "list", "plan-1")["events"]
    assert [e["sequence"] for e in events] == list(range(1, len(events) + 1))
    assert world.autopack("events", "verify").exit_code == 0
    assert (world.repo / ".autonomous_runs" / "plan-1" / "run_summary.md").exists()
    # a second run of the plan gets a name of its own; a watcher of an ended run has its result
    told = json.loads(world.autopack("run", str(world.plan), "--dry-run", "--json").stdout)
    assert told["run_id"] == "plan-2"
    assert world.autopack("run", "watch", "plan-1").exit_code == 0
    refused = world.autopack("run", "retry", "plan-1")
    assert refused.exit_code == 2
    assert "nothing to retry" in refused.stderr.decode()
    assert world.autopack("run", "cancel", "plan-1").exit_code == 2


@pytest.mark.slow
def test_a_failed_run_is_retried_from_what_landed(world: World) -> None:
    """F1.2's first patch does not apply; its recording is mended before the retry."""
    world.toy()
    world.plan.write_text(
        world.plan.read_text() + "\n### Phase F1.2: note\n- category: docs\n- complexity: low\n"
        "- scope: NOTE\n\nWrite a note.\n"
    )
    broken = world.root / "patches" / "F1.2"
    broken.mkdir()
    for attempt in (1, 2, 3):
        (broken / f"{attempt}.patch").write_text(PATCH)
    done = world.autopack("run", str(world.plan), "--run-id", "first")
    assert done.exit_code == 1, done.stderr.decode()
    run = run_of(world, "first")
    assert run["state"].startswith("DONE_FAILED")
    assert [s["phase_id"] for s in run["snapshots"]] == ["F1.1"]
    assert "autopack run retry first" in done.stdout.decode()
    new = "diff --git a/NOTE b/NOTE\nnew file mode 100644\n--- /dev/null\n+++ b/NOTE\n@@ -0,0 +1 @@\n+hi\n"
    (broken / "1.patch").write_text(new)
    again = world.autopack("run", "retry", "first")
    assert again.exit_code == 0, again.stderr.decode()
    run = run_of(world, "first-r1")
    assert run["predecessor"] == "first"
    assert [s["phase_id"] for s in run["snapshots"]] == ["F1.2"]
    log = world.git("log", "--format=%s", "main..autonomous/first-r1").splitlines()
    assert len(log) == 2


@pytest.mark.slow
def test_detached_then_cancelled(world: World) -> None:
    world.toy()
    (world.root / "patches" / "F1.1" / "1.toml").write_text("wait_seconds = 600\n")
    done = world.autopack("run", str(world.plan), "--detach")
    assert (done.exit_code, done.stdout) == (0, b"plan-1\n")
    assert world.autopack("run", "retry", "plan-1").exit_code == 2
    assert world.autopack("run", "cancel", "plan-1").exit_code == 0
    watched = world.autopack("run", "watch", "plan-1")
    assert watched.exit_code == 1
    run = run_of(world, "plan-1")
    assert run["state"] == "DONE_FAILED_REQUIRES_HUMAN_REVIEW"
    assert run["failure"]["reason"].startswith("cancelled")


@pytest.mark.slow
def test_interrupted_without_a_terminal_the_run_goes_on(world: World) -> None:
    world.toy()
    (world.root / "patches" / "F1.1" / "1.toml").write_text("wait_seconds = 600\n")
    argv = [sys.executable, "-m", "autopack.cli.main", "run", str(world.plan)]
    with subprocess.Popen(
        argv, env=world.env, cwd=world.repo, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as watcher:  # fmt: skip
        assert watcher.stderr is not None
        for line in watcher.stderr:
            if "environment is ready" in line:
                break
        watcher.send_signal(signal.SIGINT)
        rest = watcher.stderr.read()
        assert watcher.wait() == 130
    assert "goes on in the background" in rest
    assert "autopack run cancel plan-1" in rest
    assert not run_of(world, "plan-1")["ended"]
    assert world.autopack("run", "cancel", "plan-1").exit_code == 0
    assert world.autopack("run", "watch", "plan-1", "--json").exit_code == 1


@pytest.mark.slow
def test_a_refused_delivery_is_made_good(world: World) -> None:
    """Someone holds the branch's lock in the user's repository, until it is tried again."""
    world.toy()
    lock = world.repo / ".git" / "refs" / "heads" / "autonomous" / "plan-1.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    done = world.autopack("run", str(world.plan))
    assert done.exit_code == 1, done.stderr.decode()
    assert "not delivered" in done.stdout.decode()
    assert "autopack run deliver plan-1" in done.stdout.decode()
    lock.unlink()
    delivered = world.autopack("run", "deliver", "plan-1")
    assert delivered.exit_code == 0, delivered.stderr.decode() + delivered.stdout.decode()
    run = run_of(world, "plan-1")
    assert world.git("rev-parse", "autonomous/plan-1") == run["tip"]
