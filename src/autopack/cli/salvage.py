"""`autopack salvage`: the work of a run that did not land, shown or written out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from autopack.cli.options import Json, RunId

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autopack.adapters.git.archive import GitArchive
    from autopack.app.archive import Left, Work
    from autopack.app.ports import Store
    from autopack.app.salvage import Salvaged
    from autopack.core.run import Run
    from autopack.settings import Loaded

FILES_TOLD: int = 5
"""Of one work, in text; `--json` has all."""


def salvage(
    run: RunId,
    /,
    *,
    phase: Annotated[str, Parameter(help="Only this phase's")] = "",
    export: Annotated[
        Path | None, Parameter(name="--export", help="Write patches and bundles into this folder")
    ] = None,
    json: Json = False,
) -> None:
    """List what a run made that did not land: where it is kept, what it changes, and why.

    `--export` writes a patch for each (`git am` or `git apply` takes it on its parent) and a bundle
    for each phase into a folder that is not there yet.
    """
    from autopack import housekeeping, wiring
    from autopack.cli import render, view

    loaded = view.here(as_json=json)
    with wiring.reading(loaded) as store:
        found = view.loaded_run(store, run)
        _check(found, phase)
        archive = housekeeping.archive(loaded, found.spec)
        left = _left(loaded, found, phase)
        refused: dict[str, str] = {}
        if export is not None and archive is not None:
            left, refused = _secured(archive, left, wiring.clock(loaded).now())
        works = _salvaged(store, archive, found, phase)
    patches: Mapping[str, Path] = {}
    if export is not None and archive is not None and works:
        phases: dict[str, list[Work]] = {}
        for each in works:
            phases.setdefault(each.work.phase_id, []).append(each.work)
        patches = archive.export(
            phases, found.spec.base_commit, Path(os.path.normpath(export.absolute()))
        )
    if json:
        render.data(_wire(found, works, left, refused, patches))
    else:
        render.out(*_lines(found, works, left, refused, patches))
        if works and not patches:
            render.note(f"  next: autopack salvage {run} --export DIR")


def _check(run: Run, phase_id: str) -> None:
    from autopack.core.errors import OperatorFault

    known = [phase.phase_id for phase in run.every_phase]
    if phase_id and phase_id not in known:
        raise OperatorFault(
            f"run {run.run_id} has no phase {phase_id}", f"it has {' '.join(known)}"
        )


def _left(loaded: Loaded, run: Run, phase_id: str) -> list[Left]:
    """Clones of the run that nobody captured."""
    from autopack import housekeeping
    from autopack.app.archive import Left

    remains = housekeeping.remains(loaded)
    found = [*remains.quarantined(), *(remains.clones() if run.ended else [])]
    return [
        Left(folder, run_id, phase, run.spec.base_commit)
        for run_id, phase, folder in found
        if run_id == run.run_id and phase_id in {"", phase}
    ]


def _secured(
    archive: GitArchive, left: Sequence[Left], now: int
) -> tuple[list[Left], dict[str, str]]:
    """Keep clones under refs; those that cannot be, and why, by folder."""
    from autopack.app.ports import Refused

    refused = {}
    for clone in left:
        refs = archive.secure(clone, now)
        if isinstance(refs, Refused):
            said = (f"{each.path} {each.message}".strip() for each in refs.findings)
            refused[str(clone.folder)] = "; ".join(said)
    return [clone for clone in left if str(clone.folder) in refused], refused


def _salvaged(
    store: Store | None, archive: GitArchive | None, run: Run, phase_id: str
) -> list[Salvaged]:
    from autopack.app.report import log_of
    from autopack.app.salvage import salvaged

    if store is None or archive is None:
        return []
    works = [
        work
        for work in archive.works()
        if work.run_id == run.run_id and phase_id in {"", work.phase_id}
    ]
    return salvaged(run, log_of(store, run.run_id), works, archive.files(works))


def _lines(
    run: Run,
    works: Sequence[Salvaged],
    left: Sequence[Left],
    refused: Mapping[str, str],
    patches: Mapping[str, Path],
) -> list[str]:
    from autopack.app.sentences import count

    lines = []
    for each in works:
        work = each.work
        shown = ", ".join(each.files[:FILES_TOLD]) or "no file"
        more = len(each.files) - FILES_TOLD
        lines += [
            f"{work.phase_id} {work.name}: {' '.join(each.why.split())}",
            f"    {work.ref} ({work.commit[:12]}) on {work.parent[:12]}",
            f"    {shown}" + (f" and {more} more" if more > 0 else ""),
        ]
        lines += [f"    patch: {patches[work.ref]}"] if work.ref in patches else []
    for clone in left:
        why = refused.get(str(clone.folder), "`--export` and `autopack clean` keep it under a ref")
        lines += [f"{clone.phase_id} {clone.name}: a clone that nobody captured",
                  f"    {clone.folder}", f"    {why}"]  # fmt: skip
    total = count(len(works) + len(left), "thing")
    return [*lines, f"{total} of {run.run_id} that did not land"]


def _wire(
    run: Run,
    works: Sequence[Salvaged],
    left: Sequence[Left],
    refused: Mapping[str, str],
    patches: Mapping[str, Path],
) -> dict[str, object]:
    return {
        "run_id": run.run_id,
        "works": [
            {
                "phase_id": each.work.phase_id,
                "name": each.work.name,
                "ref": each.work.ref,
                "commit": each.work.commit,
                "parent": each.work.parent,
                "quarantined": each.work.quarantined,
                "files": list(each.files),
                "why": each.why,
                "patch": str(patches[each.work.ref]) if each.work.ref in patches else None,
            }
            for each in works
        ],
        "clones": [
            {
                "phase_id": clone.phase_id,
                "folder": str(clone.folder),
                "why": refused.get(str(clone.folder), ""),
            }
            for clone in left
        ],
    }
