"""A clone's work tree as a tree: our git folder, our index, the base's ignore rules.

Nothing in the clone is obeyed: not its `.git`, not its attributes, not the ignore files that the
agent wrote. Only git's listing is read, and each path is looked at before git opens it.
"""

from __future__ import annotations

import os
import shutil
import stat
from bisect import bisect_left
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, Unpack

from autopack.adapters.git.index import scratch
from autopack.adapters.git.locks import drop_half_written
from autopack.adapters.git.traps import traps
from autopack.adapters.git.wrapper import (
    STDERR_CHARACTERS_MAX,
    environmental,
    failed,
    forged,
    object_of,
    printable_lines,
    records,
    sure,
)
from autopack.app.ports import Refused
from autopack.core.names import folder_names, look_alike, printable
from autopack.core.policy import PATH_BYTES_MAX
from autopack.core.run import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from autopack.adapters.git.wrapper import Options, Store
    from autopack.app.ports import Clone
    from autopack.process.limits import Finished

CAPTURED_FILES_MAX: Final = 20_000  # changed and new files; policy's limits are far below
CAPTURED_FILE_BYTES_MAX: Final = 64 << 20  # bytes of one file, told before it is hashed
CAPTURED_BYTES_MAX: Final = 512 << 20  # bytes of all of them
FOLDERS_BYTES_MAX: Final = 64 << 20  # bytes of the names of all folders that are looked at
FINDINGS_MAX: Final = 20
IGNORE_BYTES_MAX: Final = 1 << 20  # bytes of one ignore file of the base that is obeyed
_LITERAL: Final = {"GIT_LITERAL_PATHSPECS": "1"}
_LATER: Final = 4_000_000_000
"""Unix seconds, in 2096: an index of that time has no doubtful entry left, so git does not read
half the work tree once more when it writes an index that is thrown away."""
_IGNORED: Final = b"Ignoring path "  # a name that git does not take, said with exit code 0
_UNREADABLE: Final = b"warning: could not open directory '"
_TOO_LONG: Final = b": File name too long"


def capture(
    store: Store,
    clone: Clone,
    force: Sequence[str],
    known: bytes | None = None,
    *,
    whole: bool = False,
) -> str | Refused:
    """The tree of what the agent left, `force` added whatever the ignore rules say.

    `known`: the `base_rules` of the clone's commit, when they are at hand. `whole`: folders that
    hide themselves are taken, too.
    """
    try:
        seen = clone.folder.lstat()
    except FileNotFoundError:
        seen = None
    if seen is None or not stat.S_ISDIR(seen.st_mode):
        return Refused((Finding("work-tree", "the clone's folder is gone; work inside it"),))
    if not os.access(clone.folder, os.R_OK | os.X_OK):
        message = "the clone's folder cannot be read; make it readable"
        return Refused((Finding("work-tree", message),))
    with scratch(store) as private:
        index = private / "index"
        shutil.copy2(clone.index, index)  # with its time stamp, or same-size edits are lost
        work = _Work(store, clone.folder, index, seen.st_uid, whole=whole)
        rules = private / "ignored"
        rules.write_bytes(base_rules(store, index) if known is None else known)
        work.list(rules)
        work.force(force)
        if work.findings:
            return Refused(tuple(work.findings[:FINDINGS_MAX]))
        return work.write()


