"""Commands that read, beside a Python that imports what they cannot do without.

Processor time and wall time of whole processes, in turn with the import. python -m bench.cli_reads
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench import samples
from bench.measure import progress, ratio, table, times
from bench.overhead import environment, plan

GOAL = 1.5
ROUNDS = 15
IMPORTS = "import cyclopts, sqlalchemy, pydantic_settings"
COMMANDS = {
    "run list --json": ("run", "list", "--json"),
    "run view": ("run", "view", "bench-1"),
    "events list": ("events", "list", "bench-1"),
    "config show": ("config", "show"),
}


def main() -> None:
    """Print the table."""
    with samples.folder(samples.DISK) as place:
        project = place / "project"
        samples.repository(project, samples.SIZES["small"], "echo x > src/x-$AUTOPACK_PHASE_ID")
        ours = [sys.executable, "-m", "autopack.cli.main"]
        env = environment(place)
        path = plan(place, 5)
        begin = [*ours, "run", str(path), "--json", "--run-id", "bench-1"]
        subprocess.run(begin, cwd=project, env=env, check=True, capture_output=True)
        rows = [row(name, [*ours, *words], project, env) for name, words in COMMANDS.items()]
    head = ("command", "CPU (ms)", "imports", "CPU / imports", "wall (ms)", "imports",
            "wall / imports")  # fmt: skip
    print(table(head, rows))
    print(f"\nImports: `python -c '{IMPORTS}'`. A store with one run of five phases.")


def row(name: str, argv: list[str], cwd: Path, env: dict[str, str]) -> tuple[str, ...]:
    """Medians of both and of their ratios, pair by pair."""
    progress(f"cli reads: {name}")
    base = [sys.executable, "-c", IMPORTS]
    pairs = [(spent(argv, cwd, env), spent(base, cwd, env)) for _ in range(ROUNDS + 1)][1:]
    cells = []
    for kind in (0, 1):
        mine, theirs = ([pair[who][kind] for pair in pairs] for who in (0, 1))
        cells += [f"{1000 * statistics.median(each):.0f}" for each in (mine, theirs)]
        cells.append(times(ratio(mine, theirs), GOAL))
    return (f"`{name}`", *cells)


def spent(argv: list[str], cwd: Path, env: dict[str, str]) -> tuple[float, float]:
    """Seconds of processor (user and system) and of the wall, of one process to its end."""
    began = time.perf_counter()
    process = subprocess.Popen(argv, cwd=cwd, env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, argv
    return usage.ru_utime + usage.ru_stime, wall


if __name__ == "__main__":
    main()
