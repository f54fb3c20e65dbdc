"""Generated attacks: small acts in a clone, and patches put together from good and bad parts."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st

from tests.hostile.diffs import add, binary, chmod, drop, edit, link, rename
from tests.hostile.ground import FILES
from tests.hostile.place import Place

TAME = [b"a", b"b", b"src", b"deep", b"new.py", b"x.ign", b"c d", "é".encode()]
ODD = [
    b".GIT", b".git.", b".git ", b"git~1", b".git::$INDEX_ALLOCATION", ".g\u200cit".encode(), b".git",
    b".gitmodules", b".GITMODULES", b"gitmod~1", b".gitattributes", b".gitignore", b".github",
    b"-x", b"--upload-pack=x", b"aux.txt", b"a\nb", b"a\tb", b"a\x1b[31m", "\u202etxt".encode(),
    "cafe\u0301".encode(), "caf\u00e9".encode(), b"README.MD", b"Src", b"caf\xe9", b"back\\slash",
    b"dot.", b"space ", b"n" * 255, "\u2028".encode(), b"it's", b'quo"te', b"*", b"[a]", b":(top)x",
    b"!x", b"#x", b"~", b"HEAD", b"config", b"hooks", b"objects", b"refs", b"AGENTS.md",
    b"warning: could not open directory 'x': y", b"Ignoring path x",
    b"x\nfatal: unable to write new index file\n", b"x: No space left on device",
]  # fmt: skip
BASE = [*(os.fsencode(name) for name in FILES), b"run.sh", b"way", b"sub", b"src/deep"]
CONTENTS = [
    b"", b"x\n", b"x", b"a\r\nb\n", b"*\n", b"# tool\n*\n", b"* filter=evil text eol=crlf\n",
    b"\0\xff" * 40, b"gitdir: ../user/.git\n", b"$Id$\n", b"1\n" * 300, b"a project\n",
]  # fmt: skip
TARGETS = [
    b"a", b"src/app.py", b"../outside/secret", b"../outside", b"/etc/passwd", b"/dev/zero", b".",
    b"..", b".git/config", b"a/../../x", b"way/secret", b"x" * 300, b"a\nb", b"caf\xe9", b"C:\\x",
]  # fmt: skip

components = st.one_of(
    st.sampled_from(TAME),
    st.sampled_from(ODD),
    st.binary(min_size=1, max_size=4).map(lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"_")),
)
fresh = st.one_of(
    st.lists(st.sampled_from(TAME), min_size=1, max_size=3).map(b"/".join),
    st.lists(components, min_size=1, max_size=4).map(b"/".join),
)
paths = st.one_of(
    fresh,
    st.sampled_from(BASE),
    st.tuples(st.sampled_from(BASE), components).map(b"/".join),
)
contents = st.one_of(st.sampled_from(CONTENTS), st.binary(max_size=30))
targets = st.one_of(st.sampled_from(TARGETS), paths)


@dataclass(frozen=True)
class Act:
    """One thing done in a clone; what the file system does not let happen does not happen."""

    def do(self, place: Place) -> None:
        """Nothing, for those that only are."""


@dataclass(frozen=True)
class Write(Act):
    path: bytes
    content: bytes
    mode: int = 0o644

    def do(self, place: Place) -> None:
        if (at := own(place, self.path)) is not None:
            descriptor = os.open(
                at, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK
            )
            os.write(descriptor, self.content)
            os.fchmod(descriptor, self.mode)
            os.close(descriptor)


@dataclass(frozen=True)
class Still(Act):
    """A changed file that looks as it was."""

    path: bytes

    def do(self, place: Place) -> None:
        at = own(place, self.path)
        if at is not None and stat.S_ISREG(at.lstat().st_mode):
            before = at.lstat()
            Write(self.path, b"y" * before.st_size, stat.S_IMODE(before.st_mode)).do(place)
            os.utime(at, ns=(before.st_atime_ns, before.st_mtime_ns))


@dataclass(frozen=True)
class Link(Act):
    path: bytes
    target: bytes

    def do(self, place: Place) -> None:
        if (at := own(place, self.path)) is not None:
            Remove(self.path).do(place)
            at.symlink_to(os.fsdecode(self.target))


@dataclass(frozen=True)
class Remove(Act):
    path: bytes

    def do(self, place: Place) -> None:
        at = own(place, self.path)
        if at is not None and os.path.lexists(at):
            if stat.S_ISDIR(at.lstat().st_mode):
                shutil.rmtree(at)
            else:
                at.unlink()


@dataclass(frozen=True)
class Move(Act):
    old: bytes
    new: bytes

    def do(self, place: Place) -> None:
        old, new = own(place, self.old), own(place, self.new)
        if old is not None and new is not None:
            old.rename(new)


@dataclass(frozen=True)
class Twin(Act):
    """A hard link inside."""

    old: bytes
    new: bytes

    def do(self, place: Place) -> None:
        old, new = own(place, self.old), own(place, self.new)
        if old is not None and new is not None and stat.S_ISREG(old.lstat().st_mode):
            os.link(old, new, follow_symlinks=False)


@dataclass(frozen=True)
class Pipe(Act):
    path: bytes

    def do(self, place: Place) -> None:
        if (at := own(place, self.path)) is not None:
            Remove(self.path).do(place)
            os.mkfifo(at)


@dataclass(frozen=True)
class Nest(Act):
    """What makes a folder a repository of its own, or look like one."""

    path: bytes
    kind: str

    def do(self, place: Place) -> None:
        git = self.path + b"/.git"
        if self.kind == "link":
            Link(git, b"../.git").do(place)
        elif self.kind == "file":
            Write(git, b"gitdir: ../user/.git\n").do(place)
        else:
            for name, content in ((b"HEAD", b"1" * 40), (b"objects/x", b""), (b"refs/x", b""),
                                  (b"config", config(place))):  # fmt: skip
                Write(git + b"/" + name, content).do(place)


@dataclass(frozen=True)
class Meta(Act):
    """A file of the clone's own .git; what it names as a program would leave a canary."""

    name: bytes

    def do(self, place: Place) -> None:
        content = config(place) if self.name == b"config" else META[self.name]
        if self.name.startswith(b"hooks/"):
            content = place.program.read_bytes()
        Write(b".git/" + self.name, content, 0o755).do(place)


