"""A repository's own commits, to be replayed: their patches, their files, and refs of a backtest.

Reads whatever repository it is given; writes only below `refs/autopack/_backtest` of ours.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import filelock

from autopack.adapters.git import source
from autopack.adapters.git.clone import CHECKOUT
from autopack.adapters.git.index import scratch
from autopack.adapters.git.patch import PATCH_BYTES_MAX
from autopack.adapters.git.wrapper import LONG_SECONDS_MAX, Store, failed
from autopack.app.backtest import REFS, Past
from autopack.core.errors import OperatorFault
from autopack.process.limits import Ended, Limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from autopack.adapters.git.repository import BareRepository
    from autopack.adapters.git.wrapper import Git
    from autopack.app.ports import Clone

PATCH_LIMITS: Final = Limits(wall_seconds_max=120, output_bytes_max=PATCH_BYTES_MAX + 1)
LOCK_NAME: Final = "autopack-backtesting"
"""Not `*.lock`: those are git's, and deleted when their git is dead."""
_IDENTITY: Final = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "Autopack"), ("EMAIL", "autopack@localhost"), ("DATE", "@1 +0000"))
}


@dataclass(frozen=True)
class GitHistory:
    """Implements `app.backtest.History` over the repository in `store.folder`."""

    store: Store

    def patch(self, commit: str) -> bytes:
        """What a commit changed against its first parent; over PATCH_BYTES_MAX its head only."""
        known = source.COMMIT.fullmatch(commit) is not None
        found = commit if known else source.resolve_base(self.store.git, self.store.folder, commit)
        said = self.store.run(
            "diff-tree", "--root", "-m", "--diff-merges=first-parent", "--no-commit-id", "-p",
            "-M", "--binary", "--full-index", "--no-ext-diff", "--no-textconv", "--no-color",
            "--src-prefix=a/", "--dst-prefix=b/", "--no-relative", "--ignore-submodules=none",
            "--submodule=short", "--unified=3", "--inter-hunk-context=0", found,
            limits=PATCH_LIMITS,
        )  # fmt: skip
        if not said.ok and said.ended is not Ended.OUTPUT_LIMIT:
            raise failed(f"making the patch of {commit}", said)
        return said.stdout

    def lay_out(self, commit: str, clone: Clone) -> None:
        """Make the clone's files those of the commit, whose parent it stands on.

        Only in a repository of ours, whose attributes convert nothing.
        """
        with scratch(self.store) as private:
            index = private / "index"
            shutil.copy2(clone.index, index)  # with its time stamp, or same-size edits are lost
            said = self.store.run(
                "read-tree", "-m", "-u", clone.commit, commit, work_tree=clone.folder, index=index,
                config=CHECKOUT, limits=Limits(LONG_SECONDS_MAX),
            )  # fmt: skip
        if not said.ok:
            raise failed(f"laying out {commit} in {clone.folder}", said)

    def last(self, tip: str, last: int) -> list[Past]:
        """The last commits that are no merges, children before parents, each with its own parent.

        Commits of merged branches are among them: where work is merged, it was done there.
        """
        said = self.store.output(
            "log", "-z", "--no-merges", "--topo-order", f"--max-count={last}",
            "--no-show-signature", "--no-mailmap", "--encoding=UTF-8",
            "--format=%H %T %P%x00%s", "--end-of-options", tip,
        )  # fmt: skip
        fields = said.split(b"\0")
        heads, subjects = fields[:-1:2], fields[1::2]
        rows = [head.decode().split(" ") for head in heads]
        paths = self._paths([row[0] for row in rows])
        empty = self._empty() if any(not row[2] for row in rows) else ""
        return [
            Past(commit, parent, parent or empty, tree, subject.decode(errors="replace"),
                 tuple(paths.get(commit, ())))
            for (commit, tree, parent), subject in zip(rows, subjects, strict=True)
        ]  # fmt: skip

    def _paths(self, commits: Sequence[str]) -> dict[str, list[bytes]]:
        said = self.store.output(
            "diff-tree", "--stdin", "-r", "-z", "--root", "--raw", "--no-renames", "--no-relative",
            "--ignore-submodules=none", stdin="".join(f"{each}\n" for each in commits).encode(),
        )  # fmt: skip
        found: dict[str, list[bytes]] = {}
        here: list[bytes] = []
        fields = iter(said.split(b"\0")[:-1])
        for field in fields:
            if field.startswith(b":"):
                here.append(next(fields))
            else:
                here = found.setdefault(field.decode(), [])
        return found

    def _empty(self) -> str:
        """A commit without files, for root commits to stand on."""
        tree = self.store.oid("mktree", stdin=b"")
        return self.store.oid("commit-tree", tree, stdin=b"nothing\n", variables=_IDENTITY)


def open_history(git: Git, folder: Path) -> GitHistory:
    """The history of the repository that holds `folder`; OperatorFault when there is none."""
    return GitHistory(Store(git, source.inspect(git, folder).git_folder))


@contextlib.contextmanager
def backtesting(
    repository: BareRepository, origin: str, base_ref: str, tip: str
) -> Iterator[GitHistory]:
    """Our repository with the tip's history in it, and no ref of a backtest before and after.

    OperatorFault while another backtest works in it.
    """
    store = Store(repository.git, repository.folder)
    lock = filelock.FileLock(repository.folder / LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise OperatorFault(
            f"another backtest of {origin} is under way", "let it end, or end it first"
        ) from None
    try:
        _forget(store)  # of one that was killed
        source.fetch(store, origin, base_ref, tip)
        yield GitHistory(store)
    finally:
        try:
            _forget(store)
        finally:
            lock.release()


def _forget(store: Store) -> None:
    """Remove the refs of a backtest; what only they held stays until the repository is packed."""
    said = store.output("for-each-ref", "--format=delete %(refname) %(objectname)", f"{REFS}/")
    if said:
        store.output("update-ref", "--no-deref", "--stdin", stdin=said)
