"""What a tree changes, told by git of the two trees themselves; no patch is read."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from autopack.adapters.git.wrapper import GitFailed, Store, failed, object_of, records, sure
from autopack.core.names import folded
from autopack.core.patch import ABSENT, GITLINK, SYMLINK, Change, TreeDiff

if TYPE_CHECKING:
    from collections.abc import Iterator

BINARY_BYTES: Final = 8000  # in which git looks for a NUL
TARGET_BYTES_MAX: Final = 4096  # PATH_MAX; a longer link cannot be followed and is told as empty
DIFF_BYTES_MAX: Final = 1 << 20
"""Of a text that git compares, 2 s at worst; for 10 MB of short lines it takes minutes."""
BAGS_BYTES_MAX: Final = 20 << 20  # of all larger texts: one of the size policy takes, old and new
CLASHES_MAX: Final = 100  # pairs told
FOLDERS_LOOKED_MAX: Final = 500_000  # steps from the root to all added folders; about 6 s
FOLDERS_BYTES_MAX: Final = 64 << 20  # of the added paths and their folders


def diff(store: Store, parent: str, tree: str) -> TreeDiff:
    """The changes from a commit to a tree.

    Of texts over DIFF_BYTES_MAX the changed lines are those that one side has more often.
    """
    said = sure(lambda: store.run(
        "diff-tree", "-r", "-z", "--no-renames", "--raw", "--numstat", "--no-abbrev",
        "--no-ext-diff", "--no-textconv", "--no-color", parent, tree,
        config={"core.bigFileThreshold": str(DIFF_BYTES_MAX)},
    ))  # fmt: skip
    raw, lines = _parse(records("git diff-tree", said))
    if {path for path, *_ in raw} != lines.keys():  # what is not told is not judged
        raise failed("git diff-tree told a part only", said)
    added = _with_folders([path for path, old, *_ in raw if old == ABSENT])
    wanted = [oid for _, _, mode, _, oid in raw if mode not in (ABSENT, GITLINK)]
    wanted += [
        oid
        for path, mode, _, oid, _ in raw
        if lines.get(path) == -1 and mode not in (ABSENT, GITLINK)
    ]
    sizes, siblings = _look_up(
        store,
        tree,
        wanted,
        added or set(),
    )
    lines |= _bags(store, raw, lines, sizes)
    links = [
        oid
        for _, _, mode, _, oid in raw
        if mode == SYMLINK and sizes.get(oid, 0) <= TARGET_BYTES_MAX
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
        for path, old, new, _, oid in raw
    )
    clashes = _clashes(store, parent, tree, added) if added and _same(added, siblings) else ()
    return TreeDiff(parent, tree, changes, clashes, clashes_known=added is not None)


def tree_paths(store: Store, tree: str, *, folders: bool = False) -> list[bytes]:
    """All paths of a tree or commit, in git's order."""
    options = ["-t"] if folders else []
    argv = ("ls-tree", "-r", *options, "-z", "--name-only", "--full-tree", tree)
    return records("git ls-tree", sure(lambda: store.run(*argv)))


_Raw = tuple[bytes, str, str, str, str]
_CUT: Final = "git cat-file told a part only of what it was asked for"


def _parse(said: list[bytes]) -> tuple[list[_Raw], dict[bytes, int]]:
    """Raw records (path, old mode, new mode, old id, new id), then changed lines by path."""
    fields = iter(said)
    raw: list[_Raw] = []
    lines: dict[bytes, int] = {}
    for head in fields:
        if head.startswith(b":"):
            old, new, was, oid, _ = head[1:].decode().split(" ")
            raw.append((next(fields, b""), old, new, was, oid))
        else:
            added, removed, path = head.split(b"\t", 2)
            lines[path] = -1 if added == b"-" else int(added) + int(removed)
    return raw, lines


def _bags(
    store: Store, raw: list[_Raw], lines: dict[bytes, int], sizes: dict[str, int]
) -> dict[bytes, int]:
    """Changed lines of the large texts, without regard to their order."""
    found: dict[bytes, int] = {}
    left = BAGS_BYTES_MAX
    for path, _, _, *oids in raw:
        told = [sizes.get(oid, 0) for oid in oids]
        if lines.get(path) == -1 and max(told) > DIFF_BYTES_MAX and sum(told) <= left:
            left -= sum(told)
            old, new = (
                object_of(store.git, store.folder, "blob", oid) if oid in sizes else b""
                for oid in oids
            )
            if b"\0" not in old[:BINARY_BYTES] + new[:BINARY_BYTES]:
                bag = Counter(old.splitlines())
                bag.subtract(new.splitlines())
                found[path] = sum(abs(count) for count in bag.values())
    return found


