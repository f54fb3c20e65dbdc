"""A workbench with a real bubblewrap, or a visible reason why not; under CI that is a failure."""

from __future__ import annotations

import os

import pytest

from autopack.process.sandbox import SandboxMissing, Unfenced, default_identity, probe
from autopack.process.workbench import Workbench


@pytest.fixture(scope="session")
def bench() -> Workbench:
    try:
        return Workbench(probe())
    except SandboxMissing as fault:
        if os.environ.get("CI"):
            pytest.fail(f"CI needs a working sandbox: {fault}")
        pytest.skip(f"no working sandbox: {fault}")


@pytest.fixture
def unfenced() -> Workbench:
    return Workbench(Unfenced(default_identity()))
