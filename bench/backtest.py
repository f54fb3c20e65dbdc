"""Backtest beside `git format-patch | git am`, over the same linear history in memory.

Ours: every commit on its own parent, as a tree through a private index, durably kept under a ref,
diffed and judged, compared with the commit, refs removed; ten git processes each, no checkout.
Theirs: each patch on top of the last, in a checkout, unjudged, in one process; put back unmeasured.
python -m bench.backtest
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from autopack.adapters.agents.replay import ReplayAgent
from autopack.adapters.clock import SystemClock
from autopack.adapters.git.history import backtesting
from autopack.adapters.git.repository import BareRepository
from autopack.adapters.git.wrapper import Git
from autopack.app.backtest import Ground, Policies, by_name, replay
from autopack.core.backtest import BacktestVerdict
from autopack.core.project import PolicySettings
from bench import samples
from bench.measure import interleaved, progress, ratio, table

COMMITS = 60
FILES_PER_COMMIT = 4
ROUNDS = {"small": 7, "mid": 5}
WORKERS = 4
"""As `autopack.trials` takes."""


class Ways:
    """One history, and the ways to do it again."""

    def __init__(self, place: Path, files: int) -> None:
        self.place, self.source = place, place / "source"
        self.base = samples.repository(self.source, files)
        samples.git("fast-import", "--quiet", cwd=self.source, stdin=_stream(self.source))
        self.tip = samples.git("rev-parse", "main", cwd=self.source).decode().strip()
        self.store = BareRepository.create(place / "store", Git())
        self.checkout = place / "checkout"
        samples.git("clone", "-q", "--no-tags", self.source, self.checkout, cwd=place)
        self.put_back()

    def ours(self, workers: int) -> None:
        """The whole of a backtest but for starting the program."""
        with backtesting(self.store, str(self.source), "main", self.tip) as past:
            pasts = past.last(self.tip, COMMITS)
            ground = Ground(
                self.store, ReplayAgent(past, by_name(pasts)), SystemClock(),
                Policies(PolicySettings()), "bench", str(self.source), self.place / "scratch",
                self.place / "logs", workers_max=workers,
            )  # fmt: skip
            found = list(replay(pasts, ground, threading.Event()))
        assert len(found) == COMMITS
        assert all(each.identical for each in found)
        assert {each.verdict for each in found} == {BacktestVerdict.ACCEPT}

    def am(self) -> None:
        """Mails out of the history, and the mails applied."""
        where = self.checkout
        span = f"{self.base}..{self.tip}"
        mails = samples.git("format-patch", "--stdout", "--binary", span, cwd=self.source)
        samples.git("am", "-q", cwd=where, stdin=mails)

    def put_back(self) -> None:
        """The checkout at the base again."""
        samples.git("reset", "-q", "--hard", self.base, cwd=self.checkout)


def _stream(source: Path) -> bytes:
    """Commits that each add a line to a few files."""
    dice = random.Random(7)
    paths = samples.git("ls-files", "src", cwd=source).decode().split()
    parts = []
    for number in range(COMMITS):
        parts.append(b"commit refs/heads/main\ncommitter Bench <bench@localhost> 2 +0000\n")
        parts.append(b"data 5\nagain\n" + (b"" if number else b"from refs/heads/main^0\n"))
        for path in dice.sample(paths, FILES_PER_COMMIT):
            file = source / path
            file.write_bytes(file.read_bytes() + b"line %d\n" % number)
            content = file.read_bytes()
            parts.append(f"M 100644 inline {path}\ndata {len(content)}\n".encode() + content)
            parts.append(b"\n")
    return b"".join(parts)


def main() -> None:
    """Print the table."""
    rows = []
    for name, rounds in ROUNDS.items():
        files = samples.SIZES[name]
        progress(f"backtest: {files:,} files")
        with samples.folder(samples.MEMORY) as place:
            ways = Ways(place, files)
            acts: dict[str, Callable[[], object]] = {
                "ours": partial(ways.ours, WORKERS),
                "alone": partial(ways.ours, 1),
                "am": ways.am,
            }
            found = interleaved(acts, rounds, after=ways.put_back)
        rates = [f"{COMMITS / sorted(found[act])[rounds // 2]:.0f}" for act in acts]
        rows.append((
            f"{files:,}", *rates, f"{1 / ratio(found['ours'], found['am']):.2f} ×",
            f"{1 / ratio(found['alone'], found['am']):.2f} ×",
        ))  # fmt: skip
    head = ("files", f"backtest, {WORKERS} at a time", "one at a time",
            "`format-patch`, `am`", f"{WORKERS} at a time / am", "one / am")  # fmt: skip
    print(table(head, rows))
    print(f"\nCommits a second, {COMMITS} commits of {FILES_PER_COMMIT} files; more is better.")


if __name__ == "__main__":
    main()
