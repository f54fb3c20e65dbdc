"""What CI remembers between tests: green results, a commit's test ids, what was red on a parent.

Each under a key of all that it depends on, in the store's memory of green results; a record that
cannot be read is none. Nothing that was flaky is remembered as green, or as red.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from autopack.app.greens import GreenResults
from autopack.core.idset import IdSet
from autopack.core.project import CiCommand, profile_digest
from autopack.core.said import Ending, Result, agreed
from autopack.core.spec import CiProfile

DECODED_BYTES_MAX: Final = 64 << 20


@dataclass(frozen=True)
class Judging:
    """All that a result depends on: the tree, the commands, their environment, the fence."""

    tree: str
    profile: CiProfile
    commands: tuple[CiCommand, ...]
    digest: str
    fenced: bool

    def key(self, *more: str) -> str:
        """The name of what is remembered of it; with nothing more, of its green result."""
        fence = "fenced" if self.fenced else "unfenced"
        told = profile_digest(self.commands)
        parts = (self.tree, self.profile.value, told, self.digest, fence, *more)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def ids_of(greens: GreenResults, judging: Judging) -> IdSet | None:
    """The tests of a tree, when a whole profile has run on it."""
    told = _unpacked(greens.green(judging.key("tests")))
    if told is None:
        return None
    return IdSet(
        frozenset(told["passed"]),
        frozenset(told["skipped"]),
        dict(told["red"]),
        dict(told["flaky"]),
        bool(told["whole"]),
        tuple(Ending(*each) for each in told["ends"]),
    )


def remember_ids(greens: GreenResults, judging: Judging, ids: IdSet) -> None:
    """Keep the tests of a tree; of one with too many, only that they cannot be compared."""
    kept = ids if ids.whole else IdSet(whole=False)
    told = {
        "passed": sorted(kept.passed),
        "skipped": sorted(kept.skipped),
        "red": dict(kept.red),
        "flaky": dict(kept.flaky),
        "whole": kept.whole,
        "ends": [(each.code, each.red) for each in kept.ends],
    }
    greens.remember_green(judging.key("tests"), _packed(told))


def said_before(
    greens: GreenResults, judging: Judging, tests: Sequence[str], wanted: Collection[str]
) -> Result | None:
    """What a command said of these tests on a tree; no tests: of all.

    None when that is not known for certain of each test that is wanted.
    """
    told = _unpacked(greens.green(judging.key("said", *sorted(tests))))
    if told is None or not frozenset(told["unsure"]).isdisjoint(wanted):
        return None
    ended = Ending(*told["ended"])
    passed, skipped = frozenset(told["passed"]), frozenset(told["skipped"])
    return Result(passed, skipped, dict(told["red"]), ended=ended)


def remember_said(
    greens: GreenResults, judging: Judging, tests: Sequence[str], results: Sequence[Result]
) -> None:
    """Keep what a command's executions say alike, if they are to be believed."""
    said = agreed(results)
    if said.told and all(each.ended.like(said.ended) for each in results):
        told = {
            "passed": sorted(said.passed),
            "skipped": sorted(said.skipped),
            "red": dict(said.red),
            "unsure": sorted(said.flaky),
            "ended": (said.ended.code, said.ended.red),
        }
        greens.remember_green(judging.key("said", *sorted(tests)), _packed(told))


def _packed(value: object) -> str:
    packed = zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 6)
    return json.dumps(base64.b64encode(packed).decode())


def _unpacked(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(base64.b64decode(json.loads(text)), DECODED_BYTES_MAX)
        told = json.loads(raw)
        return told if isinstance(told, dict) else None
    except (ValueError, TypeError, zlib.error):
        return None
