"""Which tests a change touches. Never reads a file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from autopack.core.blame import Red
from autopack.core.idset import IdSet
from autopack.core.selection import file_of
from autopack.core.test_file import is_folder, is_module, is_test_file


def touched(
    reds: Iterable[Red], changed: Collection[str], paths: Collection[str], parent: IdSet | None
) -> Mapping[str, str]:
    """Why a red test counts as one that the change adds or edits, by id; others are left out.

    `changed`: paths of the change. `paths`: files of the candidate. `parent`: the tests of its
    parent, when they are known.
    """
    serving = sorted(path for path in changed if is_test_file(path) and not is_module(path))
    found = {}
    for red in reds:
        file = file_of(red, paths)
        support = next((path for path in serving if file and _serves(path, file)), "")
        if file and file in changed:
            found[red.test] = f"{file} is part of the change"
        elif support:
            found[red.test] = f"{support}, which may serve it, is part of the change"
        elif not file and any(map(is_test_file, changed)):
            found[red.test] = "the change has tests, and its report does not tell its file"
        elif parent is not None and parent.whole and red.test not in parent.every:
            found[red.test] = "it is not on the parent commit"
    return found


def _serves(support: str, file: str) -> bool:
    """A support file serves what is below its folder, and all tests of the same test folder."""
    folders, beside = support.split("/")[:-1], file.split("/")[:-1]
    inside = next((n for n, part in enumerate(folders, 1) if is_folder(part)), len(folders))
    return beside[:inside] == folders[:inside]
