"""Issues as they are: which keys an upgrade is about."""

from __future__ import annotations

import re
from fnmatch import translate

from hypothesis import given, settings
from hypothesis import strategies as st

from autopack.core.issue import IssueReport, IssueSource, SeverityUpgrade


def matches(pattern: str, key: str) -> bool:
    return SeverityUpgrade(issue_key=pattern).matches(IssueReport(key, IssueSource.PROBE), "docs")


@given(st.text("ab*", min_size=1, max_size=9), st.text("ab", min_size=1, max_size=12))
@settings(max_examples=500, deadline=None)
def test_a_star_stands_for_anything(pattern: str, key: str) -> None:
    assert matches(pattern, key) is bool(re.fullmatch(translate(pattern), key))


def test_every_other_sign_stands_for_itself() -> None:
    assert matches("schema.users_*", "schema.users_index")
    assert not matches("schema.users_*", "schema_users_index")
    assert not matches("a[b]*", "ab")
    assert not matches("ab*ba", "aba"), "parts do not overlap"


def test_a_hostile_key_costs_no_more_than_its_length() -> None:
    """With an expression that goes back this never ends."""
    for stars in (8, 60):
        assert not matches("*a" * stars + "*b", "a" * 128)
        assert not matches("*_" * stars + "*x", "a" + "_" * 127)
        assert matches("*a" * stars + "*", "a" * 128)
