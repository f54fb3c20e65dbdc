"""The fields of a ruleset's tables: what each may hold, and the JSON Schema that says the same.

One list for both, so that they cannot differ. Never reads a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from autopack.core.builtin import BUILT_IN
from autopack.core.ids import ID_PATTERN, id_problem
from autopack.core.issue import IssueSeverity, IssueSource
from autopack.core.reader import PATHS_MAX, Reader
from autopack.core.spec import (
    CiProfile,
    Complexity,
    NewTests,
    OnPhaseFailure,
    RunScope,
    SafetyProfile,
)

WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""Names of categories, aliases and profiles: they become keys, columns and file names."""
WORD_SAID: Final = "1 to 64 of A-Z a-z 0-9 _ -, beginning with a letter or digit"
ATTEMPTS_MAX: Final = 50
TOKENS_MAX: Final = 10**12
COUNT_MAX: Final = 1_000_000
TOLERANCE_MAX: Final = 1_000.0
TEXT_CHARACTERS_MAX: Final = 128
ROWS_MAX: Final = 500
"""Rows of one table: categories, aliases, upgrades."""
STARS_MAX: Final = 8
"""Stars of one pattern of issue keys."""
TEXT: Final = re.compile(
    r"[ -~\u00a0-\u00ac\u00ae-\u05ff\u0606-\u061b\u061d-\u06dc\u06de-\u070e\u0710-\u088f"
    r"\u0892-\u08e1\u08e3-\u180d\u180f-\u200a\u2010-\u2027\u202f-\u205f\u2070-\ud7ff"
    r"\uf900-\ufefe\uff00-\uffef]*"
)
"""One line that drives no terminal and hides nothing, said as every reader of a schema can test it:
no control or format character, no surrogate, nothing private and nothing beyond U+FFFF."""
GLOB: Final = re.compile(rf"(?:[A-Za-z0-9._-]*\*){{0,{STARS_MAX}}}[A-Za-z0-9._-]*")
_END: Final = r"(?![\s\S])"
"""The very end in every dialect: `$` lets a last line break pass in some."""


class Kind(Protocol):
    """What a field may hold."""

    def take(self, reader: Reader, parent: Mapping[str, object], key: str) -> object:
        """The value; None, and a problem, when it may not be there."""
        ...

    def schema(self) -> dict[str, object]: ...


@dataclass(frozen=True)
class Whole:
    most: int
    least: int = 1
    said: str = ""
    """What it means, where the name does not say it."""

    def take(self, reader: Reader, parent: Mapping[str, object], key: str) -> object:
        name = key.rpartition(".")[2]
        value = parent.get(name)
        if isinstance(value, float) and value.is_integer():  # in JSON 1.0 and 1e6 are integers
            parent = {name: int(value)}
        return reader.whole(parent, key, self.most, self.least)

    def schema(self) -> dict[str, object]:
        said = {"description": self.said} if self.said else {}
        return {"type": "integer", "minimum": self.least, "maximum": self.most, **said}


@dataclass(frozen=True)
class Number:
    most: float

    def take(self, reader: Reader, parent: Mapping[str, object], key: str) -> object:
        return reader.number(parent, key, self.most)

    def schema(self) -> dict[str, object]:
        return {"type": "number", "minimum": 0, "maximum": self.most}


@dataclass(frozen=True)
class Flag:
    def take(self, reader: Reader, parent: Mapping[str, object], key: str) -> object:
        return reader.flag(parent, key)

    def schema(self) -> dict[str, object]:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Choice:
    of: type[StrEnum]

    def take(self, reader: Reader, parent: Mapping[str, object], key: str) -> object:
        return reader.choice(parent, key, self.of)

    def schema(self) -> dict[str, object]:
        return {"enum": [each.value for each in self.of]}


@dataclass(frozen=True)
class Word:
    """A name. `empty`: it may be empty, which means none."""

    empty: bool = True

    def take(self, reader: Reader, parent: Mapping[str, object], key: str) -> object:
        value = reader.text(parent, key)
        if value == "" and self.empty:
            return value
        if WORD.fullmatch(value):
            return value
        if isinstance(parent.get(key.rpartition(".")[2]), str):
            reader.problem(key, f"write {WORD_SAID}")
        return None

    def schema(self) -> dict[str, object]:
        pattern = _whole(WORD)
        return {"type": "string", "pattern": f"^{_END}|{pattern}" if self.empty else pattern}


@dataclass(frozen=True)
class Text:
    """A text that becomes no name of a file or ref. `form`, `said`: what it must be wholly."""

    form: re.Pattern[str] = TEXT
    said: str = "plain text on one line"

    def take(self, reader: Reader, parent: Mapping[str, object], key: str) -> object:
        value = reader.text(parent, key)
        if len(value) > TEXT_CHARACTERS_MAX or not self.form.fullmatch(value):
            reader.problem(key, f"write at most {TEXT_CHARACTERS_MAX} characters of {self.said}")
            return None
        return value

    def schema(self) -> dict[str, object]:
        return {"type": "string", "maxLength": TEXT_CHARACTERS_MAX, "pattern": _whole(self.form)}


@dataclass(frozen=True)
class ProjectId:
    """The id of a project; empty in the built-in ruleset, which is nobody's."""

    def take(self, reader: Reader, parent: Mapping[str, object], key: str) -> object:
        value = reader.text(parent, key)
        problem = id_problem(value) if value else ""
        if problem:
            reader.problem(key, problem)
            return None
        return value

    def schema(self) -> dict[str, object]:
        no_ref = rf"^(?!.*\.\.)(?!.*\.(?:lock)?{_END})"
        return {"type": "string", "pattern": f"^{_END}|{no_ref}{_whole(ID_PATTERN)}"}


