"""Options that several commands share. Only types; importing it loads nothing of the store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON")]
Repo = Annotated[
    Path | None, Parameter(name="--repo", help="Work tree to use; default: the current folder")
]
RunId = Annotated[str, Parameter(name="RUN", help="The run's id, as `autopack run list` shows it")]
