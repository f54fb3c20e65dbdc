"""Clones of attempts that no commit was made of: kept, unless they hold what their parent holds.

Never deletes what may be the only copy of an agent's work.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autopack.app.agents import Built
from autopack.app.ports import Clone, Repository
from autopack.core.errors import Fault

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Aside:
    """Where the clones of one attempt go."""

    repository: Repository
    to: Path
    told: str
    """Whose clones they are."""

    def free(self, folder: Path) -> None:
        """Free the clone's name for the next try; a clone that nobody answered for is kept."""
        if self.repository.left(folder):
            place = self.repository.set_aside(folder, self.to, None)
            _log.warning("%s: a clone without an answer is kept in %s", self.told, place)
        else:
            self.repository.discard(folder)

    def unbuilt(self, built: Built, clone: Clone, deliver: Sequence[str]) -> str:
        """Why an attempt did not begin; a clone that was changed all the same is kept."""
        try:
            tree = self.repository.capture(clone, deliver)
            untouched = tree == self.repository.tree(clone.commit) and not built.patch
        except Fault:
            untouched = False
        if not untouched:
            return self.keep(built, clone, built.error)
        self.repository.discard(clone.folder)
        return built.error

    def keep(self, built: Built, clone: Clone, reason: str) -> str:
        """Keep a clone whose work was not captured; the reason, with where it is."""
        try:
            place = self.repository.set_aside(clone.folder, self.to, built.patch)
        except Fault as fault:
            return f"{reason}\n{fault}"
        _log.warning("%s: %s\nits clone is in %s", self.told, reason, place)
        return f"{reason}\nits clone is kept in {place}"
