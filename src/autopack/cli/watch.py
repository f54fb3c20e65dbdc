"""Look at a run until it rests: live tiers on a terminal, else one line per event.

Only looks; whoever starts, cancels or answers Ctrl-C is `launch`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from autopack.app.ports import Store
from autopack.app.story import Teller
from autopack.cli import render, story
from autopack.cli.alert import Alert
from autopack.core.errors import EnvironmentFault
from autopack.core.run import PhaseState, Run
from autopack.core.tier import tiers
from autopack.core.words import visible

if TYPE_CHECKING:
    from rich.console import RenderableType

POLL_SECONDS: Final = 0.2
LOOKS_BEFORE_HELP: Final = 10
"""Looks without a new event before the supervisor is looked for: 2 s."""
STARTS_MAX: Final = 3
"""Supervisors started in a row without a new event: then something kills them."""
MARKS: Final = {
    PhaseState.QUEUED: "·",
    PhaseState.EXECUTING: "▶",
    PhaseState.GATE: "?",
    PhaseState.CI_RUNNING: "⚙",
    PhaseState.COMPLETE: "✓",
    PhaseState.FAILED: "✗",
    PhaseState.SKIPPED: "-",
}


class Progress:
    """Where the watching stands: what was shown, and how long nothing happened."""

    def __init__(
        self,
        store: Store,
        run_id: str,
        ensure: Callable[[], int | None],
        seen: int,
        alert: Alert | None = None,
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._ensure = ensure
        self._seen = seen
        self._alert = alert
        self._teller = Teller()
        self._idle_looks = 0
        self._starts = 0

    def news(self) -> list[str]:
        """Lines of the events since the last call."""
        events = self._store.events(self._run_id, after=self._seen)
        if events:
            self._seen = events[-1].sequence
            self._idle_looks = self._starts = 0
        lines = []
        for recorded in events:
            lines.append(story.line(recorded, self._teller))
            lines += self._alert.heard(recorded) if self._alert else []
        return lines

    def keep_alive(self) -> None:
        """When nothing happens, start a supervisor if none is there; EnvironmentFault at last."""
        self._idle_looks += 1
        if self._idle_looks % LOOKS_BEFORE_HELP or self._ensure() is None:
            return
        self._starts += 1
        if self._starts > STARTS_MAX:
            what = f"the supervisor of run {self._run_id} ends as soon as it starts"
            raise EnvironmentFault(what, "`autopack supervise` shows why; nothing is lost")


def carried_out(store: Store, run_id: str, number: int, ensure: Callable[[], int | None]) -> None:
    """Wait until the supervisor has carried out a request; EnvironmentFault when none stays."""
    progress = Progress(store, run_id, ensure, 0)
    while any(request.number == number for request in store.requests()):
        progress.keep_alive()
        time.sleep(POLL_SECONDS)


def follow(
    store: Store,
    run_id: str,
    ensure: Callable[[], int | None],
    rests: Callable[[Run], bool],
    seen: int = 0,
    alert: Alert | None = None,
) -> Run:
    """Show what happens after event `seen` until the run rests; the run as it is then."""
    progress = Progress(store, run_id, ensure, seen, alert)
    with _screen() as show:
        while True:
            news = progress.news()
            run = store.load(run_id)
            show(run, news)
            if rests(run) and not progress.news():
                return run
            progress.keep_alive()
            time.sleep(POLL_SECONDS)


@contextmanager
def _screen() -> Iterator[Callable[[Run, list[str]], None]]:
    if not sys.stderr.isatty():
        yield lambda _run, news: render.note(*news)
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def show(run: Run, news: list[str]) -> None:
            for each in news:
                console.print(visible(each), markup=False, highlight=False)
            live.update(_tiers(run), refresh=True)

        yield show


def _tiers(run: Run) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    title = f"{run.run_id} {run.state.value} {run.tokens_spent:,}/{run.spec.token_cap:,} tokens"
    grid.add_row(Text(title, style="bold"))
    for tier in tiers(run):
        grid.add_row(Text(visible(f"{tier.spec.tier_id} {tier.spec.name}: {tier.state.value}")))
        for phase in tier.phases:
            attempts = f"attempt {phase.attempts_used}" if phase.attempts_used else ""
            words = f"  {MARKS[phase.state]} {phase.phase_id} {phase.step.value} {attempts}"
            grid.add_row(Text(words.rstrip()))
    return grid
