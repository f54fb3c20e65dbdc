"""Words from outside: command lines into arguments, misspelt names, hostile text made plain.

`split` is a pure twin of `shlex.split`. Never expands, never runs anything.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

DISTANCE_MAX = 3
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode's categories of what a reader does not see, or sees in the wrong place."""


def split(line: str) -> tuple[str, ...]:
    """Arguments of a command line by POSIX quoting rules, without any expansion.

    ValueError when a quotation or an escape is left open.
    """
    words: list[str] = []
    word: str | None = None
    quote = ""
    characters = iter(line)
    for character in characters:
        if quote and character == quote:
            quote = ""
        elif quote == "'" or (quote and character != "\\"):
            word = (word or "") + character
        elif character == "\\":
            word = (word or "") + _escaped(next(characters, ""), quote)
        elif character in "'\"":
            quote, word = character, word or ""
        elif character in " \t\r\n":
            words += [word] if word is not None else []
            word = None
        else:
            word = (word or "") + character
    if quote:
        raise ValueError(f"the quotation that {quote} opens is never closed")
    return tuple(words if word is None else [*words, word])


def _escaped(character: str, quote: str) -> str:
    """What a backslash and the character after it stand for."""
    if not character:
        raise ValueError("the line ends with a backslash that escapes nothing")
    if quote and character not in ('"', "\\"):
        return "\\" + character
    return character


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that `word` most likely misspells; empty when none is near."""
    limit = min(DISTANCE_MAX, max(1, len(word) // 2))
    ranked = sorted((distance(word.lower(), each.lower()), each) for each in known)
    return ranked[0][1] if ranked and ranked[0][0] <= limit else ""


def distance(left: str, right: str) -> int:
    """Edits between two words: a letter added, dropped, changed, or two neighbours swapped."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        before, above, row = row, before, [i]
        for j, b in enumerate(right, 1):
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                best = min(best, above[j - 2] + 1)
            row.append(best)
    return row[-1]


def syntax_fault(text: str, message: str) -> tuple[int, str]:
    """The line that a TOML reader's message names (0: none), and the message without it."""
    message = number_fault(message)
    named = re.search(r"\s*\(at line (\d+), (column \d+)\)", message)
    if named:
        return int(named[1]), f"{message[: named.start()]}, {named[2]}"
    return text.count("\n") + 1 if "end of document" in message else 0, message


def number_fault(message: str) -> str:
    """A reader's message, in words for who wrote the file where Python talks of its own limit."""
    limit = re.match(r"Exceeds the limit \((\d+) digits\)", message)
    return f"a number has more than {int(limit[1]):,} digits: write less" if limit else message


def visible(text: str, keep: str = "") -> str:
    """Text that drives no terminal and hides nothing: what is not seen (ANSI, bidi) as its code.

    Line breaks too, unless they are among the characters to `keep`.
    """
    return "".join(
        char if char in keep or unicodedata.category(char) not in HIDDEN else ascii(char)[1:-1]
        for char in text
    )


def plain(text: str, characters_max: int) -> str:
    """Text to keep and to prompt with: without control characters, bounded, head and tail kept.

    Half a surrogate pair, which nothing can store, is replaced.
    """
    text = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
    kept = "".join(c for c in text if c in "\n\t" or unicodedata.category(c)[0] != "C").strip()
    if len(kept) <= characters_max:
        return kept
    half = characters_max // 2 - 2
    return f"{kept[:half]}\n…\n{kept[-half:]}"
