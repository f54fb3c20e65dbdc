"""A project's ruleset out of its JSON, over the built-in one, or all that is wrong with it.

What a file leaves out stays as it was; a row it gives is overlaid field by field. Never reads a
file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final

from autopack.core.builtin import BUILT_IN
from autopack.core.issue import SeverityUpgrade
from autopack.core.reader import Problem, Reader
from autopack.core.ruleset import ANYTHING_ELSE, Alias, CategoryAgents, Ruleset
from autopack.core.ruleset_fields import (
    AGENTS,
    ALIAS,
    CATEGORY,
    DEBT,
    DEFAULT_MODES,
    MODE,
    ROWS_MAX,
    SAFETY,
    TABLES,
    TOP,
    UPGRADE,
    WORD,
    WORD_SAID,
    Fields,
)
from autopack.core.words import nearest, number_fault, visible

BYTES_MAX: Final = 256_000
"""A ruleset with every table is about 8 kB; past this it is a mistake."""
PROBLEMS_MAX: Final = 200
"""Problems that are told; a file with more is no ruleset."""
_SHOWN_MAX: Final = 64
"""Characters of a name that a problem repeats."""


def parse_ruleset(text: str, file: str, project_id: str) -> Ruleset | tuple[Problem, ...]:
    """The ruleset in a JSON text, over the built-in one, or all its problems at once."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > BYTES_MAX:
        return (Problem("", f"{size:,} bytes, at most {BYTES_MAX:,} are read", file=file),)
    try:
        table = json.loads(text, object_pairs_hook=_unrepeated, parse_constant=_no_number)
    except json.JSONDecodeError as fault:
        said = f"not JSON: {fault.msg}, column {fault.colno}"
        return (Problem("", said, fault.lineno, file),)
    except RecursionError:
        return (Problem("", "its values are nested too deeply", file=file),)
    except ValueError as fault:
        return (Problem("", visible(number_fault(str(fault))), file=file),)
    if not isinstance(table, dict):
        return (Problem("", 'write an object: {"version": 1, …}', 1, file),)
    reading = _Reading(Reader(file=file), table)
    ruleset = reading.ruleset(BUILT_IN, project_id)
    problems = reading.reader.problems
    if not problems:
        return ruleset
    shown = [replace(each, line=_line_of(text, each.key)) for each in problems[:PROBLEMS_MAX]]
    if len(problems) > PROBLEMS_MAX:
        shown.append(Problem("", f"and {len(problems) - PROBLEMS_MAX} more problems", file=file))
    return tuple(shown)


