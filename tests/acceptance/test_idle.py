"""Runs that are open while nobody works on them, and retries of what is being retried."""

from __future__ import annotations

import shutil

import pytest

from tests.lab import Lab, phase

SOME = phase("F1", "do: write src/one.txt one")


@pytest.mark.slow
def test_an_open_run_without_a_supervisor_is_told_and_how_to_go_on(lab: Lab) -> None:
    lab.make().record(SOME)
    for arguments in (("run", "list"), ("run", "view", "r")):
        said = lab.cli(*arguments).err
        assert "no supervisor is at work, so r stands still" in said
        assert "autopack run watch r" in said
    doctor = lab.cli("doctor").out
    assert "1 run under way and no supervisor at work" in doctor
    assert "`autopack run watch r` starts one" in doctor
    assert lab.cli("run", "watch", "r").code == 0
    assert "supervisor" not in lab.cli("run", "list").err


@pytest.mark.slow
def test_a_run_whose_successor_is_open_is_not_retried_again(lab: Lab) -> None:
    assert lab.make().run(phase("F1", "do: exit 1")).code == 1
    lab.record(SOME, run_id="r-r1", predecessor="r")
    done = lab.cli("run", "retry", "r")
    assert done.code == 2
    assert "run r-r1 continues r and is still under way" in done.err
    assert "autopack run watch r-r1" in done.err


@pytest.mark.slow
def test_missing_files_of_an_ended_run_are_made_again_when_it_is_viewed(lab: Lab) -> None:
    assert lab.make().run(phase("F1", "do: exit 1")).code == 1
    folder = lab.project / ".autonomous_runs" / "r"
    shutil.rmtree(folder)
    assert lab.cli("run", "view", "r").code == 0
    assert (folder / "incident" / "incident.md").exists()


def test_a_scope_of_protected_files_only_is_warned_of_where_no_auditor_is(lab: Lab) -> None:
    lab.make()
    plan = lab.plan(phase("F1", "do it", scope="autopack.toml, .github/workflows"))
    said = lab.cli("run", plan, "--dry-run").err
    assert "phase F1: its scope (autopack.toml, .github/workflows) holds only protected" in said
    mixed = lab.plan(phase("F1", "do it", scope="autopack.toml, src/**"))
    assert "protected" not in lab.cli("run", mixed, "--dry-run").err


def test_run_alone_says_what_is_missing(lab: Lab) -> None:
    done = lab.make().cli("run")
    assert done.code == 2
    assert "PLAN" in done.err
    assert "--plan" not in done.err
