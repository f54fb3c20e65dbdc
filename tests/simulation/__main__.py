"""Run seeds of the simulator: `python -m tests.simulation --seed 7 --trace`, `--count 10000`."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.simulation.planted import PLANTED
from tests.simulation.world import SimulationError, simulate


def main() -> int:
    """The number of broken seeds, at most 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=1, help="how many seeds")
    parser.add_argument("--trace", action="store_true", help="print every step")
    parser.add_argument("--plant", choices=PLANTED, help="put a bug in on purpose")
    options = parser.parse_args()
    began = time.process_time()
    ends: Counter[str] = Counter()
    broken = 0
    for seed in range(options.seed, options.seed + options.count):
        try:
            doubles = PLANTED.get(options.plant)
            world = simulate(seed, doubles, trace=options.trace, planted=options.plant or "")
        except SimulationError as found:
            print(found, file=sys.stderr)
            broken += 1
            continue
        ends.update(world.store.load(spec.run_id).state.value for spec in world.specs)
    seconds = time.process_time() - began
    print(
        f"{options.count} seeds, {broken} broken, {options.count / seconds:.0f} seeds per second of CPU"
    )
    for state, count in ends.most_common():
        print(f"{count:6} {state}")
    return min(broken, 1)


if __name__ == "__main__":
    sys.exit(main())
