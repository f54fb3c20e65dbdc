"""The supervisor's repository as the keeper of work: what is kept, and what is proven elsewhere.

A port and its records only. Whoever implements it deletes nothing that it is not told to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from autopack.app.ports import Refused

KEPT: Final = "refs/autopack"
QUARANTINE: Final = f"{KEPT}/_quarantine"
"""What a clone held that no attempt was made of: `<run>/<phase>/<clone>`. No id begins with `_`."""
UNDONE: Final = f"{KEPT}/_undone"
"""A tag object for each undo, on the commit that the branch left: `<run>/<n>`."""


@dataclass(frozen=True)
class Work:
    """A commit that is kept under a ref, and what it was made of; `parent` empty for a root."""

    ref: str
    commit: str
    tree: str
    parent: str

    @property
    def quarantined(self) -> bool:
        return self.ref.startswith(f"{QUARANTINE}/")

    @property
    def run_id(self) -> str:
        return self._parts[0]

    @property
    def phase_id(self) -> str:
        return self._parts[1]

    @property
    def name(self) -> str:
        """An attempt's name, or its clone's when it comes from one."""
        return self._parts[2]

    @property
    def _parts(self) -> tuple[str, str, str]:
        below = self.ref.removeprefix(f"{QUARANTINE}/" if self.quarantined else f"{KEPT}/")
        run_id, _, rest = below.partition("/")
        phase_id, _, name = rest.partition("/")
        return run_id, phase_id, name


@dataclass(frozen=True)
class Left:
    """A clone on the disk whose work nobody captured, with what lies beside it."""

    folder: Path
    run_id: str
    phase_id: str
    base: str
    """The commit that its run began on."""

    @property
    def name(self) -> str:
        return self.folder.name


class Archive(Protocol):
    """The kept work of one project. Everything may be asked beside running work but `pack`."""

    def works(self) -> list[Work]:
        """All kept work, attempts and what came from clones, in the order of the refs."""
        ...

    def files(self, works: Sequence[Work]) -> Mapping[str, tuple[str, ...]]:
        """The paths that each changes against its parent, safe to show, by ref."""
        ...

    def proofs(self, works: Sequence[Work], source: str, base: str) -> Mapping[str, str]:
        """Of these works those that the user's repository has now, by ref: how it has them.

        Reachable from a branch or tag there, or identical by tree or by patch to a commit after
        `base` that is. OperatorFault when that repository is gone.
        """
        ...

    def forget(self, works: Sequence[Work]) -> None:
        """Delete refs that still stand at their commits, all or none; EnvironmentFault."""
        ...

    def secure(self, left: Left, at: int) -> tuple[str, ...] | Refused:
        """The refs that hold a clone's whole work tree now, and the patch beside it.

        Made when there is none yet. Ignored files are taken too, unless git cannot take them: then
        the commit's message names what was left out.
        """
        ...

    def lends(self, objects: Sequence[Path]) -> bool:
        """Whether one of these folders of objects is its own."""
        ...

    def pack(self) -> None:
        """Free the room of what nothing refers to; only when nobody else works in it."""
        ...
