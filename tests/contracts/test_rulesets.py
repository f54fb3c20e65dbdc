"""The Rulesets port: what holds for the fake and for the real one, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autopack.adapters.store.open import open_store
from autopack.app.rulesets import Rulesets
from autopack.testing.rulesets import MemoryRulesets

DIGEST = "d" * 64


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def rulesets(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rulesets]:
    if request.param == "memory":
        yield MemoryRulesets()
        return
    sqlite = request.param == "sqlite"
    place = tmp_path / "store.db" if sqlite else request.getfixturevalue("database")
    store = open_store(place)
    yield store.rulesets()
    store.close()


def test_the_last_one_is_kept_for_each_project_and_repository(rulesets: Rulesets) -> None:
    assert rulesets.last("lab", "/one") is None
    rulesets.keep("lab", "/one", DIGEST, '{"version": 1}', 5)
    rulesets.keep("lab", "/two", DIGEST, '{"version": 2}', 6)
    rulesets.keep("lab", "/one", DIGEST, '{"version": 3}', 4)
    assert rulesets.last("lab", "/one") == '{"version": 3}'
    assert rulesets.last("lab", "/two") == '{"version": 2}'
    assert rulesets.last("other", "/one") is None
