"""What the whole gate says of eight public histories: refusals, and what is asked, rule by rule.

Every commit is replayed as `autopack backtest` does it, on its own parent with its own files as
scope. *Ordinary* is a commit that is no merge, no bot's, and touches source, tests or
documentation: what a phase might do; the rest is upkeep of CI, versions and locks.
AUTOPACK_MIRRORS names a folder with the repositories as `<owner>+<name>/repo`; those that are not
there are told. `labels.toml` is a sample that was judged by hand.
python -m bench.histories [COMMITS]
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathspec import GitIgnoreSpec

from autopack.core.policy import PROTECTED_FOLDED
from autopack.core.ratchet.suppression import CODE
from bench.measure import progress, table

REPOSITORIES = {
    "pallets/flask": "Python", "encode/httpx": "Python", "expressjs/express": "JavaScript",
    "spf13/cobra": "Go", "BurntSushi/ripgrep": "Rust", "junit-team/junit4": "Java",
    "jekyll/jekyll": "Ruby", "redis/redis": "C, Tcl",
}  # fmt: skip
COMMITS = 250
ASKED_GOAL = 0.12
LABELS = Path(__file__).with_name("labels.toml")
BOTS = re.compile(
    r"\[bot\]|dependabot|renovate|pre-commit-ci|github-actions|greenkeeper|snyk|jekyllbot",
    re.IGNORECASE,
)

DOCUMENTS = {".md", ".rst", ".adoc", ".html", ".css", ".markdown", ".scss"}
WORK = re.compile(rf"(?:{'|'.join(map(re.escape, sorted(CODE | DOCUMENTS)))})$", re.IGNORECASE)
"""Source, tests and documentation, by their suffix."""


@dataclass
class Counted:
    """One history's figures."""

    commits: int = 0
    bots: int = 0
    upkeep: int = 0
    ordinary: int = 0
    asked: int = 0
    refused: int = 0
    structural: int = 0


STRUCTURAL = frozenset(
    {"file-name", "file-size", "path-length", "name-clash", "file-mode", "symlink-outside", "scope",
     "too-many-files", "too-many-lines", "secret"}
)  # fmt: skip
"""Rules that refuse what no commit of such a history should be refused for."""


def main() -> None:
    """Print shares for each repository and each rule, and how the sample was judged."""
    mirrors = Path(os.environ.get("AUTOPACK_MIRRORS", "mirrors"))
    commits = int(sys.argv[1]) if len(sys.argv) > 1 else COMMITS
    rules: Counter[str] = Counter()
    total = Counted()
    asked: dict[str, set[str]] = {}
    rows: list[tuple[str, ...]] = []
    for name, kind in REPOSITORIES.items():
        folder = mirrors / name.replace("/", "+") / "repo"
        if not folder.is_dir():
            rows.append((name, kind, *["not there"] + [""] * 6))
            continue
        progress(f"histories: {name}")
        counted = _counted(folder, commits, rules, asked)
        rows.append((name, kind, *_told(counted)))
        for key, value in vars(counted).items():
            setattr(total, key, getattr(total, key) + value)
    rows.append(("all", "", *_told(total)))
    head = ("repository", "kind", "commits", "bots", "upkeep", "ordinary", "asked",
            "asked of ordinary", "refused (structural)")  # fmt: skip
    print(table(head, rows))
    if total.ordinary:
        share = total.asked / total.ordinary
        met = "met" if share <= ASKED_GOAL and not total.structural else "**missed**"
        print(f"\nAsked of ordinary commits: {100 * share:.1f} % (goal 12 %), structural refusals: "
              f"{total.structural} (goal 0): {met}.\n")  # fmt: skip
        shares = (
            (f"`{rule}`", f"{100 * n / total.ordinary:.1f} %") for rule, n in rules.most_common()
        )
        print(table(("rule", "of ordinary commits"), shares))
    print(f"\n{labelled(asked)}")


def _told(found: Counted) -> tuple[str, ...]:
    share = f"{100 * found.asked / found.ordinary:.1f} %" if found.ordinary else "-"
    numbers = (found.commits, found.bots, found.upkeep, found.ordinary, found.asked)
    return (*map(str, numbers), share, f"{found.refused} ({found.structural})")


