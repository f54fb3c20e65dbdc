"""The memory of green results, as CI and preflight ask the store for it. Never judges anything."""

from __future__ import annotations

from typing import Protocol


class GreenResults(Protocol):
    """The part of the store that remembers green results."""

    def green(self, key: str) -> str | None: ...

    def remember_green(self, key: str, result: str) -> None: ...