META = {
    b"config": b"", b"hooks/post-index-change": b"", b"hooks/reference-transaction": b"",
    b"info/exclude": b"*\n", b"info/attributes": b"* filter=evil text eol=crlf\n", b"HEAD": b"x",
    b"index": b"junk", b"index.lock": b"", b"objects/info/alternates": b"/\n", b"shallow": b"x",
    b"commondir": b"../../user/.git\n", b"info/sparse-checkout": b"/no\n", b"packed-refs": b"x",
}  # fmt: skip


@dataclass(frozen=True)
class NoGit(Act):
    kind: str

    def do(self, place: Place) -> None:
        shutil.rmtree(place.at(".git"))
        if self.kind == "file":
            place.write(".git", b"gitdir: ../user/.git\n")
        elif self.kind == "link":
            place.at(".git").symlink_to("../user/.git")


def config(place: Place) -> bytes:
    program = os.fsencode(place.program)
    keys = (b"core.fsmonitor", b"core.sshCommand", b"core.pager", b"filter.evil.clean",
            b"filter.evil.smudge", b"diff.evil.textconv", b"diff.external")  # fmt: skip
    lines = [b"[core]\n\tworktree = ../../user\n\thooksPath = /tmp\n\texcludesFile = ../evil\n"]
    for key in keys:
        section, _, name = key.rpartition(b".")
        first, _, second = section.partition(b".")
        lines.append(b"[%s%s]\n\t%s = %s\n" % (first, second and b' "%s"' % second, name, program))
    return b"".join(lines)


def own(place: Place, path: bytes) -> Path | None:
    """Where a path lies when that is inside the clone without any link; its folders are made."""
    *folders, name = path.split(b"/")
    if {b"", b".", b".."} & {*folders, name}:
        return None
    at = place.folder
    for folder in folders:
        at /= os.fsdecode(folder)
        if at.is_symlink():
            return None
        at.mkdir(exist_ok=True)
    return at / os.fsdecode(name)


acts: st.SearchStrategy[Act] = st.one_of(
    st.builds(Write, paths, contents, st.sampled_from([0o644, 0o644, 0o644, 0o755, 0o600, 0o4711])),
    st.builds(Write, paths, contents),
    st.builds(Still, st.sampled_from(BASE)),
    st.builds(Link, paths, targets),
    st.builds(Remove, st.sampled_from(BASE) | paths),
    st.builds(Move, st.sampled_from([*BASE, b"src"]), paths),
    st.builds(Twin, st.sampled_from(BASE), paths),
    st.builds(Pipe, paths),
    st.builds(Nest, paths, st.sampled_from(["link", "file", "folder"])),
    st.builds(Meta, st.sampled_from(sorted(META))),
    st.builds(NoGit, st.sampled_from(["gone", "file", "link"])),
)
delivered = st.lists(
    st.sampled_from(
        ["x.ign", "src", "a/", "../outside/secret", "/etc", "way", ".git", "", "./a", ":/"]
    ),
    max_size=2,
)