def _unrepeated(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        again = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {again[:_SHOWN_MAX]!r} stands twice in one object")
    return table


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is no JSON number: write one")


def _line_of(text: str, key: str) -> int:
    """The line of the last part of a key that is found, each behind the one before it."""
    at = -1
    for name in (part.partition("[")[0] for part in key.split(".")):
        given = re.compile(re.escape(json.dumps(name)) + r"\s*:").search(text, at + 1)
        if given is None:
            break
        at = given.start()
    return text.count("\n", 0, at) + 1 if at >= 0 else 0


class _Reading:
    """One text being read."""

    def __init__(self, reader: Reader, table: dict[str, object]) -> None:
        self.reader = reader
        self.table = table

    def ruleset(self, under: Ruleset, project_id: str) -> Ruleset:
        """What the table says over another ruleset; problems stay with the reader."""
        self._known(self.table, "", {*TOP, *TABLES, "$schema"})
        values = self._fields(self.table, "", TOP, unknown=False)
        if not isinstance(self.table.get("$schema", ""), str):
            self.reader.problem("$schema", "must be a string")
        if "version" not in self.table:
            self.reader.problem("version", "missing: number the versions of this file, from 1")
        self._check_project(values, project_id)
        categories = self._rows("category_defaults", CATEGORY, under.category_defaults)
        modes = self._rows("builder_modes", MODE, under.builder_modes, closed=True)
        made = replace(
            under,
            **{**values, "project_id": project_id},
            safety_profiles=self._rows(
                "safety_profiles", SAFETY, under.safety_profiles, closed=True
            ),
            category_defaults=categories,
            builder_modes=modes,
            aliases={**under.aliases, **self._aliases()},
            default_modes={**under.default_modes, **self._default_modes()},
            agents={**under.agents, **self._agents()},
            high_risk_categories=self._risky(under),
            severity_upgrades=self._upgrades(under),
            debt=replace(under.debt, **self._fields(self._object("debt"), "debt", DEBT)),
        )
        self._check_names(made)
        return made

    def _check_project(self, values: Mapping[str, object], project_id: str) -> None:
        given = values.get("project_id")
        if given and given != project_id:
            here = f"this project is {project_id}"
            self.reader.problem("project_id", f"{given} is another project, {here}: write that")

    # --- tables -----------------------------------------------------------------------------------

    def _known(self, table: Mapping[str, object], key: str, names: Collection[str]) -> None:
        """Name what nobody reads, as it may be shown."""
        strange = [visible(name)[:_SHOWN_MAX] for name in table if name not in names]
        if len(strange) > PROBLEMS_MAX:
            self.reader.problem(key, f"{len(strange)} unknown fields")
        else:
            self.reader.known(dict.fromkeys(strange), key, frozenset(names))

    def _object(self, key: str) -> dict[str, object]:
        value = self.table.get(key, {})
        if isinstance(value, dict):
            return value
        self.reader.problem(key, "must be an object")
        return {}

    def _fields(
        self, row: Mapping[str, object], key: str, fields: Fields, *, unknown: bool = True
    ) -> dict[str, Any]:
        """The sound values of a row, by field."""
        if unknown:
            self._known(row, key, fields.keys())
        values = {}
        for name, kind in fields.items():
            path = f"{key}.{name}" if key else name
            if name in row and row[name] is None:
                self.reader.problem(path, "null says nothing: leave the field out")
            elif name in row:
                value = kind.take(self.reader, row, path)
                if value is not None:
                    values[name] = value
        return values

    def _named(self, key: str, known: Collection[str] = ()) -> dict[str, dict[str, object]]:
        """The objects of a table of rows; `known`: the only names there are, when there are."""
        found = {}
        table = self._object(key)
        if len(table) > ROWS_MAX:
            self.reader.problem(key, f"{len(table)} entries, at most {ROWS_MAX}")
            return {}
        if known:
            self._known(table, key, known)
        for name, row in table.items():
            if known and name not in known:
                continue
            if not WORD.fullmatch(name):
                shown = visible(name)[:_SHOWN_MAX]
                self.reader.problem(f"{key}.{shown}", f"a bad name: write {WORD_SAID}")
            elif not isinstance(row, dict):
                self.reader.problem(f"{key}.{name}", "must be an object")
            else:
                found[name] = row
        return found

    def _rows(
        self, key: str, fields: Fields, under: Mapping[str, Any], *, closed: bool = False
    ) -> dict[str, Any]:
        """Rows over rows; a new one begins as "anything else". `closed`: there is no new one."""
        rows = dict(under)
        given = self._named(key, under if closed else ())
        said = {name: self._fields(row, f"{key}.{name}", fields) for name, row in given.items()}
        rows |= {name: replace(under[name], **said[name]) for name in said if name in under}
        for name in sorted(said.keys() - under.keys()):
            rows[name] = replace(rows[ANYTHING_ELSE], category=name, **said[name])
        return rows

    def _aliases(self) -> dict[str, Alias]:
        found = {}
        for name, row in self._named("aliases").items():
            values = self._fields(row, f"aliases.{name}", ALIAS)
            if "category" not in row:
                self.reader.problem(f"aliases.{name}.category", "missing: which does it stand for?")
            elif "category" in values:
                found[name] = Alias(**values)
        return found

    def _agents(self) -> dict[str, CategoryAgents]:
        return {
            name: CategoryAgents(**self._fields(row, f"agents.{name}", AGENTS))
            for name, row in self._named("agents").items()
        }

    def _default_modes(self) -> dict[str, str]:
        return self._fields(self._object("default_modes"), "default_modes", DEFAULT_MODES)

    def _risky(self, under: Ruleset) -> tuple[str, ...]:
        if "high_risk_categories" not in self.table:
            return under.high_risk_categories

        def refuse(name: str) -> str:
            return "" if WORD.fullmatch(name) else f"write {WORD_SAID}"

        return self.reader.texts(self.table, "high_risk_categories", refuse)

    def _upgrades(self, under: Ruleset) -> tuple[SeverityUpgrade, ...]:
        if "severity_upgrades" not in self.table:
            return under.severity_upgrades
        found = []
        rows = self.reader.list(self.table, "severity_upgrades", ROWS_MAX)
        for number, row in enumerate(rows):
            key = f"severity_upgrades[{number}]"
            if not isinstance(row, dict):
                self.reader.problem(key, "must be an object")
                continue
            values = self._fields(row, key, UPGRADE)
            if not any(row.get(name) for name in UPGRADE):
                said = f"name at least one of {', '.join(UPGRADE)}"
                self.reader.problem(key, f"{said}; it would make every issue major")
            found.append(SeverityUpgrade(**values))
        return tuple(found)

    # --- what names what --------------------------------------------------------------------------

    def _check_names(self, made: Ruleset) -> None:
        """Whatever a ruleset names is there, so that a misspelt name weakens nothing."""
        for name, alias in made.aliases.items():
            if name in made.category_defaults:
                self.reader.problem(f"aliases.{name}", "is a category itself: rename one of them")
            self._category(f"aliases.{name}.category", alias.category, made)
        for number, name in enumerate(made.high_risk_categories):
            self._category(f"high_risk_categories[{number}]", name, made)
        for number, upgrade in enumerate(made.severity_upgrades):
            if upgrade.task_category:
                key = f"severity_upgrades[{number}].task_category"
                self._category(key, upgrade.task_category, made)
        for name in made.agents:
            self._category(f"agents.{name}", name, made)
        self._category("default_category", made.default_category, made)
        self._category("debt.category", made.debt.category, made)
        for name, mode in made.default_modes.items():
            self._mode(f"default_modes.{name}", mode, made)
        for name, rule in made.category_defaults.items():
            if rule.builder_mode:
                self._mode(f"category_defaults.{name}.builder_mode", rule.builder_mode, made)

    def _category(self, key: str, name: str, made: Ruleset) -> None:
        alias = made.aliases.get(name)
        meant = nearest(name, made.category_defaults) if len(name) <= _SHOWN_MAX else ""
        if alias is not None:
            hint = f"; it stands for {alias.category!r}: write that"
        elif meant:
            hint = f"; did you mean {meant!r}?"
        else:
            hint = "; give it a row in category_defaults"
        self._refer(key, "category", name, made.category_defaults, hint)

    def _mode(self, key: str, name: str, made: Ruleset) -> None:
        if name not in made.builder_modes:
            hint = self.reader.known_hint(name[:_SHOWN_MAX], made.builder_modes)
            self._refer(key, "builder mode", name, made.builder_modes, hint)

    def _refer(self, key: str, noun: str, name: str, known: Collection[str], hint: str) -> None:
        if name not in known and all(problem.key != key for problem in self.reader.problems):
            self.reader.problem(key, f"no {noun} {visible(name)[:_SHOWN_MAX]!r}{hint}")
