"""The supervisor's bare repository of one project: the port's methods over the modules here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from autopack.adapters.git import (
    blobs,
    capture,
    clone,
    delivery,
    diff,
    landing,
    locks,
    patch,
    promotion,
    source,
)
from autopack.adapters.git.discard import Discards
from autopack.adapters.git.known import Known
from autopack.adapters.git.upkeep import Upkeep
from autopack.adapters.git.wrapper import Git, Store, failed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from autopack.app.ports import Blob, Cancel, Clone, CommitFacts, Outlook, Refused
    from autopack.core.patch import TreeDiff
    from autopack.process.limits import Identity

SETTINGS: Final = {
    "core.fsync": "all",
    "core.logAllRefUpdates": "false",
    "gc.auto": "0",
    "receive.fsckObjects": "true",
    "uploadpack.allowAnySHA1InWant": "true",
}


class BareRepository:
    """Implements `app.ports.Repository` with git; make it with `create`."""

    def __init__(
        self,
        folder: Path,
        git: Git,
        identity: Identity | None = None,
        private_root: Path | None = None,
        *,
        alone: bool = False,
    ) -> None:
        """See `create`, which also makes the repository."""
        self.folder = folder
        self.git = Git(git.environment, git.program, os.fspath(folder))
        self._store = Store(self.git, folder, alone)
        self._identity, self._private_root = identity, private_root
        self._discards = Discards()
        self._known = Known()
        self._upkeep = Upkeep(self._store)

    @classmethod
    def create(
        cls,
        folder: Path,
        git: Git,
        identity: Identity | None = None,
        private_root: Path | None = None,
        *,
        alone: bool = False,
    ) -> BareRepository:
        """Open the repository in `folder` (absolute), made first if needed, 0700.

        With an identity, clones belong to it and it may pass (0710), not list, the folders from
        `private_root` down. `alone`, when the store's lock is ours: what killed gits left there is
        deleted, now and when a lock of one stands in the way. Raises ProgramMissing,
        EnvironmentFault for an old git or one that still works there, GitFailed.
        """
        git.version  # noqa: B018 - a git that is missing or too old ends here
        repository = cls(folder, git, identity, private_root, alone=alone)
        if alone:  # first: a creation that was killed may have left a lock as well
            locks.clear_stale_locks(folder)
        repository._make()
        return repository

    def _make(self) -> None:
        ready = self.folder / "autopack-ready"  # written last: a killed creation starts again
        if ready.exists():
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        shared = "0644" if self._identity else "umask"
        said = self.git.run(
            "init", "--quiet", "--bare", "--template=", "--object-format=sha1",
            "--initial-branch=none", f"--shared={shared}", self.folder, cwd=self.folder,
        )  # fmt: skip
        if not said.ok:
            raise failed(f"making a repository in {self.folder}", said)
        for key, value in SETTINGS.items():
            self._store.output("config", key, value)
        (self.folder / "info").mkdir(exist_ok=True)
        (self.folder / "info" / "attributes").write_text(clone.ATTRIBUTES)
        if self._identity is not None:
            clone.open_way((self.folder,), self._private_root, self._identity.gid)
        else:
            self.folder.chmod(0o700)
        ready.touch(mode=0o600)

    def tend(self) -> None:
        """Drop what a killed git half wrote, and begin to pack when there are many loose objects.

        For when a run has ended.
        """
        locks.drop_half_written(self.folder)
        self._upkeep.begin()

    @property
    def tended(self) -> bool:
        """Whether it packs at this moment."""
        return self._upkeep.busy

    def end(self) -> None:
        """End what works in the background, so that the next supervisor is alone in here.

        Packing is cut off, deletions are waited for.
        """
        self._upkeep.end()
        self._discards.wait()

    def prepare(
        self, source: str, base_ref: str, commit: str, branch: str, cancel: Cancel | None = None
    ) -> None:
        """Fetch the base and start the branch; OperatorFault for a source that cannot be one."""
        _fetch(self._store, source, base_ref, commit, cancel)
        landing.start_branch(self._store, branch, commit)

    def refs_of(self, run_id: str) -> dict[str, str]:
        """A run's branch, tags and attempts, each with the commit it stands for."""
        return landing.refs_of(self._store, run_id)

    def read(self, commit: str, path: str) -> bytes | None:
        """A plain file of a commit; None when it is not there, or is a link or a folder."""
        return self._known.of(
            ("read", commit, path), lambda: source.read_file(self.git, self.folder, commit, path)
        )

    def paths(self, commit: str) -> list[bytes]:
        """All file paths of a commit."""
        return diff.tree_paths(self._store, commit)

    def blobs(
        self, tree: str, paths: Sequence[bytes], file_bytes_max: int, bytes_max: int
    ) -> dict[bytes, Blob]:
        """Those of the paths that are files of a tree, with their contents where they fit."""
        return blobs.blobs(self._store, tree, paths, file_bytes_max, bytes_max)

    def clone(self, commit: str, folder: Path) -> Clone:
        """A checkout in `folder`; whatever is there is deleted first."""
        return clone.make_clone(self._store, commit, folder, self._identity, self._private_root)

    def discard(self, folder: Path) -> None:
        """Put a clone and the index saved beside it away, whatever its modes; absent is fine.

        Its name is free at once, its files are deleted by a thread of ours.
        """
        self._discards.discard(folder)

    def left(self, folder: Path) -> bool:
        """Whether a clone is there that was checked out to the end."""
        return clone.left(folder)

    def set_aside(self, folder: Path, to: Path, patch: bytes | None) -> Path:
        """Move a clone to where nobody deletes it, with what belongs to it."""
        return clone.set_aside(folder, to, patch)

    def capture(self, clone: Clone, force: Sequence[str]) -> str | Refused:
        """The clone's work tree as a tree id, or why it cannot be one."""
        rules = self._known.of(
            ("ignored", clone.commit, ""), lambda: capture.base_rules(self._store, clone.index)
        )
        return capture.capture(self._store, clone, force, rules)

    def apply(self, parent: str, patch: bytes) -> str | Refused:
        """A unified diff on top of a commit, as a tree id, or why not."""
        return _apply(self._store, parent, patch)

    def keep_patch(self, parent: str, patch: bytes) -> str:
        """A tree with the parent's files and the patch as a file."""
        return _keep_patch(self._store, parent, patch)

    def commit(self, tree: str, parent: str, message: str, at: int, ref: str) -> str:
        """Commit a tree under `ref`; the commit of a ref that exists already."""
        return landing.commit_tree(self._store, tree, parent, message, at, ref)

    def resolve(self, ref: str) -> str | None:
        """The commit a ref points to."""
        return landing.resolve(self._store, ref)

    def tree(self, commit: str) -> str:
        """The tree of a commit; GitFailed when there is none."""
        return self._known.of(
            ("tree", commit, ""),
            lambda: self._store.oid("rev-parse", "-q", "--verify", f"{commit}^{{tree}}"),
        )

    def facts(self, commit: str) -> CommitFacts:
        """Tree, first parent and message of a commit; GitFailed when there is none."""
        return landing.facts(self._store, commit)

    def diff(self, parent: str, tree: str) -> TreeDiff:
        """What a tree changes against a commit."""
        return diff.diff(self._store, parent, tree)

    def reapply(self, commit: str, onto: str) -> str | Refused:
        """The commit's change on top of `onto` as a tree, or the conflicts."""
        return landing.reapply(self._store, commit, onto)

    def land(self, branch: str, commit: str, expected: str, tag: str, message: str, at: int) -> str:
        """Move the branch and make the tag; the branch's commit afterwards."""
        return landing.land(self._store, branch, commit, expected, tag, message, at)

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
        """Push the run's branch and tags with a lease; why not, empty when done."""
        return delivery.deliver(self._store, target, run_id, tip, expected, cancel, asked=asked)

    def with_files(self, commit: str, files: Mapping[str, bytes]) -> str | Refused:
        """A commit's tree with these files, or what is in their way."""
        return promotion.with_files(self._store, commit, files)

    def outlook(
        self, source: str, branch: str, commit: str, tip: str, cancel: Cancel | None = None
    ) -> Outlook:
        """How a branch of the user's repository would take the tip."""
        return promotion.outlook(self._store, source, branch, commit, tip, cancel)


_fetch, _apply, _keep_patch = source.fetch, patch.apply, patch.keep_patch