@dataclass(frozen=True)
class CloneAttack:
    """Acts in a clone, then a capture that also takes what the phase must deliver."""

    acts: list[Act]
    deliver: list[str] = field(default_factory=list)

    def carry_out(self, place: Place) -> None:
        for act in self.acts:
            with contextlib.suppress(OSError):
                act.do(place)


clone_attacks = st.builds(
    CloneAttack, st.lists(acts, min_size=2, max_size=5), st.just([]) | st.just([]) | delivered
)

MODES = ["100644", "100644", "100755", "120000", "160000", "040000", "100666", "0", "abc"]
TOKENS = [
    b"diff --git a/x b/x\n", b"diff --git a/README.md b/README.md\n", b"new file mode 120000\n",
    b"deleted file mode 100644\n", b"old mode 100644\n", b"new mode 100755\n", b"rename from README.md\n",
    b"rename to ../x\n", b"copy from /etc/passwd\n", b"copy to x\n", b"index 0..1 160000\n",
    b"GIT binary patch\n", b"literal 99999999\n", b"delta 5\n", b"--- /dev/null\n", b"+++ b/x\n",
    b"+++ b/.git/config\n", b"@@ -0,0 +1 @@\n", b"@@ -1,9 +1 @@\n", b"+x\n", b"-a project\n", b" \n",
    b"\\ No newline at end of file\n", b"similarity index 100%\n", b"\0\0\n", b"-- \n", b"\r\n",
    b'+++ "b/\\056git/x"\n', b"Subproject commit 1\n", b"--- a/README.md\n", b"+++ b/README.md\n",
]  # fmt: skip
known = st.sampled_from([(name, raw if isinstance(raw, bytes) else raw.encode())
                         for name, raw in FILES.items()])  # fmt: skip
parts: st.SearchStrategy[bytes] = st.one_of(
    st.builds(add, paths, contents, st.sampled_from(MODES)),
    *[st.builds(add, fresh, contents) for _ in range(4)],
    st.builds(link, paths, targets),
    st.builds(binary, paths, contents, st.sampled_from([None, None, b"+99999999999", b"-1", b"3"])),
    st.builds(lambda file: drop(*file), known),
    st.builds(lambda file, new: edit(file[0], file[1], new), known, contents),
    st.builds(edit, paths, contents, contents),
    st.builds(chmod, st.sampled_from(BASE), st.sampled_from(MODES), st.sampled_from(MODES)),
    st.builds(rename, st.sampled_from(BASE) | paths, paths, st.sampled_from(["rename", "copy"])),
    st.lists(st.sampled_from(TOKENS), min_size=1, max_size=8).map(b"".join),
)


def _cut(raw: bytes, at: float) -> bytes:
    return raw[: int(len(raw) * at)]


def _without(raw: bytes, at: float) -> bytes:
    start = int(len(raw) * at)
    return raw[:start] + raw[start + 9 :]


def _flipped(raw: bytes, at: float) -> bytes:
    start = int(len(raw) * at)
    return raw[:start] + bytes([byte ^ 32 for byte in raw[start : start + 1]]) + raw[start + 1 :]


def _twice(raw: bytes, at: float) -> bytes:
    lines = raw.splitlines(keepends=True)
    start = int(len(lines) * at)
    return b"".join([*lines[:start], *lines[start : start + 1], *lines[start:]])


def _crlf(raw: bytes, at: float) -> bytes:
    return raw.replace(b"\n", b"\r\n")


def _deeper(raw: bytes, at: float) -> bytes:
    return raw.replace(b"a/", b"a/../").replace(b"b/", b"b/../")


DAMAGES: list[Callable[[bytes, float], bytes]] = [_cut, _without, _flipped, _twice, _crlf, _deeper]
damages = st.tuples(st.sampled_from(DAMAGES), st.floats(0, 1))


def _patch(
    pieces: list[bytes], damage: list[tuple[Callable[[bytes, float], bytes], float]]
) -> bytes:
    raw = b"".join(pieces)
    for harm, at in damage:
        raw = harm(raw, at)
    return raw


patch_attacks = st.builds(
    _patch,
    st.lists(parts, min_size=1, max_size=3),
    st.just([]) | st.just([]) | st.lists(damages, max_size=2),
)