def _counted(
    folder: Path, commits: int, rules: Counter[str], asked: dict[str, set[str]]
) -> Counted:
    """The verdicts of a history's last commits; rules are counted once a commit."""
    found = Counted()
    bots, paths = _authors(folder, commits), _paths(folder, commits)
    protected = GitIgnoreSpec.from_lines(PROTECTED_FOLDED)
    for each in _backtest(folder, commits):
        commit = each["commit"]
        found.commits += 1
        told = {f["rule"] for f in each["findings"] if f["severity"] == "ask"}
        asked[commit] = told
        if each["verdict"] == "refuse":
            found.refused += 1
            refusing = {f["rule"] for f in each["findings"] if f["severity"] == "refuse"}
            found.structural += bool(refusing & STRUCTURAL)
        if commit in bots:
            found.bots += 1
        elif not any(
            WORK.search(path) and not protected.match_file(path.casefold())
            for path in paths.get(commit, ())
        ):
            found.upkeep += 1
        else:
            found.ordinary += 1
            found.asked += bool(told)
            rules.update(told)
    return found


def _backtest(folder: Path, commits: int) -> list[dict[str, Any]]:
    """`autopack backtest`, with folders of its own."""
    with tempfile.TemporaryDirectory(prefix="autopack-bench-") as place:
        own = {f"AUTOPACK_{name}_DIR": f"{place}/{name}" for name in ("DATA", "STATE", "CACHE")}
        argv = [sys.executable, "-m", "autopack.cli.main", "backtest", str(folder),
                "--last", str(commits), "--json"]  # fmt: skip
        said = subprocess.run(
            argv, env={**os.environ, **own}, stdout=subprocess.PIPE, check=False
        ).stdout
    told: list[dict[str, Any]] = json.loads(said)["backtest"]["commits"]
    return told


def _log(folder: Path, commits: int, *options: str) -> str:
    argv = [
        "git",
        "-C",
        str(folder),
        "log",
        "--no-merges",
        "--topo-order",
        f"-n{commits}",
        *options,
    ]
    return subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout.decode(errors="replace")


def _authors(folder: Path, commits: int) -> set[str]:
    """The commits that a bot made."""
    lines = _log(folder, commits, "--format=%H %an %ae").splitlines()
    return {line.partition(" ")[0] for line in lines if BOTS.search(line)}


def _paths(folder: Path, commits: int) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for part in _log(folder, commits, "--format=%x00%H", "--name-only", "--no-renames").split("\0"):
        commit, *names = part.split("\n")
        found[commit] = [name for name in names if name]
    return found


def labelled(asked: Mapping[str, set[str]]) -> str:
    """The sample that was judged by hand: what is asked of it now, by rule.

    `asked`: the rules that ask, by commit that was replayed.
    """
    rows = tomllib.loads(LABELS.read_text(encoding="utf-8"))["commit"]
    seen = [row for row in rows if row["commit"] in asked]
    now = [row for row in seen if row["rule"] in asked[row["commit"]]]
    if not now:
        return "Nothing of the sample that was judged by hand is among these commits."
    counts = Counter((row["rule"], row["label"]) for row in now)
    rightly = sum(row["label"] == "rightly" for row in now)
    passed = [row for row in seen if row not in now]
    missed = sum(row["label"] == "rightly" for row in passed)
    told = (
        f"{len(now)} questions judged by hand: {rightly} rightly asked, as the change does take "
        "from tests or from what judges, so that somebody should look (precision "
        f"{100 * rightly / len(now):.0f} %). None was a cheat. Of {len(passed)} more that are not "
        f"asked any longer, {missed} were."
    )
    names = sorted({row["rule"] for row in now})
    found = [(f"`{name}`", str(counts[name, "rightly"]), str(counts[name, "honest"]))
             for name in names]  # fmt: skip
    return f"{told}\n\n{table(('rule', 'rightly', 'needlessly'), found)}"


if __name__ == "__main__":
    main()
