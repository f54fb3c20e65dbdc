"""What MemoryRepository does for a promotion: files on a commit, and how a base stands to it.

Never moves a ref.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from autopack.app.ports import Outlook, Refused
from autopack.core.names import printable
from autopack.core.run import Finding

if TYPE_CHECKING:
    from autopack.testing.objects import Objects


def with_files(objects: Objects, commit: str, files: Mapping[str, bytes]) -> str | Refused:
    """The commit's tree with these files; refused where a file or folder is in their way."""
    tree = dict(objects.files(commit))
    given = {name.encode(): content for name, content in files.items()}
    blocked = [
        path
        for path in tree
        for new in given
        if new.startswith(path + b"/") or path.startswith(new + b"/")
    ]
    if blocked:
        names = sorted(set(blocked))
        return Refused(tuple(Finding("in-the-way", "is in the way", printable(n)) for n in names))
    return objects.add_tree({**tree, **given})


def outlook(objects: Objects, commit: str, tip: str) -> Outlook:
    """As file-wise merging sees it: a file that both changed is a conflict."""
    if commit not in objects.commits:
        return Outlook.UNKNOWN
    if objects.is_ancestor(commit, tip):
        return Outlook.UNMOVED
    base = commit
    while base and not objects.is_ancestor(base, tip):
        base = objects.commits[base].parent
    old = objects.files(base) if base else {}
    ours, theirs = objects.files(tip), objects.files(commit)
    for path in old.keys() | ours.keys() | theirs.keys():
        mine, yours, was = ours.get(path), theirs.get(path), old.get(path)
        if mine != was and yours not in (was, mine):
            return Outlook.CONFLICTS
    return Outlook.CLEAN
