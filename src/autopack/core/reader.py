"""Takes values out of parsed tables and collects all that is wrong with them, by key and line.

Never reads a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from autopack.core.words import nearest, split

FILE_NAME: Final = "autopack.toml"
PATHS_MAX: Final = 200

E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True)
class Problem:
    """One thing wrong: the key's path, its line (0 when unknown), what to write instead."""

    key: str
    message: str
    line: int = 0
    file: str = FILE_NAME

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.key}: {self.message}" if self.key else f"{where}: {self.message}"


class Reader:
    """Takes values out of parsed TOML or JSON and collects what is wrong with them.

    Every method names the full key path; the value is the last part of it. Lines are those of
    TOML: who reads JSON gives no text, and finds them itself.
    """

    def __init__(self, text: str = "", file: str = FILE_NAME) -> None:
        self.lines = text.splitlines()
        self.file = file
        self.problems: list[Problem] = []
        self._listed: set[frozenset[str]] = set()

    def problem(self, key: str, message: str) -> None:
        self.problems.append(Problem(key, message, line_of(self.lines, key), self.file))

    def known(self, table: Mapping[str, object], key: str, names: frozenset[str]) -> None:
        for name in table:
            if name not in names:
                hint = self.known_hint(name, names)
                self.problem(f"{key}.{name}" if key else name, f"unknown key{hint}")

    def known_hint(self, name: str, names: Collection[str]) -> str:
        """What to write instead of a name: the nearest, or all there are, which are listed once."""
        if meant := nearest(name, names):
            return f"; did you mean {meant!r}?"
        listed = frozenset(names)
        if listed in self._listed:
            return ""
        self._listed.add(listed)
        return f"; known: {', '.join(sorted(listed))}"

    def table(
        self, parent: Mapping[str, object], key: str, names: frozenset[str]
    ) -> dict[str, object]:
        value = parent.get(_last(key), {})
        if not isinstance(value, dict):
            self.problem(key, "must be a table")
            return {}
        self.known(value, key, names)
        return value

    def text(self, parent: Mapping[str, object], key: str) -> str:
        value = parent[_last(key)]
        if isinstance(value, str):
            return value
        self.problem(key, "must be a string")
        return ""

    def list(self, parent: Mapping[str, object], key: str, most: int) -> list[object]:
        value = parent.get(_last(key), [])
        if not isinstance(value, list):
            self.problem(key, "must be a list")
            return []
        if len(value) > most:
            self.problem(key, f"{len(value)} entries, at most {most}")
        return value[:most]

    def texts(
        self,
        parent: Mapping[str, object],
        key: str,
        refuse: Callable[[str], str],
        most: int = PATHS_MAX,
    ) -> tuple[str, ...]:
        kept = []
        for number, value in enumerate(self.list(parent, key, most)):
            why = refuse(value) if isinstance(value, str) else "must be a string"
            if why:
                self.problem(f"{key}[{number}]", why)
            else:
                kept.append(str(value))
        return tuple(dict.fromkeys(kept))

    def argv(self, value: object, key: str) -> tuple[str, ...]:
        try:
            words = split(value) if isinstance(value, str) else value
        except ValueError as fault:
            self.problem(key, str(fault))
            return ()
        if not isinstance(words, (list, tuple)) or not all(isinstance(w, str) for w in words):
            self.problem(key, "must be a string or a list of strings")
            return ()
        if not words or not words[0] or any("\0" in word for word in words):
            self.problem(key, "must name a program, without NUL characters")
            return ()
        return tuple(words)

    def whole(
        self, parent: Mapping[str, object], key: str, most: int = 2**53, least: int = 1
    ) -> int | None:
        value = parent.get(_last(key))
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():  # as JSON Schema sees 1.0
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.problem(key, f"must be a whole number from {least} to {most:,}")
            return None
        return value

    def number(self, parent: Mapping[str, object], key: str, most: float) -> float | None:
        value = parent.get(_last(key))
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= most:
            self.problem(key, f"must be a number from 0 to {most:,g}")
            return None
        return float(value)

    def flag(self, parent: Mapping[str, object], key: str) -> bool | None:
        value = parent.get(_last(key))
        if value is None or isinstance(value, bool):
            return value
        self.problem(key, "must be true or false")
        return None

    def choice(self, parent: Mapping[str, object], key: str, kind: type[E]) -> E | None:
        value = parent.get(_last(key))
        if value is None:
            return None
        options = [each.value for each in kind]
        if value in options:
            return kind(value)
        meant = nearest(value, options) if isinstance(value, str) else ""
        hint = f"; did you mean {meant!r}?" if meant else ""
        self.problem(key, f"must be one of {', '.join(options)}{hint}")
        return None


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def line_of(lines: list[str], key: str) -> int:
    """The line that gives `key`, as far as plain text tells; else its table's line, or 0."""
    names = [part.partition("[")[0] for part in key.split(".")]
    first, rest = _section(lines, names)
    if not rest:
        return first
    end = next(
        (n for n in range(first, len(lines)) if first and re.match(r"\s*\[\[?\w", lines[n])),
        len(lines),
    )
    start = first
    if index := re.search(r"\[(\d+)\]\.", key):
        items = [n for n in range(first, end) if "{" in lines[n]]
        start = items[int(index[1])] if int(index[1]) < len(items) else first
    for name in reversed(rest):
        given = re.compile(r"(?:^|[\s{,])" + _quoted(name) + r"\s*[=.]")
        for number in range(start, end):
            if given.search(lines[number]):
                return number + 1
        if start > first:
            return start + 1
    return first


def _section(lines: list[str], names: list[str]) -> tuple[int, list[str]]:
    """The line number of the innermost table header over a key, and the names below it."""
    for depth in range(len(names), 0, -1):
        path = r"\s*\.\s*".join(_quoted(name) for name in names[:depth])
        header = re.compile(r"\s*\[\[?\s*" + path + r"\s*\]")
        for number, line in enumerate(lines, 1):
            if header.match(line):
                return number, names[depth:]
    return 0, names


def _quoted(name: str) -> str:
    return f"[\"']?{re.escape(name)}[\"']?"
