"""`autopack undo`: a run's branch moves to another of its snapshots. Decided in `app.undo`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from autopack.cli.options import Json, RunId

if TYPE_CHECKING:
    from autopack.app.undo import Branches, Place
    from autopack.core.run import Run


def undo(
    run: RunId,
    /,
    *,
    to: Annotated[str, Parameter(help="Tag of the snapshot to return to")] = "",
    phase: Annotated[str, Parameter(help="Phase whose snapshot to return to")] = "",
    dry_run: Annotated[bool, Parameter(negative="", help="Only tell where it would go")] = False,
    json: Json = False,
) -> int:
    """Move a run's branch in your repository back to the snapshot before, or to another one.

    Only a run that has ended, only its own branch, never while it is checked out. No tag and no
    commit is deleted: a second undo with `--to` goes forward again.
    """
    from autopack import housekeeping, wiring
    from autopack.app.undo import check_free, check_over, choose
    from autopack.cli import view
    from autopack.core.errors import EnvironmentFault, OperatorFault

    if to and phase:
        raise OperatorFault("--to and --phase name one snapshot twice", "give one of them")
    loaded = view.here(as_json=json)
    with wiring.reading(loaded) as store:
        found = view.loaded_run(store, run)
        asked = store is not None and any(each.run_id == run for each in store.requests())
    check_over(found, asked=asked)
    branches = housekeeping.branches(loaded, found.spec)
    if branches is None or not (found.snapshots or found.promotion.commit):
        raise OperatorFault(f"run {run} landed nothing", f"`autopack salvage {run}` lists its work")
    spec = found.spec
    left, goal = choose(found, branches.stands(spec.repository, spec.branch), to, phase)
    moves = left.commit != goal.commit
    if moves:
        check_free(spec.branch, branches.checked_out(spec.repository, spec.branch), goal)
        if not dry_run:
            who, now = view.who(loaded), wiring.clock(loaded).now()
            if reason := branches.move(spec.repository, run, left, goal, now, who):
                raise EnvironmentFault(reason, "nothing was moved; mend what it names")
    _tell(found, branches, left, goal, dry_run=dry_run, as_json=json)
    return 0


def _tell(
    run: Run, branches: Branches, left: Place, goal: Place, *, dry_run: bool, as_json: bool
) -> None:
    from autopack.app.undo import places
    from autopack.cli import render

    moves = left.commit != goal.commit
    records = branches.moves(run.run_id)
    if as_json:
        render.data({
            "run_id": run.run_id, "branch": run.spec.branch, "dry_run": dry_run,
            "moved": moves and not dry_run, "left": asdict(left), "to": asdict(goal),
            "moves": [asdict(record) for record in records],
        })  # fmt: skip
        return
    word = "would return to" if dry_run else "returned to"
    render.out(f"{run.spec.branch} {word if moves else 'stands at'} {goal}")
    known = places(run)
    between = known[known.index(goal) + 1 : known.index(left) + 1]
    render.out(*(f"  undone, and still there: {place}" for place in between))
    if moves and not dry_run:
        back = f"--to {left.tag}" if left.tag else ""
        render.note(f"  take it back: autopack undo {run.run_id} {back}".rstrip(),
                    f"  go on from here: autopack run retry {run.run_id} --onto {run.spec.branch}",
                    )  # fmt: skip
