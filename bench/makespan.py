"""Eight independent phases whose agents wait 5 s, four at a time, through `autopack run`.

python -m bench.makespan
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time

from bench import samples
from bench.measure import progress, table, times
from bench.overhead import environment, plan

GOAL = 1.15
PHASES, PARALLEL, WAIT_SECONDS = 8, 4, 5
ROUNDS = 3
AGENT = f"sleep {WAIT_SECONDS}; echo here > src/$AUTOPACK_PHASE_ID.txt"


def main() -> None:
    """Print the table."""
    bound = max(WAIT_SECONDS, PHASES * WAIT_SECONDS / PARALLEL)
    rows = []
    for number in range(1, ROUNDS + 1):
        progress(f"makespan: round {number}")
        whole, work = measure()
        rows.append((str(number), f"{work:.2f}", times(work / bound, GOAL), f"{whole:.2f}"))
    print(table(("round", "makespan (s)", f"makespan / {bound:g} s", "`autopack run` (s)"), rows))
    print(
        "\nOn disk, 200 files. The makespan is from the prepared environment, when the first agents"
    )
    print(
        "start, to the run's last event; the command's time adds its own checks, the start of the"
    )
    print("background supervisor and the preparations.")


def measure() -> tuple[float, float]:
    """Wall seconds of the command and of the run itself."""
    with samples.folder(samples.DISK) as place:
        project = place / "project"
        samples.repository(project, samples.SIZES["small"], AGENT)
        path = plan(place, PHASES, parallel=True)
        argv = [sys.executable, "-m", "autopack.cli.main", "run", str(path), "--json", "--parallel"]
        began = time.perf_counter()
        done = subprocess.run(
            [*argv, str(PARALLEL)], cwd=project, env=environment(place), check=True,
            capture_output=True,
        )  # fmt: skip
        whole = time.perf_counter() - began
        assert json.loads(done.stdout)["run"]["state"] == "DONE_SUCCESS", done.stdout
        with sqlite3.connect(place / "data" / "autopack.db") as store:
            (spent,) = store.execute("SELECT active_seconds FROM autopack_runs").fetchone()
        return whole, float(spent)


if __name__ == "__main__":
    main()
