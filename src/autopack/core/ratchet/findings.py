"""All that the ratchet says of a change: tests first, then what watches them, then the source.

Bounded: of a change too large to be read, what was not read asks. Never reads a repository.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from autopack.core.gate import bounded
from autopack.core.ratchet import (
    ending,
    lexical,
    python_source,
    python_tests,
    snapshots,
    suppression,
)
from autopack.core.ratchet.case import is_test_path
from autopack.core.ratchet.changed import Changed, ask
from autopack.core.ratchet.configuration import is_configuration, loosened
from autopack.core.ratchet.language import language_at
from autopack.core.run import Finding


def of_tests(changes: Iterable[Changed]) -> tuple[Finding, ...]:
    """What a change takes from the tests, or makes them believe."""
    changed = [each for each in changes if each.before != each.after or each.unread]
    read = [each for each in changed if not each.unread]
    found = chain(
        _unread(each for each in changed if not _only_configuration(each)),
        python_tests.weakened(read),
        lexical.weakened(read),
        snapshots.rewritten(read),
        python_source.hollowed(read),
        ending.ended(read),
        suppression.detected(read),
        suppression.silenced(read),
    )
    return tuple(bounded(found))


def of_configuration(changes: Iterable[Changed]) -> tuple[Finding, ...]:
    """What a change takes from what is collected, run or reported."""
    rules = [each for each in changes if is_configuration(each.path)]
    loose = (finding for change in rules if not change.unread for finding in loosened(change))
    return tuple(bounded(chain(_unread(rules), loose)))


def judged(path: str) -> bool:
    """Whether a file's content matters here: those of no such path need not be read."""
    change = Changed(path, None, None)
    return (
        suppression.is_code(change)
        or is_configuration(path)
        or snapshots.is_snapshot(path)
        or change.suffix == ".pth"
    )


def first(paths: Sequence[str]) -> list[str]:
    """The paths to read, what weighs most first: tests, configuration, source."""

    def order(path: str) -> int:
        if is_test_path(path) or language_at(path) is not None:
            return 0
        return 1 if is_configuration(path) else 2

    return sorted((path for path in paths if judged(path)), key=order)


def _only_configuration(change: Changed) -> bool:
    return is_configuration(change.path) and not suppression.is_code(change)


def _unread(changes: Iterable[Changed]) -> Iterator[Finding]:
    for change in changes:
        if change.unread:
            yield ask("ratchet-unread", change.path, "is too large to be compared with what it was")
