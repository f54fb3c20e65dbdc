"""Store and engine: latencies, start, idle cost of three queues: local, claim table, DBOS.

python bench/engine.py [--commands 100] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from autopack.adapters.engine.dbos_engine import DbosEngine
from autopack.adapters.engine.local import LocalEngine
from autopack.adapters.store.open import open_store
from autopack.adapters.store.store import SqlStore
from autopack.app.ports import Engine
from autopack.core import machine
from autopack.core.event import BasePrepared, EnvironmentPrepared, Event, Happened
from autopack.core.run import Run
from bench.claim_table import ClaimTable
from tests.contracts.walks import born

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
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=100)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    figures: dict[str, Any] = {"imports_ms": imports(folder)}
    figures["store"] = store_figures(folder / "a" / "store.db", options.commands)
    for name in ("local", "claim_table", "dbos"):
        figures[name] = engine_figures(name, folder / name / "store.db", options.commands)
    print(json.dumps(figures, indent=1))


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


def spread(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "median_ms": round(1000 * statistics.median(ordered), 2),
        "p95_ms": round(1000 * ordered[int(len(ordered) * 0.95)], 2),
    }


def store_figures(path: Path, count: int) -> dict[str, Any]:
    start = time.perf_counter()
    store = open_store(path)
    made = time.perf_counter() - start
    figures: dict[str, Any] = {"make_ms": round(1000 * made, 1)}
    for phases in (1, 5, 25):
        saves, loads = [], []
        for number in range(count):
            run, created = born(f"p{phases}n{number}", phases)
            store.create(run, created)
            after, happened = step(run, BasePrepared())
            start = time.perf_counter()
            store.save(after, happened, expected_version=1, within=lambda _: None)
            saves.append(time.perf_counter() - start)
            start = time.perf_counter()
            store.load(run.run_id)
            loads.append(time.perf_counter() - start)
        figures[f"save_{phases}_phases"] = spread(saves)
        figures[f"load_{phases}_phases"] = spread(loads)
    store.close()
    return figures


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

    def once(self, engine: Engine | ClaimTable, run_id: str) -> tuple[float, float, float]:
        """Seconds of the save, from it to the performance, and of the whole."""
        run, created = born(run_id, 5)
        self.store.create(run, created)
        run, happened = step(run, BasePrepared())
        self._done.clear()
        at = time.perf_counter()
        within: Callable[[Any], None] = partial(engine.enqueue, [run_id])
        assert self.store.save(run, happened, expected_version=1, within=within)
        saved = time.perf_counter()
        self._done.wait()
        return saved - at, self.begun - saved, self.ended - at


def engine_figures(name: str, path: Path, count: int) -> dict[str, Any]:
    """The supervisor's loop, one command at a time."""
    store = open_store(path)
    loop = Loop(store)
    start = time.perf_counter()
    engine: Engine | ClaimTable
    if name == "local":
        engine = LocalEngine(workers_max=4)
    elif name == "dbos":
        engine = DbosEngine(store.companion(), workers_max=4)
    else:
        engine = ClaimTable(store._engine, store._writer, 4)  # noqa: SLF001  it shares their lock
    engine.start(loop.perform)
    started = time.perf_counter()
    saves, waits, wholes = zip(*(loop.once(engine, f"r{n}") for n in range(count)), strict=True)
    before = os.times()
    time.sleep(3)
    after = os.times()
    stopping = time.perf_counter()
    engine.stop()
    figures = {
        "start_ms": round(1000 * (started - start), 1),
        "save_with_enqueue": spread(saves),
        "enqueue_to_perform": spread(waits),
        "save_enqueue_perform_save": spread(wholes),
        "idle_cpu_percent": round((sum(after[:2]) - sum(before[:2])) / 3 * 100, 1),
        "stop_ms": round(1000 * (time.perf_counter() - stopping), 1),
    }
    store.close()
    return figures


if __name__ == "__main__":
    main()
