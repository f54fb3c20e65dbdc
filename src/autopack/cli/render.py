"""How commands speak: data on standard output, everything else on standard error.

Plain text without any library, so that reading is quick; text that came from agents, repositories
or git is made harmless for a terminal. Never asks and never decides.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
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
    from autopack.core.redact import redact

    message, hint = _shortened(redact(message)), _shortened(redact(hint))
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


def width() -> int | None:
    """Columns of the terminal that reads us; None: it is a file or a program, without any edge."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table(
    header: Sequence[str], rows: Iterable[Sequence[str]], width: int | None = None
) -> list[str]:
    """Left-aligned columns two blanks apart; wider than `width`, in parts one below the other.

    Each part begins with the first column that has a name, so that its rows can be told apart.
    """
    lines = [list(header), *([visible(cell) for cell in row] for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(header))]
    told: list[str] = []
    for part in _parts(header, widths, width):
        told += [""] if told else []
        told += ["  ".join(line[n].ljust(widths[n]) for n in part).rstrip() for line in lines]
    return told


def _parts(header: Sequence[str], widths: Sequence[int], width: int | None) -> list[list[int]]:
    """The columns of each part, by number; a part has at least one that is its own."""
    first = next((n for n, name in enumerate(header) if name), len(header))
    lead = list(range(min(first + 1, len(header))))
    parts = [[*lead]]
    for n in range(len(lead), len(header)):
        taken = sum(widths[each] + 2 for each in parts[-1])
        if width is not None and taken + widths[n] > width and len(parts[-1]) > len(lead):
            parts.append([*lead])
        parts[-1].append(n)
    return parts
