"""Unified diffs made by hand, so that they can be wrong in every way."""

from __future__ import annotations

import base64
import zlib

from tests.hostile.ground import blob_id

Name = bytes | str


def raw(name: Name) -> bytes:
    return name if isinstance(name, bytes) else name.encode()


def quoted(name: bytes) -> bytes:
    """As git writes a name: in quotes when something in it needs it."""
    if all(32 <= byte < 127 and byte not in b'"\\' for byte in name):
        return name
    return b'"' + b"".join(_escaped(byte) for byte in name) + b'"'


def _escaped(byte: int) -> bytes:
    if byte in b'"\\':
        return b"\\" + bytes([byte])
    return bytes([byte]) if 32 <= byte < 127 else b"\\%03o" % byte


def head(old: Name, new: Name | None = None) -> bytes:
    """The first line of one file's part."""
    ours = quoted(b"a/" + raw(old)), quoted(b"b/" + raw(old if new is None else new))
    return b"diff --git %s %s\n" % ours


def lines(sign: bytes, content: bytes) -> bytes:
    parts = content.splitlines(keepends=True) if content else []
    text = b"".join(sign + part for part in parts)
    return (
        text
        if not content or content.endswith(b"\n")
        else text + b"\n\\ No newline at end of file\n"
    )


def add(name: Name, content: bytes = b"x\n", mode: str = "100644") -> bytes:
    """A new file."""
    count = len(content.splitlines())
    text = head(name) + b"new file mode %s\n" % mode.encode()
    if not content:
        return text + b"index 0000000..e69de29\n"
    return (
        text + b"--- /dev/null\n+++ " + quoted(b"b/" + raw(name)) + b"\n"
        b"@@ -0,0 +1,%d @@\n" % count + lines(b"+", content)
    )  # fmt: skip


def drop(name: Name, content: bytes, mode: str = "100644") -> bytes:
    """A file deleted."""
    return (
        head(name) + b"deleted file mode %s\n" % mode.encode()
        + b"--- " + quoted(b"a/" + raw(name)) + b"\n+++ /dev/null\n"
        b"@@ -1,%d +0,0 @@\n" % len(content.splitlines()) + lines(b"-", content)
    )  # fmt: skip


def edit(name: Name, old: bytes, new: bytes, at: int = 1) -> bytes:
    """All of a part of a file replaced."""
    ours = quoted(b"a/" + raw(name)), quoted(b"b/" + raw(name))
    counts = at, len(old.splitlines()), at, len(new.splitlines())
    return (
        head(name) + b"--- %s\n+++ %s\n" % ours
        + b"@@ -%d,%d +%d,%d @@\n" % counts + lines(b"-", old) + lines(b"+", new)
    )  # fmt: skip


def link(name: Name, target: bytes) -> bytes:
    """A new symbolic link."""
    return add(name, target, "120000")


def chmod(name: Name, old: str, new: str) -> bytes:
    """Another mode and nothing else."""
    return head(name) + f"old mode {old}\nnew mode {new}\n".encode()


def rename(old: Name, new: Name, verb: str = "rename") -> bytes:
    """A file of the same content elsewhere."""
    names = verb.encode(), quoted(raw(old)), verb.encode(), quoted(raw(new))
    return head(old, new) + b"similarity index 100%%\n%s from %s\n%s to %s\n" % names


def binary(name: Name, content: bytes, said: bytes | None = None) -> bytes:
    """A new binary file, its size as `said`."""
    size = str(len(content)).encode() if said is None else said
    packed = zlib.compress(content)
    text = b"".join(_row(packed[at : at + 52]) for at in range(0, len(packed), 52))
    return (
        head(name) + b"new file mode 100644\n"
        b"index %s..%s\n" % (b"0" * 40, blob_id(content).encode())
        + b"GIT binary patch\nliteral " + size + b"\n" + text + b"\nliteral 0\nHcmV?d00001\n\n"
    )  # fmt: skip


def _row(part: bytes) -> bytes:
    length = len(part)
    letter = bytes([64 + length]) if length <= 26 else bytes([96 + length - 26])
    padded = part + b"\0" * (-length % 4)
    return letter + base64.b85encode(padded) + b"\n"
