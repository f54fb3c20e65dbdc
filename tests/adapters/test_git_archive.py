"""Proof, quarantine and room in real repositories: what must never pass for proof, and what is kept."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from autopack.adapters.disk import SystemDisk
from autopack.adapters.git.archive import GitArchive
from autopack.adapters.git.capture import CAPTURED_FILES_MAX
from autopack.adapters.git.remains import DiskRemains
from autopack.adapters.git.repository import BareRepository
from autopack.adapters.git.wrapper import Store
from autopack.app.archive import Left
from autopack.app.ports import Refused
from tests.repos import bare, commit_all, git, refs, user_repository, write

BRANCH = "autonomous/r"


class Ground:
    """A user's repository, ours, and commits made in it as attempts make them."""

    def __init__(self, tmp_path: Path, files: dict[str, str | bytes] | None = None) -> None:
        self.tmp_path = tmp_path
        self.user = tmp_path / "user"
        self.base = user_repository(self.user, files)
        self.repository: BareRepository = bare(tmp_path)
        self.repository.prepare(str(self.user), "main", self.base, BRANCH)
        self.archive = GitArchive(Store(self.repository.git, self.repository.folder))

    def attempt(self, files: dict[str, str | bytes], name: str = "P/1", parent: str = "") -> str:
        """A clone's work as a candidate; its ref."""
        clone = self.repository.clone(parent or self.base, self.tmp_path / "clone")
        write(clone.folder, files)
        tree = self.repository.capture(clone, ())
        assert isinstance(tree, str)
        ref = f"refs/autopack/r/{name}"
        self.repository.commit(tree, parent or self.base, "work\n", 1_000, ref)
        return ref

    def proofs(self) -> dict[str, str]:
        return dict(self.archive.proofs(self.archive.works(), str(self.user), self.base))

    def secured(self, left: Left) -> tuple[str, ...]:
        found = self.archive.secure(left, 1_000)
        assert not isinstance(found, Refused)
        return found

    def left(self, *parts: str) -> Left:
        return Left(self.tmp_path.joinpath(*parts), "r", "P", self.base)


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


# --- proof --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("def one():\n    return 2\n", "def one():\n  return 2\n"),
        (b"\0\1\2" * 50, b"\0\1\3" * 50),
        ("a\r\n", "a\n"),
    ],
    ids=["blanks", "binary", "line ends"],
)
def test_another_change_is_no_proof(ground: Ground, ours: str | bytes, theirs: str | bytes) -> None:
    """The user's history holds nearly the same change, on top of something else."""
    ground.attempt({"src/app.py": ours})
    write(ground.user, {"other": "x\n"})
    commit_all(ground.user)
    write(ground.user, {"src/app.py": theirs})
    commit_all(ground.user)
    assert ground.proofs() == {}


def test_another_mode_is_no_proof(ground: Ground) -> None:
    ground.attempt({"tool": "#!/bin/sh\n"})
    write(ground.user, {"other": "x\n", "tool": "#!/bin/sh\n"})
    (ground.user / "tool").chmod(0o755)
    commit_all(ground.user)
    assert ground.proofs() == {}


EQUAL = ["x = 1\n"] * 30


def equal(*changed: int, first: str = "") -> str:
    """Thirty equal lines, some of them changed; a first line moves all."""
    lines = ["x = 2\n" if at in changed else line for at, line in enumerate(EQUAL)]
    return first + "".join(lines)


def test_the_same_text_at_another_place_is_no_proof(tmp_path: Path) -> None:
    """Without its line number the user's change reads as the attempt's."""
    ground = Ground(tmp_path, {"equal": equal()})
    ground.attempt({"equal": equal(20)})
    write(ground.user, {"equal": equal(8), "other": "x\n"})
    git(ground.user, "add", "equal")
    git(ground.user, "commit", "-q", "-m", "elsewhere")
    commit_all(ground.user)
    assert ground.proofs() == {}


def test_the_same_text_at_its_place_in_a_file_that_moved_is_proof(tmp_path: Path) -> None:
    """Lines that were put in front of it move it; two places are told apart by what is around."""
    ground = Ground(tmp_path, {"equal": equal()})
    right = ground.attempt({"equal": equal(20)}, "P/1")
    ground.attempt({"equal": equal(9)}, "P/2")
    write(ground.user, {"equal": equal(first="# ours\n")})
    commit_all(ground.user)
    write(ground.user, {"equal": equal(20, first="# ours\n")})
    commit_all(ground.user)
    assert set(ground.proofs()) == {right}


def test_one_file_at_its_place_does_not_prove_another(tmp_path: Path) -> None:
    ground = Ground(tmp_path, {"equal": equal()})
    ground.attempt({"equal": equal(20), "new": "n\n"})
    write(ground.user, {"equal": equal(8), "new": "n\n"})
    commit_all(ground.user)
    assert ground.proofs() == {}


