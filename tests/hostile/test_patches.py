"""Hand-made patches against the supervisor's repository: each meets its rule, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.hostile.ground import ACCEPT, Ground, new_ground
from tests.hostile.patches import PATCHES
from tests.hostile.shapes import PatchShape


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with new_ground() as made:
        yield made


@pytest.mark.parametrize("shape", PATCHES, ids=lambda shape: shape.name)
def test_a_patch_meets_its_rule(ground: Ground, shape: PatchShape) -> None:
    met = ground.applied(shape.patch)
    assert (met.verdict, {f.rule for f in met.findings}) == (shape.verdict, shape.rules), met
    assert met.told >= set(shape.told), met
    if shape.verdict == ACCEPT:
        assert ground.changed(met.tree) == {
            os.fsencode(path): held for path, held in shape.holds.items()
        }
