"""Governed apply beside the plumbing floor and beside a worktree: by a patch and by a clone.

Governed: tree from the patch (or captured from the clone), commit under a ref, diff, judgement.
Floor: index from the parent, apply, write-tree, commit-tree, update-ref, all with core.fsync=all
as ours has. python -m bench.apply
"""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path

from autopack.adapters.git.repository import BareRepository
from autopack.adapters.git.wrapper import Git
from autopack.app.ports import Refused
from autopack.core import policy
from autopack.core.event import GateVerdict
from bench import samples
from bench.measure import interleaved, ms, progress, ratio, table, times
from tests.judging import judged

GOAL = 1.5
ROUNDS = {"small": 25, "mid": 11, "large": 5}
RULES = policy.Rules(scope=("src/**",))
DURABLE = ("-c", "core.fsync=all", "-c", "core.hooksPath=/dev/null")


class Ways:
    """One repository and the ways to bring the same change into it."""

    def __init__(self, place: Path, files: int) -> None:
        self.place, self.numbers = place, count()
        source = place / "source"
        self.parent = samples.repository(source, files)
        self.patch = samples.patch(source)
        self.store = BareRepository.create(place / "store", Git())
        self.store.prepare(str(source), "main", self.parent, "autonomous/bench")
        self.clone = self.store.clone(self.parent, place / "clone")
        (place / "change.patch").write_bytes(self.patch)
        samples.git("apply", place / "change.patch", cwd=self.clone.folder)

    def to_a_ref(self) -> None:
        """The governed apply proper: what the floor does, under policy's limits."""
        self._commit(self.store.apply(self.parent, self.patch))

    def governed_patch(self) -> None:
        self._govern(self.store.apply(self.parent, self.patch))

    def clone_to_a_ref(self) -> None:
        """The same from a clone, without the judgement."""
        self._commit(self.store.capture(self.clone, ()))

    def governed_clone(self) -> None:
        self._govern(self.store.capture(self.clone, ()))

    def _commit(self, tree: str | Refused) -> str:
        assert isinstance(tree, str), tree
        ref = f"refs/autopack/bench/F1.1/{next(self.numbers)}"
        self.store.commit(tree, self.parent, "a change\n", 1, ref)
        return tree

    def _govern(self, applied: str | Refused) -> None:
        tree = self._commit(applied)
        found = judged(self.store.diff(self.parent, tree), RULES, self.store)
        assert found.verdict is GateVerdict.PASS, found

    def floor_patch(self) -> None:
        """The five plumbing calls on a temporary index."""
        index = {"GIT_INDEX_FILE": str(self.place / "floor.index")}
        where = self.store.folder
        samples.git("read-tree", self.parent, cwd=where, variables=index)
        samples.git("apply", "--cached", "-", cwd=where, stdin=self.patch, variables=index)
        self._floor(index)

    def floor_clone(self) -> None:
        """A copy of the checkout's index, add, and the same end."""
        index = {"GIT_INDEX_FILE": str(self.place / "floor.index")}
        shutil.copy2(self.clone.index, index["GIT_INDEX_FILE"])
        here = {"GIT_DIR": str(self.store.folder), "GIT_WORK_TREE": str(self.clone.folder)}
        samples.git(*DURABLE, "add", "-A", cwd=self.clone.folder, variables=index | here)
        self._floor(index)

    def _floor(self, index: dict[str, str]) -> None:
        where = self.store.folder
        tree = samples.git(*DURABLE, "write-tree", cwd=where, variables=index).decode().strip()
        arguments = ("commit-tree", tree, "-p", self.parent, "-m", "a change")
        made = samples.git(*DURABLE, *arguments, cwd=where).decode().strip()
        ref = f"refs/bench/{next(self.numbers)}"
        samples.git(*DURABLE, "update-ref", ref, made, "", cwd=where)

    def worktree(self) -> None:
        """What most tools do: a checkout for the change, then remove it."""
        where, tree = self.store.folder, self.place / "worktree"
        samples.git("worktree", "add", "-q", "--detach", tree, self.parent, cwd=where)
        samples.git("apply", "-", cwd=tree, stdin=self.patch)
        samples.git("add", "-A", cwd=tree)
        samples.git(*DURABLE, "commit", "-q", "-m", "a change", cwd=tree)
        samples.git("worktree", "remove", "--force", tree, cwd=where)


def main() -> None:
    """Print the table."""
    rows = []
    for name, files in samples.SIZES.items():
        progress(f"apply: {files:,} files")
        with samples.folder(samples.MEMORY) as place:
            ways = Ways(place, files)
            acts = {
                "ref": ways.to_a_ref,
                "patch": ways.governed_patch,
                "floor": ways.floor_patch,
                "clone ref": ways.clone_to_a_ref,
                "clone": ways.governed_clone,
                "clone floor": ways.floor_clone,
                "worktree": ways.worktree,
            }
            found = interleaved(acts, ROUNDS[name])
        rows.append((
            f"{files:,}", *(ms(found[act]) for act in acts),
            times(ratio(found["ref"], found["floor"]), GOAL),
            times(ratio(found["patch"], found["floor"]), GOAL),
            times(ratio(found["clone ref"], found["clone floor"]), GOAL),
            times(ratio(found["clone"], found["clone floor"]), GOAL),
            f"{1 / ratio(found['patch'], found['worktree']):.1f} ×",
        ))  # fmt: skip
    head = ("files", "patch to ref", "and judged", "floor", "clone to ref", "and judged",
            "floor (`add -A`)", "worktree")  # fmt: skip
    print(
        table(
            (
                *head,
                "to ref / floor",
                "judged / floor",
                "clone to ref / floor",
                "judged / floor",
                "patch faster than worktree",
            ),
            rows,
        )
    )
    print("\nMilliseconds, in memory.")


if __name__ == "__main__":
    main()
