"""Trees and commits in memory, which the repositories of a test may share. Knows no ref."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from autopack.core.errors import EnvironmentFault

Tree = Mapping[bytes, bytes]


@dataclass(frozen=True)
class MemoryCommit:
    """A commit: its tree's id, its parent's id (empty for a root), message and Unix seconds."""

    tree: str
    parent: str
    message: str
    at: int


@dataclass(frozen=True)
class MemoryTag:
    """An annotated tag."""

    commit: str
    message: str
    at: int


@dataclass
class Objects:
    """Trees and commits by the digest of their content: what every repository may share."""

    trees: dict[str, Tree] = field(default_factory=dict)
    commits: dict[str, MemoryCommit] = field(default_factory=dict)

    def add_tree(self, tree: Tree) -> str:
        """Keep a tree; its id."""
        name = _digest("tree", *(part for item in sorted(tree.items()) for part in item))
        self.trees.setdefault(name, dict(tree))
        return name

    def add_commit(self, commit: MemoryCommit) -> str:
        """Keep a commit; its id."""
        text = (commit.tree, commit.parent, commit.message, str(commit.at))
        name = _digest("commit", *(part.encode() for part in text))
        self.commits.setdefault(name, commit)
        return name

    def files(self, commit: str) -> Tree:
        """The files of a commit; EnvironmentFault when there is none."""
        if commit not in self.commits:
            raise EnvironmentFault(f"there is no commit {commit}", "check the repository")
        return self.trees[self.commits[commit].tree]

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `new` is `old` or descends from it."""
        while new and new != old:
            new = self.commits[new].parent
        return new == old


def _digest(kind: str, *parts: bytes) -> str:
    text = hashlib.sha1(kind.encode(), usedforsecurity=False)
    for part in parts:
        text.update(b"%d:" % len(part) + part)
    return text.hexdigest()
