"""What a tree changes, told by git of the two trees themselves; no patch is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autopack.adapters.git.wrapper import GitFailed, Store
from autopack.core.names import folded
from autopack.core.patch import ABSENT, GITLINK, SYMLINK, Change, TreeDiff

if TYPE_CHECKING:
    from collections.abc import Iterator

TARGET_BYTES_MAX: Final = 4096  # PATH_MAX; a longer link cannot be followed and is told as empty
CLASHES_MAX: Final = 100  # pairs told


def diff(store: Store, parent: str, tree: str) -> TreeDiff:
    """The changes from a commit to a tree."""
    said = store.output(
        "diff-tree", "-r", "-z", "--no-renames", "--raw", "--numstat", "--no-abbrev",
        "--no-ext-diff", "--no-textconv", "--no-color", parent, tree,
    )  # fmt: skip
    raw, lines = _parse(said)
    sizes = _sizes(store, [oid for _, _, mode, oid in raw if mode not in (ABSENT, GITLINK)])
    links = [
        oid for _, _, mode, oid in raw if mode == SYMLINK and sizes.get(oid, 0) <= TARGET_BYTES_MAX
    ]
    targets = _targets(store, links)
    changes = tuple(
        Change(
            path,
            old,
            new,
            sizes.get(oid, 0),
            lines.get(path, 0),
            targets.get(oid, "") if new == SYMLINK else "",
        )
        for path, old, new, oid in raw
    )
    return TreeDiff(parent, tree, changes, _clashes(store, parent, tree, changes))


def tree_paths(store: Store, tree: str, *, folders: bool = False) -> list[bytes]:
    """All paths of a tree or commit, in git's order."""
    options = ["-t"] if folders else []
    said = store.output("ls-tree", "-r", *options, "-z", "--name-only", "--full-tree", tree)
    return said.split(b"\0")[:-1]


_Raw = tuple[bytes, str, str, str]


def _parse(said: bytes) -> tuple[list[_Raw], dict[bytes, int]]:
    """Raw records (path, old mode, new mode, new id), then changed lines by path."""
    fields = iter(said.split(b"\0")[:-1])
    raw: list[_Raw] = []
    lines: dict[bytes, int] = {}
    for head in fields:
        if head.startswith(b":"):
            old, new, _, oid, _ = head[1:].decode().split(" ")
            raw.append((next(fields), old, new, oid))
        else:
            added, removed, path = head.split(b"\t", 2)
            lines[path] = -1 if added == b"-" else int(added) + int(removed)
    return raw, lines


def _sizes(store: Store, oids: list[str]) -> dict[str, int]:
    if not oids:
        return {}
    asked = "".join(f"{oid}\n" for oid in oids).encode()
    said = store.output("cat-file", "--batch-check=%(objectname) %(objectsize)", stdin=asked)
    pairs = (line.split() for line in said.decode().splitlines())
    sizes = {oid: int(size) for oid, size in pairs if size.isdigit()}
    if len(sizes) != len(set(oids)):
        raise GitFailed("git cat-file did not tell the size of every blob", "check the repository")
    return sizes


def _targets(store: Store, oids: list[str]) -> dict[str, str]:
    if not oids:
        return {}
    asked = "".join(f"{oid}\n" for oid in oids).encode()
    said = store.output("cat-file", "--batch=%(objectname) %(objectsize)", stdin=asked)
    targets: dict[str, str] = {}
    at = 0
    while at < len(said):
        end = said.index(b"\n", at)
        oid, size = said[at:end].decode().split()
        content = said[end + 1 : end + 1 + int(size)]
        targets[oid] = content.decode("utf-8", "backslashreplace")
        at = end + 2 + int(size)
    return targets


def _clashes(
    store: Store, parent: str, tree: str, changes: tuple[Change, ...]
) -> tuple[tuple[bytes, bytes], ...]:
    """Pairs of an added path (or a folder of one) and another path that folds to the same."""
    added = {
        prefix
        for change in changes
        if change.old_mode == ABSENT
        for prefix in _prefixes(change.path)
    }
    if not added:
        return ()
    pairs = _same(added, tree_paths(store, tree, folders=True))
    if not pairs:
        return ()
    known = set(tree_paths(store, parent, folders=True))
    fresh = [(ours, other) for ours, other in pairs if ours not in known or other not in known]
    return tuple(sorted(fresh)[:CLASHES_MAX])


def _same(added: set[bytes], names: list[bytes]) -> set[tuple[bytes, bytes]]:
    wanted: dict[bytes, list[bytes]] = {}
    for path in added:
        wanted.setdefault(folded(path), []).append(path)
    keys = b"\0".join(names)
    lowered = keys.lower().split(b"\0") if keys.isascii() else [folded(name) for name in names]
    return {
        (ours, name)
        for key, name in zip(lowered, names, strict=True)
        if key in wanted
        for ours in wanted[key]
        if ours != name and not (name in added and name < ours)  # each pair once
    }


def _prefixes(path: bytes) -> Iterator[bytes]:
    yield path
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path
