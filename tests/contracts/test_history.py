"""The History port: what holds for the fake and for the one made of git."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from autopack.adapters.git.history import backtesting
from autopack.app.backtest import History
from autopack.app.ports import Repository
from autopack.core.errors import OperatorFault
from autopack.testing import MemoryHistory, MemoryRepository, Objects, UserRepository
from tests.repos import bare, commit_all, git, user_repository, write

FIRST = {"README.md": "a project\n", "src/app.py": "one\ntwo\nthree\n"}
SECOND = {"README.md": "a project\n", "src/app.py": "one\n2\nthree\n", "src/new/er.py": "new\n"}
THIRD = {"src/app.py": "one\n2\nthree\nfour\n", "src/new/er.py": "new\n"}


@dataclass
class World:
    """A history of three commits, oldest first, and our repository, which has them."""

    history: History
    repository: Repository
    commits: list[str]


@contextmanager
def memory(folder: Path) -> Iterator[World]:
    del folder
    objects = Objects()
    user = UserRepository(objects)
    commits = [
        user.commit({path.encode(): text.encode() for path, text in files.items()})
        for files in (FIRST, SECOND, THIRD)
    ]
    yield World(MemoryHistory(objects), MemoryRepository({"here": user}), commits)


@contextmanager
def real(folder: Path) -> Iterator[World]:
    user, ours = folder / "user", bare(folder)
    commits = [user_repository(user, FIRST)]
    for files in (SECOND, THIRD):
        git(user, "rm", "-rq", "--ignore-unmatch", ".")
        write(user, files)
        commits.append(commit_all(user))
    with backtesting(ours, str(user), "main", commits[-1]) as history:
        yield World(history, ours, commits)


@pytest.fixture(params=[memory, real], ids=["memory", "git"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    make: Callable[[Path], object] = request.param
    with make(tmp_path) as made:  # type: ignore[attr-defined]  # both are context managers
        yield made


@pytest.mark.parametrize("number", [1, 2])
def test_a_patch_on_the_parent_gives_the_commits_tree(world: World, number: int) -> None:
    commit = world.commits[number]
    patch = world.history.patch(commit)
    tree = world.repository.tree(commit)
    assert world.repository.apply(world.commits[number - 1], patch) == tree
    assert world.history.patch(commit) == patch


def test_a_root_commits_patch_makes_its_files(world: World) -> None:
    patch = world.history.patch(world.commits[0])
    assert patch.count(b"new file mode 100644\n") == len(FIRST)
    assert world.repository.apply(world.commits[0], patch) != world.repository.tree(
        world.commits[0]
    ), "its files are there already"


@pytest.mark.parametrize("number", [1, 2])
def test_a_clone_is_laid_out_as_the_commit(world: World, tmp_path: Path, number: int) -> None:
    commit = world.commits[number]
    clone = world.repository.clone(world.commits[number - 1], tmp_path / "clone")
    world.history.lay_out(commit, clone)
    assert world.repository.capture(clone, ()) == world.repository.tree(commit)


def test_a_commit_that_is_not_there_is_the_operators_fault(world: World) -> None:
    for name in ("no-such-branch", "--output=x", ""):
        with pytest.raises(OperatorFault):
            world.history.patch(name)
