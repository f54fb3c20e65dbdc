"""The supervisor's repository as the keeper of work: `app.archive.Archive` made of git.

A ref goes only at the commit that it was seen at; objects go only when nothing refers to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autopack.adapters.git import export, proof, secure
from autopack.adapters.git.landing import transaction
from autopack.adapters.git.sharing import shared, to_ourselves
from autopack.adapters.git.wrapper import LONG_SECONDS_MAX, Store, failed
from autopack.app.archive import KEPT, Work
from autopack.core.errors import EnvironmentFault
from autopack.core.names import printable
from autopack.process.limits import Extra, Limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from autopack.app.archive import Left
    from autopack.app.ports import Refused

YOUNG_SECONDS: Final = 3600
"""Objects that are younger stay when nothing refers to them: somebody may be about to."""


class GitArchive:
    """Implements `app.archive.Archive` in an existing bare repository."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def works(self) -> list[Work]:
        """All kept work, in the order of the refs."""
        with shared(self._store.folder):
            said = self._store.output(
                "for-each-ref", "--format=%(refname) %(objectname) %(tree) %(parent)", f"{KEPT}/"
            )
        rows = (line.split(" ") for line in said.decode("utf-8", "surrogateescape").splitlines())
        found = [Work(ref, commit, tree, parent) for ref, commit, tree, parent in rows if tree]
        own = [work for work in found if not work.ref.startswith(f"{KEPT}/_") or work.quarantined]
        return [work for work in own if work.name]

    def files(self, works: Sequence[Work]) -> Mapping[str, tuple[str, ...]]:
        """The paths that each changes against its parent, safe to show, by ref."""
        found = {}
        for work in works:
            with shared(self._store.folder):
                said = self._store.output(
                    "diff-tree", "-r", "-z", "--name-only", "--no-commit-id", "--root",
                    "--no-renames", *([work.parent] if work.parent else []), work.commit,
                )  # fmt: skip
            found[work.ref] = tuple(printable(path) for path in said.split(b"\0")[:-1])
        return found

    def export(self, phases: Mapping[str, Sequence[Work]], base: str, to: Path) -> dict[str, Path]:
        """Write a patch for each work and a bundle for each phase below `to`; patches by ref."""
        with shared(self._store.folder):
            return export.export(self._store, phases, base, to)

    def proofs(self, works: Sequence[Work], source: str, base: str) -> Mapping[str, str]:
        """Of these works those that the user's repository has, by ref: how it has them."""
        with shared(self._store.folder):
            return proof.proofs(self._store, works, source, base)

    def forget(self, works: Sequence[Work]) -> None:
        """Delete refs that still stand at their commits, all or none."""
        if works:
            deletions = [f"delete {work.ref} {work.commit}" for work in works]
            with shared(self._store.folder):
                said = transaction(self._store, deletions)
            if not said.ok or not said.stdout.endswith(b"commit: ok\n"):
                raise failed(f"deleting {works[0].ref}", said)

    def secure(self, left: Left, at: int) -> tuple[str, ...] | Refused:
        """The refs that hold a clone's whole work tree now, and the patch beside it."""
        with shared(self._store.folder):
            return secure.secure(self._store, left, at)

    def lends(self, objects: Sequence[Path]) -> bool:
        """Whether one of these folders of objects is its own."""
        return self._store.folder / "objects" in objects

    def pack(self) -> None:
        """Free the room of what nothing refers to; EnvironmentFault while others work in it."""
        with to_ourselves(self._store.folder) as alone:
            if not alone:
                what = f"{self._store.folder} is in use, by a backtest perhaps"
                raise EnvironmentFault(what, "it is packed by a clean-up after that")
            self._pack()

    def _pack(self) -> None:
        limits, tied = Limits(LONG_SECONDS_MAX), Extra(tied=True)
        ago = f"{YOUNG_SECONDS}.seconds.ago"
        for args in (
            ("repack", "-q", "-A", "-d", "-l", "--no-write-bitmap-index",
             f"--unpack-unreachable={ago}"),
            ("prune", f"--expire={ago}"),
        ):  # fmt: skip
            said = self._store.run(*args, limits=limits, extra=tied)
            if not said.ok:
                raise failed(f"packing {self._store.folder}", said)
