"""Clones and captured work trees: exact bytes, nothing lost, nothing of the agent's obeyed."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from autopack.adapters.git import capture as module
from autopack.adapters.git.repository import BareRepository
from autopack.app.ports import Clone, Refused
from autopack.core.patch import ABSENT, EXECUTABLE, FILE, SYMLINK
from autopack.process.limits import Identity
from tests.repos import FILES, bare, git, user_repository, write


def ready(
    tmp_path: Path, files: dict[str, str | bytes] | None = None
) -> tuple[BareRepository, str, Clone]:
    base = user_repository(tmp_path / "user", files)
    repository = bare(tmp_path)
    repository.prepare(str(tmp_path / "user"), "main", base, "autonomous/r1")
    return repository, base, repository.clone(base, tmp_path / "clones" / "one")


def changes(repository: BareRepository, clone: Clone, *force: str) -> dict[str, tuple[str, str]]:
    tree = repository.capture(clone, force)
    assert isinstance(tree, str), tree
    found = repository.diff(clone.commit, tree).changes
    return {os.fsdecode(c.path): (c.old_mode, c.new_mode) for c in found}


def refusals(repository: BareRepository, clone: Clone) -> list[tuple[str, str]]:
    refused = repository.capture(clone, ())
    assert isinstance(refused, Refused), refused
    return [(finding.rule, finding.path) for finding in refused.findings]


def test_a_clone_is_whole_and_alone(tmp_path: Path) -> None:
    repository, base, clone = ready(tmp_path)
    for name, content in FILES.items():
        assert (clone.folder / name).read_text() == content
    assert stat.S_IMODE((clone.folder / "run.sh").stat().st_mode) & 0o100
    assert git(clone.folder, "rev-parse", "HEAD") == base
    assert git(clone.folder, "status", "--porcelain") == ""
    assert git(clone.folder, "remote") == ""
    assert not list((clone.folder / ".git" / "hooks").iterdir())
    assert git(clone.folder, "fsck", "--strict") == ""
    linked = [p for p in clone.folder.rglob("*") if p.is_file() and p.stat().st_nlink > 1]
    assert linked == []
    assert changes(repository, clone) == {}


def test_an_agent_may_commit_in_its_clone(tmp_path: Path) -> None:
    repository, _, clone = ready(tmp_path)
    write(clone.folder, {"new.py": "1\n"})
    git(clone.folder, "add", "-A")
    git(clone.folder, "commit", "-q", "-m", "mine")
    assert changes(repository, clone) == {"new.py": (ABSENT, FILE)}


def test_a_clone_replaces_what_a_killed_one_left(tmp_path: Path) -> None:
    repository, base, clone = ready(tmp_path)
    write(clone.folder, {"half/done": "x"})
    (clone.folder / "half").chmod(0o000)
    (clone.folder / ".git" / "index.lock").touch()
    again = repository.clone(base, clone.folder)
    assert changes(repository, again) == {}
    repository.discard(clone.folder)
    repository.discard(clone.folder)
    assert list((tmp_path / "clones").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a clone for somebody else")
def test_a_clone_for_an_identity_belongs_to_it(tmp_path: Path) -> None:
    base = user_repository(tmp_path / "user")
    somebody = Identity(54_321, 54_321)
    root = tmp_path / "state"
    root.mkdir(mode=0o700)
    repository = BareRepository.create(root / "bare", bare(tmp_path).git, somebody, root)
    repository.prepare(str(tmp_path / "user"), "main", base, "autonomous/r1")
    clone = repository.clone(base, root / "clones" / "one")
    owners = {p.lstat().st_uid for p in clone.folder.rglob("*")} | {clone.folder.stat().st_uid}
    assert owners == {54_321}
    assert clone.index.stat().st_uid == 0
    for folder in (root, root / "clones", root / "bare"):
        seen = folder.stat()
        assert (stat.S_IMODE(seen.st_mode), seen.st_gid) == (0o710, 54_321)
    write(clone.folder, {"README.md": "other\n"})
    assert changes(repository, clone) == {"README.md": (FILE, FILE)}


def test_every_kind_of_edit_is_captured(tmp_path: Path) -> None:
    repository, _, clone = ready(tmp_path)
    write(clone.folder, {"src/new é\tfile.py": "1\n", "src/app.py": "edited\n", "sp ace": "2\n"})
    write(clone.folder, {'quo"te': "3\n"})
    (clone.folder / "README.md").unlink()
    (clone.folder / "run.sh").chmod(0o644)
    (clone.folder / "src/deep/er.py").chmod(0o755)
    (clone.folder / "link").symlink_to("src/app.py")
    assert changes(repository, clone) == {
        "src/new é\tfile.py": (ABSENT, FILE),
        "src/app.py": (FILE, FILE),
        "sp ace": (ABSENT, FILE),
        'quo"te': (ABSENT, FILE),
        "README.md": (FILE, ABSENT),
        "run.sh": (EXECUTABLE, FILE),
        "src/deep/er.py": (FILE, EXECUTABLE),
        "link": (ABSENT, SYMLINK),
    }
    tree = repository.capture(clone, ())
    assert isinstance(tree, str)
    link = next(c for c in repository.diff(clone.commit, tree).changes if c.path == b"link")
    assert link.target == "src/app.py"


def test_an_edit_of_same_size_and_time_is_captured(tmp_path: Path) -> None:
    repository, _, clone = ready(tmp_path)
    path = clone.folder / "README.md"
    before = path.stat()
    path.write_text("b project\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert changes(repository, clone) == {"README.md": (FILE, FILE)}
    tree = repository.capture(clone, ())
    assert git(repository.folder, "show", f"{tree}:README.md") == "b project"


def test_capture_twice_gives_the_same_tree(tmp_path: Path) -> None:
    repository, _, clone = ready(tmp_path)
    write(clone.folder, {"x": "1"})
    assert repository.capture(clone, ()) == repository.capture(clone, ())


def test_line_ends_and_filters_stay_as_they_are(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"dos.txt": b"a\r\nb\r\n", "id.txt": "$Id$\n"}
    repository, _, clone = ready(tmp_path, files)
    canary = tmp_path / "canary"
    git(clone.folder, "config", "filter.evil.clean", f"touch {canary}")
    git(clone.folder, "config", "core.fsmonitor", f"touch {canary}")
    write(
        clone.folder,
        {
            ".gitattributes": "* text eol=crlf ident filter=evil working-tree-encoding=UTF-16\n",
            "new.txt": b"x\r\ny\n",
            "dos.txt": b"a\r\nc\n",
        },
    )
    tree = repository.capture(clone, ())
    assert isinstance(tree, str)
    assert git(repository.folder, "show", f"{tree}:new.txt") == "x\r\ny"
    assert git(repository.folder, "show", f"{tree}:dos.txt") == "a\r\nc"
    assert not canary.exists()


def test_nothing_in_the_clones_git_folder_is_obeyed(tmp_path: Path) -> None:
    repository, _, clone = ready(tmp_path)
    canary = tmp_path / "canary"
    for name in ("post-index-change", "reference-transaction", "pre-commit"):
        hook = clone.folder / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch {canary}\n")
        hook.chmod(0o755)
    write(clone.folder / ".git", {"info/exclude": "*\n", "HEAD": "junk", "index": b"junk"})
    write(clone.folder, {"new.py": "1\n"})
    assert changes(repository, clone) == {"new.py": (ABSENT, FILE)}
    assert not canary.exists()


def test_ignore_rules_are_the_bases(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        ".gitignore": "*.pyc\n/build/\n!keep.pyc\n\\#odd\n",
        "src/.gitignore": "local\n/top\n!x.pyc\ndeep/*.log\nspaced\\ \n",
        "src/[odd]/.gitignore": "only\n",
        "src/a.py": "1\n",
    }
    repository, _, clone = ready(tmp_path, files)
    hidden = ("a.pyc", "build/x", "src/d/local", "src/top", "src/deep/e.log", "src/[odd]/d/only",
              "#odd", "src/spaced ")  # fmt: skip
    seen = ("keep.pyc", "d/build/x", "src/x.pyc", "src/d/top", "src/d/deep/e.log", "src/o/only",
            "local")  # fmt: skip
    write(clone.folder, dict.fromkeys([*hidden, *seen], "x"))
    (clone.folder / "src" / ".gitignore").write_text("*\n")
    write(clone.folder, {"new/.gitignore": "a\n", "new/a": "1", "new/b": "2"})
    expected = dict.fromkeys((*seen, "new/.gitignore", "new/a", "new/b"), (ABSENT, FILE))
    assert changes(repository, clone) == {**expected, "src/.gitignore": (FILE, FILE)}


def test_deliverables_are_added_whatever_is_ignored(tmp_path: Path) -> None:
    repository, _, clone = ready(tmp_path, {".gitignore": "out/\n*.bin\n", "a": "1"})
    write(clone.folder, {"out/x/1": "1", "out/2": "2", "a.bin": "3", "b.bin": "4"})
    found = changes(repository, clone, "out/", "a.bin", "nope", "../user/a")
    assert set(found) == {"out/x/1", "out/2", "a.bin"}


def test_caches_that_hide_themselves_are_left_out(tmp_path: Path) -> None:
    repository, _, clone = ready(tmp_path)
    cache = {".gitignore": "# made by a tool\n*\n", "v/data": "1"}
    write(clone.folder / ".tool_cache", cache)
    write(clone.folder, {"src/.gitignore": "*\n", "src/new.py": "1\n"})
    found = changes(repository, clone)
    assert set(found) == {"src/.gitignore", "src/new.py"}


def test_a_folder_that_becomes_a_link_is_not_followed(tmp_path: Path) -> None:
    repository, _, clone = ready(tmp_path)
    outside = tmp_path / "outside"
    write(outside, {"app.py": "secret\n", "more": "secret\n"})
    (clone.folder / "src").rename(clone.folder / "moved")
    (clone.folder / "src").symlink_to(outside)
    assert changes(repository, clone) == {
        "src": (ABSENT, SYMLINK),
        "src/app.py": (FILE, ABSENT),
        "src/deep/er.py": (FILE, ABSENT),
        "moved/app.py": (ABSENT, FILE),
        "moved/deep/er.py": (ABSENT, FILE),
    }


def test_a_folder_linked_to_its_new_place_is_a_link(tmp_path: Path) -> None:
    repository, _, clone = ready(tmp_path)
    (clone.folder / "src").rename(clone.folder / "moved")
    (clone.folder / "src").symlink_to("moved")
    assert changes(repository, clone)["src"] == (ABSENT, SYMLINK)
    assert changes(repository, clone)["src/app.py"] == (FILE, ABSENT)


def test_files_and_folders_change_places(tmp_path: Path) -> None:
    repository, _, clone = ready(tmp_path)
    (clone.folder / "README.md").unlink()
    write(clone.folder, {"README.md/inside": "1"})
    (clone.folder / "src" / "deep" / "er.py").unlink()
    (clone.folder / "src" / "deep").rmdir()
    write(clone.folder, {"src/deep": "now a file"})
    assert changes(repository, clone) == {
        "README.md": (FILE, ABSENT),
        "README.md/inside": (ABSENT, FILE),
        "src/deep": (ABSENT, FILE),
        "src/deep/er.py": (FILE, ABSENT),
    }


@pytest.mark.parametrize("where", ["vendor", "src", "src/deep"])
def test_a_nested_repository_is_refused(tmp_path: Path, where: str) -> None:
    repository, _, clone = ready(tmp_path)
    write(clone.folder / where, {"x": "1"})
    git(clone.folder / where, "init", "-q")
    git(clone.folder / where, "add", "-A")
    git(clone.folder / where, "commit", "-q", "-m", "nested")
    assert refusals(repository, clone) == [("nested-repository", where)]


def test_odd_files_in_a_tracked_place_are_refused(tmp_path: Path) -> None:
    repository, _, clone = ready(tmp_path)
    (clone.folder / "README.md").unlink()
    os.mkfifo(clone.folder / "README.md")
    assert refusals(repository, clone) == [("file-kind", "README.md")]


def test_new_sockets_and_pipes_are_left_out_as_git_does(tmp_path: Path) -> None:
    repository, _, clone = ready(tmp_path)
    os.mkfifo(clone.folder / "pipe")
    here = Path.cwd()
    try:
        os.chdir(clone.folder)  # a socket's name is short
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("socket")
    finally:
        os.chdir(here)
    assert changes(repository, clone) == {}


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    repository, _, clone = ready(tmp_path)
    with (clone.folder / "huge").open("wb") as file:
        file.truncate(10 << 30)
    assert refusals(repository, clone) == [("file-size", "huge")]


def test_many_bytes_in_many_files_are_refused(tmp_path: Path) -> None:
    repository, _, clone = ready(tmp_path)
    for number in range(module.CAPTURED_BYTES_MAX // module.CAPTURED_FILE_BYTES_MAX + 1):
        with (clone.folder / f"f{number}").open("wb") as file:
            file.truncate(module.CAPTURED_FILE_BYTES_MAX)
    assert [rule for rule, _ in refusals(repository, clone)] == ["total-size"]


@pytest.mark.parametrize("name", [".GIT", "d/.Git", "git~1", ".g\u200cit"])
def test_names_like_gits_own_are_refused(tmp_path: Path, name: str) -> None:
    repository, _, clone = ready(tmp_path)
    write(clone.folder, {f"{name}/config": "x"})
    assert [rule for rule, _ in refusals(repository, clone)] == ["dot-git"]


def test_what_git_itself_cannot_take_is_refused(tmp_path: Path) -> None:
    repository, _, clone = ready(tmp_path)
    (clone.folder / ".gitmodules").symlink_to("README.md")
    assert [rule for rule, _ in refusals(repository, clone)] == ["not-a-tree"]


def test_odd_names_are_captured_for_policy_to_judge(tmp_path: Path) -> None:
    repository, _, clone = ready(tmp_path)
    for name in (b"caf\xe9", b"new\nline", b"-dash", b"back\\slash"):
        Path(os.fsdecode(os.fsencode(clone.folder) + b"/" + name)).write_text("x")
    found = changes(repository, clone)
    assert {os.fsencode(name) for name in found} == {
        b"caf\xe9",
        b"new\nline",
        b"-dash",
        b"back\\slash",
    }


def test_a_clone_that_is_gone_or_a_link_is_refused(tmp_path: Path) -> None:
    repository, _, clone = ready(tmp_path)
    clone.folder.rename(tmp_path / "elsewhere")
    assert refusals(repository, clone) == [("work-tree", "")]
    clone.folder.symlink_to(tmp_path / "elsewhere")
    assert refusals(repository, clone) == [("work-tree", "")]


@contextlib.contextmanager
def as_somebody(folder: Path) -> Iterator[None]:
    """Not root for a while: root may read everything."""
    if os.geteuid() != 0:
        yield
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 54_321, 54_321, follow_symlinks=False)
    os.setresuid(54_321, 54_321, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_unreadable_files_and_folders_are_refused() -> None:
    with tempfile.TemporaryDirectory() as place:  # pytest's own folders are closed to others
        repository, _, clone = ready(Path(place))
        write(clone.folder, {"secret": "x", "closed/x": "1"})
        with as_somebody(Path(place)):
            (clone.folder / "secret").chmod(0o000)
            (clone.folder / "closed").chmod(0o000)
            found = refusals(repository, clone)
            (clone.folder / "closed").chmod(0o700)
        assert sorted(found) == [("unreadable", "closed/"), ("unreadable", "secret")]


def test_many_files_pass_and_too_many_are_refused(tmp_path: Path) -> None:
    repository, _, clone = ready(tmp_path)
    write(clone.folder, {f"n/{number}": "x" for number in range(60)})
    assert len(changes(repository, clone)) == 60
    write(clone.folder, {f"n/{number}": "" for number in range(module.CAPTURED_FILES_MAX + 1)})
    assert [rule for rule, _ in refusals(repository, clone)] == ["too-many-files"]
