"""How commands speak: data on standard output, everything else on standard error.

Plain text without any library, so that reading is quick; text that came from agents, repositories
or git is made harmless for a terminal. Never asks and never decides.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from autopack.core.words import visible

SCHEMA_VERSION: Final = 1
WORD_CHARACTERS_MAX: Final = 600
"""Of one word of an error: paths are shorter, mostly."""


def data(record: Mapping[str, Any]) -> None:
    """One JSON document with the version of its shape."""
    _say(json.dumps({"schema_version": SCHEMA_VERSION, **record}, indent=2, ensure_ascii=True))


def out(*lines: str) -> None:
    """Text that was asked for."""
    for line in lines:
        _say(visible(line))


def end() -> None:
    """Have all of it reach the reader."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        unheard()


def _say(text: str) -> None:
    try:
        print(text)
    except BrokenPipeError:
        unheard()


def unheard() -> None:
    """The reader, like `head`, has had enough: the command goes on and ends as it would."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(*lines: str) -> None:
    """Progress, warnings, advice."""
    for line in lines:
        print(visible(line), file=sys.stderr, flush=True)


def warn(warnings: Sequence[str], *, as_json: bool) -> None:
    """What is passed over; for programs each in the form of an error, under a code of its own."""
    for warning in warnings:
        if as_json:
            fault("warning", warning, "", as_json=True)
        else:
            note(f"warning: {warning}")


def fault(code: str, message: str, hint: str, *, as_json: bool) -> None:
    """What went wrong, for people or programs; a word that somebody made enormous is shortened."""
    message, hint = _shortened(message), _shortened(hint)
    if as_json:
        print(json.dumps({"code": code, "message": message, "hint": hint}), file=sys.stderr)
        return
    first, *rest = message.splitlines() or [""]
    note(f"autopack: {first}", *(f"  {line}" for line in rest))
    if hint:
        note(*(f"  hint: {line}" for line in hint.splitlines()))


def _shortened(text: str) -> str:
    """The text with the head and the end of each word that is no word."""
    most, half = WORD_CHARACTERS_MAX, WORD_CHARACTERS_MAX // 4
    return re.sub(rf"\S{{{most},}}", lambda word: f"{word[0][:half]}…{word[0][-half:]}", text)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Left-aligned columns two blanks apart."""
    lines = [list(header), *([visible(cell) for cell in row] for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(header))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
