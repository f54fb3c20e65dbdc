"""Synthetic repositories: about 200, 7,000 and 50,000 files, spread and sized as projects are.

Made with `git fast-import` from a seeded generator, so that each run measures the same bytes.
"""

from __future__ import annotations

import os
import random
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZES = {"small": 200, "mid": 7_000, "large": 50_000}
FILES_PER_FOLDER = 12
ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "HOME": "/dev/null",
    "LC_ALL": "C",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "Bench"), ("EMAIL", "bench@localhost"), ("DATE", "@1 +0000"))
    },
}
TOML = """\
builder = "writer"
[project]
id = "bench"
[ci.normal]
commands = [{ run = "true", report = "exit-code", seconds_max = 60 }]
[agents.writer]
command = ["sh", "-c", "AGENT"]
"""


def git(
    *args: str | Path, cwd: Path, stdin: bytes = b"", variables: dict[str, str] | None = None
) -> bytes:
    """One plain git call that must work; its output."""
    done = subprocess.run(
        ["git", *args], cwd=cwd, input=stdin, env={**ENVIRONMENT, **(variables or {})},
        check=True, capture_output=True,
    )  # fmt: skip
    return done.stdout


MEMORY = Path("/dev/shm")  # noqa: S108  where a disk's moods do not drown what git and we do
DISK = Path(tempfile.gettempdir())


@contextmanager
def folder(where: Path) -> Iterator[Path]:
    """A place for one bench, removed afterwards."""
    with tempfile.TemporaryDirectory(
        prefix="bench-", dir=where, ignore_cleanup_errors=True
    ) as made:
        place = Path(made)
        place.chmod(0o755)
        yield place


def repository(place: Path, files: int, agent: str = "true") -> str:
    """A repository with a clean work tree on main, and Autopack's settings; its commit."""
    place.mkdir(parents=True)
    git("init", "-q", "-b", "main", ".", cwd=place)
    git("fast-import", "--quiet", cwd=place, stdin=_stream(files, agent))
    git("read-tree", "-m", "-u", "HEAD", cwd=place)
    return git("rev-parse", "HEAD", cwd=place).decode().strip()


def _stream(files: int, agent: str) -> bytes:
    parts = [b"commit refs/heads/main\ncommitter Bench <bench@localhost> 1 +0000\n"]
    parts.append(b"data 5\nfirst\n")
    given = {"autopack.toml": TOML.replace("AGENT", agent).encode(), ".gitignore": b"*.log\n"}
    for path, content in {**given, **dict(_files(files))}.items():
        parts.append(f"M 100644 inline {path}\ndata {len(content)}\n".encode() + content + b"\n")
    return b"".join(parts)


def _files(count: int) -> Iterator[tuple[str, bytes]]:
    """Paths three to five folders deep; sizes log-normal, 2 kB in the median, 4 kB on average."""
    dice = random.Random(20_260_101)
    words = ["".join(dice.choices("abcdefghijklmnoprstuvwy", k=7)) for _ in range(4_000)]
    for number in range(count):
        leaf = number // FILES_PER_FOLDER
        path = f"src/part{leaf // 64}/area{leaf // 8 % 8}/unit{leaf % 8}/file{number}.py"
        size = min(int(dice.lognormvariate(7.6, 1.1)), 200_000)
        lines = (" ".join(dice.choices(words, k=8)) for _ in range(size // 64 + 1))
        yield path, "\n".join(lines).encode()[: max(size, 1)] + b"\n"


def patch(place: Path) -> bytes:
    """A patch of five edits and one new file against the sample, about 5 kB."""
    edited = [
        f"src/part0/area{n % 2}/unit{n % 8}/file{(n % 2) * 96 + n % 8 * 12}.py" for n in range(5)
    ]
    before = {path: (place / path).read_bytes() for path in edited}
    new = place / "src" / "part0" / "new.py"
    for path, content in before.items():
        lines = content.splitlines(keepends=True)
        lines.insert(len(lines) // 2, b"an inserted line = 1\n")
        (place / path).write_bytes(b"".join(lines))
    new.write_bytes(b"".join(b"line %d of a new file\n" % n for n in range(120)))
    git("add", "-A", cwd=place)
    said = git("diff", "--cached", "--no-renames", "HEAD", cwd=place)
    git("reset", "-q", "--hard", "HEAD", cwd=place)
    return said
