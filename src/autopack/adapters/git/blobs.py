"""Many files of one tree, read by two gits: the first tells sizes, the second contents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autopack.adapters.git.wrapper import GitFailed, Store
from autopack.app.ports import Blob
from autopack.process.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

_BLOB: Final = b"blob"
_HEADS_BYTES: Final = 256
"""Of one answer beside the content: an id, a kind, a size."""
SECONDS_MAX: Final = 120.0


def blobs(
    store: Store, tree: str, paths: Sequence[bytes], file_bytes_max: int, bytes_max: int
) -> dict[bytes, Blob]:
    """As the port tells. A path that no object name can hold is not there."""
    wanted = [path for path in dict.fromkeys(paths) if path and b"\0" not in path]
    if not wanted:
        return {}
    sizes = _sizes(store, tree, wanted)
    read, left = [], bytes_max
    for path, size in sizes.items():
        if size <= min(file_bytes_max, left):
            read.append(path)
            left -= size
    contents = _contents(store, tree, read, bytes_max)
    return {path: Blob(size, contents.get(path)) for path, size in sizes.items()}


def _ask(store: Store, verb: bytes, tree: str, paths: Sequence[bytes], room: int) -> bytes:
    asked = b"".join(b"%s %s:%s\0" % (verb, tree.encode(), path) for path in paths)
    most = len(asked) + room + _HEADS_BYTES * (len(paths) + 1)
    return store.output(
        "cat-file", "--batch-command=%(objecttype) %(objectsize)", "--buffer", "-z",
        stdin=asked, limits=Limits(SECONDS_MAX, output_bytes_max=most),
    )  # fmt: skip


def _sizes(store: Store, tree: str, paths: Sequence[bytes]) -> dict[bytes, int]:
    """Sizes of those that are there and are no folders or submodules."""
    said = _ask(store, b"info", tree, paths, 0)
    found: dict[bytes, int] = {}
    at = 0
    for path in paths:
        missing = b"%s:%s missing\n" % (tree.encode(), path)
        if said.startswith(missing, at):
            at += len(missing)
            continue
        kind, size, at = _head(said, at)
        if kind == _BLOB:
            found[path] = size
    return found


def _contents(
    store: Store, tree: str, paths: Sequence[bytes], bytes_max: int
) -> dict[bytes, bytes]:
    if not paths:
        return {}
    said = _ask(store, b"contents", tree, paths, bytes_max)
    found: dict[bytes, bytes] = {}
    at = 0
    for path in paths:
        kind, size, at = _head(said, at)
        if kind != _BLOB or at + size >= len(said):
            raise _cut()
        found[path] = said[at : at + size]
        at += size + 1
    return found


def _head(said: bytes, at: int) -> tuple[bytes, int, int]:
    """Kind and size that a header tells, and where what follows it begins."""
    end = said.find(b"\n", at)
    words = said[at:end].split(b" ")
    if end < 0 or len(words) != 2 or not words[1].isdigit():
        raise _cut()
    return words[0], int(words[1]), end + 1


def _cut() -> GitFailed:
    what = "git cat-file did not tell what it was asked for"
    return GitFailed(what, "check the repository: git fsck")
