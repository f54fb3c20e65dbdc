"""A plan as it was written: the records every reader makes, and the problems found in them.

A draft may be wrong in any way; `core.plan` judges it. Never reads a file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from autopack.core.words import nearest, visible

PLAN_BYTES_MAX = 1_000_000
"""A plan of 25 phases is about 50 kB; past this it is a mistake, not a plan."""
TASK_CHARACTERS_MAX = 30_000
"""Of a phase's task: what a builder is given of it; half of a prompt."""
QUOTED_CHARACTERS_MAX = 80
SUGGESTED_CHARACTERS_MAX = 64
SUGGESTED_FROM_MAX = 500
"""Longer words or lists get no suggestion: it costs their product and helps nobody."""
TEXT_KEYS = ("category", "complexity", "mode")
LIST_KEYS = ("scope", "needs", "packs", "deliver")
ATTRIBUTE_KEYS = TEXT_KEYS + LIST_KEYS
"""What may stand in the list under a phase's heading, and beside `id`, `name`, `task` as data."""


class Form(StrEnum):
    """What a plan is written in: advice must fit it."""

    MARKDOWN = "markdown"
    TOML = "toml"
    JSON = "json"


@dataclass(frozen=True)
class PlanProblem:
    """One thing wrong with a plan; `line` from 1, 0 when unknown; `key` as in `tiers[0].id`."""

    file: str
    message: str
    line: int = 0
    key: str = ""
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        what = f"{self.key}: {self.message}" if self.key else self.message
        said = f"{where}: {what}; {self.hint}" if self.hint else f"{where}: {what}"
        return visible(said)


@dataclass(frozen=True)
class Place:
    """Where a tier or phase stands: its key path (empty in Markdown) and the lines of its keys.

    The line under the empty key is that of the heading or table itself. `told`: keys whose reader
    has said already that nothing can be read there.
    """

    path: str = ""
    lines: Mapping[str, int] = field(default_factory=dict)
    told: frozenset[str] = frozenset()

    def line(self, key: str = "") -> int:
        """The line of a key, or of the whole when the key has none."""
        return self.lines.get(key.partition("[")[0], self.lines.get("", 0))

    def key(self, key: str = "") -> str:
        """The full path of a key."""
        return ".".join(part for part in (self.path, key) if part)


@dataclass(frozen=True)
class PhaseDraft:
    """A phase as written; what was not given is empty."""

    id: str
    name: str = ""
    category: str = ""
    complexity: str = ""
    mode: str = ""
    scope: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    packs: tuple[str, ...] = ()
    deliver: tuple[str, ...] = ()
    task: str = ""
    place: Place = field(default=Place(), compare=False)
    cleans: str = ""
    """The key of the issue that a phase of ours cleans up: no reader of plans sets it."""


@dataclass(frozen=True)
class TierDraft:
    """A tier as written; an empty id was reported by the reader."""

    id: str
    name: str = ""
    phases: tuple[PhaseDraft, ...] = ()
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True)
class PlanDraft:
    """A plan as written, with what its reader already found wrong."""

    file: str = field(compare=False)
    tiers: tuple[TierDraft, ...] = ()
    problems: tuple[PlanProblem, ...] = ()
    readable: bool = True
    """False: the text is not even Markdown, TOML or JSON of a plan; `problems` say why."""
    form: Form = field(default=Form.MARKDOWN, compare=False)
    title: str = field(default="", compare=False)
    """What it calls itself, in a heading over its first tier."""


def suggestion(word: str, known: Collection[str]) -> str:
    """What to write instead of a misspelt word; empty when there is nothing to say in short."""
    if len(word) > SUGGESTED_CHARACTERS_MAX or len(known) > SUGGESTED_FROM_MAX:
        return ""
    near = nearest(word, known)
    return f"did you mean {near!r}?" if near else ""


def quoted(text: str) -> str:
    """A value in a message: printable, and not longer than a line."""
    return repr(text) if len(text) <= QUOTED_CHARACTERS_MAX else repr(text[:60] + "…")


def unreadable(file: str, message: str, line: int = 0) -> PlanDraft:
    """The draft of a text that cannot be read at all."""
    return PlanDraft(file, problems=(PlanProblem(file, message, line),), readable=False)


def trimmed(task: str) -> str:
    """A task without blank lines at its ends; every other character stays."""
    lines = task.split("\n")
    while lines and not lines[0].strip():
        lines.pop(0)
    while lines and not lines[-1].strip():
        lines.pop()
    return "\n".join(lines)