def test_binaries_and_odd_names_taken_over_are_proof(ground: Ground) -> None:
    files: dict[str, str | bytes] = {"a b\tc": "x\n", "bild.png": b"\0\1\2" * 50, "ü": "y\n"}
    ref = ground.attempt(files)
    write(ground.user, {"other": "x\n"})
    commit_all(ground.user)
    write(ground.user, files)
    commit_all(ground.user)
    assert "is the change of" in ground.proofs()[ref]


def test_what_no_branch_or_tag_holds_is_no_proof(ground: Ground) -> None:
    """A stash, a note, a remote's branch, a reflog: none of them is kept for long."""
    ref = ground.attempt({"new": "x\n"})
    commit = refs(ground.repository.folder)[ref]
    git(ground.user, "fetch", "-q", str(ground.repository.folder), commit)
    for name in ("refs/stash", "refs/notes/x", "refs/remotes/origin/x", "refs/other/x"):
        git(ground.user, "update-ref", name, commit)
    assert ground.proofs() == {}
    git(ground.user, "tag", "-m", "kept", "v1", commit)
    assert set(ground.proofs()) == {ref}


def test_grafts_and_replaced_commits_are_no_proof(ground: Ground) -> None:
    ref = ground.attempt({"new": "x\n"})
    commit = refs(ground.repository.folder)[ref]
    git(ground.user, "fetch", "-q", str(ground.repository.folder), commit)
    (ground.user / ".git" / "info").mkdir(exist_ok=True)
    (ground.user / ".git" / "info" / "grafts").write_text(f"{ground.base} {commit}\n")
    write(ground.user, {"other": "x\n"})
    other = commit_all(ground.user)
    git(ground.user, "replace", "--force", other, commit)
    assert ground.proofs() == {}


def test_a_shallow_clone_proves_nothing(ground: Ground) -> None:
    ref = ground.attempt({"new": "x\n"})
    commit = refs(ground.repository.folder)[ref]
    git(ground.user, "fetch", "-q", str(ground.repository.folder), f"{commit}:refs/heads/kept")
    assert set(ground.proofs()) == {ref}
    (ground.user / ".git" / "shallow").write_text(f"{ground.base}\n")
    assert ground.proofs() == {}


