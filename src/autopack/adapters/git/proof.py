"""Proof that the user's repository has a piece of work, made there by git at that moment.

Reads only. What cannot be seen is not proven: a shallow or partial clone, an incomplete history.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autopack.adapters.git.source import inspect
from autopack.adapters.git.wrapper import Git, failed
from autopack.core.errors import OperatorFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autopack.adapters.git.wrapper import Store
    from autopack.app.archive import Work
    from autopack.process.limits import Finished

COMMITS_MAX: Final = 5_000
"""Newest commits after the base whose patches are compared."""
_UNTRICKED: Final = {"GIT_GRAFT_FILE": "/dev/null"}
_CONFIG: Final = {"core.commitGraph": "false"}  # the commits themselves, no index of them
_FILE: Final = re.compile(rb"^(?=diff --git )", re.MULTILINE)
_COMMIT: Final = re.compile(rb"^([0-9a-f]{40})\n", re.MULTILINE)
"""Never inside a diff: there a line begins otherwise, and one of a binary has 36 or 41 digits."""
_PLACES: Final = re.compile(rb"^@@ .*$", re.MULTILINE)
_INDEX: Final = re.compile(rb"^index .*\n", re.MULTILINE)


def proofs(store: Store, works: Sequence[Work], source: str, base: str) -> dict[str, str]:
    """How the repository in `source` has each work, by ref; absent: it is not proven."""
    facts = inspect(store.git, Path(source))
    if facts.shallow or facts.partial or not works:
        return {}
    theirs = _History(store.git, facts.git_folder)
    trees = theirs.trees(base)
    found = {work.ref: (work.commit, "is on your branches or tags")
             for work in works if work.commit in trees}  # fmt: skip
    by_tree = {tree: commit for commit, tree in trees.items()}
    found |= {work.ref: (by_tree[work.tree], f"has the files of {by_tree[work.tree][:12]}")
              for work in works if work.ref not in found and work.tree in by_tree}  # fmt: skip
    left = [work for work in works if work.ref not in found]
    if left and trees:
        ours = patches(_History(store.git, store.folder), [work.commit for work in left])
        there = {patch: commit for commit, patch in
                 patches(theirs, list(trees)[:COMMITS_MAX]).items()}  # fmt: skip
        for work in left:
            if commit := there.get(ours.get(work.commit, ""), ""):
                found[work.ref] = commit, f"is the change of {commit[:12]}"
    if not theirs.whole({commit for commit, _ in found.values()}, base):
        return {}
    return {ref: how for ref, (_, how) in found.items()}


def patches(history: _History, commits: Sequence[str]) -> dict[str, str]:
    """A digest of each commit's change, whatever lines it stands at; merges and no change: none.

    Unlike `git patch-id`, blanks, modes and binaries count.
    """
    said = history.ask(
        "diff-tree", "--stdin", "-r", "-p", "--binary", "--full-index", "--no-renames",
        "--no-ext-diff", "--no-textconv", "--no-color", "--diff-algorithm=myers", "-U3",
        "--src-prefix=a/", "--dst-prefix=b/",
        stdin="".join(f"{commit}\n" for commit in commits).encode(),
    )  # fmt: skip
    if not said.ok or said.truncated:
        return {}
    parts = _COMMIT.split(said.stdout)[1:]
    return {
        commit.decode(): hashlib.sha256(b"".join(_settled(diff))).hexdigest()
        for commit, diff in zip(parts[::2], parts[1::2], strict=True)
        if diff.strip()
    }


def _settled(diff: bytes) -> Iterator[bytes]:
    """A diff without line numbers and, where the text tells all, without object ids."""
    for file in _FILE.split(diff):
        yield _PLACES.sub(b"@@", _INDEX.sub(b"", file) if b"\n@@ " in file else file)


@dataclass(frozen=True)
class _History:
    """One repository's commits."""

    git: Git
    folder: Path

    def ask(self, *args: str, stdin: bytes = b"") -> Finished:
        return self.git.run(
            *args, git_dir=self.folder, stdin=stdin, variables=_UNTRICKED, config=_CONFIG
        )

    def trees(self, base: str) -> dict[str, str]:
        """Commits of branches and tags that the base does not hold, newest first: their trees."""
        said = self.ask(
            "rev-list", "--no-commit-header", "--format=%H %T", "--ignore-missing",
            "--branches", "--tags", "--not", base,
        )  # fmt: skip
        if not said.ok or said.truncated:
            raise OperatorFault(f"{self.folder}: {failed('reading its history', said).what}",
                                "see what `git fsck` says there")  # fmt: skip
        pairs = (line.split(" ") for line in said.stdout.decode().splitlines())
        return dict(pairs)

    def whole(self, commits: set[str], base: str) -> bool:
        """Whether every object of these commits is there."""
        if not commits:
            return True
        stdin = "".join(f"{commit}\n" for commit in sorted(commits))
        return self.ask(
            "rev-list", "--objects", "--quiet", "--ignore-missing", "--stdin",
            stdin=f"{stdin}^{base}\n".encode(),
        ).ok  # fmt: skip
