"""What a change words anew in its source, and so in what its tests expect.

A sentence that is one for one exchanged in the source, too, is no value that was bent to a bug: it
is told, and does not ask. Whatever else differs asks, and so does what says no.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from autopack.core.ratchet.changed import Changed, lines_of
from autopack.core.ratchet.language import STRING, language_at
from autopack.core.ratchet.suppression import LINE_CHARACTERS_MAX, is_code
from autopack.core.test_file import is_test_file

WORDS_MIN: Final = 3
"""Words with blanks between them of a text that counts as a sentence."""
SENTENCES_MAX: Final = 60
"""Sentences that are gone, or new, in the source of a change; beyond, none explains anything."""
_STRING: Final = re.compile(STRING)
_TOKEN: Final = re.compile(r"\\.|[^\W\d_]+|\d+|\s+|.")
_NEGATION: Final = re.compile(
    r"\b(?:no|not|non|nor|never|none|without|cannot|un\w+|dis\w+)\b|n\W{1,2}t\b", re.IGNORECASE
)

Exchange = tuple[tuple[str, ...], tuple[str, ...]]
"""The run of tokens that one text has in place of another's."""


@dataclass(frozen=True)
class Wording:
    """What was exchanged in sentences of the source."""

    exchanges: frozenset[Exchange] = frozenset()

    def explains(self, was: str, now: str) -> bool:
        """Whether two texts differ in sentences only, by what the source exchanged."""
        old, new = _STRING.findall(was), _STRING.findall(now)
        if _STRING.split(was) != _STRING.split(now):
            return False
        changed = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
        return bool(changed) and all(
            _is_sentence(a) and _is_sentence(b) and _exchange(a, b) in self.exchanges
            for a, b in changed
        )


def wording(changes: Iterable[Changed]) -> Wording:
    """What the source files of a change word anew."""
    before: dict[str, None] = {}
    after: dict[str, None] = {}
    for change in changes:
        tests = is_test_file(change.path) or language_at(change.path) is not None
        if is_code(change) and not tests:
            before |= dict.fromkeys(_sentences(change.before))
            after |= dict.fromkeys(_sentences(change.after))
    gone = [text for text in before if text not in after]
    new = [text for text in after if text not in before]
    if max(len(gone), len(new)) > SENTENCES_MAX:
        return Wording()
    back = {now: _likest(now, gone) for now in new} if gone else {}
    forth = {was: _likest(was, new) for was in gone} if new else {}
    pairs = (_exchange(was, now) for was, now in forth.items() if back[now] == was)
    return Wording(frozenset(each for each in pairs if all(each) and not _weighs(each)))


def _likest(text: str, others: list[str]) -> str:
    """Which of some sentences has most in common with one."""
    words = Counter(_TOKEN.findall(text))
    return max(others, key=lambda other: (words & Counter(_TOKEN.findall(other))).total())


def _sentences(content: bytes | None) -> Iterator[str]:
    """The literals of lines that are no comment, as far as they are sentences."""
    for line in lines_of(content):
        if len(line) <= LINE_CHARACTERS_MAX and not line.lstrip().startswith(
            ("#", "//", "*", "--")
        ):
            yield from filter(_is_sentence, _STRING.findall(line))


def _is_sentence(literal: str) -> bool:
    words = literal[1:-1].split()
    return sum(any(letter.isalpha() for letter in word) for word in words) >= WORDS_MIN


def _weighs(exchange: Exchange) -> bool:
    """Whether it says how much, or no: never a matter of wording."""
    texts = ["".join(side) for side in exchange]
    return any(_NEGATION.search(text) or any(map(str.isdigit, text)) for text in texts)


def _exchange(was: str, now: str) -> Exchange:
    """What is between the tokens that two literals begin and end with."""
    old, new = _TOKEN.findall(was[1:-1]), _TOKEN.findall(now[1:-1])
    shared = min(len(old), len(new))
    head = next((n for n in range(shared) if old[n] != new[n]), shared)
    tail = next((n for n in range(shared - head) if old[-1 - n] != new[-1 - n]), shared - head)
    return tuple(old[head : len(old) - tail]), tuple(new[head : len(new) - tail])
