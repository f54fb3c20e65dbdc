"""What a change words anew in its source, and so in what its tests expect.

A message that source and test say in the same new words is no value that was bent to a bug: it is
told, and does not ask. Numbers, single words and values that are no sentence always ask.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from autopack.core.ratchet.changed import Changed, added, lines_of
from autopack.core.ratchet.suppression import is_code
from autopack.core.test_file import is_test_file

WORDS_MIN: Final = 3
"""Words of a literal that counts as a sentence."""
_STRING: Final = re.compile(
    r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|`(?:\\.|[^`\\])*`'
)  # fmt: skip
_WORD: Final = re.compile(r"[^\W\d_]+|\d+")
_ESCAPE: Final = re.compile(r"\\.")


@dataclass(frozen=True)
class Wording:
    """Words in the literals of source lines that are new, and of those that are gone."""

    said: frozenset[str] = frozenset()
    unsaid: frozenset[str] = frozenset()

    def explains(self, was: str, now: str) -> bool:
        """Whether two texts differ in sentences only that the source rewords just so."""
        if _STRING.sub("_", was) != _STRING.sub("_", now):
            return False
        pairs = zip(_STRING.findall(was), _STRING.findall(now), strict=True)
        changed = [(old, new) for old, new in pairs if old != new]
        return bool(changed) and all(self._reworded(old, new) for old, new in changed)

    def _reworded(self, was: str, now: str) -> bool:
        old, new = Counter(_said(was)), Counter(_said(now))
        if min(old.total(), new.total()) < WORDS_MIN or old == new:
            return False
        return (new - old).keys() <= self.said and (old - new).keys() <= self.unsaid


def wording(changes: Iterable[Changed]) -> Wording:
    """What the source files of a change word anew."""
    said: set[str] = set()
    unsaid: set[str] = set()
    for change in changes:
        if not is_code(change) or is_test_file(change.path):
            continue
        before, after = lines_of(change.before), lines_of(change.after)
        said.update(_words(added(before, after)))
        unsaid.update(_words(added(after, before)))
    return Wording(frozenset(said), frozenset(unsaid))


def _words(lines: Iterable[str]) -> Iterator[str]:
    """Words of the literals of some lines; numbers are no words."""
    for line in lines:
        for text in _STRING.findall(line):
            yield from (word for word in _said(text) if not word.isdigit())


def _said(literal: str) -> list[str]:
    """The words and numbers of a literal, without escapes."""
    return _WORD.findall(_ESCAPE.sub(" ", literal))
