"""The supervisor's bare repository of each project, opened when first asked for, and only once.

Two objects of one repository would clear each other's locks. Never deletes one.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from autopack.adapters.git.repository import BareRepository

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from autopack.adapters.git.wrapper import Git
    from autopack.core.run import RunSpec
    from autopack.process.limits import Identity


class Projects:
    """Bare repositories by their folder; safe in threads."""

    def __init__(
        self,
        folder_of: Callable[[RunSpec], Path],
        git: Git,
        identity: Identity | None,
        *,
        alone: bool,
    ) -> None:
        """`alone`: the store's lock is ours, so locks in its repositories are nobody's."""
        self._folder_of = folder_of
        self._git, self._identity, self._alone = git, identity, alone
        self._lock = threading.Lock()
        self._opened: dict[Path, BareRepository] = {}

    def repository(self, spec: RunSpec) -> BareRepository:
        """The repository that a run works in."""
        folder = self._folder_of(spec)
        with self._lock:  # before a sibling's git runs in it, and only once
            if folder not in self._opened:
                self._opened[folder] = BareRepository.create(
                    folder, self._git, self._identity, alone=self._alone
                )
            return self._opened[folder]
