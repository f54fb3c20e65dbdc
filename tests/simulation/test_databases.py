"""The same worlds over real databases: what they log is what the fake store logs, event by event."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from autopack.adapters.store.open import open_store
from autopack.core.event import Happened
from tests.simulation.world import Doubles, Simulation, simulate

QUICK_SEEDS = 6
FULL_SEEDS = 60
FULL_CHUNK = 6


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Path | str]:
    """A new database each time."""
    if request.param == "sqlite":
        numbers = itertools.count()
        return lambda: tmp_path / str(next(numbers)) / "store.db"
    copied: Callable[[], str] = request.getfixturevalue("databases")
    return copied


@pytest.mark.parametrize("seed", range(QUICK_SEEDS))
def test_a_world_is_the_same_over_a_database(seed: int, fresh: Callable[[], Path | str]) -> None:
    compare(seed, fresh())


@pytest.mark.full
@pytest.mark.parametrize("first", range(QUICK_SEEDS, QUICK_SEEDS + FULL_SEEDS, FULL_CHUNK))
def test_many_worlds_are(first: int, fresh: Callable[[], Path | str]) -> None:
    for seed in range(first, first + FULL_CHUNK):
        compare(seed, fresh())


def compare(seed: int, place: Path | str) -> None:
    """One seed over the fake and over a database."""
    store = open_store(place)
    try:
        real = simulate(seed, Doubles(store=lambda _rng: store))
        logged = log(real)
        assert logged == log(simulate(seed))
        assert [store.verify(spec.run_id) for spec in real.specs] == [[]] * len(real.specs)
    finally:
        store.close()


def log(world: Simulation) -> list[list[Happened]]:
    """Every run's events."""
    return [
        [entry.happened for entry in world.store.events(spec.run_id, limit=10**6)]
        for spec in world.specs
    ]
