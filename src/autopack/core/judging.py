"""Which files of the base run when a candidate is judged: those that its commands name.

Read from words, so that what is computed at run time is missed, and so is what these files start in
turn. Never looks into a repository: who calls knows which of the paths are files there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from autopack.core.project import path_problem

if TYPE_CHECKING:
    from autopack.core.project import Project

CALLERS_MAX: Final = 100
"""Files of a repository that are searched for the programs they start."""
BYTES_MAX: Final = (256 << 10, 4 << 20)
"""Of one of them, and of all: larger ones are generated."""
_CALLER: Final = re.compile(
    r"(?:^|/)(?:(?:GNU)?[mM]akefile|[jJ]ustfile|package\.json)$|^\.github/(?:workflows|actions)/"
    r".*\.ya?ml$"
)
_PROGRAM: Final = re.compile(r"(?:^|/)[\w-]+(?:\.(?:sh|bash|py|[cm]?[jt]s|rb|pl|php|ps1|tcl|R))?$")
_INTERPRETER: Final = (
    r"(?:(?:ba|da|z)?sh|python[\d.]*|pypy3?|node|ruby|perl|php|source|tsx|ts-node|deno\s+run|bun"
    r"|Rscript|pwsh|uv\s+run|poetry\s+run|\$[({]?\w+[)}]?)"
)
_CALLS: Final = (
    # after an interpreter: sh tools/lint.sh, $(PY) -u tools/check.py
    re.compile(rf"(?<![\w./-]){_INTERPRETER}(?:\s+-(?!m\b|c\b)[\w=-]+)*"
               r"\s+(?P<path>[\w./-]+)"),
    # as a command, by its path: at the start of a recipe's line, behind && and ;
    re.compile(r"""(?:^\s+|[;&|(`]\s*|\brun:\s*["']?)[@+-]*(?P<path>[\w.-]*/[\w./-]+)""",
               re.MULTILINE),
)  # fmt: skip
_MODULE: Final = re.compile(r"\s-m[\s\"',]*(?P<name>[A-Za-z_]\w*(?:\.\w+)*)")


def named_paths(project: Project) -> tuple[str, ...]:
    """What may be files among the words of the commands of CI and gate, of shell lines too."""
    words: list[str] = []
    for command in (*project.normal, *project.strict, *project.gate.commands):
        for line in (command.argv, command.rerun):
            words += line
            parts = [p for word in line for p in re.split(r"[\s;&|()<>=\"']+", word)]
            words += parts
            words += [path for flag, name in pairwise(parts) if flag == "-m"
                      for path in _module(name)]  # fmt: skip
            words += [path for part in parts if re.match(r"-m\w", part)
                      for path in _module(part.removeprefix("-m"))]  # fmt: skip
    plain = (word.removeprefix("./") for word in words)
    return tuple(dict.fromkeys(w for w in plain if not (w.startswith("-") or path_problem(w))))


def is_caller(path: str) -> bool:
    """Whether a file says what `make`, `npm` or GitHub's workflows start."""
    return _CALLER.search(path) is not None


def called_paths(caller: str, text: str) -> tuple[str, ...]:
    """What may be files of ours among the programs that such a file starts."""
    if caller.endswith(".json"):
        text = _scripts(text)
    folder = "" if caller.startswith(".github/") else caller.rpartition("/")[0]
    found = [match["path"] for form in _CALLS for match in form.finditer(text)]
    found += [path for match in _MODULE.finditer(text) for path in _module(match["name"])]
    return tuple(dict.fromkeys(_plain(found, folder)))


def _scripts(text: str) -> str:
    """The commands of a package.json, as lines of a recipe."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return ""  # npm starts nothing of it either
    scripts = told.get("scripts") if isinstance(told, dict) else None
    lines = scripts.values() if isinstance(scripts, dict) else ()
    return "".join(f"\t{line}\n" for line in lines if isinstance(line, str))


def _plain(found: Iterable[str], folder: str) -> Iterator[str]:
    for word in found:
        path = word.removeprefix("./")
        for below in dict.fromkeys((f"{folder}/{path}" if folder else path, path)):
            if _PROGRAM.search(below) and not path_problem(below):
                yield below


def _module(name: str) -> Iterator[str]:
    """The files that `python -m` may run for a name: the module, its packages, `src` too."""
    parts = name.split(".")
    for root in ("", "src/"):
        whole = root + "/".join(parts)
        yield from (f"{whole}.py", f"{whole}/__main__.py")
        yield from (f"{root}{'/'.join(parts[:n])}/__init__.py" for n in range(1, len(parts) + 1))
