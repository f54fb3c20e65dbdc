"""What a promotion asks of git: a run's files on top of its work, and how its base stands to it.

Changes no other path than those it is given, whatever the tree holds in their way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autopack.adapters.git.diff import diff
from autopack.adapters.git.index import index_of, scratch
from autopack.adapters.git.landing import is_ancestor, resolve
from autopack.adapters.git.source import fetch
from autopack.adapters.git.wrapper import failed
from autopack.app.ports import Outlook, Refused
from autopack.core.errors import EnvironmentFault, Fault
from autopack.core.names import printable
from autopack.core.run import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autopack.adapters.git.wrapper import Store
    from autopack.app.ports import Cancel

FINDINGS_MAX: Final = 20
FILE_MODE: Final = "100644"


def with_files(store: Store, commit: str, files: Mapping[str, bytes]) -> str | Refused:
    """The tree of a commit with these files in it; refused where something else is in their way."""
    names = sorted(files)
    with scratch(store) as folder:
        paths = []
        for number, name in enumerate(names):
            path = folder / str(number)
            path.write_bytes(files[name])
            paths.append(path)
        listed = "".join(f"{path}\n" for path in paths)
        said = store.output(
            "hash-object", "-w", "--no-filters", "--stdin-paths", stdin=listed.encode()
        )
    oids = said.decode().split()
    if len(oids) != len(names):
        what = f"git hash-object told of {len(oids)} files, {len(names)} were given"
        raise EnvironmentFault(what, "check the disk, then try again")
    lines = "".join(f"{FILE_MODE} {oid}\t{name}\0" for name, oid in zip(names, oids, strict=True))
    with index_of(store, commit) as index:
        store.output("update-index", "-z", "--index-info", stdin=lines.encode(), index=index)
        tree = store.oid("write-tree", index=index)
    ours = {name.encode() for name in names}
    others = [
        change.path for change in diff(store, commit, tree).changes if change.path not in ours
    ]
    if not others:
        return tree
    message = "stands where the run's files must go: move or rename it on the base"
    return Refused(
        tuple(Finding("in-the-way", message, printable(path)) for path in others[:FINDINGS_MAX])
    )


def outlook(
    store: Store, source: str, branch: str, commit: str, tip: str, cancel: Cancel | None = None
) -> Outlook:
    """How a branch that stands at `commit` in `source`, or elsewhere, would take the tip."""
    if resolve(store, commit) is None:
        try:
            fetch(store, source, branch, commit, cancel)
        except Fault:
            return Outlook.UNKNOWN
    if is_ancestor(store, commit, tip):
        return Outlook.UNMOVED
    said = store.run("merge-tree", "--write-tree", "-z", "--no-messages", commit, tip)
    if said.exit_code == 0:
        return Outlook.CLEAN
    if said.exit_code == 1:
        return Outlook.CONFLICTS
    raise failed("git merge-tree", said)
