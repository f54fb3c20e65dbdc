"""What the supervisor adds to a phase: a run in-process with everything real, timed at its ports.

The agent writes one file, CI does nothing; both run in bubblewrap, commands go through the
local engine. Each timer counts its own time only, without the timers inside it, in whichever
thread it runs. python -m bench.overhead
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autopack import wiring
from autopack.adapters.engine.local import LocalEngine
from autopack.app.planning import Machine
from autopack.app.start import Wish, new_run
from autopack.app.supervise import Supervisor, create_run
from autopack.core.run import RunState
from autopack.settings import Loaded, load
from bench import samples
from bench.measure import progress, table, times

GOAL_MS = 500
AGENT = "echo $AUTOPACK_PHASE_ID > src/part0/of-$AUTOPACK_PHASE_ID.txt"
CASES = (
    ("disk", samples.DISK, "small", 12),
    ("memory", samples.MEMORY, "small", 12),
    ("memory", samples.MEMORY, "mid", 5),
    ("memory", samples.MEMORY, "large", 3),
)
PARTS = {
    "clone": ("clone",),
    "discard": ("discard",),
    "apply": ("capture", "apply", "commit", "diff", "tree", "resolve", "message", "read", "check"),
    "landing": ("land",),
    "delivery": ("deliver",),
    "transitions": (
        "save",
        "load",
        "requests",
        "runs",
        "open_ids",
        "events",
        "green",
        "remember_green",
    ),
    "queue": ("queue",),
    "sandbox": ("sandbox",),
    "artefacts": ("render",),
    "other": ("build", "test", "perform"),
}
"""Columns, by the timers that they add up."""


class Timers:
    """Seconds by name; while one is inside another, only the inner one counts."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._open = threading.local()
        self._lock = threading.Lock()

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Count the time of the block, without that of the blocks in it."""
        stack: list[float] = self._open.__dict__.setdefault("stack", [])
        stack.append(0.0)
        began = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - began
            inside = stack.pop()
            if stack:
                stack[-1] += took
            self.add(name, took - inside)

    def add(self, name: str, seconds: float) -> None:
        """Count seconds that were measured elsewhere."""
        with self._lock:
            self.seconds[name] += seconds

    def around(self, subject: object, *names: str, label: str = "") -> Any:
        """The subject with these methods timed, each under its own name or the label."""
        return _Proxy(self, subject, {name: label or name for name in names})


class _Proxy:
    """Another's attributes; some of them timed."""

    def __init__(self, timers: Timers, subject: object, names: dict[str, str]) -> None:
        self._timers, self._subject, self._names = timers, subject, names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._subject, name)
        if name not in self._names:
            return found

        def timed(*args: Any, **named: Any) -> Any:
            with self._timers.timed(self._names[name]):
                return found(*args, **named)

        return timed


class _Queue(LocalEngine):
    """Tells how long a command waits: from the commit of its save to its performance."""

    timers: Timers
    asked: dict[str, float]

    def enqueue(self, command_ids: Any, within: Any) -> None:
        def committed() -> None:
            self.asked.update(dict.fromkeys(command_ids, time.perf_counter()))

        within.on_commit(committed)
        super().enqueue(command_ids, within)

    def start(self, perform: Callable[[str], None]) -> None:
        def begun(command_id: str) -> None:
            if command_id in self.asked:
                self.timers.add("queue", time.perf_counter() - self.asked.pop(command_id))
            with self.timers.timed("perform"):
                perform(command_id)

        super().start(begun)


@dataclasses.dataclass(frozen=True)
class _Timed:
    """Builds a run's world as the product does, then puts timers around what is in it."""

    world_of: Any
    timers: Timers

    def __call__(self, spec: Any) -> Any:
        world = self.world_of(spec)
        names = ("clone", "discard", "capture", "apply", "commit", "diff", "tree", "resolve",
                 "facts", "read", "land", "deliver", "prepare", "refs_of")  # fmt: skip

        def repository(spec: Any) -> Any:
            return self.timers.around(world.repository(spec), *names)

        writer: Any = world.agents.builders["writer"]
        bench = self._timed_bench(writer.context.workbench)
        writer = dataclasses.replace(
            writer, context=dataclasses.replace(writer.context, workbench=bench)
        )
        verifier: Any = world.verifier
        verifier = dataclasses.replace(verifier, workbench=bench, repository_of=repository)
        agents = dataclasses.replace(
            world.agents, builders={"writer": self.timers.around(writer, "build")}
        )
        timed = self.timers.around(verifier, "test")
        return dataclasses.replace(world, repository=repository, agents=agents, verifier=timed)

    def _timed_bench(self, bench: Any) -> Any:
        sandbox = self.timers.around(bench.sandbox, "run", label="sandbox")
        return dataclasses.replace(bench, sandbox=sandbox)


