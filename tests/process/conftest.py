"""A real bubblewrap, or a visible reason why not; under CI its absence is a failure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autopack.process.sandbox import Sandbox, SandboxMissing, probe
from tests.process.ground import give


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    try:
        return probe()
    except SandboxMissing as fault:
        if os.environ.get("CI"):
            pytest.fail(f"CI needs a working sandbox: {fault}")
        pytest.skip(f"no working sandbox: {fault}")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A work folder of the sandbox's user, below folders (pytest's, 0700) that it may not enter."""
    folder = tmp_path / "work"
    folder.mkdir(mode=0o700)
    return give(folder)
