"""`autopack clean`: what of ended runs goes, what stays and why. The deeds are in `app.clean`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from autopack.cli.options import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autopack.app.clean import Entry
    from autopack.app.ports import Store
    from autopack.settings import Loaded


def clean(
    *,
    dry_run: Annotated[bool, Parameter(negative="", help="Only tell what would go")] = False,
    drop: Annotated[
        Path | None,
        Parameter(help="Delete only this clone in quarantine, whether its work is kept or not"),
    ] = None,
    json: Json = False,
) -> None:
    """Delete what ended runs left and nobody can miss; tell what stays and why.

    Work goes only when your repository has it, at this moment: on a branch or tag, or the same
    files or the same change. Beside a supervisor at work less is done.
    """
    from autopack import wiring
    from autopack.cli import render, view

    loaded = view.here(as_json=json)
    with wiring.reading(loaded) as store:
        if drop is not None:
            found, alone = _dropped(loaded, store, drop, dry=dry_run), False
        else:
            found, alone = _cleaned(loaded, store, dry=dry_run) if store else ([], True)
    if alone and wiring.has_work(loaded):  # recorded while we had the lock
        wiring.ensure_supervisor(loaded)
    if json:
        render.data({"dry_run": dry_run, "alone": alone,
                     "entries": [_wire(entry) for entry in found]})  # fmt: skip
        return
    render.out(*_lines(found, dry=dry_run))
    if not alone and drop is None:
        render.note("a supervisor is at work: its clones are left alone, and no repository packed")


def _dropped(loaded: Loaded, store: Store | None, place: Path, *, dry: bool) -> list[Entry]:
    """The one clone that the user named."""
    from autopack import housekeeping, wiring
    from autopack.app.clean import drop
    from autopack.core.errors import OperatorFault

    if store is None:
        raise OperatorFault(f"{place} is no clone in quarantine", "nothing was ever run here")
    house = housekeeping.house(loaded, store, wiring.clock(loaded))
    return [drop(house, place.absolute(), dry=dry)]


def _cleaned(loaded: Loaded, store: Store, *, dry: bool) -> tuple[list[Entry], bool]:
    """What was found, and whether no supervisor was at work."""
    from autopack import housekeeping, wiring
    from autopack.adapters.git.discard import remove_empty, sweep
    from autopack.adapters.git.sharing import sweep_trials
    from autopack.adapters.store.alone import FoldersTaken
    from autopack.app.clean import clean

    clock = wiring.clock(loaded)
    try:
        held = wiring.lock(loaded)
    except FoldersTaken:
        held = None
    if held is None:
        return clean(housekeeping.house(loaded, store, clock), alone=False, dry=dry), False
    house = housekeeping.house(loaded, store, clock, held.check)
    try:
        held.check()
        if not dry:
            sweep(loaded.folders.clones)
            sweep_trials(loaded.folders.trials)
        found = clean(house, alone=True, dry=dry)
        remove_empty(loaded.folders.clones)
        return found, True
    finally:
        held.release()


def _lines(found: Sequence[Entry], *, dry: bool) -> list[str]:
    """What goes one by one; what stays by run and reason, with how many of it."""
    from autopack.app.sentences import count
    from autopack.cli import render

    word = "would go" if dry else "gone"
    gone = [entry for entry in found if entry.goes]
    rows = [(word, entry.what.value, entry.place, entry.why) for entry in gone]
    stays = Counter((e.what.value, e.run_id, e.why) for e in found if not e.goes)
    rows += [("stays", what, f"{number} of run {run_id}", why)
             for (what, run_id, why), number in stays.items()]  # fmt: skip
    freed = sum(entry.bytes for entry in gone)
    size = f", {freed:,} bytes beside what repositories free" if freed else ""
    told = f"{count(len(gone), 'thing')} {word}{size}; {len(found) - len(gone)} stay"
    return [*render.table(("", "WHAT", "WHICH", "WHY"), rows), told] if rows else [told]


def _wire(entry: Entry) -> dict[str, object]:
    return {
        "what": entry.what.value,
        "run_id": entry.run_id,
        "place": entry.place,
        "goes": entry.goes,
        "why": entry.why,
        "bytes": entry.bytes,
    }