def main() -> None:
    """Print the table."""
    rows = []
    for kind, where, name, phases in CASES:
        files = samples.SIZES[name]
        progress(f"overhead: {files:,} files, {kind}, {phases} phases")
        with samples.folder(where) as place:
            whole, parts, start = measure(place, files, phases)
        goal = times(whole / GOAL_MS, 1.0) if name == "small" else "-"
        cells = (f"{parts[part]:,.0f}" for part in PARTS)
        rows.append((f"{files:,}, {kind}", f"{whole:,.0f}", *cells, f"{start:,.0f}", goal))
    head = ("files", "a phase", *PARTS, "start of the run", f"phase / {GOAL_MS} ms")
    print(table(head, rows))
    print(NOTES)


NOTES = """
Milliseconds. *A phase*: median wall time from landing to landing of phases that run one after
another. The parts are means over the phases; artefacts are written, and the store polled, by
another thread at the same time, so parts may add up to more than the phase. *clone* is two
checkouts (agent, CI), *discard* freeing their names, *sandbox* three bubblewrap starts (the proof
that the network is closed, the agent's `sh`, CI's `true`), *start of the run* fetching the base
once, into a new repository."""


def measure(place: Path, files: int, phases: int) -> tuple[float, dict[str, float], float]:
    """Milliseconds of a phase, of its parts, and of the run's start."""
    project = place / "project"
    samples.repository(project, files, AGENT)
    loaded = load(project, environment(place))
    timers = Timers()
    landed: list[float] = []
    with wiring.writing(loaded) as store:
        _Queue.timers, _Queue.asked = timers, {}
        read = ("load", "requests", "runs", "open_ids", "events", "green", "remember_green")
        timed = timers.around(store, "save", *read)
        engine = _Queue()
        host = wiring.host(loaded, timed, wiring.projects_of(loaded, alone=False))
        host = dataclasses.replace(host, world_of=_Timed(host.world_of, timers))

        def perform(run: Any, pending: Any, cancel: Any) -> Any:
            if pending.command.kind == "check":
                with timers.timed("check"):
                    return host.perform(run, pending, cancel)
            event = host.perform(run, pending, cancel)
            if event.kind in ("environment_prepared", "snapshot_landed"):
                landed.append(time.perf_counter())
            return event

        supervisor = Supervisor(
            timed, engine, wiring.clock(loaded), perform, timers.around(host, "render").render
        )
        run = create(loaded, project, plan(place, phases), store)
        began = time.perf_counter()
        supervisor.run(until_idle=True)
        assert store.load(run).state is RunState.DONE_SUCCESS, store.load(run)
    assert len(landed) == phases + 1, landed
    walls = [after - before for before, after in itertools.pairwise(landed[1:])]
    parts = {
        part: 1000 * sum(timers.seconds[name] for name in names) / phases
        for part, names in PARTS.items()
    }
    return 1000 * statistics.median(walls), parts, 1000 * (landed[0] - began)


def create(loaded: Loaded, project: Path, path: Path, store: Any) -> str:
    """Record a run as `autopack run` does."""
    settings = loaded.settings
    machine = Machine(
        frozenset(settings.agents), settings.builder, settings.auditor, settings.sandbox
    )
    source = wiring.checkout(loaded, project)
    known = wiring.KnownRuns(store)
    ready = new_run(Wish("bench"), machine, source, wiring.plan(path), known)
    return create_run(store, wiring.clock(loaded), ready.spec).run_id


def plan(place: Path, phases: int, *, parallel: bool = False) -> Path:
    """A plan of phases in one tier; each needs the one before unless they are parallel."""
    lines = ["# bench", "## Tier T1: all"]
    for number in range(1, phases + 1):
        needs = f"- needs: F1.{number - 1}\n" if number > 1 and not parallel else ""
        lines.append(
            f"### Phase F1.{number}: writes a file\n- category: tests\n- complexity: low\n"
            f"- scope: src/**\n{needs}\nWrite one file.\n"
        )
    path = place / "bench.md"
    path.write_text("\n\n".join(lines))
    return path


def environment(place: Path) -> dict[str, str]:
    """A user's environment with all of Autopack's folders below `place`."""
    (place / "home").mkdir(exist_ok=True)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(place / "home"),
        "LC_ALL": "C.UTF-8",
        **{
            f"AUTOPACK_{name.upper()}_DIR": str(place / name) for name in ("data", "state", "cache")
        },
    }


if __name__ == "__main__":
    main()
