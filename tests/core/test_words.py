"""Words from outside, made harmless; `split` and `nearest` are tried where they are used."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.core.names import printable
from autopack.core.words import HIDDEN, plain, syntax_fault, visible


def test_what_is_not_seen_is_shown_as_its_code() -> None:
    assert visible("a\x1b[2Jb\nc\u202e\u2028\xa0d\ud800é") == (
        "a\\x1b[2Jb\\nc\\u202e\\u2028\xa0d\\ud800é"
    )
    assert visible("a\nb\tc\r", keep="\n\t") == "a\nb\tc\\r"
    assert printable(b"a\xffb\x1b\n") == "a\\xffb\\x1b\\n"


@given(st.text())
def test_visible_text_drives_no_terminal(text: str) -> None:
    shown = visible(text)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", shown)
    assert visible(shown) == shown
    assert "Zs" not in HIDDEN


@given(st.text(), st.integers(10, 50))
def test_plain_text_is_bounded_and_has_no_controls(text: str, most: int) -> None:
    kept = plain(text, most)
    assert len(kept) <= most
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", kept)


def test_half_a_surrogate_pair_is_replaced() -> None:
    assert plain("\ud800", 50) == "\ufffd"
    assert plain("a\udcffb", 50) == "a\ufffdb"
    plain("\ud83d \ude00", 50).encode()


@pytest.mark.parametrize(
    ("message", "line", "said"),
    [
        ("Invalid value (at line 3, column 5)", 3, "Invalid value, column 5"),
        ("Unclosed array (at end of document)", 2, "Unclosed array (at end of document)"),
        ("something else", 0, "something else"),
    ],
)
def test_the_line_of_a_syntax_fault(message: str, line: int, said: str) -> None:
    assert syntax_fault("one\ntwo", message) == (line, said)
