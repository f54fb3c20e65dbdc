"""A user's repository, the supervisor's beside it, and everything that an attack must not reach.

All lies in memory where the machine has such a folder: thousands of cases write a lot.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from autopack.adapters.git.repository import BareRepository
from autopack.adapters.git.wrapper import Git
from autopack.app.ports import Clone, Refused
from autopack.core.event import GateVerdict
from autopack.core.ids import snapshot_tag
from autopack.core.policy import Rules
from autopack.core.run import Finding
from autopack.process.runner import run as run_git
from tests.judging import judged
from tests.repos import ENVIRONMENT, LIMITS, git, refs, user_repository

MEMORY = Path("/dev/shm")
SECRET = b"outside of every tree\n"
BRANCH = "autonomous/r1"
KEPT = "refs/autopack/r1"
FILES: dict[str, str | bytes] = {
    "README.md": "a project\n",
    "src/app.py": "def one():\n    return 1\n",
    "src/deep/er.py": "x = 1\n",
    "run.sh": "#!/bin/sh\n",
    "dos.txt": b"a\r\nb\r\nc\r\n",
    "data.bin": bytes(range(256)),
    ".gitignore": "*.ign\n",
    ".gitattributes": "*.smudged filter=evil diff=evil\n",
    "in.smudged": "$Id$\n",
}
GITLINK_ID = "1" * 40
ACCEPT, ASK, REFUSE = "accept", "ask", "refuse"
VERDICTS = {
    GateVerdict.PASS: ACCEPT,
    GateVerdict.NEEDS_AUDITOR: ASK,
    GateVerdict.FAIL: REFUSE,
}
OURS = ("objects", "autopack-scratch", "autopack-indexes")
"""What governed apply may write in the supervisor's repository without a ref."""

Told = tuple[str, str, int]
Entries = dict[bytes, tuple[str, str]]
"""A tree's files: path to mode and object id."""
Seen = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Met:
    """What a hostile thing came to."""

    verdict: str
    findings: tuple[Finding, ...]
    tree: str = ""

    @property
    def told(self) -> set[Told]:
        return {(f.rule, f.path, f.line) for f in self.findings}


