"""The user's repository as facts; looking at it starts nothing and writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from autopack.adapters.git.source import inspect, read_file, resolve_base
from autopack.adapters.git.wrapper import Git
from autopack.core.errors import OperatorFault
from tests.repos import git, user_repository, write


def test_facts_of_an_ordinary_repository(tmp_path: Path) -> None:
    base = user_repository(tmp_path / "user")
    facts = inspect(Git(), tmp_path / "user" / "src")
    assert facts.root == tmp_path / "user"
    assert (facts.head_branch, facts.default_branch) == ("main", "main")
    odd = (facts.detached, facts.unborn, facts.empty, facts.shallow, facts.partial, facts.dirty)
    assert not any(odd)
    assert resolve_base(Git(), facts.git_folder, "main") == base
    assert read_file(Git(), facts.git_folder, base, "README.md") == b"a project\n"
    assert read_file(Git(), facts.git_folder, base, "nope") is None


def test_dirty_detached_unborn_shallow_bare(tmp_path: Path) -> None:
    user = tmp_path / "user"
    user_repository(user)
    write(user, {"README.md": "other\n"})
    assert inspect(Git(), user).dirty
    git(user, "checkout", "-q", "--detach")
    facts = inspect(Git(), user)
    assert facts.detached
    assert (facts.head_branch, facts.default_branch) == ("", "main")
    (tmp_path / "unborn").mkdir()
    git(tmp_path / "unborn", "init", "-q")
    unborn = inspect(Git(), tmp_path / "unborn")
    assert (unborn.unborn, unborn.empty, unborn.head_branch) == (True, True, "main")
    git(user, "commit", "-q", "--allow-empty", "-m", "two")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{user}", "shallow")
    assert inspect(Git(), tmp_path / "shallow").shallow
    git(tmp_path, "clone", "-q", "--bare", str(user), "bare")
    assert inspect(Git(), tmp_path / "bare").bare


def test_no_repository_and_unknown_base_are_the_operators(tmp_path: Path) -> None:
    with pytest.raises(OperatorFault, match="no git repository"):
        inspect(Git(), tmp_path)
    with pytest.raises(OperatorFault, match="no folder"):
        inspect(Git(), tmp_path / "nope")
    user_repository(tmp_path / "user")
    for name in ("nope", "", "--all"):
        with pytest.raises(OperatorFault, match="no branch"):
            resolve_base(Git(), tmp_path / "user" / ".git", name)


def test_refs_named_like_ours_are_told(tmp_path: Path) -> None:
    user_repository(tmp_path / "user")
    git(tmp_path / "user", "branch", "autonomous/r1/x")
    git(tmp_path / "user", "branch", "autonomous/r2")
    git(tmp_path / "user", "branch", "autonomousish")
    facts = inspect(Git(), tmp_path / "user")
    assert facts.ours == ("refs/heads/autonomous/r1/x", "refs/heads/autonomous/r2")
    assert facts.in_the_way("r1") == ("refs/heads/autonomous/r1/x",)
    assert facts.in_the_way("r2") == ("refs/heads/autonomous/r2",)
    assert facts.in_the_way("r") == ()
    user_repository(tmp_path / "other")
    git(tmp_path / "other", "branch", "autonomous")
    assert inspect(Git(), tmp_path / "other").in_the_way("r1") == ("refs/heads/autonomous",)


def test_looking_fires_no_hook_monitor_or_filter_and_writes_nothing(tmp_path: Path) -> None:
    user = tmp_path / "user"
    user_repository(user)
    canary = tmp_path / "canary"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {canary}\ncat\n")
    script.chmod(0o755)
    for key in ("core.fsmonitor", "filter.evil.clean", "filter.evil.process", "diff.x.textconv"):
        git(user, "config", key, str(script))
    git(user, "config", "core.hooksPath", str(tmp_path))
    write(user, {".gitattributes": "* filter=evil diff=x\n", "README.md": "a projecT\n"})
    index = (user / ".git" / "index").read_bytes()
    assert inspect(Git(), user).dirty
    assert not canary.exists()
    assert (user / ".git" / "index").read_bytes() == index


@pytest.mark.parametrize("name", ["evil", "e=vil"])
@pytest.mark.parametrize("hidden", ["included", "included-if", "worktree"])
def test_a_filter_that_hides_in_another_file_does_not_run_either(
    tmp_path: Path, name: str, hidden: str
) -> None:
    user = tmp_path / "user"
    user_repository(user)
    canary, script = tmp_path / "canary", tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {canary}\ncat\n")
    script.chmod(0o755)
    lines = f'[filter "{name}"]\n\tclean = {script}\n\tprocess = {script}\n\trequired = true\n'
    if hidden == "worktree":
        git(user, "config", "extensions.worktreeConfig", "true")
        write(user / ".git", {"config.worktree": lines})
    else:
        write(user / ".git", {"more": lines})
        key = "include.path" if hidden == "included" else f"includeIf.gitdir:{user}/.path"
        git(user, "config", key, "more")
    write(user, {".gitattributes": f"* filter={name}\n", "README.md": "a projecT\n"})
    assert inspect(Git(), user).dirty
    assert not canary.exists()


def test_a_partial_clone_is_told_also_when_an_included_file_says_so(tmp_path: Path) -> None:
    user = tmp_path / "user"
    user_repository(user)
    write(user / ".git", {"more": '[remote "far"]\n\tpromisor = true\n'})
    assert not inspect(Git(), user).partial
    git(user, "config", "include.path", "more")
    assert inspect(Git(), user).partial
