"""`make bench`: every bench in a process of its own, one after another; writes RESULTS.md.

python -m bench [NAME ...] prints only those named, and writes nothing.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench.measure import machine, progress

RESULTS = Path(__file__).with_name("RESULTS.md")
NOTES = Path(__file__).with_name("NOTES.md")
HEAD = """\
Made by `make bench` on {:%Y-%m-%d}; do not edit, write into `NOTES.md`.

Machine: {}. Medians; ratios are medians of the ratios of runs taken in turn."""
BENCHES = {
    "overhead": "What the supervisor adds to a phase",
    "engine": "Store and queue on both databases",
    "apply": "Governed apply",
    "clone": "Disposable clones",
    "backtest": "A history replayed",
    "flakes": "Whose a red test is",
    "cheats": "Cheats named by the gate",
    "histories": "What the gate asks of ordinary work",
    "makespan": "Phases in parallel",
    "cli_reads": "Commands that read",
    "memory": "What many runs cost to read",
}


def main() -> None:
    """Run them all and write the file, or only those named on the command line."""
    named = sys.argv[1:]
    notes = NOTES.read_text(encoding="utf-8").strip()
    parts = ["# Results", HEAD.format(datetime.now(UTC), machine()), notes]
    for name in named or BENCHES:
        argv = [sys.executable, "-m", f"bench.{name}"]
        said = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout
        if named:
            print(said)
        parts.append(f"## {BENCHES[name]}\n\n`python -m bench.{name}`\n\n{said.strip()}")
    if not named:
        RESULTS.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        progress(f"written: {RESULTS.name}")


if __name__ == "__main__":
    main()
