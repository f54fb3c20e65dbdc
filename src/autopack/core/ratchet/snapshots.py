"""Files that hold what tests expect: snapshots, golden files, approved outputs.

One that is changed is an expectation that is changed; a new one belongs to a new test. Reads paths.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from autopack.core.ratchet.changed import Changed, ask
from autopack.core.ratchet.suppression import CODE
from autopack.core.run import Finding

_SNAPSHOT: Final = re.compile(
    r"(?:^|/)(?:__snapshots__|__image_snapshots__|snapshots?|goldens?|golden_?files?|approved"
    r"|expected(?:_outputs?)?)/[^/]+$"
    r"|(?:^|/)(?:tests?|testdata|specs?|fixtures)/(?:.*/)?(?:expected|golden)[^/]*\.\w+$"
    r"|\.(?:snap|ambr|golden|approved\.\w+|verified\.\w+|expected|expect)$",
    re.IGNORECASE,
)
_TESTS: Final = re.compile(r"Tests?\.\w+$")
"""Code that tests what is expected: `ExpectedExceptionTest.java`."""


def is_snapshot(path: str) -> bool:
    """Whether a file is what a test compares with, by its name or folder."""
    return _SNAPSHOT.search(path) is not None


def rewritten(changes: Iterable[Changed]) -> Iterator[Finding]:
    """Recorded expectations that are others now, or gone."""
    for change in changes:
        tests = change.suffix in CODE and _TESTS.search(change.name)
        if change.before is not None and is_snapshot(change.path) and not tests:
            told = "is another now" if change.after is not None else "is gone"
            yield ask("expectation-changed", change.path, f"what a test expects {told}")
