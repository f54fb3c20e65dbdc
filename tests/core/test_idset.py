"""Tests by id, beside the parent's: what vanished, fell silent, is new, or turned green."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from autopack.core import gate, idset
from autopack.core.idset import Comparison, IdSet, compared
from autopack.core.run import Severity
from autopack.core.said import Result


def green(*tests: str) -> IdSet:
    return IdSet(frozenset(tests))


def test_what_became_of_the_parents_tests() -> None:
    before = IdSet(frozenset({"a::x", "a::y", "a::z"}), frozenset({"a::s"}), {"a::r": "f"})
    now = IdSet(frozenset({"a::x", "a::r", "a::new"}), frozenset({"a::y"}))
    assert compared(before, now) == Comparison(("a::z",), ("a::y",), ("a::new",), ("a::r",))


def test_a_move_and_new_parameters_are_no_loss() -> None:
    assert compared(green("a::x"), green("b::x")) == Comparison()
    assert compared(green("a::x[1]", "a::x[2]"), green("a::x[1]", "a::x[3]")) == Comparison()
    fewer = compared(green("a::x[1]", "a::x[2]"), green("a::x[3]"))
    assert fewer.vanished == ("a::x[2]",)
    more = compared(green("a::x[1]"), green("a::x[1]", "a::x[2]"))
    assert (more.vanished, more.fresh) == ((), ("a::x[2]",))


def test_one_move_excuses_one_test() -> None:
    found = compared(green("a::x", "b::x"), green("c::x"))
    assert found.vanished == ("b::x",)


def test_a_red_test_that_is_gone_has_vanished_and_a_skipped_one_has_not() -> None:
    before = IdSet(skipped=frozenset({"a::s"}), red={"a::r": "f"})
    assert compared(before, IdSet()).vanished == ("a::r",)


def test_findings_are_bounded_and_only_losses_ask() -> None:
    many = Comparison(vanished=tuple(f"t{n:03}" for n in range(100)))
    told = idset.findings(many, ["n1"])
    assert len(told) == gate.FINDINGS_MAX + 2
    assert [f.severity for f in told[-2:]] == [Severity.NOTE, Severity.ASK]
    assert "and 80 more" in told[-1].message
    assert idset.findings(Comparison(), ["n1"], asks=True)[0].severity is Severity.ASK


def test_red_counts_before_green_and_too_many_are_not_kept() -> None:
    ids = IdSet().with_result(Result(frozenset({"a", "b"}), frozenset({"c"})))
    ids = ids.with_result(Result(frozenset({"c"}), frozenset(), {"a": "f"}))
    assert (ids.passed, ids.skipped, ids.red) == (frozenset({"b", "c"}), frozenset(), {"a": "f"})
    assert not ids.with_result(Result(told=False)).whole
    crowd = frozenset(map(str, range(idset.IDS_MAX + 1)))
    assert not IdSet().with_result(Result(crowd)).whole


names = st.frozensets(
    st.tuples(
        st.sampled_from("ab"), st.sampled_from("xy"), st.sampled_from(["", "[1]", "[2]"])
    ).map(lambda t: f"{t[0]}::{t[1]}{t[2]}")
)


@given(names, names, names, names)
def test_nothing_is_lost_unsaid(
    ran: frozenset[str], red: frozenset[str], now: frozenset[str], silent: frozenset[str]
) -> None:
    """As many went unsaid as came in their place; what is there is never called lost."""
    before = IdSet(ran - red, frozenset(), dict.fromkeys(red, "f"))
    after = IdSet(now, silent - now)
    found = compared(before, after)
    gone = before.ran - after.every
    assert set(found.vanished) <= gone
    assert len(gone) - len(found.vanished) <= len(after.every - before.every)
    assert set(found.silenced) == before.ran & after.skipped
    assert set(found.fresh) <= after.passed - before.every
    assert compared(before, before) == Comparison()