@dataclass
class _Work:
    """One capture: what was listed, looked at, and refused."""

    store: Store
    folder: Path
    index: Path
    owner: int
    """Whose the clone is: a file of somebody else came in by a hard link."""
    gone: dict[bytes, None] = field(default_factory=dict)
    """Paths that are no more, are folders now, or lie behind what is now a link."""
    touched: dict[bytes, None] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    parents: dict[bytes, str] = field(default_factory=dict)
    parents_bytes: int = 0
    total_bytes: int = 0
    whole: bool = False

    def list(self, rules: Path) -> None:
        """Ask git what differs from the saved index, then look at each."""
        for trap in islice(traps(self.folder), FINDINGS_MAX):
            self._refuse(trap.rule, trap.path, trap.message)
        if self.findings:
            return
        argv = ("ls-files", "-z", "-t", "-m", "-d", "-o", f"--exclude-from={rules}")
        said = sure(lambda: self._git(*argv))
        if said.truncated:
            self._refuse(
                "too-many-files", b"", "there are too many new files; ignore or remove them"
            )
            return
        listed = records(f"listing {self.folder}", said)
        for line in said.stderr.splitlines():
            if line.startswith(_UNREADABLE):
                name, ended, _ = line.removeprefix(_UNREADABLE).rpartition(b"': ")
                if not ended or line.endswith(_TOO_LONG):  # git cuts what it says, too
                    self._refuse("path-length", name, "the path is too long; use fewer folders")
                else:
                    self._refuse("unreadable", name, "the folder cannot be read; make it readable")
        entries = [(entry[:1], entry[2:]) for entry in listed]
        new = [] if self.whole else [path for tag, path in entries if tag == b"?"]
        hidden = self._self_ignoring(new)
        for tag, path in entries:
            if len(self.findings) >= FINDINGS_MAX or self._over():
                break
            if tag == b"?" and len(path) > PATH_BYTES_MAX:
                message = f"the path is {len(path)} bytes; at most {PATH_BYTES_MAX}"
                self._refuse("path-length", path, message)
            elif not (tag == b"?" and hidden and any(f in hidden for f in _folders(path))):
                self._look(path)

    def _over(self) -> bool:
        """Whether there is more than is looked at: what follows can only be refused, too."""
        return (
            len(self.touched) > CAPTURED_FILES_MAX
            or self.total_bytes > CAPTURED_BYTES_MAX
            or self.parents_bytes > FOLDERS_BYTES_MAX
        )

    def force(self, paths: Iterable[str]) -> None:
        """Add deliverables that the ignore rules hide."""
        for path in paths:
            name = os.fsencode(path.strip("/").removeprefix("./"))
            if not name or b".." in name.split(b"/") or self._parent(name) != "folder":
                continue
            kind = self._kind(name)
            if kind is None:
                continue
            if stat.S_ISDIR(kind.st_mode):
                for below in self._new_below(path.strip("/")):
                    self._look(below)
            else:
                self._look(name)

    def _new_below(self, path: str) -> Sequence[bytes]:
        argv = ("ls-files", "-z", "-o", "--", path)
        said = sure(lambda: self._git(*argv, variables=_LITERAL))
        return records(f"listing {path}", said)

    def write(self) -> str | Refused:
        """Store what was found and make the tree."""
        # entries that change are dropped first: git would trust their stat data when it stores them
        lines = b"".join(
            b"0 " + b"0" * 40 + b"\t" + path + b"\0" for path in (*self.gone, *self.touched)
        )
        if lines and (refused := self._update("--index-info", stdin=lines)):
            return refused
        lines = b"".join(path + b"\0" for path in self.touched)
        if lines and (refused := self._update("--add", "--replace", "--stdin", stdin=lines)):
            return refused
        return self.store.oid("write-tree", index=self.index)

    def _update(self, *options: str, stdin: bytes) -> Refused | None:
        os.utime(self.index, (_LATER, _LATER))
        said = self._git("update-index", "-z", *options, stdin=stdin)
        if said.ok and _IGNORED not in said.stderr:
            return None
        lies = any(forged(path) for path in (*self.gone, *self.touched))
        if (environmental(said) and not lies) or said.exit_code is None:
            drop_half_written(self.store.folder)  # room for what the next try writes
            raise failed("git update-index", said)
        text = printable_lines(said.stderr)[-STDERR_CHARACTERS_MAX:]
        return Refused((Finding("not-a-tree", f"git cannot take the work tree: {text}"),))

    def _look(self, path: bytes) -> None:
        """Sort one path: gone, to be stored, or a reason to refuse."""
        if path in self.touched:
            return
        if path.endswith(b"/"):
            self._refuse_nested(path)
            return
        if any(look_alike(name) == ".git" for name in folder_names(path)):
            self._refuse("dot-git", path, "stands for git's own folder; remove it")
            return
        parent = self._parent(path)
        if parent == "nested":
            self._refuse_nested(path.rpartition(b"/")[0])
        elif parent == "link":
            self.gone[path] = None
        elif parent == "unreadable":
            self._refuse("unreadable", path, "cannot be read; make it readable")
        else:
            self._look_at_file(path)

    def _look_at_file(self, path: bytes) -> None:
        kind = self._kind(path)
        if kind is not None and stat.S_ISDIR(kind.st_mode) and self._is_repository(path):
            self._refuse_nested(path)
        elif kind is None or stat.S_ISDIR(kind.st_mode):
            self.gone[path] = None
        elif stat.S_ISLNK(kind.st_mode):
            self._count(path, kind.st_size)
        elif not stat.S_ISREG(kind.st_mode):
            self._refuse("file-kind", path, "is neither file nor link; remove it")
        elif kind.st_nlink > 1 and kind.st_uid != self.owner:
            self._refuse("hard-link", path, "is a hard link to somebody else's file; remove it")
        elif not os.access(self._absolute(path), os.R_OK):
            self._refuse("unreadable", path, "cannot be read; make it readable")
        else:
            self._count(path, kind.st_size)

    def _count(self, path: bytes, size: int) -> None:
        self.total_bytes += size
        self.touched[path] = None
        if size > CAPTURED_FILE_BYTES_MAX:
            message = f"the file is {size} bytes; at most {CAPTURED_FILE_BYTES_MAX}: leave it out"
            self._refuse("file-size", path, message)
        elif self.total_bytes > CAPTURED_BYTES_MAX >= self.total_bytes - size:
            message = f"the change is over {CAPTURED_BYTES_MAX} bytes in all: leave something out"
            self._refuse("total-size", path, message)
        if len(self.touched) == CAPTURED_FILES_MAX + 1:
            message = f"over {CAPTURED_FILES_MAX} files are new or changed: ignore or remove some"
            self._refuse("too-many-files", path, message)

    def _parent(self, path: bytes) -> str:
        """What the path's folder is: `folder`, `link`, `nested`, `unreadable`."""
        folder = path.rpartition(b"/")[0]
        unknown = []
        while folder and folder not in self.parents:
            unknown.append(folder)
            folder = folder.rpartition(b"/")[0]
        kind = self.parents.get(folder, "folder")
        for below in reversed(unknown):
            if kind == "folder":
                kind = self._parent_kind(below)
            self.parents[below] = kind
            self.parents_bytes += len(below)
        if self.parents_bytes > FOLDERS_BYTES_MAX and unknown:
            message = "the new folders are too many and too deep: remove some"
            self._refuse("path-length", path, message)
        return kind

    def _parent_kind(self, parent: bytes) -> str:
        """The same of a folder whose own folder is one."""
        try:
            kind = os.lstat(self._absolute(parent))
        except (FileNotFoundError, NotADirectoryError):
            return "folder"  # the path itself is gone, which is then seen
        if stat.S_ISLNK(kind.st_mode):
            return "link"
        if not stat.S_ISDIR(kind.st_mode):
            return "folder"
        if not os.access(self._absolute(parent), os.X_OK):
            return "unreadable"
        return "nested" if self._is_repository(parent) else "folder"

    def _is_repository(self, folder: bytes) -> bool:
        return os.path.lexists(self._absolute(folder + b"/.git"))

    def _kind(self, path: bytes) -> os.stat_result | None:
        try:
            return os.lstat(self._absolute(path))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _self_ignoring(self, new: Sequence[bytes]) -> frozenset[bytes]:
        """New folders that hide themselves whole, as tools' caches do, where base has nothing."""
        found = set()
        for path in new:
            if path.endswith(b"/.gitignore") and len(path) <= PATH_BYTES_MAX and not self._over():
                folder = path.removesuffix(b".gitignore")
                if self._parent(path) == "folder" and self._hides_all(path):
                    at = bisect_left(self._tracked, folder)
                    if not any(p.startswith(folder) for p in self._tracked[at : at + 1]):
                        found.add(folder)
        return frozenset(found)

    def _hides_all(self, path: bytes) -> bool:
        kind = self._kind(path)
        if kind is None or not stat.S_ISREG(kind.st_mode) or kind.st_size > 1024:
            return False
        if not os.access(self._absolute(path), os.R_OK):
            return False
        with Path(os.fsdecode(self._absolute(path))).open("rb") as file:
            lines = [line.strip() for line in file.read(1024).splitlines()]
        return [line for line in lines if line and not line.startswith(b"#")] == [b"*"]

    @cached_property
    def _tracked(self) -> Sequence[bytes]:
        """All paths of the base, sorted."""
        said = sure(lambda: self._git("ls-files", "-z"))
        return sorted(records("git ls-files", said))

    def _git(self, *args: str, **options: Unpack[Options]) -> Finished:
        options |= {"work_tree": self.folder, "index": self.index}
        return self.store.run(*args, **options)

    def _absolute(self, path: bytes) -> bytes:
        return os.fsencode(self.folder) + b"/" + path

    def _refuse_nested(self, path: bytes) -> None:
        message = "is a repository of its own, whose files cannot be taken: remove its .git"
        path = path.rstrip(b"/")
        if Finding("nested-repository", message, printable(path)) not in self.findings:
            self._refuse("nested-repository", path, message)

    def _refuse(self, rule: str, path: bytes, message: str) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(rule, message, printable(path)))


