"""Options of `[agents.NAME]`: taken one by one, each checked, strangers refused with a suggestion.

Never reads a file or the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeGuard

from autopack.core.errors import OperatorFault
from autopack.core.words import nearest, split

NAME_CHARACTERS_MAX = 100


@dataclass
class Options:
    """The table of one agent; `finish` refuses what nobody took."""

    agent: str
    given: Mapping[str, object]
    taken: set[str] = field(default_factory=lambda: {"type"})

    def fault(self, key: str, message: str, hint: str = "") -> OperatorFault:
        return OperatorFault(f"agents.{self.agent}.{key}: {message}", hint)

    def _take(self, key: str) -> object:
        self.taken.add(key)
        return self.given.get(key)

    def argv(self, key: str) -> tuple[str, ...]:
        value = self._take(key)
        if value is None:
            raise self.fault(key, "missing", f'write {key} = ["program", "argument"]')
        try:
            words = split(value) if isinstance(value, str) else value
        except ValueError as fault:
            raise self.fault(key, str(fault)) from fault
        if not _texts(words) or not words or not words[0]:
            raise self.fault(key, "must be a string or a list of strings that names a program")
        return tuple(words)

    def text(self, key: str, default: str = "") -> str:
        value = self._take(key)
        if value is not None and not isinstance(value, str):
            raise self.fault(key, "must be a string")
        return default if value is None else str(value)

    def choice(self, key: str, options: tuple[str, ...]) -> str:
        value = self.text(key, options[0])
        if value not in options:
            raise self.fault(key, f"{value!r} is none of {', '.join(options)}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._take(key)
        if value is not None and not _texts(value):
            raise self.fault(key, "must be a list of strings")
        return tuple(value) if isinstance(value, (list, tuple)) else ()

    def table(self, key: str) -> dict[str, str]:
        value = self._take(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping) or not _texts([*value, *value.values()]):
            raise self.fault(key, "must be a table of strings")
        return dict(value)

    def flag(self, key: str) -> bool:
        value = self._take(key)
        if value is not None and not isinstance(value, bool):
            raise self.fault(key, "must be true or false")
        return bool(value)

    def whole(self, key: str, default: int) -> int:
        value = self._take(key)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.fault(key, "must be a whole number of at least 1")
        return value

    def folders(self, key: str, base: Path) -> tuple[Path, ...]:
        paths = tuple(base / Path(text).expanduser() for text in self.texts(key))
        for path in paths:
            if not path.exists():
                raise self.fault(key, f"{path} does not exist")
        return paths

    def finish(self) -> None:
        """Refuse keys that no option of this type is called."""
        for key in self.given:
            if key not in self.taken:
                meant = nearest(key, self.taken)
                known = f"known: {', '.join(sorted(self.taken))}"
                hint = f"did you mean {meant!r}?" if meant else known
                raise self.fault(key[:NAME_CHARACTERS_MAX], "unknown option", hint)


def _texts(value: object) -> TypeGuard[list[str] | tuple[str, ...]]:
    return isinstance(value, (list, tuple)) and all(
        isinstance(each, str) and "\0" not in each for each in value
    )
