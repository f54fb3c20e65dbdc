"""Attend a run to its end, and its series to theirs: Ctrl-C is asked about, the end is told.

Starts a supervisor where none is at work; advances no run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from autopack import wiring
from autopack.app.ports import Store
from autopack.app.report import RunView
from autopack.app.series import next_run
from autopack.cli import render, telling, view, wire
from autopack.cli.alert import Alert
from autopack.cli.exits import DONE, FAILED, INTERRUPTED
from autopack.cli.watch import follow
from autopack.core.run import Run
from autopack.core.series import parts_of
from autopack.settings import Loaded

ANSWERS_MAX: Final = 3
"""How often Ctrl-C's question is asked before silence is taken as `detach`."""


def attend(
    loaded: Loaded, store: Store, run_id: str, *, as_json: bool, alert: Alert | None = None
) -> int:
    """Watch a run and the parts of its series after it; the last one's result as exit code."""
    while True:
        try:
            wiring.ensure_supervisor(loaded)
            run = ensured(loaded, store, run_id, lambda now: now.ended, alert=alert)
            following = next_run(store, run)
            if following is None:
                return tell_end(loaded, store, run, as_json=as_json)
            tell_next(run, following)
            run_id = following.run_id
            alert = Alert(following, loaded.environ) if alert else None
        except KeyboardInterrupt:
            if not _goes_on(loaded, store, run_id):
                return INTERRUPTED


def tell_next(run: Run, following: Run) -> None:
    """Say that a part has succeeded and which run goes on."""
    spec = following.spec
    tiers = " ".join(tier.tier_id for tier in spec.tiers)
    which = f"part {spec.part} of {parts_of(spec)} ({tiers})"
    render.note(f"{run.run_id}: {run.state.value}", f"{spec.run_id} begins: {which}")
    if run.undelivered:
        first = next(iter(run.delivery_refusal.splitlines()), "no answer yet")
        hint = f"autopack run deliver {run.run_id}"
        render.note(f"  not delivered: {first}", f"  make it good: {hint}")


def ensured(
    loaded: Loaded,
    store: Store,
    run_id: str,
    rests: Callable[[Run], bool],
    seen: int = 0,
    alert: Alert | None = None,
) -> Run:
    """Show what happens until the run rests, with a supervisor at work; the run as it is then."""
    return follow(store, run_id, lambda: wiring.ensure_supervisor(loaded), rests, seen, alert)


def _goes_on(loaded: Loaded, store: Store, run_id: str) -> bool:
    """What Ctrl-C means: a terminal is asked; without one the run goes on alone."""
    choice = _choice() if sys.stdin.isatty() and sys.stderr.isatty() else "d"
    if choice == "w":
        return True
    if choice == "c":
        store.ask(run_id, "cancel", view.who(loaded))
    wiring.ensure_supervisor(loaded)  # Ctrl-C may have reached one that was only starting
    if choice == "c":
        render.note(f"{run_id} is being cancelled; what has landed stays")
    else:
        render.note(f"{run_id} goes on in the background",
                    f"  cancel: autopack run cancel {run_id}")  # fmt: skip
    render.note(f"  next: autopack run watch {run_id}")
    return False


def _choice() -> str:
    """`d`, `c` or `w` as somebody answers; `d` too for silence and after too many other answers."""
    render.note("", "the run goes on in the background unless you cancel it")
    for left in reversed(range(ANSWERS_MAX)):
        try:
            sys.stderr.write("[d]etach, [c]ancel the run, [w]atch on? (d) ")
            sys.stderr.flush()
            line = sys.stdin.readline()
        except KeyboardInterrupt:
            line = ""
        if not line:  # Ctrl-C once more, or the end of input: neither ends the line that was asked
            render.note("")
        said = line.strip().lower()
        for word in ("detach", "cancel", "watch"):
            if word.startswith(said or "d"):
                return word[0]
        render.note(f"{said!r} is no answer" + ("" if left else "; detaching"))
    return "d"


def tell_end(loaded: Loaded, store: Store | None, run: Run, *, as_json: bool) -> int:
    """Print how a run ended; its result as exit code."""
    ended = tell(loaded, store, run, as_json=as_json)
    badly = ended.failure or ended.undelivered or ended.promotion.refusal
    return FAILED if badly else DONE


def tell(loaded: Loaded, store: Store | None, run: Run, *, as_json: bool) -> RunView:
    """Print how a run stands."""
    shown, places = view.looked_at(loaded, store, run)
    if as_json:
        render.data({"run": wire.detail(shown, places)})
    else:
        render.out(*telling.summary(shown, places))
    return shown
