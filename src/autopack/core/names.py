"""File names as other systems would read them: look-alikes of git's own, forbidden and clashing.

Names come from agents and are bytes; nothing here touches a file system.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from autopack.core.words import visible

NAME_BYTES_MAX: Final = 255  # bytes of one component: NAME_MAX of every common file system
_WINDOWS: Final = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?:[ .:].*)?", re.IGNORECASE
)
_SHORT: Final = {"git~1": ".git", "gi7eba~1": ".gitmodules", "gi7d29~1": ".gitattributes"}
"""What NTFS calls these by default (git's path.c)."""
_SHORT_MODULES: Final = re.compile(r"gitmod~[1-4]")
_SHORT_ATTRIBUTES: Final = re.compile(r"gitatt~[1-4]")
_OURS: Final = frozenset({".git", ".gitmodules", ".gitattributes"})
_REFUSED_CATEGORIES: Final = {
    "Cc": "has a control character",
    "Cf": "has an invisible or direction-changing character",
    "Zl": "has a line separator",
    "Zp": "has a paragraph separator",
    "Co": "has a private-use character",
}


def printable(path: bytes) -> str:
    """The path as text that a terminal, a log and JSON can carry; odd bytes are escaped."""
    return visible(path.decode("utf-8", "backslashreplace"))


def folder_names(path: bytes) -> list[str]:
    """The path's components; bytes that are not UTF-8 become surrogates."""
    return path.decode("utf-8", "surrogateescape").split("/")


def folded(path: bytes) -> bytes:
    """Equal for paths that are one file where case is folded or Unicode is normalised."""
    if path.isascii():
        return path.lower()
    text = path.decode("utf-8", "surrogateescape")
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())
    return text.encode("utf-8", "surrogateescape")


def look_alike(name: str) -> str:
    """`.git`, `.gitmodules` or `.gitattributes` when some file system reads `name` as it.

    HFS+ ignores invisible characters and folds case; NTFS drops final dots and spaces, what
    follows a colon, and knows short names. Empty for an honest name.
    """
    seen = "".join(char for char in name if unicodedata.category(char) != "Cf")
    seen = unicodedata.normalize("NFKC", seen).casefold()
    seen = re.split(r"[:\\]", seen, maxsplit=1)[0].rstrip(". ")
    if _SHORT_MODULES.fullmatch(seen):
        return ".gitmodules"
    if _SHORT_ATTRIBUTES.fullmatch(seen):
        return ".gitattributes"
    seen = _SHORT.get(seen, seen)
    return seen if seen in _OURS else ""


def name_problem(path: bytes) -> str:
    """Why the path cannot be taken on every system, as the end of a sentence; empty when it can."""
    try:
        path.decode("utf-8")
    except UnicodeDecodeError:
        return "is not valid UTF-8"
    for name in folder_names(path):
        if problem := _component_problem(name):
            return problem
    return ""


def _component_problem(name: str) -> str:
    for char in name:
        if why := _REFUSED_CATEGORIES.get(unicodedata.category(char)):
            return f"{why} (U+{ord(char):04X})"
    checks = (
        (name in ("", ".", ".."), "has an empty, '.' or '..' component"),
        ("\\" in name, "has a backslash"),
        (name.startswith("-"), "has a component that begins with a dash"),
        (name.endswith((".", " ")), "has a component that ends with a dot or a space"),
        (bool(_WINDOWS.fullmatch(name)), "is reserved on Windows"),
        (len(name.encode()) > NAME_BYTES_MAX, f"has a component over {NAME_BYTES_MAX} bytes"),
    )
    return next((problem for bad, problem in checks if bad), "")
