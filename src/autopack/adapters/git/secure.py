"""The work tree of a clone that nobody captured, kept as a commit under a ref of the quarantine.

The whole of it: also what ignore rules hide, unless git cannot take that; then the message of the
commit names what was left out. Adds objects and refs, moves and deletes none.
"""

from __future__ import annotations

import os
import shutil
from bisect import bisect_left
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autopack.adapters.git.capture import base_rules, capture
from autopack.adapters.git.clone import saved_index
from autopack.adapters.git.index import scratch
from autopack.adapters.git.landing import OURS, commit_tree, facts
from autopack.adapters.git.patch import keep_patch
from autopack.app.archive import KEPT, QUARANTINE
from autopack.app.ports import Clone, Refused
from autopack.core.errors import EnvironmentFault
from autopack.core.names import printable

if TYPE_CHECKING:
    from autopack.adapters.git.wrapper import Store
    from autopack.app.archive import Left

NAMES_MAX: Final = 1_000
"""Clones of one name; each is kept under a number behind it."""
LEFT_OUT_MAX: Final = 100
"""Ignored files and folders that a commit's message names; of the others it tells the number."""


def secure(store: Store, left: Left, at: int) -> tuple[str, ...] | Refused:
    """The refs that hold the clone's work; made when there is none yet, empty when it has none."""
    with scratch(store) as private:
        index = private / "saved"
        parent = _parent(store, left, index)
        clone, left_out = Clone(left.folder, parent, index), ""
        tree = capture(store, clone, (), b"", whole=True)
        if isinstance(tree, Refused):
            whole, tree = tree, capture(store, clone, ())
            if isinstance(tree, Refused):
                return whole
            left_out = _left_out(store, clone, tree, private / "rules")
    refs = []
    if tree != facts(store, parent).tree:
        refs.append(_kept(store, left, left.name, tree, parent, at, left_out))
    beside = patch_beside(left.folder)
    if beside.is_file():
        tree = keep_patch(store, parent, beside.read_bytes())
        refs.append(_kept(store, left, f"{left.name}.patch", tree, parent, at))
    return tuple(refs)


def patch_beside(folder: Path) -> Path:
    """Where the patch of a clone that was set aside lies."""
    return folder.with_name(f"{folder.name}.patch")


def _parent(store: Store, left: Left, index: Path) -> str:
    """The commit that the clone was made of; `index` becomes a copy of its index at checkout.

    It is the run's commit with the files of that index. Without one it is the run's base.
    """
    try:
        shutil.copy2(saved_index(left.folder), index)
    except FileNotFoundError:
        store.output("read-tree", left.base, index=index)
        return left.base
    copy = index.with_name("read")
    shutil.copyfile(index, copy)
    tree = store.oid("write-tree", index=copy)
    said = store.output(
        "rev-list", "--no-commit-header", "--format=%H %T", "--ignore-missing", left.base,
        f"refs/heads/{OURS}/{left.run_id}", f"--glob={KEPT}/{left.run_id}", f"^{left.base}^@",
    )  # fmt: skip
    found = {made: commit for commit, made in (line.split(" ") for line in said.decode().split("\n")
                                               if line)}  # fmt: skip
    return found.get(tree, left.base)


def _left_out(store: Store, clone: Clone, tree: str, rules: Path) -> str:
    """What of the work tree is not in `tree`, as lines of a commit's message."""
    rules.write_bytes(base_rules(store, clone.index))
    found: dict[bytes, None] = {}
    for more in ((), ("-i", f"--exclude-from={rules}")):  # no ignore file of the agent's is opened
        listed = store.output(
            "ls-files", "-z", "-o", "--directory", *more,
            index=clone.index, work_tree=clone.folder,
        )  # fmt: skip
        found |= dict.fromkeys(listed.split(b"\0")[:-1])
    taken = sorted(store.output("ls-tree", "-r", "-z", "--name-only", tree).split(b"\0")[:-1])
    names = []
    for path in sorted(found):
        at = bisect_left(taken, path)
        if not any(each.startswith(path) for each in taken[at : at + 1]):
            names.append(printable(path))
    untold = len(names) - LEFT_OUT_MAX
    lines = [*names[:LEFT_OUT_MAX], *([f"and {untold:,} more"] if untold > 0 else [])]
    return "".join(f"  {line}\n" for line in lines)


def _kept(
    store: Store, left: Left, name: str, tree: str, parent: str, at: int, left_out: str = ""
) -> str:
    """The ref of a commit with this tree: the run's, else the quarantine's, else a new one."""
    said = store.output(
        "for-each-ref", "--format=%(refname) %(tree)",
        f"{KEPT}/{left.run_id}/", f"{QUARANTINE}/{left.run_id}/",
    )  # fmt: skip
    known = dict(line.split(" ") for line in os.fsdecode(said).splitlines())
    for ref, there in known.items():
        if there == tree:
            return ref
    message = f"[autopack] {left.phase_id}: what {name} held\n\n"
    if left_out:
        message += f"Ignored, and left out because git cannot take the whole:\n{left_out}\n"
    message += f"Autopack-Run: {left.run_id}\n"
    prefix = f"{QUARANTINE}/{left.run_id}/{left.phase_id}"
    for number in range(1, NAMES_MAX):
        ref = f"{prefix}/{name}" if number == 1 else f"{prefix}/{name}-{number}"
        if ref not in known:
            commit = commit_tree(store, tree, parent, message, at, ref)
            if facts(store, commit).tree == tree:
                return ref
    raise EnvironmentFault(f"{prefix}/{name}: {NAMES_MAX} of that name are kept", "look at them")
