"""MemoryRepository: the Repository port over dictionaries, and the user's repository beside it.

Plain files only: no modes, links or line-wise merges. Same contract as the real one otherwise.
"""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pathspec import GitIgnoreSpec

from autopack.app.ports import Blob, Cancel, Clone, CommitFacts, Outlook, Refused
from autopack.core.errors import EnvironmentFault, OperatorFault, OwnFault
from autopack.core.names import folded, printable
from autopack.core.patch import ABSENT, FILE, Change, TreeDiff
from autopack.core.promotion import tag as promotion_tag
from autopack.core.run import Finding
from autopack.testing.objects import MemoryCommit, MemoryTag, Objects, Tree
from autopack.testing.promotion import outlook, with_files
from autopack.testing.unified import PatchRefusedError, apply_patch

KEPT_NAME = b"autopack-rejected.patch"
"""Where `keep_patch` puts a patch that does not apply, as the real one does."""


@dataclass
class UserRepository:
    """Somebody's repository: refs to commits or tags; `refusal` is what it says to every push."""

    objects: Objects
    refs: dict[str, str | MemoryTag] = field(default_factory=dict)
    refusal: str = ""

    def commit(self, files: Tree, ref: str = "refs/heads/main", message: str = "a commit") -> str:
        """Commit the files on top of the ref and move it."""
        parent = self.refs.get(ref, "")
        if isinstance(parent, MemoryTag):
            raise OwnFault(f"{ref} is a tag")
        tree = self.objects.add_tree(files)
        made = self.objects.add_commit(MemoryCommit(tree, parent, message, 0))
        self.refs[ref] = made
        return made


