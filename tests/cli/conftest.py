from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import filelock
import pytest

from tests.cli.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A user's machine; no supervisor of it is left when the test ends."""
    made = World(tmp_path)
    yield made
    if made.lock.exists():
        with filelock.FileLock(made.lock, timeout=30):
            pass
