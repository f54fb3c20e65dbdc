"""How a runner is told to run some tests only: `{tests}` of a command's `rerun` becomes arguments.

Each runner spells its tests in its own way; a test that cannot be spelt safely makes the whole
command run instead. Never runs anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from typing import Final

from autopack.core.blame import Red

TESTS: Final = "{tests}"
CHARACTERS_MAX: Final = 100_000
"""Characters of the arguments that name tests; with more the whole command runs."""
_SPECIAL: Final = re.compile(r"[\\^$.|?*+()\[\]{}/]")


class Runner(StrEnum):
    """Whose spelling of tests a command wants."""

    PYTEST = "pytest"
    GO = "go"
    JEST = "jest"
    OTHER = "other"


_PROGRAMS: Final = {
    "pytest": Runner.PYTEST,
    "py.test": Runner.PYTEST,
    "go": Runner.GO,
    "gotestsum": Runner.GO,
    "jest": Runner.JEST,
    "vitest": Runner.JEST,
    "react-scripts": Runner.JEST,
}

_PATTERNS: Final = frozenset({Runner.GO, Runner.JEST})
"""Runners that take one pattern, and no list."""


def runner_of(argv: Sequence[str]) -> Runner:
    """The runner that a command line starts, by its words."""
    for word in argv:
        if found := _PROGRAMS.get(word.rpartition("/")[2]):
            return found
    return Runner.OTHER


def selected(
    rerun: Sequence[str], reds: Sequence[Red], paths: Collection[str]
) -> tuple[str, ...] | None:
    """The command line that runs these tests only; None when they cannot be named in it.

    `paths`: the files of the commit, by which a class becomes the file it is in. An argument that
    is `{tests}` becomes one for each test; in a longer one, and for Go and Jest, they are
    alternatives of a pattern.
    """
    runner = runner_of(rerun)
    names = list(dict.fromkeys(_SPELLING[runner](red, paths) for red in reds))
    if not names or any(not _safe(name) for name in names):
        return None
    if sum(map(len, names)) > CHARACTERS_MAX:
        return None
    pattern = "|".join(_SPECIAL.sub(r"\\\g<0>", name) for name in names)
    argv: list[str] = []
    for word in rerun:
        listed = word == TESTS and runner not in _PATTERNS
        argv += names if listed else [word.replace(TESTS, pattern)]
    return tuple(argv)


def _safe(name: str) -> bool:
    """It is one argument, and no option or file of arguments."""
    return bool(name) and name[0] not in "-@" and not any(c in name for c in "\0\n\r")


def _node(red: Red, paths: Collection[str]) -> str:
    """pytest's id of a node; a name that its report could not spell gives the whole function."""
    file = file_of(red, paths)
    name = red.name.partition("[")[0] if "#x" in red.name else red.name
    if not file or not name:
        return ""
    dotted = file.removesuffix(".py").replace("/", ".")
    classes = red.classname.removeprefix(dotted).strip(".") if red.classname else ""
    return "::".join((file, *filter(None, classes.split(".")), name))


def _function(red: Red, _paths: Collection[str]) -> str:
    """A test of Go, without its subtests: these run with it."""
    return red.name.partition("/")[0]


def _title(red: Red, _paths: Collection[str]) -> str:
    return red.name


_SPELLING: Final[dict[Runner, Callable[[Red, Collection[str]], str]]] = {
    Runner.PYTEST: _node,
    Runner.GO: _function,
    Runner.JEST: _title,
    Runner.OTHER: _title,
}


def file_of(red: Red, paths: Collection[str]) -> str:
    """The file of the commit that a test is in, as its report tells; empty when it does not."""
    return place_of(red.classname, red.file, paths)


def place_of(classname: str, file: str, paths: Collection[str]) -> str:
    """The file among `paths` that a report's `file`, or else its class name, means."""
    given = file.removeprefix("./")
    if given in paths:
        return given
    if classname in paths:
        return classname
    parts = classname.split(".")
    for length in range(len(parts), 0, -1):
        path = "/".join(parts[:length]) + ".py"
        if path in paths:
            return path
    return ""
