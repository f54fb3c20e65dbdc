"""`run watch --notify`: heard at a terminal and on a desktop, plain lines where there is neither."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.terminal import Terminal
from tests.lab import Lab, phase, until
from tests.process.ground import alive, end_sleeps, new_mark

ENDED = "run r has ended: DONE_SUCCESS, 1 of 1 phases landed"


def hanging(lab: Lab) -> str:
    """A run in the background whose agent hangs; its mark."""
    mark = new_mark()
    plan = lab.make().plan(phase("F1", "do: write src/one.txt one", f"do: hang {mark}"))
    done = lab.cli("run", plan, "--run-id", "r", "--detach")
    assert done.code == 0, done.err
    until(lambda: alive(mark), "the agent works")
    return mark


def test_a_terminal_and_a_desktop_are_rung_once_at_the_end(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "notify-send").write_text(f'#!/bin/sh\nprintf "%s|" "$@" >> {tmp_path}/desktop\n')
    (tools / "notify-send").chmod(0o755)
    path = f"{tools}:{os.environ['PATH']}"
    lab = Lab(tmp_path, DISPLAY=":7", PATH=path)
    try:
        mark = hanging(lab)
        with Terminal(lab, "run", "watch", "r", "--notify") as terminal:
            terminal.expect("F1 building")
            end_sleeps(mark)
            assert terminal.wait() == 0
        assert terminal.shown.count(f"\x1b]9;{ENDED}\x07\a") == 1
        assert f"notice: {ENDED}" in terminal.shown
        assert (tmp_path / "desktop").read_text() == f"--app-name=autopack|--|autopack|{ENDED}|"
    finally:
        lab.close()


@pytest.mark.slow
def test_without_a_terminal_it_is_a_line_like_others(lab: Lab) -> None:
    mark = hanging(lab)
    argv = [sys.executable, "-m", "autopack.cli.main", "run", "watch", "r", "--notify"]
    with subprocess.Popen(
        argv, env=lab.environment, cwd=lab.project, stderr=subprocess.PIPE, text=True
    ) as watcher:
        assert watcher.stderr is not None
        first = watcher.stderr.readline()
        end_sleeps(mark)
        shown = first + watcher.stderr.read()
    assert watcher.returncode == 0
    assert [line for line in shown.splitlines() if "notice:" in line] == [f"notice: {ENDED}"]
    assert "\x1b" not in shown
    assert "\a" not in shown


@pytest.mark.slow
def test_an_old_story_rings_nobody(lab: Lab) -> None:
    mark = hanging(lab)
    end_sleeps(mark)
    assert lab.cli("run", "watch", "r").code == 0
    done = lab.cli("run", "watch", "r", "--notify")
    assert done.code == 0
    assert "notice:" not in done.err