class Ground:
    """One user's repository and one of the supervisor, made once for many cases."""

    def __init__(self, root: Path) -> None:
        self.root, self.user, self.outside = root, root / "user", root / "outside"
        self.canaries = root / "canaries"
        self.outside.mkdir()
        self.canaries.mkdir()
        (self.outside / "secret").write_bytes(SECRET)
        self.program = root / "canary"
        self.program.write_text(f"#!/bin/sh\ntouch {self.canaries}/$$\ncat\n")
        self.program.chmod(0o755)
        self.base = self._user()
        self.repository = BareRepository.create(root / "bare", Git())
        self.repository.prepare(str(self.user), "main", self.base, BRANCH)
        self.base_entries = self.entries(self.base)
        self.start = (self._content(self.user), refs(self.repository.folder))

    def _user(self) -> str:
        user_repository(self.user, FILES)
        (self.user / "run.sh").chmod(0o755)
        (self.user / "way").symlink_to("../outside")
        git(self.user, "add", "-A")
        git(self.user, "update-index", "--add", "--cacheinfo", f"160000,{GITLINK_ID},sub")
        git(self.user, "commit", "-q", "-m", "odd things")
        for hook in ("post-checkout", "post-index-change", "reference-transaction"):
            (self.user / ".git" / "hooks").mkdir(exist_ok=True)
            (self.user / ".git" / "hooks" / hook).symlink_to(self.program)
        git(self.user, "config", "core.fsmonitor", os.fspath(self.program))
        return (self.user / ".git" / "refs" / "heads" / "main").read_text().strip()

    def clone(self) -> Clone:
        """A fresh clone in the one place for clones, whatever was left there."""
        return self.repository.clone(self.base, self.root / "clone")

    def judged(self, tree: str | Refused, *, scope: str = "**") -> Met:
        """The way from a tree to policy's verdict."""
        if isinstance(tree, Refused):
            assert tree.findings
            return Met(REFUSE, tree.findings)
        diff = self.repository.diff(self.base, tree)
        found = judged(diff, Rules((scope,)), self.repository)
        return Met(VERDICTS[found.verdict], found.findings, tree)

    def applied(self, patch: bytes) -> Met:
        """A patch's verdict, and nothing else came of it."""
        with self.untouched():
            return self.judged(self.repository.apply(self.base, patch))

    def captured(self, clone: Clone, *force: str) -> Met:
        """A clone's verdict; when there is a tree, it is the clone's, byte for byte."""
        with self.untouched(clone.folder):
            met = self.judged(self.repository.capture(clone, force))
        if met.tree and not force:
            assert self.entries(met.tree) == self.model(clone)
        return met

    def model(self, clone: Clone) -> Entries:
        """What a capture of the clone must be, found without git: the files that are there."""
        found: Entries = {}
        _walk(os.fsencode(clone.folder), b"", self.base_entries, found)
        return found

    def entries(self, tree: str) -> Entries:
        """All files of a tree or commit."""
        found = {}
        said = git(self.root, "ls-tree", "-r", "-z", tree, GIT_DIR=str(self.root / "bare"))
        for line in os.fsencode(said).split(b"\0")[:-1]:
            head, _, path = line.partition(b"\t")
            mode, _, oid = head.decode().split(" ")
            found[path] = (mode, oid)
        return found

    def changed(self, tree: str) -> dict[bytes, tuple[str, bytes] | None]:
        """What a tree changes: path to mode and content, None for a deletion."""
        after = self.entries(tree)
        found: dict[bytes, tuple[str, bytes] | None] = {}
        for path in self.base_entries.keys() | after.keys():
            if self.base_entries.get(path) != after.get(path):
                found[path] = self._content_of(*after[path]) if path in after else None
        return found

    def _content_of(self, mode: str, oid: str) -> tuple[str, bytes]:
        argv = ["cat-file", "blob", oid]
        said = run_git(
            ["git", *argv], env={**ENVIRONMENT, "GIT_DIR": str(self.root / "bare")}, limits=LIMITS
        )
        assert said.ok
        return mode, said.stdout

    @contextlib.contextmanager
    def untouched(self, *folders: Path) -> Iterator[None]:
        """Nothing is written meanwhile but objects; no program ran; nothing outside was read."""
        before = self._seen(*folders)
        yield
        after = self._seen(*folders)
        assert after == before, sorted(set(after.items()) ^ set(before.items()))
        assert not list(self.canaries.iterdir()), "a program of theirs ran"
        scratch = self.repository.folder / "autopack-scratch"
        assert not scratch.exists() or not list(scratch.iterdir())
        assert not self.stored(SECRET), "a link was followed"

    def stored(self, content: bytes) -> bool:
        """Whether the supervisor's repository holds this content (nothing packs here)."""
        oid = blob_id(content)
        return (self.repository.folder / "objects" / oid[:2] / oid[2:]).exists()

    def landed(self, tree: str) -> None:
        """A tree all the way into a user's repository: no ref but the run's is written there."""
        target = self.root / "target"
        git(self.root, "clone", "-q", "--no-local", os.fspath(self.user), os.fspath(target))
        before = refs(target)
        start = refs(self.repository.folder)
        candidate = self.repository.commit(tree, self.base, "a change", 1, f"{KEPT}/F1/1")
        tag = snapshot_tag("r1", "T1", "F1")
        stands = self.repository.land(BRANCH, candidate, self.base, tag, "green", 1)
        assert stands == candidate
        assert not self.repository.deliver(os.fspath(target), "r1", candidate, "")
        after = refs(target)
        run_refs = {f"refs/heads/{BRANCH}", f"refs/tags/{tag}"}
        assert {ref for ref in after if after[ref] != before.get(ref)} == run_refs
        assert before.items() <= after.items()
        assert self.entries(candidate) == self.entries(tree)
        git(target, "fsck", "--strict", "--no-progress")
        git(self.repository.folder, "update-ref", f"refs/heads/{BRANCH}", self.base)
        for ref in refs(self.repository.folder).keys() - start.keys():
            git(self.repository.folder, "update-ref", "-d", ref)
        shutil.rmtree(target)

    def check(self) -> None:
        """The user's repository is byte for byte as it was and passes fsck; no ref is new."""
        assert (self._content(self.user), refs(self.repository.folder)) == self.start
        assert not list(self.canaries.iterdir())
        git(self.user, "-c", "core.fsmonitor=false", "fsck", "--strict", "--no-progress")

    def _seen(self, *folders: Path) -> Seen:
        """Every file's state; its ctime changes with whatever is done to it."""
        seen: Seen = {}
        _look(self.root, seen, skip={"clone", "clone.gone", "bare", "canaries"})
        _look(self.repository.folder, seen, skip={*OURS})
        for folder in folders:
            _look(folder, seen)
        return seen

    def _content(self, folder: Path) -> dict[str, tuple[int, bytes]]:
        return {
            os.fspath(path.relative_to(folder)): (
                path.lstat().st_mode,
                b"" if path.is_symlink() or path.is_dir() else path.read_bytes(),
            )
            for path in sorted(folder.rglob("*"))
        }


