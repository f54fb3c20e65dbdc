"""One file of a change, before and after it; what of it can be read, and how a rule asks.

Never reads a repository: who calls has the contents, or says that they are too large.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from autopack.core.run import Finding, Severity

FILE_BYTES_MAX: Final = 1 << 20
"""Bytes of a file that is read: 4 s of parsing at worst; larger ones are generated."""
FILES_MAX: Final = 500
"""Files of a change that are read, those that hold tests or configuration first."""
TOTAL_BYTES_MAX: Final = 4 << 20
"""Bytes of a change that are read, before and after: bounds the time of the whole check."""
MESSAGE_CHARACTERS_MAX: Final = 300


@dataclass(frozen=True)
class Changed:
    """A file before and after a change; None: it is not there, or it is no plain file."""

    path: str
    before: bytes | None
    after: bytes | None
    unread: bool = False
    """It is too large, or there are too many: both sides are None."""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The end of its name from the last dot on, in small letters; empty without one."""
        head, dot, tail = self.name.rpartition(".")
        return (dot + tail).lower() if head else ""


def ask(rule: str, path: str, message: str, line: int = 0) -> Finding:
    """A question for an auditor."""
    told = " ".join(message.split())[:MESSAGE_CHARACTERS_MAX]
    return Finding(rule, told, path, line, Severity.ASK)


def note(rule: str, path: str, message: str, line: int = 0) -> Finding:
    """What an auditor may read, and need not decide."""
    return replace(ask(rule, path, message, line), severity=Severity.NOTE)


def lines_of(content: bytes | None) -> list[str]:
    """The lines of a text, empty for a file that is not there or binary."""
    if content is None or b"\0" in content:
        return []
    return content.decode("utf-8", "replace").splitlines()


def added(before: Iterable[str], after: Iterable[str]) -> list[str]:
    """What the second has more of than the first, in its order; equal ones count."""
    left: dict[str, int] = {}
    for each in before:
        left[each] = left.get(each, 0) + 1
    found = []
    for each in after:
        if left.get(each, 0):
            left[each] -= 1
        else:
            found.append(each)
    return found