def test_a_commit_whose_files_are_lost_is_no_proof(ground: Ground) -> None:
    ref = ground.attempt({"new": "only here\n"})
    commit = refs(ground.repository.folder)[ref]
    git(ground.user, "fetch", "-q", str(ground.repository.folder), f"{commit}:refs/heads/kept")
    blob = git(ground.user, "rev-parse", f"{commit}:new")
    for pack in (ground.user / ".git" / "objects" / "pack").glob("*.pack"):
        moved = ground.tmp_path / pack.name
        shutil.move(pack, moved)
        pack.with_suffix(".idx").unlink()
        git(ground.user, "unpack-objects", "-q", stdin=moved.read_bytes())
    assert set(ground.proofs()) == {ref}
    (ground.user / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    assert ground.proofs() == {}


def test_attributes_of_the_user_do_not_make_proof(ground: Ground) -> None:
    """`-diff` makes git say of each change only that there is one."""
    ground.attempt({"src/app.py": "ours\n"})
    info = ground.user / ".git" / "info"
    info.mkdir(exist_ok=True)
    (info / "attributes").write_text("* -diff\n")
    write(ground.user, {"other": "x\n", "src/app.py": "theirs\n"})
    commit_all(ground.user)
    assert ground.proofs() == {}


# --- quarantine ---------------------------------------------------------------------------------


def test_a_clone_is_kept_on_the_commit_it_was_made_of(ground: Ground) -> None:
    """Not on what its own `.git` says, which the agent wrote."""
    first = ground.attempt({"first": "1\n"})
    parent = refs(ground.repository.folder)[first]
    folder = ground.left("quarantine", "r", "P", "attempt-2").folder
    ground.repository.clone(parent, folder)
    write(folder, {"second": "2\n", ".cache/.gitignore": "*\n", ".cache/file": "hidden\n"})
    (folder / ".git" / "refs" / "heads" / "work").write_text(f"{ground.base}\n")
    (folder / ".git" / "config").write_text("[core]\n\tfsmonitor = touch ran\n")
    (ref,) = ground.secured(ground.left("quarantine", "r", "P", "attempt-2"))
    bare_folder = ground.repository.folder
    assert git(bare_folder, "rev-parse", f"{ref}^") == parent
    listed = git(bare_folder, "ls-tree", "-r", "--name-only", ref).splitlines()
    assert {"first", "second", ".cache/.gitignore", ".cache/file"} <= set(listed)
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("trouble", ["a repository inside", "too many files"])
def test_what_git_cannot_take_is_left_out_when_it_is_ignored(tmp_path: Path, trouble: str) -> None:
    ground = Ground(tmp_path, {".gitignore": "node_modules/\n*.log\n", "README.md": "one\n"})
    left = ground.left("quarantine", "r", "P", "attempt-1")
    ground.repository.clone(ground.base, left.folder)
    write(left.folder, {"work": "done\n", "pkg/new": "2\n", "pkg/debug.log": "said\n"})
    write(left.folder, {".venv/.gitignore": "*\n", ".venv/file": "x\n"})
    modules = left.folder / "pkg" / "node_modules"
    modules.mkdir()
    if trouble == "too many files":
        for number in range(CAPTURED_FILES_MAX + 1):
            os.mknod(modules / str(number))
    else:
        write(modules, {"one/.git/HEAD": "ref: refs/heads/main\n", "one/file": "inside\n"})
    (ref,) = ground.secured(left)
    bare_folder = ground.repository.folder
    listed = git(bare_folder, "ls-tree", "-r", "--name-only", ref).splitlines()
    assert listed == [".gitignore", "README.md", "pkg/new", "work"]
    said = git(bare_folder, "log", "-1", "--format=%B", ref)
    for path in ("pkg/node_modules/", "pkg/debug.log", ".venv/"):
        assert f"\n  {path}\n" in said
    assert "pkg/new" not in said
    assert "Autopack-Run: r" in said
    assert ground.secured(left) == (ref,)


def test_a_clone_without_its_index_is_kept_on_the_base(ground: Ground) -> None:
    left = ground.left("quarantine", "r", "P", "attempt-1")
    clone = ground.repository.clone(ground.base, left.folder)
    write(left.folder, {"README.md": "changed\n"})
    clone.index.unlink()
    (ref,) = ground.secured(left)
    assert git(ground.repository.folder, "rev-parse", f"{ref}^") == ground.base
    assert git(ground.repository.folder, "show", f"{ref}:README.md") == "changed"


def test_what_an_attempt_holds_already_is_not_kept_twice(ground: Ground) -> None:
    left = ground.left("quarantine", "r", "P", "attempt-1")
    ref = ground.attempt({"new": "x\n"})
    ground.repository.clone(ground.base, left.folder)
    write(left.folder, {"new": "x\n"})
    assert ground.archive.secure(left, 1_000) == (ref,)


def test_an_interrupted_deletion_is_finished_and_taken_for_nothing_else(ground: Ground) -> None:
    top = ground.tmp_path / "state"
    remains = DiskRemains(top / "clones", top / "quarantine", top / "logs")
    folder = top / "quarantine" / "r" / "P" / "attempt-1"
    ground.repository.clone(ground.base, folder)
    folder.with_name("attempt-1.patch").write_text("a patch\n")
    assert [found[2] for found in remains.quarantined()] == [folder]
    folder.rename(folder.with_name("attempt-1.gone"))
    (top / "logs" / "r.gone").mkdir(parents=True)
    assert remains.quarantined() == []
    assert remains.logs() == []
    remains.finish()
    assert not list((top / "quarantine").iterdir())
    assert not list((top / "logs").iterdir())
    remains.finish()


# --- room ---------------------------------------------------------------------------------------


def test_room_is_made_of_what_nothing_refers_to_and_of_nothing_else(ground: Ground) -> None:
    kept = ground.attempt({"kept": "kept\n"}, "P/1")
    gone = ground.attempt({"gone": "gone\n"}, "P/2")
    folder = ground.repository.folder
    commit = refs(folder)[gone]
    young = git(folder, "hash-object", "-w", "--stdin", stdin=b"somebody is about to\n")
    ground.archive.forget([work for work in ground.archive.works() if work.ref == gone])
    for path in (folder / "objects").rglob("*"):
        if path.is_file() and not str(path).endswith(young[2:]):
            os.utime(path, (1_000, 1_000))
    before = SystemDisk().used(folder)
    ground.archive.pack()
    assert SystemDisk().used(folder) < before
    assert git(folder, "fsck", "--strict", "--no-dangling") == ""
    assert git(folder, "show", f"{kept}:kept") == "kept"
    assert git(folder, "cat-file", "-t", young) == "blob"
    assert commit not in git(folder, "cat-file", "--batch-all-objects", "--batch-check")


def test_the_real_disk_is_looked_at(tmp_path: Path) -> None:
    disk = SystemDisk()
    seen = os.statvfs(tmp_path)
    assert 0 < disk.free(tmp_path / "not" / "there") <= seen.f_blocks * seen.f_frsize
    write(tmp_path, {"below/file": bytes(100_000)})
    (tmp_path / "below" / "link").symlink_to("/")
    assert 100_000 <= disk.used(tmp_path) < 1_000_000
    assert 100_000 <= disk.used(tmp_path / "below" / "file") < 200_000
    assert disk.used(tmp_path / "not") == 0
