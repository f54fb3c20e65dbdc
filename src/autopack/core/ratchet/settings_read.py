"""Configuration files of TOML, INI and JSON as flat keys, so that one rule reads them all.

`tool.pytest.ini_options.addopts` is one key whatever the form. Never interprets a value.
"""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from collections.abc import Iterator
from typing import Final

Value = str | bool | float | tuple[str, ...] | None
Flat = dict[str, Value]

KEYS_MAX: Final = 5_000
"""Keys of one file; one with more is data, and is not understood here."""
LINE_CHARACTERS_MAX: Final = 5_000
"""Of a line of TOML: the time for a dotted key is the square of its length."""
DEPTH_MAX: Final = 12
"""Tables inside one another."""
_COMMENTS: Final = re.compile(
    r'("(?:\\.|[^"\\])*"?)|//[^\n]*|/\*(?:.*?\*/|.*\Z)|,(?=\s*[}\]])', re.DOTALL
)


class NotUnderstoodError(ValueError):
    """A file that is none of its form, or too large or deep for one."""


def flat(text: str, form: str) -> Flat:
    """The keys of a text of form `toml`, `ini` or `json`; NotUnderstoodError."""
    try:
        if form == "toml":
            if max(map(len, text.splitlines()), default=0) > LINE_CHARACTERS_MAX:
                raise NotUnderstoodError("a very long line")
            found: object = tomllib.loads(text)
        elif form == "json":
            found = json.loads(_COMMENTS.sub(lambda match: match[1] or "", text)) if text else {}
        else:
            return dict(_bounded(_ini(text)))
        return dict(_bounded(_walk(found, "", DEPTH_MAX)))
    except (ValueError, RecursionError, configparser.Error) as problem:
        raise NotUnderstoodError(str(problem)) from None


def _ini(text: str) -> Iterator[tuple[str, Value]]:
    parser = configparser.ConfigParser(
        interpolation=None, strict=False, allow_no_value=True, default_section="\0"
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys keep their case
    parser.read_string(text)
    for section in parser.sections():
        for key, value in parser.items(section):
            lines = [line.partition(" #")[0].strip() for line in (value or "").splitlines()]
            kept = [line for line in lines if line and not line.startswith(("#", ";"))]
            told: Value = kept[0] if len(kept) == 1 and kept[0] == lines[0] else tuple(kept)
            yield f"{section}.{key}", told


def _walk(node: object, key: str, depth: int) -> Iterator[tuple[str, Value]]:
    if depth == 0:
        raise NotUnderstoodError("tables inside tables")
    below = f"{key}." if key else ""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _walk(value, f"{below}{name}", depth - 1)
    elif isinstance(node, list) and any(isinstance(each, dict) for each in node):
        for number, each in enumerate(node):
            yield from _walk(each, f"{below}{_title(each, number)}", depth - 1)
    elif isinstance(node, list):
        yield key, tuple(each if isinstance(each, str) else json.dumps(each) for each in node)
    elif node is None or isinstance(node, str | bool):
        yield key, node
    elif isinstance(node, int | float):
        yield key, float(node)
    else:  # dates
        yield key, str(node)


def _title(each: object, number: int) -> str:
    """What tells a table of a list from the others, whatever its place."""
    if isinstance(each, dict):
        for name in ("name", "module", "id", "path"):
            if name in each:
                return f"[{each[name]}]"
    return f"[{number}]"


def _bounded(pairs: Iterator[tuple[str, Value]]) -> Iterator[tuple[str, Value]]:
    for number, pair in enumerate(pairs):
        if number == KEYS_MAX:
            raise NotUnderstoodError(f"more than {KEYS_MAX} keys")
        yield pair
