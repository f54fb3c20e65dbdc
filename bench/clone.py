"""Our disposable clone beside the ways that plain git has, in turn on the same store.

python -m bench.clone
"""

from __future__ import annotations

import shutil
import statistics
from functools import partial
from pathlib import Path

from autopack.adapters.git.repository import BareRepository
from autopack.adapters.git.wrapper import Git
from autopack.process.sandbox import default_identity
from bench import samples
from bench.measure import interleaved, ms, progress, ratio, seconds_of, table, times

GOAL = 1.2
CASES = (
    ("memory", samples.MEMORY, "small", 15),
    ("memory", samples.MEMORY, "mid", 7),
    ("memory", samples.MEMORY, "large", 3),
    ("disk", samples.DISK, "small", 9),
    ("disk", samples.DISK, "mid", 1),
)
WAYS = ("--shared", "--local", "--no-local", "--shared --no-checkout, read-tree", "worktree add")


def main() -> None:
    """Print the table."""
    rows, discards = [], []
    for kind, where, name, rounds in CASES:
        files = samples.SIZES[name]
        progress(f"clone: {files:,} files, {kind}")
        with samples.folder(where) as place:
            found = measure(place, files, rounds)
        discards.append((f"{files:,}, {kind}", ms(found.pop("discard"))))
        ours, handed = found.pop("ours"), found.pop("handed over", None)
        fastest = min(found, key=lambda way: statistics.median(found[way]))
        plain_ways = (ms(found[way]) for way in WAYS)
        against = times(ratio(ours, found[fastest]), GOAL)
        rows.append((
            f"{files:,}, {kind}", ms(ours), *plain_ways, f"{against} `{fastest}`",
            ms(handed) if handed else "-",
        ))  # fmt: skip
    head = ("files", "ours", *(f"`{way}`" for way in WAYS), "ours / fastest", "ours under root")
    print(table(head, rows))
    print("\nUnder root the checkout is made by the sandbox's user, through the launcher.")
    print("\nMilliseconds. Freeing the name of a clone, as the performer does after each use:\n")
    print(table(("files", "discard"), discards))


def measure(place: Path, files: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each way, ours included, and of our deleting."""
    source = place / "source"
    commit = samples.repository(source, files)
    store = BareRepository.create(place / "store", Git())
    store.prepare(str(source), "main", commit, "autonomous/bench")
    target = place / "clone"

    def gone() -> None:
        shutil.rmtree(target)
        samples.git("worktree", "prune", cwd=store.folder)

    acts = {way: partial(plain, way, store.folder, commit, target) for way in WAYS}
    ours = {"ours": partial(store.clone, commit, target)}
    if identity := default_identity():
        handed = BareRepository(store.folder, Git(), identity, place)
        ours["handed over"] = partial(handed.clone, commit, target)
    found = interleaved({**acts, **ours}, rounds, gone)
    return {**found, "discard": discard_times(store, commit, target, rounds)}


def discard_times(store: BareRepository, commit: str, target: Path, rounds: int) -> list[float]:
    """Seconds of deleting a fresh clone of ours."""
    found = []
    for _ in range(rounds):
        store.clone(commit, target)
        found.append(seconds_of(partial(store.discard, target)))
    return found


def plain(way: str, store: Path, commit: str, target: Path) -> None:
    """A checkout of the commit in a folder, by git alone."""
    if way == "worktree add":
        samples.git("worktree", "add", "-q", "--detach", target, commit, cwd=store)
    elif way.endswith("read-tree"):
        samples.git("clone", "-q", "--shared", "--no-checkout", store, target, cwd=store)
        samples.git("read-tree", "-m", "-u", commit, cwd=target)
    else:
        branch = ("-b", "autonomous/bench")
        samples.git("clone", "-q", way, *branch, store, target, cwd=store)


if __name__ == "__main__":
    main()
