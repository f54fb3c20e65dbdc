"""A project's ruleset file, beside the folders of its runs. Only reads; never judges the text."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from autopack.adapters.files.artefacts import ROOT
from autopack.core.errors import OperatorFault
from autopack.core.ruleset_data import BYTES_MAX

NAME: Final = "project_ruleset_{project_id}.json"


def ruleset_path(repository: Path, root: Path | None, project_id: str) -> Path:
    """Where a project's ruleset is; `root`: of the artefacts, as `FileArtefacts` takes it."""
    folder = Path(os.path.normpath(repository.absolute() / (root or ROOT)))
    return folder / NAME.format(project_id=project_id)


def read_ruleset(path: Path) -> str | None:
    """The text of a file, None when there is none; OperatorFault when it is no text of ours."""
    try:  # a pipe must not keep us waiting
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OperatorFault(f"{path}: a ruleset is a regular file, and this is none")
            data = file.read(BYTES_MAX + 1)
    except (FileNotFoundError, NotADirectoryError) as fault:
        links = (each for each in (path, *path.parents) if each.is_symlink() and not each.exists())
        if link := next(links, None):
            what = f"{path}: cannot read the ruleset: {link} is a link to nothing"
            raise OperatorFault(what, "mend the link, or remove it") from fault
        return None
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else fault
        what = f"{path}: cannot read the ruleset: {reason}"
        raise OperatorFault(what, "make it readable, or move it away") from fault
    if len(data) > BYTES_MAX:
        raise OperatorFault(f"{path}: a ruleset has at most {BYTES_MAX:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        what = f"{path}:{line}: not UTF-8 (byte {data[fault.start]:#04x})"
        raise OperatorFault(what, "save it as UTF-8") from fault