class MemoryRepository:
    """The supervisor's repository in memory; `users` are the repositories it can reach, by address.

    `checkouts` False: clones are only remembered, and whatever is captured changed nothing.
    """

    def __init__(self, users: Mapping[str, UserRepository], *, checkouts: bool = True) -> None:
        self.users = dict(users)
        self.objects = next(iter(self.users.values())).objects if self.users else Objects()
        self.refs: dict[str, str] = {}
        self.tags: dict[str, MemoryTag] = {}
        self._checkouts = checkouts
        self._lock = threading.RLock()

    def prepare(
        self, source: str, base_ref: str, commit: str, branch: str, cancel: Cancel | None = None
    ) -> None:
        """Take the base and start the branch on it."""
        if cancel is not None and cancel.is_set():
            raise EnvironmentFault(f"fetching {source} was cut short", "try again")
        user = self.users.get(source)
        if user is None:
            raise OperatorFault(f"{source} is no folder", "name the folder of a git repository")
        if commit not in user.objects.commits:
            what = f"the base {commit} could not be fetched from {source}"
            raise EnvironmentFault(what, f"check that {base_ref} has it")
        self.refs[f"refs/source/commits/{commit}"] = commit
        there = self.refs.setdefault(f"refs/heads/{branch}", commit)
        if there != commit:
            what = f"refs/heads/{branch} stands at {there}, not at the run's base {commit}"
            raise EnvironmentFault(what, "give the run another id")

    def refs_of(self, run_id: str) -> dict[str, str]:
        """A run's branch, tags and attempts, each with the commit it stands for."""
        branch = f"refs/heads/autonomous/{run_id}"
        below = (f"refs/tags/autonomous/{run_id}/", f"refs/autopack/{run_id}/")
        known = {**self.refs, **{ref: tag.commit for ref, tag in self.tags.items()}}
        return {ref: at for ref, at in known.items() if ref == branch or ref.startswith(below)}

    # --- trees ----------------------------------------------------------------------------------

    def read(self, commit: str, path: str) -> bytes | None:
        """A file of a commit; None when it is not there."""
        return self.objects.files(commit).get(path.encode())

    def paths(self, commit: str) -> list[bytes]:
        """All file paths of a commit."""
        return sorted(self.objects.files(commit))

    def blobs(
        self, tree: str, paths: Sequence[bytes], file_bytes_max: int, bytes_max: int
    ) -> dict[bytes, Blob]:
        """Those of the paths that are files of a tree or commit, with contents where they fit."""
        files = self.objects.trees[tree] if tree in self.objects.trees else self.objects.files(tree)
        found, left = {}, bytes_max
        for path in dict.fromkeys(paths):
            if (data := files.get(path)) is not None:
                fits = len(data) <= min(file_bytes_max, left)
                left -= len(data) if fits else 0
                found[path] = Blob(len(data), data if fits else None)
        return found

    def clone(self, commit: str, folder: Path) -> Clone:
        """The commit's files in `folder`; whatever is there is deleted first."""
        files = self.objects.files(commit)
        if self._checkouts:
            self.discard(folder)
            folder.mkdir(parents=True)
            for path, content in files.items():
                file = folder / path.decode()
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
        return Clone(folder, commit, folder.with_name(f"{folder.name}.index"))

    def discard(self, folder: Path) -> None:
        """Delete a clone; absent is fine."""
        if self._checkouts and folder.exists():
            shutil.rmtree(folder)

    def left(self, folder: Path) -> bool:
        """Whether a clone is there."""
        return self._checkouts and folder.exists()

    def set_aside(self, folder: Path, to: Path, patch: bytes | None) -> Path:
        """Move a clone to a place that is free, a patch beside it."""
        place, number = to, 1
        while place.exists():
            number += 1
            place = to.with_name(f"{to.name}-{number}")
        if self._checkouts:
            place.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(place)
            if patch is not None:
                place.with_name(f"{place.name}.patch").write_bytes(patch)
        return place

    def capture(self, clone: Clone, force: Sequence[str]) -> str | Refused:
        """The clone's files as a tree; ignore rules are the base's, `force` added anyway."""
        base = self.objects.files(clone.commit)
        if not self._checkouts:
            return self.objects.add_tree(base)
        if not clone.folder.is_dir():
            return Refused((Finding("work-tree", "the clone's folder is gone; work inside it"),))
        rules = base.get(b".gitignore", b"").decode().splitlines()
        ignored = GitIgnoreSpec.from_lines(rules)
        tree = {}
        for file in clone.folder.rglob("*"):
            name = file.relative_to(clone.folder).as_posix()
            known = name.encode() in base or name in force
            if file.is_file() and (known or not ignored.match_file(name)):
                tree[name.encode()] = file.read_bytes()
        return self.objects.add_tree(tree)

    def apply(self, parent: str, patch: bytes) -> str | Refused:
        """A unified diff on top of a commit, as a tree, or why not; a blank one changes nothing."""
        files = self.objects.files(parent)
        if not patch.strip():
            return self.objects.add_tree(files)
        try:
            return self.objects.add_tree(apply_patch(files, patch))
        except PatchRefusedError as refusal:
            return Refused((Finding("patch-does-not-apply", str(refusal), refusal.path),))

    def keep_patch(self, parent: str, patch: bytes) -> str:
        """A tree with the parent's files and the patch as a file."""
        return self.objects.add_tree({**self.objects.files(parent), KEPT_NAME: patch})

    def diff(self, parent: str, tree: str) -> TreeDiff:
        """What a tree changes; moved lines within a file are not counted."""
        old, new = self.objects.files(parent), self.objects.trees[tree]
        changed = sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
        changes = tuple(_change(path, old.get(path), new.get(path)) for path in changed)
        return TreeDiff(parent, tree, changes, _clashes(set(new) - set(old), new))

    def reapply(self, commit: str, onto: str) -> str | Refused:
        """The commit's change on top of `onto`; a file that both changed is a conflict."""
        made = self.objects.commits[commit]
        base = self.objects.files(made.parent)
        mine, theirs = self.objects.trees[made.tree], self.objects.files(onto)
        result = dict(theirs)
        conflicts = []
        for path in sorted(base.keys() | mine.keys()):
            if mine.get(path) == base.get(path) or mine.get(path) == theirs.get(path):
                continue
            if theirs.get(path) != base.get(path):
                conflicts.append(Finding("conflict", "both changed it", printable(path)))
            elif path in mine:
                result[path] = mine[path]
            else:
                result.pop(path, None)
        return Refused(tuple(conflicts)) if conflicts else self.objects.add_tree(result)

    # --- commits and refs -----------------------------------------------------------------------

    def commit(self, tree: str, parent: str, message: str, at: int, ref: str) -> str:
        """Commit a tree under a new ref; the commit of a ref that exists already."""
        if not ref.startswith("refs/autopack/"):
            raise OwnFault(f"{ref} is no ref for a candidate", "report this")
        with self._lock:
            if ref not in self.refs:
                made = MemoryCommit(tree, parent, message, at)
                self.refs[ref] = self.objects.add_commit(made)
            return self.refs[ref]

    def resolve(self, ref: str) -> str | None:
        """The commit that a ref, a tag or an id stands for."""
        if ref in self.refs:
            return self.refs[ref]
        if ref in self.tags:
            return self.tags[ref].commit
        return ref if ref in self.objects.commits else None

    def tree(self, commit: str) -> str:
        """The tree of a commit; EnvironmentFault when there is none."""
        self.objects.files(commit)
        return self.objects.commits[commit].tree

    def facts(self, commit: str) -> CommitFacts:
        """Tree, parent and message of a commit; EnvironmentFault when there is none."""
        self.objects.files(commit)
        made = self.objects.commits[commit]
        return CommitFacts(made.tree, made.parent, made.message)

    def land(self, branch: str, commit: str, expected: str, tag: str, message: str, at: int) -> str:
        """Move the branch and make the tag, both or neither; the branch's commit afterwards."""
        branch_ref, tag_ref = f"refs/heads/{branch}", f"refs/tags/{tag}"
        made = MemoryTag(commit, message, at)
        with self._lock:
            if not self.objects.is_ancestor(expected, commit):
                raise OwnFault(f"{commit} does not descend from {expected}", "report this")
            tagged = self.tags.get(tag_ref)
            if tagged not in {None, made}:
                what = f"{tag_ref} exists already with another content"
                raise EnvironmentFault(what, "somebody wrote into the supervisor's repository")
            if self.refs[branch_ref] in {expected, commit}:
                self.refs[branch_ref] = commit
                self.tags[tag_ref] = made
            there = self.refs[branch_ref]
            landed = tagged is not None and self.objects.is_ancestor(commit, there)
            return commit if landed else there

    def with_files(self, commit: str, files: Mapping[str, bytes]) -> str | Refused:
        """A commit's tree with these files, or what is in their way."""
        return with_files(self.objects, commit, files)

    def outlook(
        self,
        source: str,
        branch: str,  # noqa: ARG002  what the real one asks servers for
        commit: str,
        tip: str,
        cancel: Cancel | None = None,
    ) -> Outlook:
        """How a branch of the user's repository would take the tip."""
        cut_short = cancel is not None and cancel.is_set()
        if source not in self.users or cut_short:
            return Outlook.UNKNOWN
        return outlook(self.objects, commit, tip)

    # --- delivery -------------------------------------------------------------------------------

    def deliver(
        self,
        target: str,
        run_id: str,
        tip: str,
        expected: str,
        cancel: Cancel | None = None,
        *,
        asked: bool = False,
    ) -> str:
        """Branch and tags into the user's repository under a lease; why not, empty when done."""
        if cancel is not None and cancel.is_set():
            return f"{target}: cut short"
        user = self.users.get(target)
        if user is None:
            return f"{target} cannot be read"
        branch = f"refs/heads/autonomous/{run_id}"
        wanted: dict[str, str | MemoryTag] = {branch: tip}
        for ref, tag in self.tags.items():
            ours = ref.startswith(f"refs/tags/autonomous/{run_id}/")
            if ours and self.objects.is_ancestor(tag.commit, tip):
                wanted[ref] = tag
        now = str(user.refs.get(branch, ""))
        sealed = self.tags.get(f"refs/tags/{promotion_tag(run_id)}")
        if sealed and now == sealed.commit != tip:
            return ""
        if asked and expected and (not now or self.objects.is_ancestor(now, tip)):
            expected = now
        if reason := self._taken(user, wanted, branch, expected):
            return reason
        missing = {ref: to for ref, to in wanted.items() if user.refs.get(ref) != to}
        if missing and user.refusal:
            return user.refusal
        user.refs.update(missing)
        return ""

    def _taken(
        self,
        user: UserRepository,
        wanted: Mapping[str, str | MemoryTag],
        branch: str,
        expected: str,
    ) -> str:
        now, tip = user.refs.get(branch, ""), str(wanted[branch])
        if now in {tag.commit for tag in wanted.values() if isinstance(tag, MemoryTag)}:
            expected = str(now)  # a push whose answer was lost brought it there
        if now not in {expected, tip}:
            return f"{branch} is at {now or 'nothing'}, last delivered was {expected or 'nothing'}"
        if expected and not self.objects.is_ancestor(expected, tip):
            return f"{branch} would lose commits"
        for ref, to in wanted.items():
            if ref != branch and user.refs.get(ref, to) != to:
                return f"{ref} exists there with another content"
        return ""


def _change(path: bytes, old: bytes | None, new: bytes | None) -> Change:
    before, after = Counter((old or b"").splitlines()), Counter((new or b"").splitlines())
    binary = b"\0" in (old or b"") or b"\0" in (new or b"")
    lines = -1 if binary else (before - after).total() + (after - before).total()
    modes = (ABSENT if old is None else FILE, ABSENT if new is None else FILE)
    return Change(path, *modes, len(new or b""), lines)


def _clashes(added: set[bytes], tree: Tree) -> tuple[tuple[bytes, bytes], ...]:
    pairs = {
        (ours, other)
        for ours in added
        for other in tree
        if ours != other and folded(ours) == folded(other) and not (other in added and other < ours)
    }
    return tuple(sorted(pairs))
