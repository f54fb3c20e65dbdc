"""A machine that refuses: git, files or the database fail at one place, or from one place on.

A `Breaker` counts the steps of a supervisor that works in this process, and fails those it is told
to. git is a program in front on PATH; files fail in the interpreter's own audit hook, just before
the system is asked; the database fails where the driver is called. Nothing of ours is replaced.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, event

ERRNOS: Final = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EMFILE, errno.EROFS)
DATABASE: Final = (
    ("SQLITE_FULL", "database or disk is full"),
    ("SQLITE_IOERR_WRITE", "disk I/O error"),
    ("SQLITE_READONLY", "attempt to write a readonly database"),
    ("SQLITE_BUSY", "database is locked"),
    ("SQLITE_IOERR_FSYNC", "disk I/O error"),
)


class Breaker:
    """Counts steps, and says which fail: `at` alone, or with all after it when `lasting`.

    `site`: the first step of that form instead.
    """

    def __init__(self, at: int = 0, *, site: str = "", lasting: bool = False) -> None:
        self.at, self.site, self.lasting = at, site, lasting
        self.steps = 0
        self.sites: dict[str, int] = {}
        """Forms of the steps, with how often each came."""
        self.broken: list[str] = []
        """What failed."""
        self._lock = threading.Lock()

    def breaks(self, step: str, site: str = "") -> bool:
        """Whether this step fails; it is counted."""
        with self._lock:
            self.steps += 1
            self.sites[site] = self.sites.get(site, 0) + 1
            if self.site:
                hit = site == self.site and self.sites[site] == 1
            else:
                hit = self.steps >= self.at > 0 if self.lasting else self.steps == self.at
            if hit:
                self.broken.append(step)
            return hit


def form(step: str, root: str) -> str:
    """A step without what differs between runs or is only a number."""
    told = re.sub(r"/(call-|tmp)[0-9a-z_]{8}", r"/\1TMP", step.replace(root, "ROOT"))
    return re.sub(r"[0-9a-f]{7,}|[0-9]+", "N", told)


# --- files ---------------------------------------------------------------------------------------

FILE_STEPS: Final = {
    "open", "os.listdir", "os.scandir", "os.mkdir", "os.rename", "os.remove", "os.rmdir",
    "os.chmod", "os.chown", "os.link", "os.symlink", "os.utime", "os.truncate",
}  # fmt: skip
_armed: list[tuple[Breaker, bytes, int, bool]] = []
_hooked: list[bool] = []


@contextmanager
def broken_files(breaker: Breaker, root: Path, number: int, *, programs: bool) -> Iterator[None]:
    """Steps on files below `root` fail with an errno; `programs`: starting programs instead."""
    if not _hooked:
        sys.addaudithook(_hook)  # it stays for the life of this process, and does nothing unarmed
        _hooked.append(True)
    _armed.append((breaker, os.fsencode(root), number, programs))
    try:
        yield
    finally:
        _armed.clear()


def _hook(step: str, given: tuple[Any, ...]) -> None:
    if not _armed:
        return
    breaker, root, number, programs = _armed[0]
    if step == "subprocess.Popen" if programs else step in FILE_STEPS and _below(root, given):
        told = str(given[0])
        if breaker.breaks(f"{step} {told}", form(f"{step} {told}", os.fsdecode(root))):
            raise OSError(number, os.strerror(number), None if programs else told)


@contextmanager
def broken_writes(breaker: Breaker, root: Path) -> Iterator[None]:
    """New files below `root` can be opened, and what is written to them meets a full disk.

    A second try of the same file finds room.
    """
    full: list[Path] = []

    def hook(step: str, given: tuple[Any, ...]) -> None:
        if step != "open" or not _below(os.fsencode(root), given) or not _makes(given):
            return
        path = Path(os.fsdecode(given[0]))
        if path in full and path.is_symlink():
            path.unlink()
        elif (
            path.is_absolute()
            and not os.path.lexists(path)
            and breaker.breaks(str(path), form(str(path), str(root)))
        ):
            path.symlink_to("/dev/full")
            full.append(path)

    with told_of_steps(hook):
        yield
    for path in full:
        if path.is_symlink():
            path.unlink()


_told: list[Callable[[str, tuple[Any, ...]], None]] = []


@contextmanager
def told_of_steps(hook: Callable[[str, tuple[Any, ...]], None]) -> Iterator[None]:
    """The interpreter tells `hook` of each of its steps, just before the system is asked."""
    sys.addaudithook(lambda step, given: hook(step, given) if hook in _told else None)
    _told.append(hook)
    try:
        yield
    finally:
        _told.remove(hook)


def _makes(given: tuple[Any, ...]) -> bool:
    """Whether an opening may make a file."""
    return isinstance(given[2], int) and bool(given[2] & os.O_CREAT)


def _below(root: bytes, given: tuple[Any, ...]) -> bool:
    """A path below the root; one that is not absolute is relative to a folder that was opened."""
    if not given or not isinstance(given[0], str | bytes | os.PathLike):
        return False
    path = os.fsencode(given[0])
    return path.startswith(root) or not path.startswith(b"/")


# --- the database --------------------------------------------------------------------------------


@contextmanager
def broken_database(breaker: Breaker, number: int, *, reads: bool = False) -> Iterator[None]:
    """Statements and commits fail as SQLite would; `reads`: those that look, not those that write.

    A commit that fails was not made.
    """
    name, said = DATABASE[number % len(DATABASE)]

    def check(what: str) -> None:
        if breaker.breaks(what):
            fault = sqlite3.OperationalError(said)
            fault.sqlite_errorname = name
            raise fault

    def execute(_cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(("INSERT", "UPDATE", "DELETE", "BEGIN I")) != reads:
            check(statement[:60])

    def commit(_connection: object) -> None:
        if not reads:
            check("COMMIT")

    def execute_many(cursor: object, statement: str, *_: object) -> None:
        execute(cursor, statement)

    told: tuple[tuple[str, Callable[..., None]], ...] = (
        ("do_execute", execute), ("do_executemany", execute_many), ("do_execute_no_params", execute),
        ("commit", commit),
    )  # fmt: skip
    for moment, call in told:
        event.listen(Engine, moment, call)
    try:
        yield
    finally:
        for moment, call in told:
            event.remove(Engine, moment, call)


# --- git -----------------------------------------------------------------------------------------

GIT_WAYS: Final = (
    "refused", "killed", "killed within", "killed after", "silent", "half", "late",
)  # fmt: skip
"""How a call of git goes wrong: it says why and exits 128; it is killed before, within (with its locks held)
or after its work; it
exits 0 and its output, or half of it, is lost; it does its work and says that it failed."""
SAID: Final = {
    errno.ENOSPC: "error: unable to write file: No space left on device\n"
    "fatal: sha1 file '<stdout>' write error. Out of diskspace",
    errno.EIO: "fatal: unable to write loose object file: Input/output error",
    errno.EACCES: "error: insufficient permission for adding an object to repository database "
    "./objects\nfatal: failed to write object",
    errno.EMFILE: "fatal: cannot create pipe for child: Too many open files",
    errno.EROFS: "fatal: Unable to create 'index.lock': Read-only file system",
}
SHIM: Final = """\
#!/bin/sh
# git, counted; call {at} goes wrong, or with {lasting} every one from there on
here={here}
exec 9>>"$here/lock"; flock 9
read -r n <"$here/count"; n=$((n + 1)); echo "$n" >"$here/count"
exec 9>&-
if [ "$n" -lt {at} ] || {{ [ "$n" -gt {at} ] && [ {lasting} = 0 ]; }}; then exec {git} "$@"; fi
echo "$@" >>"$here/broken"
case {way} in
refused) cat "$here/said" >&2; exit 128;;
killed) kill -9 $$;;
killed-within) strace -f -o /dev/null -e trace=rename,renameat,renameat2,link \
  -e inject=rename,renameat,renameat2,link:signal=KILL:when=1 {git} "$@"; kill -9 $$;;
