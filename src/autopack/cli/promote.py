"""`autopack promote`: a run that ended well becomes one pull request, or why it does not.

Only asks the supervisor, which promotes; a dry run tells from the store and the forge alone.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from autopack.cli.options import Json, RunId

if TYPE_CHECKING:
    from autopack.app.ports import Store
    from autopack.core.run import Run
    from autopack.core.spec import RunSpec
    from autopack.settings import Loaded


def promote(
    run: RunId,
    /,
    *,
    dry_run: Annotated[
        bool, Parameter(negative="", help="Only tell whether it may be, and what would be sent")
    ] = False,
    json: Json = False,
) -> int:
    """Push a run's branch and open its pull request, or bring the one it has up to date.

    Only a run that has ended well and clean. A pull request that a person merged or closed is
    done: it is never opened again. Nothing writes the base branch.
    """
    from autopack import wiring
    from autopack.cli import view
    from autopack.core import promotion
    from autopack.core.errors import OperatorFault

    loaded = view.here(as_json=json)
    with wiring.reading(loaded) as store:
        found = view.loaded_run(store, run)
        if store is None or not found.ended:
            hint = f"`autopack run watch {run}`: it is promoted at its end, if it may be"
            raise OperatorFault(f"run {run} is still under way", hint)
        known = found.promotion.number or promotion.reasons(found)
        open_now = None if known else _open(loaded, found.spec)
        if dry_run:
            return _told_dry(store, found, open_now, as_json=json)
        return _asked(loaded, store, found, open_now, as_json=json)


def _asked(loaded: Loaded, store: Store, run: Run, open_now: int | None, *, as_json: bool) -> int:
    """Ask for it and wait for the answer; one that may not be is told why, and not asked for."""
    from autopack import wiring
    from autopack.cli import attend, view
    from autopack.cli.exits import DONE, FAILED
    from autopack.core import promotion

    if reasons := promotion.reasons(run, open_now):
        return _refused(run, reasons, as_json=as_json)
    store.ask(run.run_id, "promote", view.who(loaded))
    wiring.ensure_supervisor(loaded)

    def answered(now: Run) -> bool:
        asked = any(request.run_id == run.run_id for request in store.requests())
        return now.ended and not asked

    now = attend.ensured(loaded, store, run.run_id, answered, seen=run.version)
    attend.tell(loaded, store, now, as_json=as_json)
    return FAILED if now.promotion.refusal or not now.promotion.number else DONE


def _refused(run: Run, reasons: tuple[str, ...], *, as_json: bool) -> int:
    from autopack.cli import render
    from autopack.cli.exits import FAILED

    if as_json:
        render.data(_verdict(run, reasons))
    else:
        render.out(f"{run.run_id} is not eligible for promotion:",
                   *(f"  {reason}" for reason in reasons))  # fmt: skip
        render.note(f"  next: autopack run view {run.run_id}")
    return FAILED


def _told_dry(store: Store, run: Run, open_now: int | None, *, as_json: bool) -> int:
    """What would be sent, as it is now."""
    from autopack import forging
    from autopack.cli import render
    from autopack.cli.exits import DONE
    from autopack.core import promotion

    if reasons := promotion.reasons(run, open_now):
        return _refused(run, reasons, as_json=as_json)
    papers = forging.papers(store, run, ())
    if as_json:
        sent = {"title": papers.title, "body": papers.body, "files": sorted(papers.files)}
        statuses = [asdict(status) for status in papers.statuses]
        render.data(_verdict(run, ()) | {"would_send": sent | {"statuses": statuses}})
        return DONE
    render.out(
        f"{run.run_id} is eligible: {run.spec.branch} would become a pull request for"
        f" {run.spec.onto}",
        f"  title: {papers.title}",
        f"  files on the branch: {len(papers.files)}, below .autonomous_runs/{run.run_id}",
        f"  commit statuses: {len(papers.statuses)}",
        "",
        *papers.body.splitlines(),
    )
    return DONE


def _verdict(run: Run, reasons: tuple[str, ...]) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "promotion_eligible_to_main": not reasons,
        "reasons": list(reasons),
        "promotion": asdict(run.promotion),
    }


def check_room(loaded: Loaded, spec: RunSpec) -> None:
    """OperatorFault when a new run would wait until a promotion was reviewed."""
    from autopack.app.promote import limited
    from autopack.core.errors import OperatorFault
    from autopack.core.promotion import full

    count = _open(loaded, spec) if limited(spec) else None
    if count is not None and count >= spec.promotions_open_max:
        raise OperatorFault(full(count, spec.promotions_open_max), "or start without --no-wait")


def _open(loaded: Loaded, spec: RunSpec) -> int | None:
    """Open promotions of the repository; None where they are not limited."""
    from autopack import forging, wiring
    from autopack.core.promotion import PREFIX

    if not spec.promotions_open_max:
        return None
    forge = forging.forge_of(loaded, wiring.projects_of(loaded, alone=False), spec)
    return len(forge.open_marked(PREFIX))
