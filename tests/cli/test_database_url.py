"""Whatever stands in a database's URL, what is said of it holds no piece of the password."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.settings.database import database_of, without_password

SECRET = "Zq7"
SCHEMES = ("postgresql://", "postgres://", "postgresql+psycopg://", "mysql://", "sqlite://", "")
odd = st.lists(st.sampled_from([SECRET, *"?#@/:%=& \n[]"]), max_size=6).map("".join)
passwords = st.tuples(odd, odd).map(f"{{0[0]}}{SECRET}{{0[1]}}".format)


def said_of(url: str) -> str:
    """The refusal, or how it is shown when it is none."""
    try:
        return str(database_of(url, Path("/data")))
    except ValueError as refused:
        return str(refused)


@given(
    st.sampled_from(SCHEMES), st.sampled_from(["u", ""]), passwords,
    st.sampled_from(["h", "h:5432", "", "[::1]"]), st.sampled_from(["/d", "/", "", "/d?x=1"]),
)  # fmt: skip
def test_nothing_that_is_said_holds_the_password(
    scheme: str, user: str, password: str, host: str, rest: str
) -> None:
    url = f"{scheme}{user}:{password}@{host}{rest}"
    if not scheme.startswith("sqlite"):  # a path, which has no password
        assert SECRET not in said_of(url)
    if "://" in url:
        assert SECRET not in without_password(url)


@pytest.mark.parametrize("odd", ["pa?ss", "pa#ss", "pa/ss", "pa@ss", "1/a?ss", "5/a?s=s"])
def test_a_password_that_is_not_escaped_is_refused_with_the_way_out(odd: str) -> None:
    with pytest.raises(ValueError, match="%40 %2F %3F %23") as refused:
        database_of(f"postgresql://u:{odd}@h/db", Path("/data"))
    assert odd not in str(refused.value)
