"""Texts of agents, plans and tools made harmless for Markdown files and terminals.

Nothing that passes through here can open a tag, a link, a heading or an escape sequence.
"""

from __future__ import annotations

import re
import unicodedata

_SPECIAL = re.compile(r"[\\`*\[\]|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""What can begin a code span, emphasis, link or table cell; an underscore inside a word cannot."""
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
_LINES = re.compile(r"\r\n?|[\n\v\f\x1c-\x1e\x85\u2028\u2029]")
INLINE_CHARACTERS_MAX = 2_000
BLOCK_CHARACTERS_MAX = 20_000
"""The longest texts that a file repeats; more stands in the logs."""


def printable(text: str) -> str:
    """Control, format and surrogate characters (ANSI, bidi overrides) as visible codes."""
    return "".join(
        character if character in "\n\t" or not _hidden(character) else _code(character)
        for character in text
    )


def _hidden(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn"}


def _code(character: str) -> str:
    return ascii(character)[1:-1]


def inline(text: str) -> str:
    """A text as one line of plain words, wherever Markdown may stand, table cells too."""
    line = printable(" ".join(_LINES.sub("\n", text).split()))
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
    body = printable(_LINES.sub("\n", text)).strip("\n")
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{body}\n{fence}"


def file_part(name: str, bytes_max: int = 120) -> str:
    """A free name as part of a file name.

    Spaces and slashes become `_`, and so does the rest that a file system may take amiss.
    """
    kept = "".join(
        "_" if character.isspace() or _hidden(character) or character in '/\\<>:"|?*' else character
        for character in unicodedata.normalize("NFC", name)
    )
    return kept.encode()[:bytes_max].decode(errors="ignore")
