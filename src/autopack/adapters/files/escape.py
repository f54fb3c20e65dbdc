"""Texts of agents, plans and tools made harmless for Markdown files and terminals.

Nothing that passes through here can open a tag, a link, a heading or an escape sequence.
"""

from __future__ import annotations

import re
import unicodedata

from autopack.core.words import HIDDEN, visible

_SPECIAL = re.compile(r"[\\`*\[\]|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""What can begin a code span, emphasis, link or table cell; an underscore inside a word cannot."""
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
_LINES = re.compile(r"\r\n?|[\n\v\f\x1c-\x1e\x85\u2028\u2029]")
_AMISS = frozenset('/\\<>:"|?*')
"""What some file system takes for its own in a name."""
INLINE_CHARACTERS_MAX = 2_000
BLOCK_CHARACTERS_MAX = 20_000
"""The longest texts that a file repeats; more stands in the logs."""


def inline(text: str) -> str:
    """A text as one line of plain words, wherever Markdown may stand, table cells too."""
    line = visible(" ".join(_LINES.sub("\n", text).split()))
    if len(line) > INLINE_CHARACTERS_MAX:
        line = line[:INLINE_CHARACTERS_MAX] + "…"
    escaped = _SPECIAL.sub(r"\\\g<0>", line)
    escaped = "".join(_ENTITIES.get(character, character) for character in escaped)
    return escaped.replace("://", "&#58;//").replace("www.", "www&#46;")


def block(text: str) -> str:
    """A text of several lines as a code block that it cannot close."""
    if len(text) > BLOCK_CHARACTERS_MAX:
        left = len(text) - BLOCK_CHARACTERS_MAX
        text = f"{text[:BLOCK_CHARACTERS_MAX]}\n… {left:,} characters more"
    body = visible(_LINES.sub("\n", text), keep="\n\t").strip("\n")
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{body}\n{fence}"


def file_part(name: str, bytes_max: int = 120) -> str:
    """A free name as part of a file name.

    Spaces and slashes become `_`, and so does the rest that a file system may take amiss.
    """
    kept = "".join(
        "_" if each.isspace() or unicodedata.category(each) in HIDDEN or each in _AMISS else each
        for each in unicodedata.normalize("NFC", name)
    )
    return kept.encode()[:bytes_max].decode(errors="ignore")
