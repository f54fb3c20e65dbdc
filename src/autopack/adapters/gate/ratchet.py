"""The checks `ratchet` and `configuration`: what a change takes from the tests, as questions.

Reads the changed files, old and new, within limits; what they mean is `core.ratchet`'s to say. A
file that is too large, or one too many, asks as well. Never refuses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from autopack.core.names import printable
from autopack.core.ratchet import findings
from autopack.core.ratchet.changed import (
    FILE_BYTES_MAX,
    FILES_MAX,
    TOTAL_BYTES_MAX,
    Changed,
)

if TYPE_CHECKING:
    from autopack.adapters.gate.registry import CheckContext
    from autopack.app.checks import Check, Subject
    from autopack.app.ports import Blob, Cancel
    from autopack.core.run import Finding


def ratchet(context: CheckContext) -> Check:
    """The factory of `ratchet`."""
    del context
    return _of_tests


def configuration(context: CheckContext) -> Check:
    """The factory of `configuration`."""
    del context
    return _of_configuration


def _of_tests(subject: Subject, cancel: Cancel) -> Sequence[Finding]:
    del cancel  # the limits bound it: seconds at worst
    return findings.of_tests(changed(subject))


def _of_configuration(subject: Subject, cancel: Cancel) -> Sequence[Finding]:
    del cancel
    return findings.of_configuration(changed(subject))


def changed(subject: Subject) -> list[Changed]:
    """The files of a change that matter to the ratchet, what weighs most first, with contents."""
    paths = {printable(each.path): each.path for each in subject.diff.changes}
    return list(_bounded(subject, paths, findings.first(list(paths))))


def _bounded(subject: Subject, paths: dict[str, bytes], order: list[str]) -> Iterator[Changed]:
    left = TOTAL_BYTES_MAX
    for number, path in enumerate(order):
        old, new = subject.old(paths[path]), subject.new(paths[path])
        size = sum(each.size for each in (old, new) if each)
        fits = all(each is None or _small(each) for each in (old, new))
        if number >= FILES_MAX or size > left or not fits:
            yield Changed(path, None, None, unread=True)
            continue
        left -= size
        yield Changed(path, old.data if old else None, new.data if new else None)


def _small(blob: Blob) -> bool:
    return blob.data is not None and blob.size <= FILE_BYTES_MAX
