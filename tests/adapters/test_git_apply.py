"""Patches onto a commit, with real git: exact or not at all, hostile shapes named."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from autopack.adapters.git import patch as module
from autopack.adapters.git.repository import BareRepository
from autopack.app.ports import Refused
from autopack.core.names import folded
from autopack.core.patch import EXECUTABLE, FILE, GITLINK, SYMLINK
from autopack.core.policy import Rules
from tests.judging import judged
from tests.repos import bare, commit_all, git, refs, user_repository, write


def ready(
    tmp_path: Path, files: dict[str, str | bytes] | None = None
) -> tuple[BareRepository, str]:
    base = user_repository(tmp_path / "user", files)
    repository = bare(tmp_path)
    repository.prepare(str(tmp_path / "user"), "main", base, "autonomous/r1")
    return repository, base


def new(path: str, content: str = "x", mode: str = "100644") -> bytes:
    return (
        f"diff --git {path} {path.replace('a/', 'b/', 1)}\nnew file mode {mode}\n"
        f"--- /dev/null\n+++ {path.replace('a/', 'b/', 1)}\n@@ -0,0 +1 @@\n+{content}\n"
    ).encode()


def rules_of(repository: BareRepository, base: str, patch: bytes) -> set[str]:
    """The rules that stop a patch: refused by git, or found in the resulting tree."""
    tree = repository.apply(base, patch)
    if isinstance(tree, Refused):
        return {finding.rule for finding in tree.findings}
    return {found.rule for found in judged(repository.diff(base, tree), Rules(("**",))).findings}


LINK = new("a/link", "/etc/passwd", "120000").replace(
    b"+/etc/passwd\n", b"+/etc/passwd\n\\ No newline at end of file\n"
)


@pytest.mark.parametrize(
    ("patch", "rule"),
    [
        (LINK, "symlink-outside"),
        (new("a/sub", f"Subproject commit {'1' * 40}", "160000"), "submodule"),
        (new("a/.gitmodules"), "submodule"),
        (new("a/.gitattributes", "* filter=x"), "gitattributes"),
        (new("a/tool.sh", "x", "100755"), "executable-bit"),
        (new("a/README.MD"), "name-clash"),
        (new("a/SRC/x.py"), "name-clash"),
        (new("a/readme.md/x"), "name-clash"),
        (new("a/aux.txt"), "file-name"),
        (new("a/-rf"), "file-name"),
        (new("a/back\\slash"), "file-name"),
        (new('"a/new\\nline"'), "file-name"),
        (new('"a/caf\\351"'), "file-name"),
        (new("a/.github/workflows/x.yml"), "protected-path"),
        (new("a/.git/config"), "patch-path"),
        (new("a/.GIT/config"), "patch-path"),
        (new("a/d/.g\u200cit/x"), "patch-path"),
        (new("a/../out"), "patch-path"),
        (new("a/README.md/x"), "patch-does-not-apply"),
        (b"--- /dev/null\n+++ /etc/passwd\n@@ -0,0 +1 @@\n+x\n", ""),
        (b"GIT binary patch\nliteral 536870912\nzcmeAS\n", "binary-size"),
        (b"GIT binary patch\ndelta 99999999999999999999999\n", "binary-size"),
        (b"no patch at all\n", "patch-does-not-apply"),
        (new("a/new")[:-8] + b"@@ -1 +1,9 @@\n+x\n", "patch-corrupt"),
    ],
)
def test_a_hostile_shape_meets_its_rule(tmp_path: Path, patch: bytes, rule: str) -> None:
    repository, base = ready(tmp_path)
    before = refs(repository.folder)
    met = rules_of(repository, base, patch)
    assert rule in met if rule else met == set()
    assert refs(repository.folder) == before
    assert not (tmp_path / "out").exists()
    assert not list((repository.folder / "autopack-scratch").glob("*"))


def test_an_absolute_path_lands_inside_the_tree(tmp_path: Path) -> None:
    repository, base = ready(tmp_path)
    tree = repository.apply(base, b"--- /dev/null\n+++ /etc/passwd\n@@ -0,0 +1 @@\n+x\n")
    assert isinstance(tree, str)
    assert [c.path for c in repository.diff(base, tree).changes] == [b"etc/passwd"]


def test_writing_behind_a_link_is_refused(tmp_path: Path) -> None:
    base = user_repository(tmp_path / "user")
    (tmp_path / "user" / "way").symlink_to(tmp_path)
    git(tmp_path / "user", "add", "-A")
    git(tmp_path / "user", "commit", "-q", "-m", "link")
    base = git(tmp_path / "user", "rev-parse", "HEAD")
    repository = bare(tmp_path)
    repository.prepare(str(tmp_path / "user"), "main", base, "autonomous/r1")
    refused = repository.apply(base, new("a/way/x"))
    assert isinstance(refused, Refused)
    assert not (tmp_path / "x").exists()


def test_a_patch_that_does_not_fit_tells_where(tmp_path: Path) -> None:
    repository, base = ready(tmp_path)
    patch = (
        b"diff --git a/src/app.py b/src/app.py\n--- a/src/app.py\n+++ b/src/app.py\n"
        b"@@ -1,2 +1,2 @@\n def one():\n-    return 7\n+    return 2\n"
    )
    refused = repository.apply(base, patch)
    assert isinstance(refused, Refused)
    told = [(f.rule, f.path, f.line) for f in refused.findings]
    assert told == [("patch-does-not-apply", "src/app.py", 1)]


def test_crlf_is_kept_and_matched_exactly(tmp_path: Path) -> None:
    repository, base = ready(tmp_path, {"dos.txt": b"a\r\nb\r\n"})
    head = b"diff --git a/dos.txt b/dos.txt\n--- a/dos.txt\n+++ b/dos.txt\n@@ -1,2 +1,2 @@\n"
    tree = repository.apply(base, head + b" a\r\n-b\r\n+c\r\n")
    assert isinstance(tree, str)
    assert git(repository.folder, "show", f"{tree}:dos.txt") == "a\r\nc\r"
    assert isinstance(repository.apply(base, head + b" a\n-b\n+c\n"), Refused)


def test_modes_binaries_links_and_lines_are_told(tmp_path: Path) -> None:
    repository, base = ready(tmp_path)
    user = tmp_path / "user"
    (user / "README.md").chmod(0o755)
    (user / "blob").write_bytes(bytes(range(256)) * 20)
    (user / "link").symlink_to("README.md")
    (user / "src" / "app.py").write_text("def one():\n    return 2\n\n")
    git(user, "add", "-A")
    patch = git(user, "diff", "--cached", "--binary", base).encode("utf-8", "surrogateescape")
    tree = repository.apply(base, patch + b"\n")
    assert tree == git(user, "write-tree")
    found = {c.path: c for c in repository.diff(base, str(tree)).changes}
    assert (found[b"README.md"].old_mode, found[b"README.md"].new_mode) == (FILE, EXECUTABLE)
    assert (found[b"blob"].size, found[b"blob"].lines) == (5120, -1)
    assert (found[b"link"].new_mode, found[b"link"].target) == (SYMLINK, "README.md")
    assert found[b"src/app.py"].lines == 3


def test_gitlinks_are_told_without_their_object(tmp_path: Path) -> None:
    repository, base = ready(tmp_path)
    tree = repository.apply(base, new("a/sub", f"Subproject commit {'1' * 40}", GITLINK))
    assert isinstance(tree, str)
    assert [(c.path, c.new_mode) for c in repository.diff(base, tree).changes] == [
        (b"sub", GITLINK)
    ]


def test_a_blank_patch_changes_nothing(tmp_path: Path) -> None:
    repository, base = ready(tmp_path)
    assert repository.apply(base, b" \n") == repository.tree(base)


def test_a_patch_over_the_cap_never_reaches_git(tmp_path: Path) -> None:
    repository, base = ready(tmp_path)
    refused = repository.apply(base, new("a/x", "x" * module.PATCH_BYTES_MAX))
    assert isinstance(refused, Refused)
    assert [f.rule for f in refused.findings] == ["patch-size"]


def test_a_kept_patch_is_a_file_beside_the_parents(tmp_path: Path) -> None:
    repository, base = ready(tmp_path)
    tree = repository.keep_patch(base, b"anything \xff\r\n")
    commit = repository.commit(tree, base, "kept", 1, "refs/autopack/r1/p/1")
    assert repository.read(commit, "autopack-rejected.patch") == b"anything \xff\r\n"
    assert repository.read(commit, "README.md") == b"a project\n"
    again = repository.keep_patch(commit, b"other")
    assert len(repository.diff(commit, again).changes) == 1


def test_a_clash_of_the_base_is_nobodys_fault(tmp_path: Path) -> None:
    repository, base = ready(tmp_path, {"A/x": "1", "a/y": "2"})
    tree = repository.apply(base, new("a/A/z"))
    assert isinstance(tree, str)
    assert repository.diff(base, tree).clashes == ()
    tree = repository.apply(base, new("a/a/Y"))
    assert isinstance(tree, str)
    assert repository.diff(base, tree).clashes == ((b"a/Y", b"a/y"),)
    tree = repository.apply(base, new('"a/caf\\303\\251"') + new('"a/cafe\\314\\201"'))
    assert isinstance(tree, str)
    assert len(repository.diff(base, tree).clashes) == 1


def test_the_index_cache_is_bounded_and_right(tmp_path: Path) -> None:
    repository, base = ready(tmp_path)
    parent = base
    for number in range(12):
        tree = repository.apply(parent, new(f"a/f{number}"))
        assert isinstance(tree, str)
        parent = repository.commit(tree, parent, "m", number, f"refs/autopack/r1/p/{number}")
    assert len(list((repository.folder / "autopack-indexes").iterdir())) == 8
    names = {c.path for c in repository.diff(base, repository.tree(parent)).changes}
    assert names == {f"f{number}".encode() for number in range(12)}


def test_clashes_are_those_of_comparing_every_path_with_every_other(tmp_path: Path) -> None:
    rng = random.Random(7)
    repository, base = ready(tmp_path, {"A/x": "1", "a/y": "2", "b/B/c": "3"})
    told = 0
    for _ in range(20):
        paths = {_path(rng) for _ in range(rng.randint(1, 3))}
        tree = repository.apply(base, b"".join(new(f"a/{path}") for path in sorted(paths)))
        if isinstance(tree, Refused):  # it is there already
            continue
        diff = repository.diff(base, tree)
        before, after = (_with_folders(repository, where) for where in (base, tree))
        added = after - before
        want = {
            frozenset((one, other))
            for one in added
            for other in after
            if one != other and folded(one) == folded(other)
        }
        assert {frozenset(pair) for pair in diff.clashes} == want, paths
        told += bool(want)
    assert told > 4


def _path(rng: random.Random) -> str:
    folders = [rng.choice(["a", "A", "b", "é", "É"]) for _ in range(rng.randint(0, 2))]
    return "/".join([*folders, rng.choice(["x", "X", "y", "ü", "Ü"])])


def _with_folders(repository: BareRepository, tree: str) -> set[bytes]:
    found = set()
    for path in git(repository.folder, "ls-tree", "-rz", "--name-only", tree).split("\0"):
        parts = path.encode().split(b"/")
        found |= {b"/".join(parts[:depth]) for depth in range(1, len(parts) + 1)}
    return found - {b""}


def test_lines_of_large_texts_are_counted_without_a_comparison(tmp_path: Path) -> None:
    """git needs minutes for two such texts; what changed is told all the same."""
    rng = random.Random(1)
    old, new = ("\n".join(rng.choices("0123456789", k=600_000)) + "\n" for _ in range(2))
    binary = "\0" + old
    repository, base = ready(tmp_path, {"t": old, "gone": old, "one": old, "b": binary, "s": "1\n"})
    user = tmp_path / "user"
    write(user, {"t": new, "one": old + "another\n", "b": binary + "x", "s": "2\n", "n": old})
    (user / "gone").unlink()
    git(user, "add", "-A")
    tree = git(user, "write-tree")
    git(repository.folder, "fetch", "-q", str(user), commit_all(user))
    found = {c.path: c.lines for c in repository.diff(base, tree).changes}
    assert found.pop(b"t") == sum(abs(old.count(f"{n}\n") - new.count(f"{n}\n")) for n in range(10))
    assert found == {b"gone": 600_000, b"one": 1, b"b": -1, b"s": 2, b"n": 600_000}
