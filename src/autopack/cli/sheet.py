"""A report on paper: a title, facts, tables, notes; as text for a terminal or as Markdown.

Texts of agents and plans are made harmless here, whatever they hold. Never prints.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from autopack.adapters.files.escape import inline
from autopack.cli import render

CELL_CHARACTERS_MAX: Final = 80
"""A wider cell would push its table's other columns off the screen; `--json` has all of it."""


@dataclass(frozen=True)
class Grid:
    """A table; a row has a cell for each column. `empty`: what is said of none."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    empty: str = ""


@dataclass(frozen=True)
class Sheet:
    title: str
    facts: Sequence[tuple[str, str]] = ()
    grids: Sequence[Grid] = ()
    notes: Sequence[str] = field(default=())


def text(sheet: Sheet, width: int | None = None) -> Iterator[str]:
    """Lines for a terminal of so many columns, or without an edge."""
    yield _short(sheet.title)
    for name, value in sheet.facts:
        yield f"  {name}: {_line(value)}"
    for grid in sheet.grids:
        if not grid.rows and not grid.empty:
            continue
        yield ""
        if grid.title:
            yield grid.title
        if not grid.rows:
            yield f"  {grid.empty}"
            continue
        yield from _table(grid, width)
    if sheet.notes:
        yield ""
        yield from (_line(note) for note in sheet.notes)


def _table(grid: Grid, width: int | None) -> list[str]:
    """A grid, two blanks in; its first column and any other fit beside each other."""
    first = other = CELL_CHARACTERS_MAX
    if width is not None:
        first = min(first, width // 2)
        widest = max(len(_short(line[0], first)) for line in (grid.header, *grid.rows))
        other = min(other, width - widest - 4)
    rows = [
        ("", _short(row[0], first), *(_short(cell, other) for cell in row[1:])) for row in grid.rows
    ]
    return render.table(("", *(name.upper() for name in grid.header)), rows, width)


def markdown(sheet: Sheet) -> Iterator[str]:
    """Lines of a Markdown document in which no text can be more than text."""
    yield f"# {inline(sheet.title)}"
    yield ""
    if sheet.facts:
        yield from (f"- {inline(name)}: {inline(value)}" for name, value in sheet.facts)
        yield ""
    for grid in sheet.grids:
        yield from _section(grid)
    for note in sheet.notes:
        yield from (inline(note), "")


def _section(grid: Grid) -> Iterator[str]:
    if not grid.rows and not grid.empty:
        return
    if grid.title:
        yield from (f"## {inline(grid.title)}", "")
    if grid.rows:
        yield _row(grid.header)
        yield "|" + " --- |" * len(grid.header)
        yield from (_row(row) for row in grid.rows)
    else:
        yield f"{inline(grid.empty)}."
    yield ""


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(inline(cell) for cell in cells) + " |"


def _line(value: str) -> str:
    return " ".join(value.split())


def _short(value: str, most: int = CELL_CHARACTERS_MAX) -> str:
    line = _line(value)
    return line if len(line) <= most else f"{line[: most - 1]}…"
