"""What a failure says, without what differs from one run to the next: two that agree are one.

Numbers, addresses, paths, times and ids are left out. Never decides what a failure means.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

MESSAGE_CHARACTERS_MAX: Final = 4_000
"""Characters of a failure's message that are looked at."""
CHARACTERS: Final = 16
"""Hexadecimal digits of a fingerprint."""
SLUG_CHARACTERS_MAX: Final = 48
_VARYING: Final = (
    (re.compile(r"\x1b\[[0-9;]{0,16}[A-Za-z]"), ""),
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"\b0[xX][0-9a-fA-F]{1,16}\b"), "<address>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?)?"), "<time>"),
    (re.compile(r"\b\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?"), "<time>"),
    (re.compile(r"(?:[A-Za-z]:)?[\w.@+-]{0,255}[/\\][\w.@+\\/-]{1,1000}"), "<path>"),
    (re.compile(r"\b(?=[0-9a-fA-F]{0,64}\d)[0-9a-fA-F]{8,64}\b"), "<id>"),
    (re.compile(r"\d+(?:\.\d+)?"), "<n>"),
    (re.compile(r"\s+"), " "),
)
"""In this order: what holds another comes first."""


def normalised(message: str) -> str:
    """A failure's message without what varies, on one line."""
    text = message[:MESSAGE_CHARACTERS_MAX]
    for varying, kept in _VARYING:
        text = varying.sub(kept, text)
    return text.strip()


def fingerprint(test: str, message: str) -> str:
    """The same for the same failure of the same test, wherever and whenever it happened."""
    said = f"{test}\n{normalised(message)}"
    return hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:CHARACTERS]


def issue_key(prefix: str, test: str, print_: str) -> str:
    """The key of a failure's issue: `<prefix>-<words of the test>-<fingerprint>`."""
    words = re.sub(r"[^A-Za-z0-9]+", "_", test).strip("_")[-SLUG_CHARACTERS_MAX:].strip("_")
    return f"{prefix}-{words or 'test'}-{print_}"
