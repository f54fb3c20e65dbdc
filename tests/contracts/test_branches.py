"""The Branches port: what holds for the fake and for the one made of git."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from autopack.adapters.git.repository import BareRepository
from autopack.adapters.git.undo import GitBranches
from autopack.adapters.git.wrapper import Store
from autopack.app.undo import Branches, Place
from autopack.core.errors import OperatorFault
from autopack.testing import MemoryBranches, MemoryRepository
from tests.contracts.test_repository import BRANCH, NEW, TAG, World, git_world, memory_world
from tests.repos import git

SECOND = "autonomous/r1/tier-T1/phase-P2"


@dataclass
class Moved:
    """A run that landed twice and was delivered."""

    world: World
    branches: Branches
    first: Place
    second: Place
    check_out: Callable[[], None]

    def move(self, left: Place, to: Place) -> str:
        return self.branches.move(self.world.address, "r1", left, to, 5_000, "me and\nyou")

    @property
    def stands(self) -> str:
        return self.branches.stands(self.world.address, BRANCH)


@pytest.fixture(params=[memory_world, git_world], ids=["memory", "git"])
def it(request: pytest.FixtureRequest, tmp_path: Path) -> Moved:
    world: World = request.param(tmp_path)
    first = world.landed()
    second = world.candidate(first, NEW, "P2/1")
    repository = world.repository
    assert repository.land(BRANCH, second, first, SECOND, "green", 3_000) == second
    assert repository.deliver(world.address, "r1", second, "") == ""
    branches: Branches
    if isinstance(repository, BareRepository):
        branches = GitBranches(Store(repository.git, repository.folder))

        def check_out() -> None:
            git(Path(world.address), "checkout", "-q", BRANCH)
    else:
        assert isinstance(repository, MemoryRepository)
        branches = memory = MemoryBranches(repository)

        def check_out() -> None:
            memory.trees[BRANCH] = world.address

    return Moved(world, branches, Place(first, TAG), Place(second, SECOND), check_out)


def test_the_branch_moves_back_and_forth_and_each_move_is_recorded(it: Moved) -> None:
    others = {r: at for r, at in it.world.user_refs().items() if r != f"refs/heads/{BRANCH}"}
    assert it.stands == it.second.commit
    assert it.branches.moves("r1") == []
    assert it.move(it.second, it.first) == ""
    assert it.stands == it.first.commit
    base = Place(it.world.base)
    assert it.move(it.first, base) == ""
    assert it.move(base, it.second) == ""
    assert it.stands == it.second.commit
    records = it.branches.moves("r1")
    assert [(each.left, each.to) for each in records] == [
        (it.second, it.first), (it.first, base), (base, it.second),
    ]  # fmt: skip
    assert [each.ref for each in records] == [f"refs/autopack/_undone/r1/{n}" for n in (1, 2, 3)]
    assert {each.at for each in records} == {5_000}
    assert it.branches.moves("r") == []
    now = {r: at for r, at in it.world.user_refs().items() if r != f"refs/heads/{BRANCH}"}
    assert now == others


def test_a_branch_that_moved_meanwhile_stays(it: Moved) -> None:
    assert "stale info" in it.move(it.first, Place(it.world.base))
    assert it.stands == it.second.commit
    assert it.branches.moves("r1") == []


def test_a_branch_that_is_checked_out_is_seen_and_stays(it: Moved) -> None:
    assert it.branches.checked_out(it.world.address, BRANCH) == ""
    it.check_out()
    assert it.branches.checked_out(it.world.address, BRANCH) == it.world.address
    assert "checked out" in it.move(it.second, it.first)
    assert it.stands == it.second.commit
    assert it.branches.moves("r1") == []


def test_no_branch_and_no_repository(it: Moved) -> None:
    assert it.branches.stands(it.world.address, "autonomous/other") == ""
    with pytest.raises(OperatorFault):
        it.branches.stands("/nowhere", BRANCH)
