"""Plans as TOML and JSON: text to draft, and the JSON Schema that both obey.

Unknown keys and wrong types are problems with their key path, and with a line where the text gives
one away. Never reads a file.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace

from autopack.core.builtin import BUILT_IN
from autopack.core.ids import ID_PATTERN
from autopack.core.plan_draft import (
    LIST_KEYS,
    TEXT_KEYS,
    Form,
    PhaseDraft,
    Place,
    PlanDraft,
    PlanProblem,
    TierDraft,
    quoted,
    suggestion,
    trimmed,
    unreadable,
)
from autopack.core.spec import (
    Complexity,
)
from autopack.core.words import nearest, number_fault, syntax_fault

PLAN_KEYS = ("tiers", "$schema")
TIER_KEYS = ("id", "name", "phases")
PHASE_KEYS = ("id", "name", *TEXT_KEYS, *LIST_KEYS, "task")
_HEADER = re.compile(r"\s*\[\[\s*tiers\s*(\.\s*phases\s*)?\]\]")
_KEY = re.compile(r"\s*[\"']?([A-Za-z_$-]+)[\"']?\s*=")


def parse_toml(text: str, file: str) -> PlanDraft:
    """The draft in a TOML text; a syntax error makes it unreadable."""
    try:
        table = tomllib.loads(text)
    except RecursionError:
        return unreadable(file, "not a plan: its values are nested too deeply")
    except ValueError as fault:
        line, message = syntax_fault(text, str(fault))
        return unreadable(file, f"not TOML: {message}", line)
    return _Reader(file, Form.TOML, _toml_lines(text)).plan(table)


def parse_json(text: str, file: str) -> PlanDraft:
    """The draft in a JSON text; a syntax error or a repeated key makes it unreadable."""
    try:
        table = json.loads(text, object_pairs_hook=_unrepeated)
    except json.JSONDecodeError as fault:
        return unreadable(file, f"not JSON: {fault.msg}, column {fault.colno}", fault.lineno)
    except RecursionError:
        return unreadable(file, "not a plan: its values are nested too deeply")
    except ValueError as fault:
        return unreadable(file, f"not a plan: {number_fault(str(fault))}")
    if not isinstance(table, dict):
        return unreadable(file, 'not a plan: write {"tiers": […]}', 1)
    return _Reader(file, Form.JSON, []).plan(table)


def _unrepeated(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        again = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {again!r} stands twice in one object")
    return table


class _Reader:
    """Collects problems while tables become records."""

    def __init__(self, file: str, form: Form, lines: list[tuple[Lines, list[Lines]]]) -> None:
        self.file = file
        self.form = form
        self.lines = lines
        self.problems: list[PlanProblem] = []

    def plan(self, table: Mapping[str, object]) -> PlanDraft:
        place = self._known(table, Place(), PLAN_KEYS)
        rows = self._tables(table, place, "tiers")
        if not _fits(self.lines, rows):
            self.lines = []
        tiers = tuple(self._tier(row, number) for number, row in enumerate(rows))
        return PlanDraft(self.file, tiers, tuple(self.problems), form=self.form)

    def _tier(self, table: Mapping[str, object], number: int) -> TierDraft:
        lines, phase_lines = self.lines[number] if self.lines else ({}, [])
        place = self._known(table, Place(f"tiers[{number}]", lines), TIER_KEYS)
        phases = [
            self._phase(row, Place(place.key(f"phases[{i}]"), phase_lines[i] if self.lines else {}))
            for i, row in enumerate(self._tables(table, place, "phases"))
        ]
        name = self._text(table, place, "name")
        return TierDraft(self._id(table, place), name, tuple(phases), place)

    def _phase(self, table: Mapping[str, object], place: Place) -> PhaseDraft:
        place = self._known(table, place, PHASE_KEYS)
        return PhaseDraft(
            id=self._id(table, place),
            name=self._text(table, place, "name"),
            category=self._text(table, place, "category"),
            complexity=self._text(table, place, "complexity"),
            mode=self._text(table, place, "mode"),
            scope=self._list(table, place, "scope"),
            needs=self._list(table, place, "needs"),
            packs=self._list(table, place, "packs"),
            deliver=self._list(table, place, "deliver"),
            task=trimmed(self._text(table, place, "task")),
            place=place,
        )

    def _report(self, place: Place, key: str, message: str, hint: str = "") -> None:
        self.problems.append(PlanProblem(self.file, message, place.line(key), place.key(key), hint))

    def _known(self, table: Mapping[str, object], place: Place, known: tuple[str, ...]) -> Place:
        """The place with the keys that are told of: the wrong ones, and those they were meant for.

        Unknown keys are reported here; keys of a wrong type where they are read.
        """
        told = {key for key in known if key in table and not self._reads(key, table[key])}
        for key in table:
            if key not in known:
                hint = suggestion(key, known) or f"known are {', '.join(known)}"
                self._report(place, quoted(key)[1:-1], "unknown key", hint)
                told |= {nearest(key, known)} - table.keys() if suggestion(key, known) else set()
        return replace(place, told=frozenset(told))

    @staticmethod
    def _reads(key: str, value: object) -> bool:
        """Whether anything of a key's value can be read."""
        if key in {*LIST_KEYS, "tiers", "phases"}:
            kind = str if key in LIST_KEYS else dict
            return isinstance(value, list) and (
                not value or any(isinstance(v, kind) for v in value)
            )
        return isinstance(value, str)

    def _id(self, table: Mapping[str, object], place: Place) -> str:
        if table.get("id", "") == "" and "id" not in place.told:
            self._report(place, "id", "is missing")
        return self._text(table, place, "id")

    def _text(self, table: Mapping[str, object], place: Place, key: str) -> str:
        value = table.get(key, "")
        if isinstance(value, str):
            return value
        self._report(place, key, f"must be a string, not {self._type_name(value)}")
        return ""

    def _list(self, table: Mapping[str, object], place: Place, key: str) -> tuple[str, ...]:
        value = table.get(key, [])
        if not isinstance(value, list):
            self._report(place, key, f"must be an array of strings, not {self._type_name(value)}")
            return ()
        for number, item in enumerate(value):
            if not isinstance(item, str):
                wrong = f"must be a string, not {self._type_name(item)}"
                self._report(place, f"{key}[{number}]", wrong)
        return tuple(item for item in value if isinstance(item, str))

    def _tables(
        self, table: Mapping[str, object], place: Place, key: str
    ) -> list[Mapping[str, object]]:
        value = table.get(key, [])
        rows = value if isinstance(value, list) else []
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in rows):
            rows_are = "objects" if self.form is Form.JSON else "tables"
            self._report(place, key, f"must be an array of {rows_are}")
        return [row for row in rows if isinstance(row, dict)]

    def _type_name(self, value: object) -> str:
        names = {str: "a string", bool: "a boolean", int: "a number", float: "a number"}
        names |= {list: "an array", dict: "an object" if self.form is Form.JSON else "a table"}
        names |= {type(None): "null"}
        return names.get(type(value), "something else")


