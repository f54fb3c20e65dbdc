"""Stopwatch, medians and Markdown tables of the benches. Never measures by itself."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

Rows = list[tuple[str, ...]]


def seconds_of(act: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def interleaved(
    acts: Mapping[str, Callable[[], object]], rounds: int, after: Callable[[], object] | None = None
) -> dict[str, list[float]]:
    """Wall seconds of each act, `rounds` times in turn (A B, B A) after one warm-up.

    The order turns round at each round, so that a drift of the machine meets all alike; `after`
    runs unmeasured behind each act.
    """
    found: dict[str, list[float]] = {name: [] for name in acts}
    for number in range(rounds + 1):
        for name in sorted(acts, reverse=bool(number % 2)):
            took = seconds_of(acts[name])
            if after is not None:
                after()
            if number:
                found[name].append(took)
    return found


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of each round, which a drift of the machine spoils least."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def ms(seconds: Iterable[float]) -> str:
    """The median, in milliseconds."""
    return f"{1000 * statistics.median(seconds):,.1f}"


def times(value: float, goal: float) -> str:
    """A ratio with its goal and whether it is met."""
    return f"{value:.2f} × (goal {goal:g}: {'met' if value <= goal else '**missed**'})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown; figures to the right."""
    lines = [f"|{'|'.join(head)}|", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *(f"|{'|'.join(row)}|" for row in rows)])


def machine() -> str:
    """What the figures were measured on; names no host and no folder."""
    said = subprocess.run(["git", "version"], capture_output=True, text=True, check=True)
    bwrap = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, check=True)
    model = next(
        (line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")),
        platform.machine(),
    )
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores ({model}), {platform.system()} {platform.release().split('-')[0]},"
        f" {said.stdout.strip()}, {bwrap.stdout.strip()}, Python {platform.python_version()},"
        f" load {load:.1f} at the start"
    )


def _cpuinfo() -> list[str]:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:  # noqa: PTH123  a file of the kernel, no path of ours
            return file.read().splitlines()
    except FileNotFoundError:
        return []


def progress(text: str) -> None:
    """A line for whoever waits; the tables go to standard output."""
    print(text, file=sys.stderr, flush=True)
