"""Every kind of cheat is named by the rule that is there for it, and none is accepted silently."""

from __future__ import annotations

import pytest

from autopack.core.event import GateVerdict
from tests.hostile.cheating import Cheat, Court, cheats

KINDS = cheats()


@pytest.fixture(scope="module")
def court(tmp_path_factory: pytest.TempPathFactory) -> Court:
    return Court(tmp_path_factory.mktemp("court"))


def test_there_are_many_kinds() -> None:
    assert len(KINDS) >= 40
    assert len({cheat.rule for cheat in KINDS}) >= 20


@pytest.mark.parametrize("cheat", KINDS, ids=lambda cheat: cheat.name)
def test_it_is_named_and_not_accepted(court: Court, cheat: Cheat) -> None:
    checked = court.judge(cheat)
    told = {f"{each.rule}: {each.path}: {each.message}" for each in checked.findings}
    assert checked.verdict is not GateVerdict.PASS, cheat.what
    assert cheat.rule in {each.rule for each in checked.findings}, told
