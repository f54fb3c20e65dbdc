"""The Outbox port: what holds for the fake and for the real one, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from autopack.adapters.store.open import open_store
from autopack.app.notify import Outbox
from autopack.app.ports import Store, Transaction
from autopack.core.notice import Owed
from autopack.testing import MemoryStore
from autopack.testing.notify import MemoryOutbox
from tests.contracts.walks import walk


class Kept:
    """A store with the run `r1`, and its outbox."""

    def __init__(self, store: Store, outbox: Outbox) -> None:
        self.store, self.outbox = store, outbox
        self._steps = iter(walk("r1"))
        run, happened = next(self._steps)
        store.create(run, happened)

    def save(self, within: Callable[[Transaction], None], *, stale: bool = False) -> bool:
        run, happened = next(self._steps)
        before = run.version - 1
        if stale:
            again, _ = walk("r1")[-1]
            run, before = again, again.version - 1
        return self.store.save(run, happened, expected_version=before, within=within)

    def owe(self, *names: str, target: str = "ops") -> bool:
        return self.save(lambda t: self.outbox.owe([owed(name, target) for name in names], t))

    def left(self, target: str = "ops") -> list[str]:
        return [each.notice_id for each in self.outbox.owed(target)]


def owed(name: str, target: str = "ops") -> Owed:
    return Owed(target, name, "r1", f'{{"id":"{name}"}}')


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    if request.param == "memory":
        yield Kept(MemoryStore(), MemoryOutbox())
        return
    sqlite = request.param == "sqlite"
    place = tmp_path / "store.db" if sqlite else request.getfixturevalue("database")
    store = open_store(place)
    yield Kept(store, store.outbox())
    store.close()


def test_what_is_owed_comes_back_in_order_with_its_place(kept: Kept) -> None:
    assert kept.owe("a", "b")
    assert kept.owe("c")
    found = kept.outbox.owed("ops")
    assert [each.notice_id for each in found] == ["a", "b", "c"]
    assert [each.number for each in found] == sorted({each.number for each in found})
    first = found[0]
    assert (first.run_id, first.body, first.attempts, first.said) == ("r1", '{"id":"a"}', 0, "")
    behind = kept.outbox.owed("ops", after=found[1].number)
    assert [each.notice_id for each in behind] == ["c"]
    assert [each.notice_id for each in kept.outbox.owed("ops", limit=2)] == ["a", "b"]


def test_each_target_has_its_own(kept: Kept) -> None:
    kept.save(lambda t: kept.outbox.owe([owed("a"), owed("a", "chat")], t))
    kept.outbox.delivered(kept.outbox.owed("ops")[0])
    assert kept.left() == []
    assert kept.left("chat") == ["a"]
    assert kept.left("nobody") == []


def test_a_delivered_notice_is_never_owed_again(kept: Kept) -> None:
    kept.owe("a", "b")
    first, second = kept.outbox.owed("ops")
    kept.outbox.delivered(first)
    assert kept.left() == ["b"]
    kept.outbox.delivered(second)
    assert kept.left() == []


def test_a_failed_attempt_counts_until_it_is_given_up(kept: Kept) -> None:
    kept.owe("a")
    kept.outbox.failed(kept.outbox.owed("ops")[0], "HTTP 500", given_up=False)
    (again,) = kept.outbox.owed("ops")
    assert (again.attempts, again.said) == (1, "HTTP 500")
    kept.outbox.failed(again, "odd \ud800 and \0", given_up=True)
    assert kept.left() == []


def test_what_is_not_saved_is_not_owed(kept: Kept) -> None:
    def broken(transaction: Transaction) -> None:
        kept.outbox.owe([owed("a")], transaction)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        kept.save(broken)
    assert kept.left() == []
    stale = lambda t: kept.outbox.owe([owed("b")], t)  # noqa: E731  one line of a story
    assert not kept.save(stale, stale=True)
    assert kept.left() == []


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_is_owed_outlives_its_process(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    sqlite = kind == "sqlite"
    place = tmp_path / "store.db" if sqlite else request.getfixturevalue("database")
    before = open_store(place)
    Kept(before, before.outbox()).owe("a")
    before.outbox().failed(before.outbox().owed("ops")[0], "HTTP 500", given_up=False)
    before.close()
    after = open_store(place)
    (left,) = after.outbox().owed("ops")
    assert (left.notice_id, left.attempts) == ("a", 1)
    assert after.verify("r1") == []
    after.close()


COLUMNS = {
    "runs": "series ruleset debt_status resolved_issues resolved_occurrences minor_issues"
    " major_issues",
    "tiers": "minor_issues major_issues minor_issues_max major_issues_max",
    "phases": "cleans issue_state issues_dropped occurrences_known",
    "requests": "body",
}
LATER = (
    "DROP INDEX autopack_runs_project",
    *(f"DROP TABLE autopack_{name}" for name in ("notices", "issues", "resolutions", "rulesets")),
    *(
        f"ALTER TABLE autopack_{table} DROP COLUMN {name}"
        for table, names in COLUMNS.items()
        for name in names.split()
    ),
)
"""Takes away what the first schema had not."""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_store_of_before_gets_an_outbox_and_keeps_its_runs(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    place: Path | str = tmp_path / "store.db"
    url = f"sqlite:///{place}"
    if kind == "postgresql":
        place = url = str(request.getfixturevalue("database"))
        url = url.replace("postgresql:", "postgresql+psycopg:")
    before = open_store(place)
    Kept(before, before.outbox())
    before.close()
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in LATER:
            connection.execute(text(statement))
        connection.execute(text("UPDATE autopack_schema SET version_num = '0001'"))
    engine.dispose()
    after = open_store(place)
    assert after.load("r1") == walk("r1")[0][0]
    assert after.verify("r1") == []
    assert after.outbox().owed("ops") == []
    after.close()
