"""Undo: an ended run's branch in the user's repository moves to another of its snapshots.

Nothing is deleted: what is undone stays on its tags, and a record keeps where the branch stood. The
run is over and stays so; its events do not change. Never touches a branch that holds work of others
or that is checked out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from autopack.core import promotion
from autopack.core.errors import OperatorFault
from autopack.core.run import Run


@dataclass(frozen=True)
class Place:
    """Where the branch may stand; `tag` is empty for the base."""

    commit: str
    tag: str = ""

    def __str__(self) -> str:
        return f"{self.tag or 'the base'} ({self.commit[:12]})"


@dataclass(frozen=True)
class Undone:
    """A move that was made: kept beside the run, under a ref of its own."""

    ref: str
    left: Place
    to: Place
    at: int
    by: str


class Branches(Protocol):
    """The run's branch in the user's repository, and the records of its moves in ours."""

    def stands(self, source: str, branch: str) -> str:
        """The commit that the branch stands at; empty when there is none. OperatorFault."""
        ...

    def checked_out(self, source: str, branch: str) -> str:
        """The work tree that has it checked out; empty when none has."""
        ...

    def moves(self, run_id: str) -> list[Undone]:
        """The records of a run's moves, oldest first."""
        ...

    def move(self, source: str, run_id: str, left: Place, to: Place, at: int, by: str) -> str:
        """Record the move, then make it under a lease on `left`; why not, empty when done."""
        ...


def places(run: Run) -> list[Place]:
    """Where the branch stood after each landing and its promotion, the base first."""
    snapshots = [Place(snapshot.commit, snapshot.tag) for snapshot in run.snapshots]
    sealed = run.promotion.commit
    promoted = [Place(sealed, promotion.tag(run.run_id))] if sealed else []
    return [Place(run.spec.base_commit), *snapshots, *promoted]


def choose(run: Run, now: str, tag: str = "", phase_id: str = "") -> tuple[Place, Place]:
    """Where the branch stands (commit `now`) and where it goes: the snapshot before, or as told.

    OperatorFault when there is no such place, or the branch stands where this run never was.
    """
    known = places(run)
    branch = run.spec.branch
    here = next((place for place in reversed(known) if place.commit == now), None)
    if here is None:
        what = f"your branch {branch} stands at {now[:12]}" if now else f"you have no {branch}"
        hint = "the work of others on it would be lost: `git branch` a name for it, and move it by "
        hint += (
            "hand" if now else f"hand; or bring it back with `autopack run deliver {run.run_id}`"
        )
        raise OperatorFault(f"{what}, where this run never left it", hint)
    if tag or phase_id:
        full = tag.removeprefix("refs/tags/")
        by_phase = [each.commit for each in run.snapshots if not tag and each.phase_id == phase_id]
        chosen = [each for each in known[1:] if each.tag == full or each.commit in by_phase]
        if not chosen:
            listed = "\n".join(place.tag for place in known[1:]) or "none"
            raise OperatorFault(f"{tag or phase_id} is no snapshot of {run.run_id}",
                                f"its snapshots are:\n{listed}")  # fmt: skip
        return here, chosen[0]
    if here == known[0]:
        what = f"{branch} stands at the base of {run.run_id}: all of it is undone"
        raise OperatorFault(what, f"`autopack undo {run.run_id} --to TAG` goes forward again")
    return here, known[known.index(here) - 1]


def check_over(run: Run, *, asked: bool) -> None:
    """OperatorFault while the run is open, or a delivery is asked for."""
    if not run.ended or asked:
        hint = f"`autopack run watch {run.run_id}`, or `autopack run cancel {run.run_id}` first"
        raise OperatorFault(f"run {run.run_id} is still under way", hint)


def check_free(branch: str, tree: str, to: Place) -> None:
    """OperatorFault when a work tree has the branch checked out."""
    if tree:
        there = to.tag or to.commit
        raise OperatorFault(
            f"{branch} is checked out in {tree}",
            f"`git switch` to another branch there and try again, or move it there yourself: "
            f"`git reset --keep {there}`",
        )
