"""The cache of environments is bounded: what was not used for longest goes first.

Whoever uses an environment holds it by a shared lock that dies with its process; one that is held,
or that an open run names, stays whatever its age. Never builds and never reads what is inside.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from autopack.process.folders import clear

_log = logging.getLogger(__name__)
ENVIRONMENTS_MAX: Final = 16
"""Kept in the cache; more only while more are in use. A virtualenv is 50 to 500 MB."""
GONE: Final = ".gone"
"""End of the names of environments that are being deleted."""


@contextmanager
def held(root: Path, digest: str) -> Iterator[None]:
    """Keep an environment, built or not yet, from being evicted meanwhile."""
    root.mkdir(parents=True, exist_ok=True)
    with _opened(root, digest) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield


def touch(marker: Path) -> None:
    """Note that an environment is used now."""
    with contextlib.suppress(OSError):  # it is gone, or somebody else's: then its age stays
        os.utime(marker)


def evict(root: Path, marker: str, environments_max: int, in_use: Collection[str]) -> list[str]:
    """Delete the oldest environments beyond the limit; their digests.

    Only folders that hold a `marker`, whose time is that of their last use: others are being built.
    """
    for gone in root.glob(f"*{GONE}"):  # a crash cut a deletion short
        _delete(gone)
    known = []
    for path in root.glob(f"*/{marker}"):
        with contextlib.suppress(FileNotFoundError):
            known.append((path.stat().st_mtime_ns, path.parent.name))
    oldest_first = [digest for _, digest in sorted(known)]
    too_many = oldest_first[: max(0, len(known) - environments_max)]
    return [digest for digest in too_many if digest not in in_use and _put_away(root, digest)]


def _put_away(root: Path, digest: str) -> bool:
    """Delete an environment unless somebody holds it."""
    gone = root / f"{digest}{GONE}"
    with _opened(root, digest) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (root / digest).rename(gone)  # whole or not at all, so that nobody finds half of it
        except OSError:
            return False
    _delete(gone)
    return True


def _delete(gone: Path) -> None:
    try:
        clear(gone)
    except OSError as fault:
        _log.warning("%s was not deleted, the next build tries again: %s", gone, fault)


@contextmanager
def _opened(root: Path, digest: str) -> Iterator[int]:
    descriptor = os.open(root / f"{digest}.used", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
