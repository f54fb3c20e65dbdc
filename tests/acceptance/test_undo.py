"""A run's branch goes back to a snapshot and forward again; nothing else moves, nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from autopack.core.run import RunState
from tests.lab import Lab, phase, until
from tests.process.ground import alive, new_mark
from tests.repos import commit_all, git, refs, write

BRANCH = "autonomous/r"


def tag(number: int) -> str:
    return f"autonomous/r/tier-T{number}/phase-F{number}"


def landed(lab: Lab) -> list[str]:
    """Three phases that landed; the base and their commits."""
    done = lab.make().run(*(phase(f"F{n}", f"do: write src/{n}.txt {n}") for n in (1, 2, 3)))
    assert done.code == 0, done.err
    return [lab.base, *(snapshot.commit for snapshot in lab.load().snapshots)]


def branch(lab: Lab) -> str:
    return refs(lab.project)[f"refs/heads/{BRANCH}"]


def others(lab: Lab) -> dict[str, str]:
    """Every ref of the user but the run's branch."""
    return {ref: at for ref, at in refs(lab.project).items() if ref != f"refs/heads/{BRANCH}"}


@pytest.mark.slow
def test_back_step_by_step_and_forward_again(lab: Lab) -> None:
    commits = landed(lab)
    before, ours = others(lab), refs(lab.bare)
    events = lab.events()
    for number in (2, 1):
        done = lab.cli("undo", "r")
        assert done.code == 0, done.err
        assert f"{BRANCH} returned to {tag(number)} ({commits[number][:12]})" in done.out
        assert f"undone, and still there: {tag(number + 1)}" in done.out
        assert f"take it back: autopack undo r --to {tag(number + 1)}" in done.err
        assert branch(lab) == commits[number]
    assert "returned to the base" in lab.cli("undo", "r").out
    assert branch(lab) == lab.base
    nothing = lab.cli("undo", "r")
    assert nothing.code == 2
    assert "all of it is undone" in nothing.err
    forward = lab.cli("undo", "r", "--to", tag(3), "--json")
    assert forward.data["moved"]
    assert branch(lab) == commits[3]
    assert [(move["left"]["tag"], move["to"]["tag"]) for move in forward.data["moves"]] == [
        (tag(3), tag(2)), (tag(2), tag(1)), (tag(1), ""), ("", tag(3)),
    ]  # fmt: skip
    assert [move["by"] for move in forward.data["moves"]] == ["tester"] * 4
    assert others(lab) == before
    kept = {ref: at for ref, at in refs(lab.bare).items() if "/_undone/" not in ref}
    assert kept == ours
    assert lab.events() == events
    assert lab.load().state is RunState.DONE_SUCCESS
    lab.check_sound()


def test_to_a_phase_and_only_told(lab: Lab) -> None:
    commits = landed(lab)
    told = lab.cli("undo", "r", "--phase", "F1", "--dry-run")
    assert told.code == 0
    assert f"{BRANCH} would return to {tag(1)}" in told.out
    assert branch(lab) == commits[3]
    assert lab.cli("undo", "r", "--phase", "F1").code == 0
    assert branch(lab) == commits[1]
    again = lab.cli("undo", "r", "--to", f"refs/tags/{tag(1)}", "--json").data
    assert not again["moved"]
    assert len(again["moves"]) == 1


@pytest.mark.parametrize("steps", [1, 3], ids=["to a snapshot", "to the base"])
@pytest.mark.slow
def test_deliver_brings_the_branch_back_after_undo(lab: Lab, steps: int) -> None:
    commits = landed(lab)
    for _ in range(steps):
        assert lab.cli("undo", "r").code == 0
    done = lab.cli("run", "deliver", "r", "--json")
    assert done.code == 0, done.err
    assert branch(lab) == commits[3]
    assert lab.load().delivered == commits[3]
    lab.check_sound()


@pytest.mark.slow
def test_deliver_brings_back_branch_and_tags_that_were_deleted(lab: Lab) -> None:
    landed(lab)
    before = refs(lab.project)
    git(lab.project, "branch", "-q", "-D", BRANCH)
    git(lab.project, "tag", "-d", tag(2))
    done = lab.cli("run", "deliver", "r")
    assert done.code == 0, done.err
    assert refs(lab.project) == before


