"""The supervisor's bare repository of each project, opened when first asked for, and only once.

Two objects of one repository would clear each other's locks. Never deletes one.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from autopack.adapters.git.repository import BareRepository

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from autopack.adapters.git.wrapper import Git
    from autopack.core.spec import (
        RunSpec,
    )
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
        self._places: dict[Path, _Place] = {}

    def repository(self, spec: RunSpec) -> BareRepository:
        """The repository that a run works in."""
        folder = self._folder_of(spec)
        with self._lock:
            place = self._places.setdefault(folder, _Place())
        with place.lock:  # before a sibling's git runs in it, and only once; others need not wait
            if place.opened is None:
                place.opened = BareRepository.create(
                    folder, self._git, self._identity, alone=self._alone
                )
            return place.opened

    def busy(self) -> bool:
        """Whether one of them is being packed."""
        return any(opened.tended for opened in self._opened())

    def end(self) -> None:
        """End what works in the background; on return no git of ours runs in any of them."""
        for opened in self._opened():
            opened.end()

    def _opened(self) -> list[BareRepository]:
        with self._lock:
            places = list(self._places.values())
        return [place.opened for place in places if place.opened is not None]


@dataclass
class _Place:
    """One folder; `lock` is held while it is being opened."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    opened: BareRepository | None = None
