"""What a promotion writes of a run: records that cross from who renders them to who promotes.

Never renders and never sends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from autopack.app.forge import StatusState
from autopack.core.run import Run


@dataclass(frozen=True)
class Status:
    """What is said of a commit, under a context."""

    commit: str
    context: str
    state: StatusState
    description: str


@dataclass(frozen=True)
class Papers:
    """What a promotion writes: files for the branch by path, title and text, statuses."""

    files: Mapping[str, bytes]
    title: str
    body: str
    statuses: tuple[Status, ...] = ()


PapersOf = Callable[[Run, tuple[str, ...]], Papers]
"""A run's papers, with what is to be known of its promotion."""
