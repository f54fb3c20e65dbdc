"""Whether an agent's program is there, as the agent will look for it. Never starts it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from autopack.process.fence import PATH, SYSTEM
from autopack.process.limits import ProgramMissing
from autopack.process.workbench import host_toolchain


def check_program(
    key: str,
    program: str,
    shown: Sequence[Path],
    search: str,
    environ: Mapping[str, str],
    *,
    fenced: bool,
) -> None:
    """ProgramMissing under the configuration's `key` when `program` could not be started.

    `shown`: paths that the agent may read beside the system's. `search`: the PATH that it is
    given, empty for ours. `environ`: whose PATH tells where else the program may be.
    """
    if "/" in program and not program.startswith("/"):  # a file of the clone
        return
    tools = host_toolchain([path for path in shown if path.is_dir()])
    found = shutil.which(program, path=search or ":".join((*tools.bins, PATH)))
    if found is None:
        raise ProgramMissing(f"{key}: {program} is not found", _hint(program, environ))
    roots = (*map(Path, SYSTEM), *tools.read_only, *shown)
    for path in {found, os.path.realpath(found)} if fenced else ():
        if not any(Path(path).is_relative_to(root) for root in roots):
            what = f"{key}: {program} is {path}, which agents in the fence are not shown"
            raise ProgramMissing(what, f'read_only = ["{Path(path).parent}"] shows it to them')


def _hint(program: str, environ: Mapping[str, str]) -> str:
    here = shutil.which(program, path=environ.get("PATH", os.defpath))
    if here is None:
        return "install it, or write its whole path"
    folder = Path(here).parent
    return f'it is {here} on this machine: read_only = ["{folder}"] shows it to the agent'
