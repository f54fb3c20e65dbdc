"""Moving a run's branch in the user's repository to another of its snapshots: a push under a lease.

First a record in our repository that keeps where the branch stood, then the push. Never a ref of
another name, never without the old value, never a deletion there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from autopack.adapters.git.delivery import Target, refused
from autopack.adapters.git.landing import EMAIL, NAME, OURS, transaction
from autopack.adapters.git.sharing import shared
from autopack.adapters.git.source import inspect
from autopack.adapters.git.wrapper import Store, failed
from autopack.app.archive import UNDONE
from autopack.app.undo import Place, Undone

_RECORD: Final = re.compile(
    r"^tagger [^\n]*> (?P<at>\d+) \+0000\n\n[^\n]*\n\n"
    r"Autopack-Left: (?P<left>\S+) ?(?P<left_tag>\S*)\n"
    r"Autopack-To: (?P<to>\S+) ?(?P<to_tag>\S*)\nAutopack-By: (?P<by>[^\n]*)$",
    re.MULTILINE,
)


class GitBranches:
    """Implements `app.undo.Branches` with the supervisor's repository of the project."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def stands(self, source: str, branch: str) -> str:
        """The commit that the branch stands at; empty when there is none."""
        folder = inspect(self._store.git, Path(source)).git_folder
        said = self._store.git.run(
            "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}", git_dir=folder
        )
        if not said.ok:
            raise failed(f"reading the branches of {source}", said)
        return said.stdout.decode().strip()

    def checked_out(self, source: str, branch: str) -> str:
        """The work tree that has it checked out; empty when none has."""
        folder = inspect(self._store.git, Path(source)).git_folder
        said = self._store.git.run("worktree", "list", "--porcelain", "-z", git_dir=folder)
        if not said.ok:
            raise failed(f"reading the work trees of {source}", said)
        for block in said.stdout.decode("utf-8", "surrogateescape").split("\0\0"):
            lines = block.split("\0")
            if f"branch refs/heads/{branch}" in lines:
                return lines[0].removeprefix("worktree ")
        return ""

    def moves(self, run_id: str) -> list[Undone]:
        """The records of a run's moves, oldest first."""
        found = [(int(ref.rpartition("/")[2]), ref) for ref in self._records(run_id)]
        return [self._read(ref) for _, ref in sorted(found)]

    def move(self, source: str, run_id: str, left: Place, to: Place, at: int, by: str) -> str:
        """Record the move, then make it under a lease on `left`; why not, empty when done."""
        with shared(self._store.folder):
            return self._move(source, run_id, left, to, self._record(run_id, left, to, at, by))

    def _move(
        self, source: str, run_id: str, left: Place, to: Place, recorded: tuple[str, str]
    ) -> str:
        ref, record = recorded
        branch = f"refs/heads/{OURS}/{run_id}"
        target = Target(self._store, source, "file")
        said = target.push({branch: to.commit}, {branch: left.commit})
        after = target.refs(run_id)
        if isinstance(after, str):  # nobody can say where it stands, so the record stays
            return after
        if said.ok or after.get(branch) == to.commit:
            return ""
        transaction(self._store, [f"delete {ref} {record}"])  # nothing moved
        return refused(said, source)

    def _record(self, run_id: str, left: Place, to: Place, at: int, by: str) -> tuple[str, str]:
        numbers = [int(ref.rpartition("/")[2]) for ref in self._records(run_id)]
        number = max(numbers, default=0) + 1
        who = " ".join(by.split()) or "somebody"
        content = (
            f"object {left.commit}\ntype commit\ntag undo-{run_id}-{number}\n"
            f"tagger {NAME} <{EMAIL}> {at} +0000\n\nautopack undo {run_id}\n\n"
            f"Autopack-Left: {left.commit} {left.tag}".rstrip()
            + f"\nAutopack-To: {to.commit} {to.tag}".rstrip()
            + "\n"
            f"Autopack-By: {who}\n"
        )
        record = self._store.oid("mktag", stdin=content.encode("utf-8", "replace"))
        ref = f"{UNDONE}/{run_id}/{number}"
        said = transaction(self._store, [f"create {ref} {record}"])
        if not said.ok or not said.stdout.endswith(b"commit: ok\n"):
            raise failed(f"creating {ref}", said)
        return ref, record

    def _records(self, run_id: str) -> list[str]:
        said = self._store.output("for-each-ref", "--format=%(refname)", f"{UNDONE}/{run_id}/")
        return [ref for ref in said.decode().split() if ref.rpartition("/")[2].isdigit()]

    def _read(self, ref: str) -> Undone:
        text = self._store.output("cat-file", "tag", ref).decode("utf-8", "replace").rstrip("\n")
        found = _RECORD.search(text)
        if found is None:
            nowhere = Place("")
            return Undone(ref, nowhere, nowhere, 0, "")
        left, to = Place(found["left"], found["left_tag"]), Place(found["to"], found["to_tag"])
        return Undone(ref, left, to, int(found["at"]), found["by"])
