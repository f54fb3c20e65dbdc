"""Every field that the published schema has refuses every kind of wrongness that it names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from autopack.core.ruleset import Ruleset
from autopack.core.ruleset_data import parse_ruleset

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
NAMES = {"aliases": "x", "builder_modes": "tweak_light"}
"""A row of each table whose rows have any name; a category elsewhere."""
Place = tuple[str | int, ...]


@cache
def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((REFERENCE / "ruleset.schema.json").read_text())
    return found


def fields(node: dict[str, Any], at: Place = ()) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Every place of the schema, tables and lists too, with what may stand there."""
    if at:
        yield at, node
    for name, below in node.get("properties", {}).items():
        if name != "$schema":
            yield from fields(below, (*at, name))
    if isinstance(rows := node.get("additionalProperties"), dict):
        yield from fields(rows, (*at, NAMES.get(str(at[-1]), "docs")))
    if "items" in node:
        yield from fields(node["items"], (*at, 0))


def wrong(node: dict[str, Any]) -> Iterator[object]:
    """Values that the schema refuses: another type, outside of its bounds, no word of its."""
    every: tuple[object, ...] = (None, True, 1.5, "a b", [], {}, [[]], "")
    yield from every
    if "maximum" in node:
        yield from (node["maximum"] + 1, node["minimum"] - 1, -1, "7", 10**400)
    if "maxLength" in node:
        yield "x" * (node["maxLength"] + 1)
    if "pattern" in node or "enum" in node:
        yield from ("../../etc/passwd", "x" * 200, "a\nb", "\u202e")
    if node.get("type") == "object":
        yield from ({"surely_unknown": 1}, {"..": {}})
    if "maxItems" in node:
        yield ["docs"] * (node["maxItems"] + 1)


def nested(at: Place, value: object) -> dict[str, Any]:
    told: Any = value
    for part in reversed(at):
        told = [told] if isinstance(part, int) else {part: told}
    return {"version": 1, **told}


def dotted(at: Place) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at)[1:]


PLACES = list(fields(schema()))


def test_there_are_places() -> None:
    told = json.loads((REFERENCE / "ruleset.json").read_text())
    named = {place[0] for place, _ in PLACES}
    assert set(told) == named
    for table in ("safety_profiles", "category_defaults", "builder_modes"):
        (row, *_) = told[table].values()
        inside = {place[2] for place, _ in PLACES if place[0] == table and len(place) == 3}
        assert set(row) <= inside
    assert set(told["debt"]) == {p[1] for p, _ in PLACES if p[0] == "debt" and len(p) == 2}


@pytest.mark.parametrize(("at", "node"), PLACES, ids=[dotted(at) for at, _ in PLACES])
def test_what_the_schema_refuses_is_refused_where_it_stands(
    at: Place, node: dict[str, Any]
) -> None:
    here = Draft202012Validator(node)
    tried = 0
    for value in wrong(node):
        if here.is_valid(value):
            continue
        tried += 1
        found = parse_ruleset(json.dumps(nested(at, value)), "rules.json", "lab")
        assert not isinstance(found, Ruleset), value
        keys = [problem.key for problem in found]
        assert any(key.startswith(dotted(at)) for key in keys), (value, keys)
        assert all(len(str(problem)) < 400 and str(problem).isprintable() for problem in found)
    assert tried >= 4, "a field that hardly anything is wrong for"
