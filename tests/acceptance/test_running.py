"""Runs beside each other and beside their user: cancel, retry, deliver, budgets, two supervisors."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from autopack.core.run import RunState
from autopack.process.limits import Limits
from autopack.process.runner import run
from tests.lab import SECONDS_MAX, Lab, phase, processes, until
from tests.process.ground import alive, end_sleeps, new_mark
from tests.repos import git, refs, write

BRANCH = "refs/heads/autonomous/r"
ONE = phase("F1", "do: write src/one.txt one")


def test_a_dirty_and_detached_checkout_is_a_warning(lab: Lab) -> None:
    lab.make()
    git(lab.project, "checkout", "-q", "--detach")
    write(lab.project, {"README.md": "changed\n"})
    done = lab.run(ONE)
    assert done.code == 0, done.err
    assert "HEAD is detached; the run starts from main" in done.err
    assert "changed files are not committed; the run starts without them" in done.err
    assert (lab.project / "README.md").read_text() == "changed\n"
    assert git(lab.project, "show", f"{BRANCH}:README.md") == "a project"
    lab.check_untouched()


def test_a_background_supervisor_loads_neither_migrations_nor_the_parser(lab: Lab) -> None:
    lab.make().record(ONE)
    program = (
        "import atexit, sys\n"
        "names = ('autopack.adapters.engine.local', 'alembic', 'cyclopts')\n"
        "atexit.register(lambda: print(*(name in sys.modules for name in names)))\n"
        "from autopack.cli.hosting import main; main()"
    )
    argv = [sys.executable, "-c", program]
    done = run(argv, env=lab.environment, cwd=lab.project, limits=Limits(SECONDS_MAX))
    assert done.stdout.split() == [b"True", b"False", b"False"], done.stderr
    assert lab.load().state is RunState.DONE_SUCCESS


def test_a_branch_of_somebody_else_is_in_the_way(lab: Lab) -> None:
    lab.make()
    git(lab.project, "update-ref", BRANCH, lab.base)
    done = lab.run(ONE)
    assert done.code == 2
    assert "stands where this run's refs must go" in done.err
    assert refs(lab.project)[BRANCH] == lab.base


@pytest.mark.slow
def test_a_branch_that_is_checked_out_is_delivered_when_it_is_free_again(lab: Lab) -> None:
    mark = new_mark()
    hangs = phase("F2", "do: write src/two.txt two", f"do: hang {mark}", needs="F1")
    started = lab.make().start("run", lab.plan((ONE, hangs)), "--run-id", "r")
    until(lambda: alive(mark), "the second phase works")
    until(lambda: BRANCH in refs(lab.project), "the first delivery")
    git(lab.project, "checkout", "-q", "autonomous/r")
    end_sleeps(mark)
    assert started.wait(20) == 1
    run = lab.load()
    assert run.state is RunState.DONE_SUCCESS
    assert (len(run.snapshots), run.delivered) == (2, run.snapshots[0].commit)
    assert run.delivery_refusal
    assert not (lab.project / "src" / "two.txt").exists()

    assert lab.cli("run", "deliver", "r").code == 1
    git(lab.project, "checkout", "-q", "main")
    delivered = lab.cli("run", "deliver", "r")
    assert delivered.code == 0, delivered.out + delivered.err
    assert refs(lab.project)[BRANCH] == run.tip
    lab.check_untouched()


@pytest.mark.slow
def test_cancel_ends_the_agent_keeps_its_work_and_retry_goes_on(lab: Lab) -> None:
    mark = new_mark()
    hangs = phase("F2", "do: write src/two.txt two", f"do: hang {mark}", needs="F1")
    lab.make()
    started = lab.start("run", lab.plan((ONE, hangs)), "--run-id", "r")
    until(lambda: alive(mark), "the agent works")
    cancelled = lab.cli("run", "cancel", "r", "--json")
    assert (cancelled.code, cancelled.data["asked"]) == (0, "cancel")
    assert started.wait(20) == 1
    assert not alive(mark)
    until(lab.idle, "nothing is left")

    run = lab.load()
    assert run.state is RunState.DONE_FAILED_REQUIRES_HUMAN_REVIEW
    assert run.failure
    assert run.failure.reason.startswith("cancelled")
    assert git(lab.bare, "show", f"{lab.kept()['F2/1']}:src/two.txt") == "two"
    assert refs(lab.project)[BRANCH] == run.tip  # what landed stays
    again = lab.cli("run", "cancel", "r")
    assert (again.code, "has ended" in again.err) == (2, True)

    (lab.tools / "go").touch()
    retried = lab.cli("run", "retry", "r", "--json")
    assert retried.code == 0, retried.err
    told = retried.data["run"]
    assert (told["run_id"], told["predecessor"], told["base_commit"]) == ("r-r1", "r", run.tip)
    assert [snapshot["phase_id"] for snapshot in told["snapshots"]] == ["F2"]
    assert git(lab.project, "show", "autonomous/r-r1:src/one.txt") == "one"
    lab.check_untouched()
    lab.check_sound()


@pytest.mark.slow
def test_four_phases_work_at_a_time_and_all_land(lab: Lab) -> None:
    mark = new_mark()
    phases = tuple(
        phase(f"F{n}", f"do: write src/{n}.txt {n}", f"do 1: hang {mark}") for n in range(1, 6)
    )
    lab.make(worker=lab.command("{prompt_file}") + "\nwall_seconds_max = 600")
    started = lab.start("run", lab.plan(phases), "--run-id", "r", "--parallel", "4")
    until(lambda: len(alive(mark)) == 4, "four agents work")
    assert [each.step.value for each in lab.load().phases] == ["building"] * 4 + ["queued"]
    end_sleeps(mark)
    (lab.tools / "go").touch()
    assert started.wait(30) == 0
    run = lab.load()
    assert len(run.snapshots) == 5
    tested = Counter(event.phase_id for event in lab.of_kind("candidate_tested"))
    assert tested == {f"F{n}": 1 for n in range(1, 6)}, "each was tested once, where it landed"
    landed = git(lab.project, "ls-tree", "-r", "--name-only", "autonomous/r", "src").split()
    assert landed == [*(f"src/{n}.txt" for n in range(1, 6)), "src/app.txt"]
    lab.check_sound()


@pytest.mark.parametrize(
    ("tokens", "cap", "reason", "landed"),
    [
        (250_000, "400000", "run r has 150,000 of 400,000 tokens free", ["F1"]),
        (300_000, "5000000", "incident_token_cap of 300,000 tokens is spent", []),
    ],
)
def test_tokens_that_are_spent_end_the_run(
    lab: Lab, tokens: int, cap: str, reason: str, landed: list[str]
) -> None:
    mode = "green" if landed else "red"
    first = phase("F1", f"do: write state/mode {mode}", f"do: tokens {tokens}")
    second = phase("F2", "do: write src/two.txt two", needs="F1")
    done = lab.make().run((first, second), options=("--token-cap", cap))
    assert done.code == 1, done.err
    run = lab.load()
    assert run.state is RunState.DONE_FAILED_BUDGET_EXHAUSTED
    assert run.failure
    assert run.failure.reason.startswith(reason)
    assert run.tokens_spent == tokens
    assert [snapshot.phase_id for snapshot in run.snapshots] == landed
    assert set(lab.kept()) == {"F1/1"}


@pytest.mark.slow
def test_minutes_that_are_spent_end_the_run_and_its_agent(lab: Lab) -> None:
    mark = new_mark()
    task = ("do: write src/one.txt one", f"do: hang {mark}")
    lab.make().record(phase("F1", *task), duration_seconds_max=4)  # time to start and to write
    done = lab.cli("run", "watch", "r")
    assert done.code == 1, done.err
    assert not alive(mark)
    run = lab.load()
    assert run.state is RunState.DONE_FAILED_BUDGET_EXHAUSTED
    assert set(lab.kept()) == {"F1/1"}


@pytest.mark.slow
def test_a_second_supervisor_is_refused(lab: Lab) -> None:
    mark = new_mark()
    lab.make().record(phase("F1", f"do: hang {mark}", "do: write src/one.txt one"))
    first = lab.start("supervise", "--until-idle")
    until(lambda: alive(mark), "the first one works")
    second = lab.cli("supervise", "--until-idle")
    assert second.code == 3
    assert f"another supervisor (process {first.pid})" in second.err
    assert lab.cli("run", "cancel", "r").code == 0
    assert first.wait(20) == 0


@pytest.mark.slow
def test_two_runs_share_a_store_and_its_supervisor(lab: Lab) -> None:
    lab.make()
    first = lab.plan(phase("A1", "do: write src/a.txt a"), name="first")
    second = lab.plan(phase("B1", "do: write src/b.txt b"), name="second")
    started = lab.start("run", first)
    done = lab.cli("run", second, "--json")
    assert done.code == 0, done.err
    assert started.wait(30) == 0
    listed = lab.cli("run", "list", "--json").data["runs"]
    assert {(row["run_id"], row["state"]) for row in listed} == {
        ("first-1", "DONE_SUCCESS"),
        ("second-1", "DONE_SUCCESS"),
    }
    assert len([ref for ref in lab.delivered() if ref.startswith("refs/heads/")]) == 2
    lab.check_sound()
    until(lambda: not processes(lab.root), "the supervisor ends when idle")


def test_ctrl_c_detaches_a_watcher_and_the_run_goes_on(lab: Lab) -> None:
    mark = new_mark()
    lab.make().record(phase("F1", "do: write src/one.txt one", f"do 1: hang {mark}"))
    watcher = lab.start("run", "watch", "r")
    until(lambda: alive(mark), "the agent works")
    watcher.send_signal(signal.SIGINT)
    assert watcher.wait(20) == 130
    assert "r goes on in the background" in (lab.root / "started.log").read_text()
    assert alive(mark)
    end_sleeps(mark)
    assert lab.cli("run", "watch", "r").code == 0
    assert Path(lab.project / ".autonomous_runs" / "r" / "run_summary.md").exists()
