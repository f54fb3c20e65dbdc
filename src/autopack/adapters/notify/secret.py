"""Signing keys and signatures of Standard Webhooks (version 1, HMAC-SHA256).

A key comes from the environment or a file that only its owner can read, each time it is needed, so
that a new one needs no restart. Never printed, never part of a message.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from autopack.core.errors import OperatorFault

PREFIX: Final = "whsec_"
KEY_BYTES: Final = range(24, 65)
"""What the specification allows."""
FILE_BYTES_MAX: Final = 4096
KEYS_MAX: Final = 4
"""Two suffice while one is being replaced by another."""


@dataclass(frozen=True)
class Secret:
    """Where the keys of a target are: `given` as text, else in `file`; one key a word."""

    name: str
    """The target's, for messages."""
    given: str = field(default="", repr=False)
    file: Path | None = None

    def read(self) -> tuple[bytes, ...]:
        """The keys, each of which signs; OperatorFault when there is none or one is no key."""
        text, where = self.given, f"AUTOPACK_NOTIFY__{self.name.upper()}__SECRET"
        if not text and self.file is not None:
            text, where = _read(self.file), str(self.file)
        words = text.split()
        if not words:
            hint = f"set {where}, or name a secret_file in [notify.{self.name}]"
            raise OperatorFault(f"notify.{self.name} has no secret to sign with", hint)
        if len(words) > KEYS_MAX:
            raise OperatorFault(f"{where} holds more than {KEYS_MAX} secrets", "keep two at most")
        return tuple(_key(word, where) for word in words)


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The signature of one message, as `v1,<base64>`."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def _key(word: str, where: str) -> bytes:
    hint = f"write `{PREFIX}` and 24 to 64 random bytes in base64, as `openssl rand -base64 32`"
    try:
        key = base64.b64decode(word.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as fault:
        raise OperatorFault(f"{where} holds something that is no base64", hint) from fault
    if len(key) not in KEY_BYTES:
        raise OperatorFault(f"{where} holds a secret of {len(key)} bytes", hint)
    return key


def _read(path: Path) -> str:
    """The file's text; OperatorFault when others may read it, or nobody can."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as fault:
        what = f"the secret_file {path} cannot be read: {fault.strerror}"
        raise OperatorFault(what, "make it, for its owner only (chmod 600)") from fault
    seen = os.fstat(handle)
    if not stat.S_ISREG(seen.st_mode):  # a folder cannot even be wrapped
        os.close(handle)
        raise OperatorFault(f"the secret_file {path} is no file", "name one with the secret")
    with os.fdopen(handle, "rb") as file:
        if seen.st_mode & 0o077:
            what = f"the secret_file {path} is open to others (mode {seen.st_mode & 0o777:04o})"
            raise OperatorFault(what, f"chmod 600 {path}")
        text = file.read(FILE_BYTES_MAX + 1)
    if len(text) > FILE_BYTES_MAX:
        raise OperatorFault(f"the secret_file {path} is too long", "one secret a line, two at most")
    return text.decode("ascii", "replace")
