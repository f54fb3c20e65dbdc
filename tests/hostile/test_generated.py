"""Thousands of generated patches and clones: a verdict each time, and no trace of anything else.

A few hundred in `make test`, 20,000 in `make test-full`; a failure is shrunk and printed.
"""

from __future__ import annotations

import unicodedata
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, seed, settings

from tests.hostile.attacks import CloneAttack, clone_attacks, patch_attacks
from tests.hostile.ground import ACCEPT, ASK, REFUSE, Ground, Met, new_ground
from tests.hostile.place import Place

QUICK, FULL = 50, 100  # of a chunk: a patch takes 10 ms of a processor, a clone 26
QUICK_CHUNKS, FULL_CHUNKS = 4, 98
assert 2 * (QUICK * QUICK_CHUNKS + FULL * FULL_CHUNKS) == 20_000
BY_CHUNK = settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))


def patches(number: int, attacks: int) -> Counter[str]:
    """A chunk of patches; how often each verdict and rule was met."""
    met: Counter[str] = Counter()
    with new_ground() as ground:

        @seed(f"{attacks}:{number}")
        @settings(BY_CHUNK, max_examples=attacks)
        @given(patch_attacks)
        def attack(patch: bytes) -> None:
            count(met, ground, ground.applied(patch))

        attack()
    assert met[ACCEPT] + met[ASK] + met[REFUSE] >= attacks, met
    return met


def clones(number: int, attacks: int) -> Counter[str]:
    """A chunk of clones; how often each verdict and rule was met."""
    met: Counter[str] = Counter()
    with new_ground() as ground:

        @seed(f"{attacks}:{number}")
        @settings(BY_CHUNK, max_examples=attacks)
        @given(clone_attacks)
        def attack(acts: CloneAttack) -> None:
            clone = ground.clone()
            acts.carry_out(Place(clone.folder, ground.outside, ground.program))
            count(met, ground, ground.captured(clone, *acts.deliver))

        attack()
    assert met[ACCEPT] + met[ASK] + met[REFUSE] >= attacks, met
    return met


def count(met: Counter[str], ground: Ground, one: Met) -> None:
    met.update([one.verdict, *{finding.rule for finding in one.findings}])
    if one.verdict == ACCEPT:
        acceptable(ground, one.tree)
        if met[ACCEPT] == 1:  # one of each chunk goes all the way: it costs as much as ten others
            ground.landed(one.tree)


def acceptable(ground: Ground, tree: str) -> None:
    """What policy accepted, judged by simpler and narrower rules of our own."""
    entries = ground.entries(tree)
    for path, (mode, oid) in entries.items():
        before = ground.base_entries.get(path)
        if before == (mode, oid):
            continue
        assert mode == "100644" or (before and before[0] == mode == "100755"), (path, mode)
        if before is None:
            text = path.decode()
            assert not any(unicodedata.category(char) in {"Cc", "Cf"} for char in text), path
            for part in text.split("/"):
                assert part.lower().strip(". ") not in {"git", "", "gitmodules"}, path
                assert not part.startswith("-"), path
    lowered = Counter(path.lower() for path in entries)
    assert max(lowered.values()) == 1, lowered.most_common(1)


@pytest.mark.parametrize("number", range(QUICK_CHUNKS))
def test_generated_patches_do_no_harm(number: int) -> None:
    met = patches(number, QUICK)
    assert min(met[ACCEPT], met[REFUSE]) > 0, met
    assert len(met) > 6, met


@pytest.mark.parametrize("number", range(QUICK_CHUNKS))
def test_generated_clones_do_no_harm(number: int) -> None:
    met = clones(number, QUICK)
    assert min(met[ACCEPT], met[REFUSE]) > 0, met
    assert len(met) > 6, met


@pytest.mark.full
@pytest.mark.parametrize("number", range(FULL_CHUNKS))
def test_no_generated_patch_does_harm(number: int) -> None:
    patches(number, FULL)


@pytest.mark.full
@pytest.mark.parametrize("number", range(FULL_CHUNKS))
def test_no_generated_clone_does_harm(number: int) -> None:
    clones(number, FULL)
