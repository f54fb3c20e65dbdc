"""What a candidate changes, as git tells it of the resulting tree. Trusts no agent's patch."""

from __future__ import annotations

from dataclasses import dataclass

ABSENT = "000000"
FILE = "100644"
EXECUTABLE = "100755"
SYMLINK = "120000"
GITLINK = "160000"


@dataclass(frozen=True)
class Change:
    """One path of `git diff-tree -r -z --no-renames --raw`, with its changed lines.

    `path`: the raw bytes, which need not be UTF-8. Modes are git's six digits, ABSENT for none.
    `size`: bytes of the new blob; `lines` added plus removed, -1 for a binary file.
    `target`: where a new symlink points, empty otherwise.
    """

    path: bytes
    old_mode: str
    new_mode: str
    size: int = 0
    lines: int = 0
    target: str = ""


@dataclass(frozen=True)
class TreeDiff:
    """Changes from `parent` (a commit) to `tree`, and what only the whole tree can tell."""

    parent: str
    tree: str
    changes: tuple[Change, ...]
    clashes: tuple[tuple[bytes, bytes], ...] = ()
    """Pairs of paths of the new tree that are one on a case-folding or NFC file system."""
    clashes_known: bool = True
    """False when the new paths are too many and too deep to be compared."""