def _look_up(
    store: Store, tree: str, oids: list[str], added: set[bytes]
) -> tuple[dict[str, int], list[bytes]]:
    """Blobs' sizes and everything beside the added paths, from one process.

    A path that another folds to has, at some depth, a sibling that a part of it folds to.
    """
    wanted = list(dict.fromkeys(oids))
    folders = sorted({path.rpartition(b"/")[0] for path in added})
    if not wanted and not folders:
        return {}, []
    asked = [b"info " + oid.encode() for oid in wanted]
    asked += [b"contents " + tree.encode() + b":" + folder for folder in folders]
    said = store.output(
        "cat-file", "--batch-command=%(objecttype) %(objectsize)", "--buffer", "-z",
        stdin=b"".join(line + b"\0" for line in asked),
    )  # fmt: skip
    sizes: dict[str, int] = {}
    siblings: list[bytes] = []
    at = 0
    for oid in wanted:
        sizes[oid], at = _header(said, at, b"blob")
    for folder in folders:
        size, at = _header(said, at, b"tree")
        if at + size >= len(said):
            raise GitFailed(_CUT, "run it again")
        above = folder + b"/" if folder else b""
        siblings += [above + name for name in _names(said[at : at + size])]
        at += size + 1
    return sizes, siblings


def _header(said: bytes, at: int, kind: bytes) -> tuple[int, int]:
    """The size that a header tells, and where what follows it begins."""
    end = said.find(b"\n", at)
    words = said[at:end].split(b" ")
    if end < 0 or len(words) != 2 or words[0] != kind or not words[1].isdigit():
        what = f"git cat-file did not tell a {kind.decode()} that the tree names"
        raise GitFailed(what, "check the repository: git fsck")
    return int(words[1]), end + 1


def _names(content: bytes) -> Iterator[bytes]:
    """The names in a tree object: mode, space, name, NUL, 20 bytes of id; again."""
    at = 0
    while at < len(content):
        end = content.index(b"\0", at)
        yield content[content.index(b" ", at) + 1 : end]
        at = end + 21


def _targets(store: Store, oids: list[str]) -> dict[str, str]:
    if not oids:
        return {}
    asked = "".join(f"{oid}\n" for oid in oids).encode()
    said = store.output("cat-file", "--batch=%(objectname) %(objectsize)", stdin=asked)
    targets: dict[str, str] = {}
    at = 0
    while at < len(said):
        oid, _, size = said[at : said.find(b"\n", at)].decode("ascii", "replace").partition(" ")
        at += len(oid) + len(size) + 2
        if not size.isdigit() or at + int(size) >= len(said):
            break
        targets[oid] = said[at : at + int(size)].decode("utf-8", "backslashreplace")
        at += int(size) + 1
    if targets.keys() != set(oids):
        raise GitFailed(_CUT, "run it again")
    return targets


def _clashes(
    store: Store, parent: str, tree: str, added: set[bytes]
) -> tuple[tuple[bytes, bytes], ...]:
    """Pairs of an added path (or a folder of one) and another path that folds to the same."""
    pairs = _same(added, tree_paths(store, tree, folders=True))
    if not pairs:
        return ()
    known = set(tree_paths(store, parent, folders=True))
    fresh = [(ours, other) for ours, other in pairs if ours not in known or other not in known]
    return tuple(sorted(fresh)[:CLASHES_MAX])


def _same(added: set[bytes], names: list[bytes]) -> set[tuple[bytes, bytes]]:
    if not added:
        return set()
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


def _with_folders(paths: list[bytes]) -> set[bytes] | None:
    """The paths and all their folders; None when looking them up would take too long."""
    found: set[bytes] = set()
    steps = size = 0
    for path in paths:
        step, depth = path, path.count(b"/")
        while step and step not in found:
            found.add(step)
            steps += depth
            size += len(step)
            if steps > FOLDERS_LOOKED_MAX or size > FOLDERS_BYTES_MAX:
                return None
            step, depth = step.rpartition(b"/")[0], depth - 1
    return found
