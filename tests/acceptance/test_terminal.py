"""Ctrl-C on a real terminal: it asks once, the run is lost in no case."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autopack.core.run import RunState
from tests.acceptance.terminal import CTRL_C, Terminal
from tests.lab import Lab, kill, phase, processes, until
from tests.process.ground import alive, end_sleeps, new_mark
from tests.repos import git

QUESTION = "[d]etach, [c]ancel the run, [w]atch on?"


class Watched:
    """`autopack run` in the foreground of a terminal; its agent hangs until it is let go."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.mark = lab, new_mark()
        plan = lab.make().plan(phase("F1", "do: write src/one.txt one", f"do: hang {self.mark}"))
        self.terminal = Terminal(lab, "run", plan, "--run-id", "r")

    def interrupt(self) -> None:
        """Ctrl-C while the agent works, until the question is there."""
        self.terminal.expect("F1 building")
        until(lambda: alive(self.mark), "the agent works")
        self.terminal.type(CTRL_C)
        self.terminal.expect(QUESTION)

    def let_go(self) -> None:
        """Let the agent end as if it had waited enough, and see the run to its end."""
        assert alive(self.mark)
        end_sleeps(self.mark)
        done = self.lab.cli("run", "watch", "r")
        assert done.code == 0, done.err
        assert self.lab.load().state is RunState.DONE_SUCCESS
        assert git(self.lab.project, "show", "autonomous/r:src/one.txt") == "one"
        self.lab.check_sound()


@pytest.fixture
def watched(lab: Lab) -> Iterator[Watched]:
    made = Watched(lab)
    with made.terminal:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["detach\n", "d\n", "\n", "\x04", CTRL_C])
def test_detached_it_goes_on_alone(watched: Watched, answer: str) -> None:
    """Also for no answer, the end of input, and Ctrl-C once more: none of them cancels a run."""
    watched.interrupt()
    watched.terminal.type(answer)
    assert watched.terminal.wait() == 130
    shown = watched.terminal.shown
    assert shown.count(QUESTION) == 1
    assert "r goes on in the background" in shown
    assert "autopack run cancel r" in shown
    assert "next: autopack run watch r" in shown
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l")  # the cursor is back
    watched.let_go()


@pytest.mark.slow
def test_after_three_other_answers_it_goes_on_alone(watched: Watched) -> None:
    watched.interrupt()
    for number, answer in enumerate(("x", "y", "z"), 1):
        watched.terminal.expect(QUESTION, times=number)
        watched.terminal.type(f"{answer}\n")
    assert watched.terminal.wait() == 130
    assert "'z' is no answer; detaching" in watched.terminal.shown
    assert "r goes on in the background" in watched.terminal.shown
    watched.let_go()


@pytest.mark.slow
def test_detached_it_goes_on_although_its_supervisor_was_killed(watched: Watched) -> None:
    watched.interrupt()
    supervisor = set(processes(watched.lab.root)) & set(alive("autopack.cli.hosting"))
    kill(supervisor.pop())
    until(lambda: not alive(watched.mark), "the agent has died with its supervisor")
    watched.terminal.type("d\n")
    assert watched.terminal.wait() == 130
    until(lambda: alive(watched.mark), "an agent works again, and nobody watches")
    watched.let_go()


def test_cancelled_it_ends_and_its_work_is_kept(watched: Watched) -> None:
    lab = watched.lab
    watched.interrupt()
    watched.terminal.type("cancel\n")
    assert watched.terminal.wait() == 130
    shown = watched.terminal.shown
    assert shown.count(QUESTION) == 1
    assert "r is being cancelled; what has landed stays" in shown
    done = lab.cli("run", "watch", "r")
    assert done.code == 1, done.err
    run = lab.load()
    assert run.state is RunState.DONE_FAILED_REQUIRES_HUMAN_REVIEW
    assert run.failure
    assert run.failure.reason.startswith("cancelled")
    assert not alive(watched.mark)
    assert git(lab.bare, "show", f"{lab.kept()['F1/1']}:src/one.txt") == "one"
    lab.check_untouched()
    lab.check_sound()


@pytest.mark.slow
def test_watched_on_it_asks_again_only_when_it_is_interrupted_again(watched: Watched) -> None:
    watched.interrupt()
    watched.terminal.type("what?\n")
    watched.terminal.expect("'what?' is no answer")
    watched.terminal.expect(QUESTION, times=2)
    seen = watched.terminal.shown.count("F1 building")
    watched.terminal.type("w\n")
    watched.terminal.expect("F1 building", times=seen + 1)
    watched.terminal.type(CTRL_C)
    watched.terminal.expect(QUESTION, times=3)
    watched.terminal.type("d\n")
    assert watched.terminal.wait() == 130
    assert watched.terminal.shown.count(QUESTION) == 3
    watched.let_go()
