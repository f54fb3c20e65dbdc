"""The user's work tree as `app.start` and the command line look at it. Only reads, never judges."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autopack.adapters.git.source import SourceFacts, inspect, listed_files, read_file, resolve_base
from autopack.core.errors import OperatorFault

if TYPE_CHECKING:
    from autopack.adapters.git.wrapper import Git


@dataclass(frozen=True)
class Checkout:
    """A repository of the user and its facts, as they were when it was opened."""

    git: Git
    facts: SourceFacts

    @property
    def top(self) -> Path:
        return self.facts.root

    def commit(self, ref: str) -> str:
        """The commit a ref or revision names; empty when it names none."""
        try:
            return resolve_base(self.git, self.facts.git_folder, ref)
        except OperatorFault:
            return ""

    def read(self, commit: str, path: str) -> str | None:
        """A UTF-8 file of a commit; None when it is not there. OperatorFault when not UTF-8."""
        found = read_file(self.git, self.facts.git_folder, commit, path)
        try:
            return None if found is None else found.decode()
        except UnicodeDecodeError as fault:
            raise OperatorFault(f"{path} of {commit[:12]} is not UTF-8: {fault}") from fault

    def has(self, commit: str, path: str) -> bool:
        """Whether a commit has a plain file of that path."""
        return read_file(self.git, self.facts.git_folder, commit, path) is not None

    def listed(self, commit: str) -> dict[str, int]:
        """The plain files of a commit: path (what is no UTF-8 escaped) and bytes."""
        return listed_files(self.git, self.facts.git_folder, commit)

    def files(self) -> list[str]:
        """Paths in the work tree, untracked ones too unless ignored; no name that is not UTF-8."""
        kinds = ("--cached", "--others", "--exclude-standard")
        listed = self.git.run("ls-files", "-z", *kinds, cwd=self.top).stdout.split(b"\0")
        names = (name.decode(errors="replace") for name in listed if name)
        return [name for name in dict.fromkeys(names) if "\ufffd" not in name]

    def remotes(self) -> list[str]:
        found = self.git.run("remote", git_dir=self.facts.git_folder)
        return found.stdout.decode(errors="replace").split()

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `new` holds `old`; also False when one of them is not here."""
        folder = self.facts.git_folder
        return self.git.run("merge-base", "--is-ancestor", old, new, git_dir=folder).ok


def tracked_below(git: Git, folder: Path) -> frozenset[str]:
    """Paths below a folder that its work tree tracks, relative to it; none where git cannot say."""
    if not folder.is_dir():
        return frozenset()
    listed = git.run("ls-files", "-z", "--", ".", cwd=folder).stdout.split(b"\0")
    return frozenset(name.decode(errors="replace") for name in listed if name)


def open_checkout(git: Git, folder: Path) -> Checkout:
    """The work tree that holds `folder`; OperatorFault when there is none, or it is bare."""
    facts = inspect(git, folder)
    if facts.bare:
        raise OperatorFault(f"{folder}: a bare repository", "clone it, and run in the clone")
    return Checkout(git, facts)
