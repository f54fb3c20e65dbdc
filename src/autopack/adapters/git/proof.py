"""Proof that the user's repository has a piece of work, made there by git at that moment.

Reads only. What cannot be seen is not proven: a shallow or partial clone, an incomplete history;
nor is the same text at another place of a file. A commit has a change when its files are the
work's, or are what git makes of the work's change on the files as they were before that commit.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autopack.adapters.git.index import scratch
from autopack.adapters.git.source import inspect
from autopack.adapters.git.wrapper import Git, GitFailed, failed, object_of
from autopack.core.errors import OperatorFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autopack.adapters.git.wrapper import Store
    from autopack.app.archive import Work
    from autopack.process.limits import Finished

COMMITS_MAX: Final = 5_000
"""Newest commits after the base whose patches are compared."""
MERGED_MAX: Final = 16
"""Newest commits of the same text on other files whose places are tried, for each work."""
_UNTRICKED: Final = {"GIT_GRAFT_FILE": "/dev/null"}
_CONFIG: Final = {"core.commitGraph": "false"}  # the commits themselves, no index of them
_FILE: Final = re.compile(rb"^(?=diff --git )", re.MULTILINE)
_COMMIT: Final = re.compile(rb"^([0-9a-f]{40})\n", re.MULTILINE)
"""Never inside a diff: there a line begins otherwise, and one of a binary has 36 or 41 digits."""
_PLACES: Final = re.compile(rb"^@@ .*$", re.MULTILINE)
_INDEX: Final = re.compile(
    rb"^index ([0-9a-f]{40})\.\.([0-9a-f]{40})((?: [0-7]+)?\n)", re.MULTILINE
)


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
        found |= _changed(store, left, theirs, list(trees)[:COMMITS_MAX])
    if not theirs.whole({commit for commit, _ in found.values()}, base):
        return {}
    return {ref: how for ref, (_, how) in found.items()}


def _changed(
    store: Store, works: Sequence[Work], theirs: _History, commits: Sequence[str]
) -> dict[str, tuple[str, str]]:
    """By ref, the newest of these commits that makes a work's change, and how that is said."""
    ours = _changes(_History(store.git, store.folder), [work.commit for work in works])
    there: dict[str, list[tuple[str, _Change]]] = {}
    for commit, change in _changes(theirs, commits).items():
        there.setdefault(change.text, []).append((commit, change))
    found = {}
    for work in works:
        made = ours.get(work.commit)
        if made:
            commit = _taken(store, made, theirs, there.get(made.text, []))
            if commit:
                found[work.ref] = commit, f"is the change of {commit[:12]}"
    return found


@dataclass(frozen=True)
class _Change:
    """What one commit changes: a digest of its text without places, and its files' contents."""

    text: str
    files: tuple[tuple[str, str], ...]
    """Object ids before and after, of each file whose change is told as text."""


def _changes(history: _History, commits: Sequence[str]) -> dict[str, _Change]:
    """Each commit's change; of a merge, and of a commit that changes nothing: none.

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
        commit.decode(): _change(diff)
        for commit, diff in zip(parts[::2], parts[1::2], strict=True)
        if diff.strip()
    }


def _change(diff: bytes) -> _Change:
    digest, files = hashlib.sha256(), []
    for file in _FILE.split(diff):
        blobs = _INDEX.search(file) if b"\n@@ " in file else None
        if blobs:
            files.append((blobs[1].decode(), blobs[2].decode()))
            digest.update(_PLACES.sub(b"@@", _INDEX.sub(rb"index\3", file, count=1)))
        else:
            digest.update(file)
    return _Change(digest.hexdigest(), tuple(files))


def _taken(
    store: Store, change: _Change, theirs: _History, same: Sequence[tuple[str, _Change]]
) -> str:
    """The newest commit among those of the same text that has the change at its place, or none."""
    after = [blob for _, blob in change.files]
    for commit, their in same:
        if [blob for _, blob in their.files] == after:
            return commit
    return next(
        (commit for commit, their in same[:MERGED_MAX] if _merged(store, change, theirs, their)), ""
    )


def _merged(store: Store, change: _Change, theirs: _History, their: _Change) -> bool:
    """Whether the work's change, merged into each of their files before, gives the file after."""
    pairs = zip(change.files, their.files, strict=True)  # the same text names the same files
    try:
        return all(_makes(store, theirs, ours, user) for ours, user in pairs if ours[1] != user[1])
    except (GitFailed, OSError):  # an object that is lost or too large, or no room to try
        return False


def _makes(store: Store, theirs: _History, ours: tuple[str, str], user: tuple[str, str]) -> bool:
    at = [(theirs.folder, user[0]), (store.folder, ours[0]), (store.folder, ours[1])]
    with scratch(store) as folder:
        files = [folder / name for name in ("theirs", "before", "after")]
        for file, (repository, blob) in zip(files, at, strict=True):
            file.write_bytes(object_of(store.git, repository, "blob", blob))
        made = store.run("merge-file", "-p", "-q", *files)
    wanted = object_of(store.git, theirs.folder, "blob", user[1])
    return made.ok and not made.truncated and made.stdout == wanted


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
