"""Unified diffs onto files in memory, for the fake repository: text only, no fuzz, no renames.

Far less than git: what it does not know it refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_HUNK = re.compile(rb"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_IGNORED = (b"diff ", b"index ", b"new file mode 100644", b"deleted file mode 100644")


class PatchRefusedError(Exception):
    """The patch does not apply, or is more than this module knows."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


@dataclass
class _File:
    """One file's part of a patch; an absent side has no path."""

    old: bytes
    new: bytes
    hunks: list[tuple[int, list[bytes], list[bytes]]] = field(default_factory=list)


def apply_patch(files: Mapping[bytes, bytes], patch: bytes) -> dict[bytes, bytes]:
    """The files after the patch; PatchRefusedError when it does not apply."""
    result = dict(files)
    for part in _parts(patch):
        name = part.old or part.new
        if bool(part.old) != (name in result):
            told = "does not exist" if part.old else "exists already"
            raise PatchRefusedError(f"{name.decode(errors='replace')} {told}", name.decode())
        content = _patched(result.pop(part.old, b""), part)
        if part.new:
            result[part.new] = content
    return result


def _parts(patch: bytes) -> list[_File]:
    lines = iter(patch.splitlines(keepends=True))
    parts: list[_File] = []
    for line in lines:
        if line.startswith(b"--- "):
            parts.append(_File(_name(line), _name(next(lines, b""))))
        elif found := _HUNK.match(line):
            if not parts:
                raise PatchRefusedError("a hunk stands before any file")
            parts[-1].hunks.append(_hunk(found, lines))
        elif not line.startswith(_IGNORED) and line.strip():
            raise PatchRefusedError(f"corrupt patch at {line!r}")
    if not parts:
        raise PatchRefusedError("no valid patches in input")
    return parts


def _name(line: bytes) -> bytes:
    name = line[4:].split(b"\t")[0].rstrip(b"\r\n")
    return b"" if name == b"/dev/null" else name.partition(b"/")[2]


def _hunk(found: re.Match[bytes], lines: Iterator[bytes]) -> tuple[int, list[bytes], list[bytes]]:
    start, old_left, new_left = int(found[1]), int(found[2] or 1), int(found[4] or 1)
    old: list[bytes] = []
    new: list[bytes] = []
    while old_left > len(old) or new_left > len(new):
        line = next(lines, b"")
        kind, text = line[:1], line[1:]
        if kind not in {b" ", b"-", b"+"}:
            raise PatchRefusedError(f"corrupt patch at {line!r}")
        if kind != b"+":
            old.append(text)
        if kind != b"-":
            new.append(text)
    return start, old, new


def _patched(content: bytes, part: _File) -> bytes:
    """Each hunk where it says it belongs, moved by what the hunks before it added."""
    lines = content.splitlines(keepends=True)
    moved = 0
    for start, old, new in part.hunks:
        at = max(0, start - 1) + moved if old else start + moved
        if lines[at : at + len(old)] != old:
            name = (part.old or part.new).decode()
            raise PatchRefusedError(f"{name}: patch does not apply at line {start}", name)
        lines[at : at + len(old)] = new
        moved += len(new) - len(old)
    if not part.new and lines:
        raise PatchRefusedError("a deleted file keeps content", part.old.decode())
    return b"".join(lines)
