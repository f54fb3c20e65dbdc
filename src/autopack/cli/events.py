"""`autopack events`: the log of a run, and whether it is sound. Only reads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import App, Parameter

from autopack.cli.options import Json, RunId

app = App(name="events", help="The log of a run, and whether it is sound.")
PAGE = 1000


def _positive(_type: object, value: int) -> None:
    if value < 1:
        raise ValueError("must be 1 or more")


@app.command(name="list")
def list_events(
    run: RunId,
    /,
    *,
    after: Annotated[int, Parameter(help="Begin after this sequence number")] = 0,
    limit: Annotated[int, Parameter(help="Events to show", validator=_positive)] = PAGE,
    json: Json = False,
) -> None:
    """List what happened to a run, in order."""
    from autopack import wiring
    from autopack.app.story import Teller
    from autopack.cli import render, story, view, wire

    with wiring.reading(view.here(as_json=json)) as store:
        view.loaded_run(store, run)
        events = store.events(run, after=after, limit=limit) if store else []
    if json:
        render.data({"run_id": run, "events": [wire.event(each) for each in events]})
        return
    teller = Teller()
    for each in events:
        at = datetime.fromtimestamp(each.happened.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        render.out(f"{each.sequence:>4} {at} {story.line(each, teller)}")


@app.command(name="verify")
def verify_events(
    run: Annotated[str, Parameter(name="RUN", help="A run's id; default: all runs")] = "",
    /,
    *,
    json: Json = False,
) -> int:
    """Check the chain of events, rebuild the state from it and compare; leave with 1 if wrong."""
    from autopack import wiring
    from autopack.app.ports import Store
    from autopack.app.sentences import count
    from autopack.cli import render, view

    def ids(store: Store) -> list[str]:
        found: list[str] = []
        while page := store.runs(after=found[-1] if found else "", limit=PAGE):
            found += [each.run_id for each in page]
        return found

    with wiring.reading(view.here(as_json=json)) as store:
        if run or store is None:
            view.loaded_run(store, run) if run else None
        wanted = [run] if run else ids(store) if store else []
        problems = {each: store.verify(each) for each in wanted} if store else {}
    wrong = {each: said for each, said in problems.items() if said}
    if json:
        render.data({"runs": len(wanted), "problems": wrong})
    else:
        render.out(*(f"{each}: {line}" for each, said in wrong.items() for line in said))
        render.note(f"{count(len(wanted), 'run')} looked at, {len(wrong)} damaged")
        if wrong:
            render.note(
                "  hint: restore the store from a copy; branches and tags in git are untouched"
            )
    return 1 if wrong else 0
