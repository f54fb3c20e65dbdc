"""A lab for each test; without a working sandbox nothing here can be shown."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from autopack.process.sandbox import SandboxMissing, probe
from tests.lab import Lab


@pytest.fixture(scope="session", autouse=True)
def _fenced() -> None:
    try:
        probe()
    except SandboxMissing as fault:
        if os.environ.get("CI"):
            pytest.fail(f"CI needs a working sandbox: {fault}")
        pytest.skip(f"no working sandbox: {fault}")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    yield made
    made.close()