def _whole(form: re.Pattern[str]) -> str:
    """A pattern that only a whole text matches, as JSON Schema searches."""
    return f"^{form.pattern}{_END}"


Fields = Mapping[str, Kind]
AGED: Final = (
    "that a minor issue was seen in when it needs cleanup; either threshold is enough, and never"
    " in its first run: two runs at least."
)

TOP: Final[Fields] = {
    "version": Whole(2**31),
    "project_id": ProjectId(),
    "default_safety_profile": Choice(SafetyProfile),
    "default_run_scope": Choice(RunScope),
    "default_category": Word(empty=False),
    "run_token_cap": Whole(TOKENS_MAX),
    "run_max_phases": Whole(COUNT_MAX),
    "run_max_duration_minutes": Whole(COUNT_MAX),
    "run_minor_issues_per_phase": Whole(COUNT_MAX, 0),
    "tier_token_factor": Whole(COUNT_MAX),
    "tier_ci_runs_per_phase": Whole(COUNT_MAX),
    "flake_quarantine_days": Whole(COUNT_MAX, 0),
    "draft_attempts_max": Whole(ATTEMPTS_MAX),
    "draft_token_cap": Whole(TOKENS_MAX),
}
SAFETY: Final[Fields] = {
    "minor_tolerance": Number(TOLERANCE_MAX),
    "major_tolerance": Whole(COUNT_MAX, 0),
    "aging_runs": Whole(COUNT_MAX, said=f"Runs {AGED}"),
    "aging_tiers": Whole(COUNT_MAX, said=f"(run, tier) pairs {AGED}"),
    "run_scope": Choice(RunScope),
    "on_phase_failure": Choice(OnPhaseFailure),
    "strict_ci": Flag(),
}
CATEGORY: Final[Fields] = {
    "complexity": Choice(Complexity),
    "ci_profile": Choice(CiProfile),
    "builder_attempts_max": Whole(ATTEMPTS_MAX),
    "auditor_attempts_max": Whole(ATTEMPTS_MAX),
    "incident_token_cap": Whole(TOKENS_MAX),
    "auto_apply": Flag(),
    "auditor_profile": Word(),
    "severity": Choice(IssueSeverity),
    "minor_tolerance": Number(TOLERANCE_MAX),
    "builder_mode": Word(),
    "new_tests": Choice(NewTests),
}
MODE: Final[Fields] = {
    "complexity": Choice(Complexity),
    "builder_attempts_max": Whole(ATTEMPTS_MAX),
    "files_max": Whole(COUNT_MAX),
    "changed_lines_max": Whole(COUNT_MAX),
    "strict": Flag(),
    "single_tier_preferred": Flag(),
}
ALIAS: Final[Fields] = {"category": Word(empty=False), "auditor_profile": Word()}
AGENTS: Final[Fields] = {"builder": Text(), "auditor": Text()}
UPGRADE: Final[Fields] = {
    "issue_key": Text(GLOB, f"A-Z a-z 0-9 . _ - and at most {STARS_MAX} stars"),
    "category": Text(),
    "task_category": Word(),
    "source": Choice(IssueSource),
}
DEFAULT_MODES: Final[Fields] = {each.value: Word(empty=False) for each in Complexity}
DEBT: Final[Fields] = {
    "enabled": Flag(),
    "phases_max": Whole(COUNT_MAX),
    "category": Word(empty=False),
    "complexity": Choice(Complexity),
    "incident_token_cap": Whole(TOKENS_MAX),
}
TABLES: Final = frozenset(
    {
        *("safety_profiles", "category_defaults", "high_risk_categories", "aliases"),
        *("builder_modes", "default_modes", "severity_upgrades", "agents", "debt"),
    }
)
"""The fields that hold more than one value; `$schema` may stand beside them, for an editor."""


def ruleset_schema() -> dict[str, object]:
    """The JSON Schema (2020-12) of a project's ruleset; what names what is judged beyond it."""
    word = Word(empty=False).schema()
    rows = {"type": "object", "propertyNames": word, "maxProperties": ROWS_MAX}
    properties: dict[str, object] = {
        "$schema": {"type": "string"},
        **{name: kind.schema() for name, kind in TOP.items()},
        "safety_profiles": _closed(dict.fromkeys(SafetyProfile, _row(SAFETY))),
        "category_defaults": {**rows, "additionalProperties": _row(CATEGORY)},
        "high_risk_categories": {"type": "array", "items": word, "maxItems": PATHS_MAX},
        "aliases": {**rows, "additionalProperties": {**_row(ALIAS), "required": ["category"]}},
        "builder_modes": _closed(dict.fromkeys(BUILT_IN.builder_modes, _row(MODE))),
        "default_modes": _row(DEFAULT_MODES),
        "severity_upgrades": {
            "type": "array",
            "items": {**_row(UPGRADE), "anyOf": [_says(name) for name in UPGRADE]},
            "maxItems": ROWS_MAX,
        },
        "agents": {**rows, "additionalProperties": _row(AGENTS)},
        "debt": _row(DEBT),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Autopack ruleset of a project",
        "description": "What is left out is as in docs/reference/ruleset.json.",
        **_closed(properties),
        "required": ["version"],
    }


def _row(fields: Fields) -> dict[str, object]:
    return _closed({name: kind.schema() for name, kind in fields.items()})


def _closed(properties: Mapping[str, object]) -> dict[str, object]:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}


def _says(name: str) -> dict[str, object]:
    """A row that gives a field and does not leave it empty."""
    return {"required": [name], "properties": {name: {"not": {"const": ""}}}}
