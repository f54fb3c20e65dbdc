"""Private indexes: one per call, seeded from a commit's cached one, thrown away afterwards."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autopack.adapters.git.wrapper import Store

CACHED_MAX: Final = 8  # indexes of recent commits; one of 50,000 files is 6 MB


@contextlib.contextmanager
def scratch(store: Store) -> Iterator[Path]:
    """A private folder on the store's disk for the time of one call.

    One that cannot be deleted then, nor at a second try, goes when the repository is next opened.
    """
    store.scratch.mkdir(mode=0o700, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="call-", dir=store.scratch))
    try:
        yield folder
    finally:
        for _ in range(2):
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def index_of(store: Store, commit: str) -> Iterator[Path]:
    """A private index that holds the commit's tree."""
    cached = store.folder / "autopack-indexes" / commit
    with scratch(store) as folder:
        index = folder / "index"
        try:
            shutil.copyfile(cached, index)
        except FileNotFoundError:
            store.output("read-tree", commit, index=index)
            _remember(index, cached)
        yield index


def _remember(index: Path, cached: Path) -> None:
    cached.parent.mkdir(mode=0o700, exist_ok=True)
    copy = index.with_name("copy")
    shutil.copyfile(index, copy)
    copy.replace(cached)  # whole or not at all
    known = []
    for entry in cached.parent.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another thread drops the oldest too
            known.append((entry.stat().st_mtime_ns, entry))
    for _, entry in sorted(known)[:-CACHED_MAX]:
        entry.unlink(missing_ok=True)
