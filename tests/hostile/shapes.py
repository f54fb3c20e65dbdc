"""What one hostile or odd shape is: what is done, and what Autopack says to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.hostile.ground import ACCEPT, ASK, REFUSE, Told
from tests.hostile.place import Place

Act = Callable[[Place], object]


@dataclass(frozen=True)
class Shape:
    """One row of the table: `what` is done, and the verdict with its findings.

    `told`: rule, path, line. All rules that are met are named here; of many findings of one rule
    the first is enough.
    """

    name: str
    what: str
    verdict: str
    told: tuple[Told, ...] = ()

    @property
    def rules(self) -> set[str]:
        return {rule for rule, _, _ in self.told}


@dataclass(frozen=True)
class PatchShape(Shape):
    """A builder's patch; `holds` is what an accepted one changes: path to mode and content."""

    patch: bytes = b""
    holds: dict[str, tuple[str, bytes] | None] = field(default_factory=dict)


@dataclass(frozen=True)
class CloneShape(Shape):
    """What an agent does in its clone. What is captured is held to the files themselves."""

    act: Act = Place.edit
    needs: str = ""
    """`root`, or `user`: acts that only root, or nobody but a plain user, can show."""
    race: str = ""
    """A shell command, run when git is about to store the files; `$CLONE` and `$OUTSIDE` are set."""


def accept(name: str, what: str, patch: bytes, **holds: tuple[str, bytes] | None) -> PatchShape:
    return PatchShape(name, what, ACCEPT, (), patch, holds)


def ask(name: str, what: str, patch: bytes, *told: Told) -> PatchShape:
    return PatchShape(name, what, ASK, told, patch)


def refuse(name: str, what: str, patch: bytes, *told: Told) -> PatchShape:
    return PatchShape(name, what, REFUSE, told, patch)