def _folders(path: bytes) -> Iterator[bytes]:
    """The folders that a path lies in, each with its slash, the deepest first."""
    while (end := path.rfind(b"/", 0, -1)) > 0:
        path = path[: end + 1]
        yield path


def base_rules(store: Store, index: Path) -> bytes:
    """The base's ignore files as one list of patterns from the root, deeper files last."""
    argv = ("ls-files", "-s", "-z", "--", ":(glob)**/.gitignore")
    said = sure(lambda: store.run(*argv, index=index))
    files = []
    for entry in records("git ls-files", said):
        head, _, path = entry.partition(b"\t")
        mode, oid, _ = head.split(b" ")
        if mode.startswith(b"100"):
            files.append((path.removesuffix(b".gitignore"), oid.decode()))
    rules = []
    for folder, blob in sorted(files, key=lambda file: (file[0].count(b"/"), file[0])):
        content = object_of(store.git, store.folder, "blob", blob)[:IGNORE_BYTES_MAX]
        rules += [_from_root(folder, line) for line in content.splitlines()]
    return b"\n".join([*rules, b""])


def _from_root(folder: bytes, line: bytes) -> bytes:
    """One pattern of the ignore file in `folder` (ends with a slash, empty at the root)."""
    if not folder or not line.strip() or line.startswith(b"#"):
        return line
    negated, pattern = (b"!", line[1:]) if line.startswith(b"!") else (b"", line)
    if pattern.startswith(b"\\") and pattern[1:2] in (b"!", b"#"):
        pattern = pattern[1:]  # no longer first in its line
    escaped = b"".join(b"\\" + bytes([c]) if c in b"*?[\\ " else bytes([c]) for c in folder)
    anchored = b"/" in pattern.rstrip(b" ").rstrip(b"/")
    between = b"" if anchored else b"**/"
    return negated + b"/" + escaped + between + pattern.lstrip(b"/")
