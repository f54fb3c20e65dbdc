"""A plan's file becomes a draft, in the form its name ends with. Never judges what it says."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from autopack.adapters.files.plan_markdown import parse_markdown
from autopack.core.errors import OperatorFault
from autopack.core.plan_data import parse_json, parse_toml
from autopack.core.plan_draft import PLAN_BYTES_MAX, PlanDraft

READERS: Final[dict[str, Callable[[str, str], PlanDraft]]] = {
    ".md": parse_markdown,
    ".markdown": parse_markdown,
    ".toml": parse_toml,
    ".json": parse_json,
}


def read_plan(path: Path, *, bytes_max: int = PLAN_BYTES_MAX) -> PlanDraft:
    """The draft in a file; OperatorFault when it cannot be read, decoded or is too large."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(READERS)
        raise OperatorFault(f"{path}: a plan's name ends in {known}", "rename the file")
    data = _bytes(path, bytes_max)
    if len(data) > bytes_max:
        raise OperatorFault(f"{path}: a plan has at most {bytes_max:,} bytes", "split the plan")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        raise OperatorFault(
            f"{path}:{line}: not UTF-8 (byte {data[fault.start]:#04x})", "save the plan as UTF-8"
        ) from fault
    return reader(text, str(path))


def _bytes(path: Path, bytes_max: int) -> bytes:
    """The file's first bytes, one more than allowed when it has them."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OperatorFault(f"{path}: a plan is a regular file, and this is none")
        with path.open("rb") as file:
            return file.read(bytes_max + 1)
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else fault
        raise OperatorFault(f"{path}: cannot read the plan: {reason}", "check the path") from fault