Lines = dict[str, int]
"""Line of each key of a table, its header's under the empty key."""


def _fits(lines: list[tuple[Lines, list[Lines]]], rows: list[Mapping[str, object]]) -> bool:
    """Whether the headers found are the tables parsed; inline tables have no header."""
    phases = [row.get("phases", []) for row in rows]
    return [len(found) for _, found in lines] == [
        len(given) if isinstance(given, list) else -1 for given in phases
    ]


def _toml_lines(text: str) -> list[tuple[Lines, list[Lines]]]:
    """Lines of `[[tiers]]` and `[[tiers.phases]]` and of the keys below each."""
    found: list[tuple[Lines, list[Lines]]] = []
    current: Lines = {}
    quote = ""
    for number, line in enumerate(text.split("\n"), 1):
        if quote:
            quote = "" if quote in line else quote
            continue
        header, key = _HEADER.match(line), _KEY.match(line)
        if header and not header[1]:
            current = {"": number}
            found.append((current, []))
        elif header and found:
            current = {"": number}
            found[-1][1].append(current)
        elif key:
            current.setdefault(key[1], number)
        quote = next((q for q in ('"""', "'''") if line.count(q) % 2), "")
    return found


def plan_schema() -> dict[str, object]:
    """The JSON Schema (2020-12) of a plan; ids, needs, cycles and paths are judged beyond it."""
    text = {"type": "string"}
    texts = {"type": "array", "items": {"type": "string", "minLength": 1}}
    identifier = {"type": "string", "pattern": f"^{ID_PATTERN.pattern}$"}
    properties: dict[str, object] = {
        "id": identifier,
        "name": text,
        "category": {**text, "description": "A category of the strategy, an alias or your own."},
        "complexity": {"enum": [each.value for each in Complexity]},
        "mode": {"enum": list(BUILT_IN.builder_modes)},
        "scope": {
            **texts,
            "minItems": 1,
            "description": "gitignore patterns from the root: what the phase may change.",
        },
        "needs": {**texts, "description": "Ids of phases of this or an earlier tier."},
        "packs": {**texts, "description": "Ids of packs that the phase delivers."},
        "deliver": {**texts, "description": "Paths that the phase must make or change."},
        "task": {"type": "string", "minLength": 1, "description": "What the agent is told."},
    }
    phase = _closed(properties, ["id", "scope", "task"])
    tier = _closed({"id": identifier, "name": text, "phases": _rows(phase)}, ["id", "phases"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Autopack plan",
        **_closed({"$schema": text, "tiers": _rows(tier)}, ["tiers"]),
    }


def _closed(properties: dict[str, object], required: list[str]) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _rows(row: dict[str, object]) -> dict[str, object]:
    return {"type": "array", "minItems": 1, "items": row}
