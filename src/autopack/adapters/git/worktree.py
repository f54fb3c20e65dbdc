"""A user's work tree as a commit of ours, captured as an agent's is: nothing in it is obeyed.

Ignored is what HEAD's ignore files and the repository's own `info/exclude` say. The commit's ref is
gone afterwards; writes only below `refs/autopack/_preflight` of our repository.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from autopack.adapters.git import capture, landing
from autopack.adapters.git.index import scratch
from autopack.adapters.git.wrapper import Store
from autopack.app.ports import Clone, Refused
from autopack.core.errors import OperatorFault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from autopack.adapters.git.repository import BareRepository
    from autopack.adapters.git.source import SourceFacts

REFS: Final = "refs/autopack/_preflight"
AT: Final = 1
"""Unix seconds of every such commit: the same work tree makes the same one."""
EXCLUDE_BYTES_MAX: Final = 1 << 20


@contextlib.contextmanager
def captured(repository: BareRepository, facts: SourceFacts, commit: str) -> Iterator[str]:
    """A commit on `commit`, which our repository has, of what the work tree holds.

    OperatorFault, with every reason, when it cannot be captured.
    """
    store = Store(repository.git, repository.folder)
    tree = _tree(store, facts, commit)
    ref = f"{REFS}/{commit}-{tree}"
    message = "[autopack] a work tree, for preflight\n"
    made = landing.commit_tree(store, tree, commit, message, AT, ref)
    try:
        yield made
    finally:
        store.run("update-ref", "-d", ref)


def _tree(store: Store, facts: SourceFacts, commit: str) -> str:
    with scratch(store) as private:
        index = private / "index"
        store.output("read-tree", commit, index=index)
        rules = capture.base_rules(store, index) + b"\n" + _excluded(facts.git_folder)
        made = capture.capture(store, Clone(facts.root, commit, index), (), rules)
    if isinstance(made, Refused):
        told = "\n".join(
            f"{each.path}: {each.message}" if each.path else each.message for each in made.findings
        )
        raise OperatorFault(
            f"the work tree of {facts.root} cannot be taken as it is:\n{told}",
            "mend that, or commit and test the commit",
        )
    return made


def _excluded(git_folder: Path) -> bytes:
    """The user's own ignore rules, as text: git obeys them in their repository, too."""
    try:
        with (git_folder / "info" / "exclude").open("rb") as file:
            return file.read(EXCLUDE_BYTES_MAX)
    except OSError:
        return b""
