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


def text(sheet: Sheet) -> Iterator[str]:
    """Lines for a terminal."""
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
        rows = [("", *(_short(cell) for cell in row)) for row in grid.rows]
        yield from render.table(("", *(name.upper() for name in grid.header)), rows)
    if sheet.notes:
        yield ""
        yield from (_line(note) for note in sheet.notes)


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


def _short(value: str) -> str:
    line = _line(value)
    most = CELL_CHARACTERS_MAX
    return line if len(line) <= most else f"{line[: most - 1]}…"