@pytest.mark.slow
def test_deliver_says_so_when_it_is_refused_though_it_once_was_done(lab: Lab) -> None:
    landed(lab)
    git(lab.project, "checkout", "-q", BRANCH)
    write(lab.project, {"src/mine.txt": "mine\n"})
    mine = commit_all(lab.project, "mine")
    git(lab.project, "checkout", "-q", "main")
    refused = lab.cli("run", "deliver", "r")
    assert refused.code == 1, refused
    assert f"branch {BRANCH} there is at {mine}" in refused.out + refused.err
    assert branch(lab) == mine
    git(lab.project, "branch", "-q", "-M", BRANCH, "mine")
    assert lab.cli("run", "deliver", "r").code == 0


@pytest.mark.slow
def test_a_branch_that_is_checked_out_stays(lab: Lab) -> None:
    commits = landed(lab)
    place = lab.root / "tree"
    git(lab.project, "worktree", "add", "-q", str(place), BRANCH)
    refused = lab.cli("undo", "r")
    assert refused.code == 2
    assert f"{BRANCH} is checked out in {place}" in refused.err
    assert f"git reset --keep {tag(2)}" in refused.err
    assert branch(lab) == commits[3]
    assert not [ref for ref in refs(lab.bare) if "/_undone/" in ref]


@pytest.mark.slow
def test_work_of_others_on_the_branch_is_not_lost(lab: Lab) -> None:
    landed(lab)
    git(lab.project, "checkout", "-q", BRANCH)
    write(lab.project, {"src/mine.txt": "mine\n"})
    mine = commit_all(lab.project, "mine")
    git(lab.project, "checkout", "-q", "main")
    refused = lab.cli("undo", "r")
    assert refused.code == 2
    assert f"{BRANCH} stands at {mine[:12]}, where this run never left it" in refused.err
    assert branch(lab) == mine
    git(lab.project, "branch", "-q", "-D", BRANCH)
    assert lab.cli("undo", "r").code == 2
    assert f"refs/heads/{BRANCH}" not in refs(lab.project)


@pytest.mark.slow
def test_a_repository_that_refuses_is_told_and_leaves_no_record(lab: Lab) -> None:
    commits = landed(lab)
    hook = lab.project / ".git" / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    refused = lab.cli("undo", "r")
    assert refused.code == 3, refused
    assert "hook declined" in refused.err
    assert branch(lab) == commits[3]
    assert not [ref for ref in refs(lab.bare) if "/_undone/" in ref]
    hook.unlink()
    assert lab.cli("undo", "r").code == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--to", "v1"), "v1 is no snapshot of r"),
        (("--phase", "F9"), "F9 is no snapshot of r"),
        (("--to", "v1", "--phase", "F1"), "name one snapshot twice"),
    ],
    ids=["tag", "phase", "both"],
)
def test_a_place_that_is_none_is_refused(lab: Lab, arguments: tuple[str, ...], words: str) -> None:
    commits = landed(lab)
    refused = lab.cli("undo", "r", *arguments)
    assert refused.code == 2
    assert words in refused.err
    assert branch(lab) == commits[3]


@pytest.mark.slow
def test_an_open_run_and_one_that_landed_nothing_are_refused(lab: Lab, tmp_path: Path) -> None:
    mark = new_mark()
    tiers = phase("F1", "do: write src/1.txt 1"), phase("F2", f"do: hang {mark}")
    started = lab.make().start("run", lab.plan(*tiers), "--run-id", "r")
    until(lambda: alive(mark), "the second agent works")
    until(lambda: f"refs/heads/{BRANCH}" in refs(lab.project), "the first phase is delivered")
    at = branch(lab)
    refused = lab.cli("undo", "r")
    assert refused.code == 2
    assert "run r is still under way" in refused.err
    assert branch(lab) == at
    assert lab.cli("run", "cancel", "r").code == 0
    started.wait(20)
    assert lab.cli("undo", "r").code == 0
    assert branch(lab) == lab.base
    assert lab.cli("run", lab.plan(phase("F1", "do: exit 1")), "--run-id", "none").code == 1
    nothing = lab.cli("undo", "none", cwd=tmp_path)
    assert nothing.code == 2
    assert "run none landed nothing" in nothing.err
