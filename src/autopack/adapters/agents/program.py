"""Whether an agent's program is there, as the agent will look for it. Never starts it."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from autopack.core.errors import OperatorFault
from autopack.process.fence import PATH, SYSTEM
from autopack.process.limits import ProgramMissing
from autopack.process.workbench import PLACE, host_toolchain

FENCES_OWN: Final = (Path("/dev"), Path("/proc"), Path(PLACE))
"""What the fence has of its own, whatever this machine has there."""
ROOMS: Final = frozenset({"/", "/tmp"})  # noqa: S108  the fence has them; the host's are not read


class NotShown(OperatorFault):
    """The configuration names a path of this machine that the fence does not show."""


def check_program(
    key: str,
    program: str,
    shown: Sequence[Path],
    search: str,
    environ: Mapping[str, str],
    *,
    fenced: bool,
) -> None:
    """ProgramMissing or NotShown, under the configuration's `key`: `program` could not be started.

    `shown`: paths that the agent may read beside the system's. `search`: the PATH that it is
    given, empty for ours. `environ`: whose PATH tells where else the program may be.
    """
    if "/" in program and not program.startswith("/"):  # a file of the clone
        return
    tools = host_toolchain([path for path in shown if path.is_dir()])
    found = shutil.which(program, path=search or ":".join((*tools.bins, PATH)))
    if found is None:
        raise ProgramMissing(f"{key}: {program} is not found", _hint(program, environ))
    if fenced:
        _check_shown(key, program, found, (*tools.read_only, *shown))


def check_arguments(key: str, words: Sequence[str], shown: Sequence[Path]) -> None:
    """NotShown when an argument is a path of this machine that the fence does not show."""
    tools = host_toolchain([path for path in shown if path.is_dir()])
    for word in words:
        path = word.partition("=")[2] if word.startswith("-") else word
        own = any(Path(path).is_relative_to(root) for root in FENCES_OWN)
        if path.startswith("/") and path not in ROOMS and not own and os.access(path, os.F_OK):
            _check_shown(key, word, path, (*tools.read_only, *shown))


def _check_shown(key: str, word: str, found: str, shown: Sequence[Path]) -> None:
    roots = (*map(Path, SYSTEM), *shown)
    for path in dict.fromkeys((found, os.path.realpath(found))):
        if not any(Path(path).is_relative_to(root) for root in roots):
            named = word if word.endswith(path) else f"{word} is {path}, which"
            what = f"{key}: {named} is not shown to agents in the fence"
            folder = path if Path(path).is_dir() else Path(path).parent
            raise NotShown(what, f'read_only = ["{folder}"] shows it to them')


def _hint(program: str, environ: Mapping[str, str]) -> str:
    if Path(program).is_absolute() and Path(program).is_file():
        return f"it cannot be executed: `chmod +x {shlex.quote(program)}`"
    here = shutil.which(program, path=environ.get("PATH", os.defpath))
    if here is None:
        return "install it, or write its whole path"
    folder = Path(here).parent
    return f'it is {here} on this machine: read_only = ["{folder}"] shows it to the agent'
