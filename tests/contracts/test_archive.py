"""The Archive port: what holds for the fake and for the one made of git."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from autopack.adapters.git.archive import GitArchive
from autopack.adapters.git.repository import BareRepository
from autopack.adapters.git.wrapper import Store
from autopack.app.archive import Archive, Left, Work
from autopack.app.ports import Refused
from autopack.core.errors import EnvironmentFault, OperatorFault
from autopack.testing import MemoryArchive, MemoryRepository
from tests.contracts.test_repository import FILES, NEW, World, git_world, memory_world
from tests.repos import write

EDITED = {**FILES, "src/app.py": "one\n2\nthree\n"}


@dataclass
class Kept:
    """The world of the Repository contract, and the archive of its repository."""

    world: World
    archive: Archive

    def work(self, ref: str) -> Work:
        return next(work for work in self.archive.works() if work.ref == ref)

    def proofs(self, *works: Work) -> dict[str, str]:
        return dict(self.archive.proofs(works, self.world.address, self.world.base))

    def clone(self, tmp_path: Path) -> Left:
        """A clone in quarantine, with one file changed, one new and one that is ignored."""
        folder = tmp_path / "quarantine" / "r1" / "P1" / "attempt-1"
        self.world.repository.clone(self.world.base, folder)
        write(folder, {"src/app.py": "changed\n", "new": "new\n", "debug.log": "ignored\n"})
        return Left(folder, "r1", "P1", self.world.base)


@pytest.fixture(params=[memory_world, git_world], ids=["memory", "git"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    world: World = request.param(tmp_path)
    repository = world.repository
    world.ready()
    if isinstance(repository, BareRepository):
        return Kept(world, GitArchive(Store(repository.git, repository.folder)))
    assert isinstance(repository, MemoryRepository)
    return Kept(world, MemoryArchive(repository))


def test_kept_work_is_listed_with_what_it_is_made_of(kept: Kept) -> None:
    assert kept.archive.works() == []
    made = kept.world.candidate(kept.world.base)
    other = kept.world.candidate(made, NEW, "P2/1.a1")
    first, second = kept.archive.works()
    assert (first.ref, first.commit, first.parent) == (
        "refs/autopack/r1/P1/1",
        made,
        kept.world.base,
    )
    assert (first.run_id, first.phase_id, first.name) == ("r1", "P1", "1")
    assert first.tree == kept.world.repository.tree(made)
    assert not first.quarantined
    assert (second.commit, second.name) == (other, "1.a1")
    assert kept.archive.files([first, second]) == {
        first.ref: ("src/app.py",), second.ref: ("src/new.py",),
    }  # fmt: skip


def test_work_that_the_user_has_not_is_not_proven(kept: Kept) -> None:
    kept.world.candidate(kept.world.base)
    kept.world.user_commit("main", {**FILES, "README.md": "another change\n"})
    assert kept.proofs(*kept.archive.works()) == {}


def test_work_on_a_branch_or_tag_of_the_user_is_proven(kept: Kept) -> None:
    made = kept.world.landed()
    (work,) = kept.archive.works()
    assert kept.proofs(work) == {}
    assert kept.world.repository.deliver(kept.world.address, "r1", made, "") == ""
    assert "on your branches or tags" in kept.proofs(work)[work.ref]
    assert kept.proofs() == {}


def test_the_same_files_are_proof(kept: Kept) -> None:
    """The user squashed it under a message of their own."""
    kept.world.candidate(kept.world.base)
    kept.world.user_commit("topic", EDITED)
    (work,) = kept.archive.works()
    assert "has the files of" in kept.proofs(work)[work.ref]


def test_the_same_change_elsewhere_is_proof(kept: Kept) -> None:
    """The user took it onto a branch that had moved."""
    kept.world.candidate(kept.world.base)
    moved = {**FILES, "README.md": "another change\n"}
    kept.world.user_commit("main", moved)
    kept.world.user_commit("main", {**EDITED, "README.md": moved["README.md"]})
    (work,) = kept.archive.works()
    assert "is the change of" in kept.proofs(work)[work.ref]


def test_a_repository_that_is_gone_proves_nothing(kept: Kept) -> None:
    kept.world.candidate(kept.world.base)
    with pytest.raises(OperatorFault):
        kept.archive.proofs(kept.archive.works(), "/nowhere", kept.world.base)


def test_a_ref_goes_only_at_the_commit_it_was_seen_at(kept: Kept) -> None:
    made = kept.world.candidate(kept.world.base)
    kept.world.candidate(made, NEW, "P2/1")
    first, second = kept.archive.works()
    wrong = Work(second.ref, first.commit, second.tree, second.parent)
    with pytest.raises(EnvironmentFault):
        kept.archive.forget([first, wrong])
    assert kept.archive.works() == [first, second]
    kept.archive.forget([first])
    assert kept.archive.works() == [second]
    kept.archive.forget([])
    kept.archive.pack()
    assert kept.world.repository.read(second.commit, "src/new.py") == b"new\nfile\n"


def test_the_whole_work_tree_of_a_clone_is_kept(kept: Kept, tmp_path: Path) -> None:
    left = kept.clone(tmp_path)
    refs = kept.archive.secure(left, 1_000)
    assert not isinstance(refs, Refused)
    assert refs == ("refs/autopack/_quarantine/r1/P1/attempt-1",)
    work = kept.work(refs[0])
    assert work.quarantined
    assert (work.run_id, work.phase_id, work.name) == ("r1", "P1", "attempt-1")
    assert work.parent == kept.world.base
    read = kept.world.repository.read
    assert read(work.commit, "src/app.py") == b"changed\n"
    assert read(work.commit, "debug.log") == b"ignored\n"
    assert kept.archive.secure(left, 2_000) == refs, "kept once"
    assert len(kept.archive.works()) == 1
    write(left.folder, {"new": "once more\n"})
    assert kept.archive.secure(left, 3_000) == (f"{refs[0]}-2",)
    assert read(work.commit, "new") == b"new\n"


def test_a_patch_beside_a_clone_is_kept_and_an_untouched_clone_needs_nothing(
    kept: Kept, tmp_path: Path
) -> None:
    folder = tmp_path / "quarantine" / "r1" / "P1" / "attempt-1"
    kept.world.repository.clone(kept.world.base, folder)
    left = Left(folder, "r1", "P1", kept.world.base)
    assert kept.archive.secure(left, 1_000) == ()
    folder.with_name("attempt-1.patch").write_bytes(b"no patch at all\n")
    refs = kept.archive.secure(left, 1_000)
    assert not isinstance(refs, Refused)
    (ref,) = refs
    assert ref == "refs/autopack/_quarantine/r1/P1/attempt-1.patch"
    kept_patch = kept.world.repository.read(kept.work(ref).commit, "autopack-rejected.patch")
    assert kept_patch == b"no patch at all\n"


def test_a_clone_with_a_repository_inside_is_refused(kept: Kept, tmp_path: Path) -> None:
    left = kept.clone(tmp_path)
    write(left.folder, {"inner/.git/HEAD": "ref: refs/heads/main\n", "inner/file": "inside\n"})
    assert isinstance(kept.archive.secure(left, 1_000), Refused)
    assert kept.archive.works() == []
