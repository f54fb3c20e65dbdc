"""MemoryArchive: the Archive port over a MemoryRepository and the users that it can reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from autopack.app.archive import KEPT, QUARANTINE, Left, Work
from autopack.app.ports import Clone, Refused
from autopack.core.errors import EnvironmentFault, OperatorFault
from autopack.core.names import printable
from autopack.testing.objects import MemoryTag
from autopack.testing.repository import MemoryRepository

OBJECTS: Final = Path("/memory/objects")
"""Where its objects would be."""


class MemoryArchive:
    """The kept work of a MemoryRepository; `packed` counts how often it made room."""

    def __init__(self, repository: MemoryRepository) -> None:
        self._repository = repository
        self._objects = repository.objects
        self.packed = 0

    def works(self) -> list[Work]:
        """All kept work, in the order of the refs."""
        found = []
        for ref, commit in sorted(self._repository.refs.items()):
            ours = ref.startswith(f"{KEPT}/") and not ref.startswith(f"{KEPT}/_")
            if ours or ref.startswith(f"{QUARANTINE}/"):
                made = self._objects.commits[commit]
                found.append(Work(ref, commit, made.tree, made.parent))
        return found

    def files(self, works: Sequence[Work]) -> Mapping[str, tuple[str, ...]]:
        """The paths that each changes against its parent, by ref."""
        return {
            work.ref: tuple(printable(path) for path, _, _ in self._change(work.commit))
            for work in works
        }

    def proofs(self, works: Sequence[Work], source: str, base: str) -> Mapping[str, str]:
        """How the user's repository has each of these works; absent: not proven."""
        user = self._repository.users.get(source)
        if user is None:
            raise OperatorFault(f"{source} is no folder", "name the folder of a git repository")
        there: list[str] = []
        for to in user.refs.values():
            there += self._history(to.commit if isinstance(to, MemoryTag) else to, base)
        trees = {self._objects.commits[commit].tree for commit in there}
        changes = [change for commit in there if (change := self._change(commit))]
        found = {}
        for work in works:
            if work.commit in there:
                found[work.ref] = "is on your branches or tags"
            elif work.tree in trees:
                found[work.ref] = "has the files of a commit"
            elif self._change(work.commit) in changes:
                found[work.ref] = "is the change of a commit"
        return found

    def forget(self, works: Sequence[Work]) -> None:
        """Delete refs that still stand at their commits, all or none."""
        refs = self._repository.refs
        if any(refs.get(work.ref) != work.commit for work in works):
            raise EnvironmentFault("a ref moved meanwhile", "look again")
        for work in works:
            del refs[work.ref]

    def secure(self, left: Left, at: int) -> tuple[str, ...] | Refused:
        """The refs that hold a clone's whole work tree now, and the patch beside it."""
        repository = self._repository
        clone = Clone(left.folder, left.base, left.folder.with_name(f"{left.name}.index"))
        everything = [
            path.relative_to(left.folder).as_posix() for path in left.folder.rglob("*")
        ]  # fmt: skip
        if any(name.endswith(".git") for name in everything):
            return Refused(())
        tree = repository.capture(clone, everything)
        if isinstance(tree, Refused):
            return tree
        made = [] if tree == repository.tree(left.base) else [(left.name, tree)]
        patch = left.folder.with_name(f"{left.name}.patch")
        if patch.is_file():
            made.append((patch.name, repository.keep_patch(left.base, patch.read_bytes())))
        return tuple(self._kept(left, name, tree, at) for name, tree in made)

    def lends(self, objects: Sequence[Path]) -> bool:
        """Whether one of these folders of objects is its own."""
        return OBJECTS in objects

    def pack(self) -> None:
        """Nothing takes room here."""
        self.packed += 1

    def _kept(self, left: Left, name: str, tree: str, at: int) -> str:
        for work in self.works():
            if work.run_id == left.run_id and work.tree == tree:
                return work.ref
        ref = f"{QUARANTINE}/{left.run_id}/{left.phase_id}/{name}"
        number = 1
        while ref in self._repository.refs:
            number += 1
            ref = f"{QUARANTINE}/{left.run_id}/{left.phase_id}/{name}-{number}"
        self._repository.commit(tree, left.base, f"what {name} held\n", at, ref)
        return ref

    def _history(self, commit: str, base: str) -> Iterator[str]:
        while commit and not self._objects.is_ancestor(commit, base):
            yield commit
            commit = self._objects.commits[commit].parent

    def _change(self, commit: str) -> list[tuple[bytes, bytes | None, bytes | None]]:
        made = self._objects.commits[commit]
        new = self._objects.trees[made.tree]
        old = self._objects.files(made.parent) if made.parent else {}
        return [
            (path, old.get(path), new.get(path))
            for path in sorted(old.keys() | new.keys())
            if old.get(path) != new.get(path)
        ]