@contextlib.contextmanager
def new_ground() -> Iterator[Ground]:
    """A ground for some cases, looked over at their end."""
    memory = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="autopack-hostile-", dir=memory) as folder:
        ground = Ground(Path(folder))
        yield ground
        ground.check()
        ground.repository.discard(ground.root / "clones" / "one")
        ground.repository._discards.wait()


def blob_id(content: bytes) -> str:
    """The id that git gives to a content."""
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()  # noqa: S324 - git's


def _walk(root: bytes, below: bytes, base: Entries, found: Entries) -> None:
    for entry in list(os.scandir(root + b"/" + below)):
        path = below + entry.name
        tracked = path in base or any(known.startswith(path + b"/") for known in base)
        if entry.name == b".git" or (entry.name.endswith(b".ign") and not tracked):
            continue
        kind = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISLNK(kind):
            found[path] = ("120000", _target(entry.path))
        elif stat.S_ISDIR(kind):
            if base.get(path, ("",))[0] == "160000":
                found[path] = base[path]
            elif tracked or not _hides_itself(entry.path):
                _walk(root, path + b"/", base, found)
        elif stat.S_ISREG(kind):
            content = Path(os.fsdecode(entry.path)).read_bytes()
            found[path] = ("100755" if kind & 0o100 else "100644", blob_id(content))


def _target(path: bytes) -> str:
    return blob_id(os.readlink(path))  # noqa: PTH115 - a Path would tidy the target


def _hides_itself(folder: bytes) -> bool:
    ignore = Path(os.fsdecode(folder)) / ".gitignore"
    if ignore.is_symlink() or not ignore.is_file() or ignore.stat().st_size > 1024:
        return False
    lines = [line.strip() for line in ignore.read_bytes().splitlines()]
    return [line for line in lines if line and not line.startswith(b"#")] == [b"*"]


def _look(folder: Path, seen: Seen, skip: AbstractSet[str] = frozenset()) -> None:
    todo = [os.fspath(folder)]
    while todo:
        place = todo.pop()
        with contextlib.suppress(OSError), os.scandir(place) as entries:  # gone, closed, too deep
            for entry in entries:
                if place == os.fspath(folder) and entry.name in skip:
                    continue
                at = entry.stat(follow_symlinks=False)
                seen[entry.path] = (
                    at.st_ino,
                    at.st_mode,
                    at.st_size,
                    at.st_mtime_ns,
                    at.st_ctime_ns,
                )
                if stat.S_ISDIR(at.st_mode):
                    todo.append(entry.path)