killed-after) {git} "$@" >/dev/null 2>&1; kill -9 $$;;
silent) {git} "$@" >/dev/null; exit 0;;
half) {git} "$@" >"$here/out.$n"; size=$(stat -c %s "$here/out.$n")
  head -c $((size / 2)) "$here/out.$n"; exit 0;;
late) {git} "$@" >/dev/null 2>&1; cat "$here/said" >&2; exit 128;;
esac
"""


class BrokenGit:
    """A `git` in `folder`, which comes first on PATH; the user of the fence finds it too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.chmod(0o777)

    @property
    def path(self) -> dict[str, str]:
        return {"PATH": f"{self.folder}:{os.environ['PATH']}"}

    @property
    def calls(self) -> int:
        return int((self.folder / "count").read_text())

    @property
    def broken(self) -> list[str]:
        """The calls that went wrong."""
        found = self.folder / "broken"
        return found.read_text().splitlines() if found.exists() else []

    def arm(self, way: str, at: int, number: int = errno.ENOSPC, *, lasting: bool = False) -> None:
        """Let the call `at` from now go wrong; 0 and way "" only count."""
        (self.folder / "broken").unlink(missing_ok=True)
        for name, text in (("count", "0\n"), ("lock", ""), ("said", SAID[number] + "\n")):
            (self.folder / name).write_text(text)
            (self.folder / name).chmod(0o666)
        shim = self.folder / "git"
        partial = self.folder / "git.partial"
        partial.write_text(SHIM.format(
            at=at or 10**9, lasting=int(lasting), here=self.folder, git=shutil.which("git"),
            way=way.replace(" ", "-"),
        ))  # fmt: skip
        partial.chmod(0o755)
        partial.rename(shim)
