"""MemoryRulesets: the last good rulesets without a database."""

from __future__ import annotations


class MemoryRulesets:
    """Keeps one text for each project and repository."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], str] = {}

    def last(self, project_id: str, repository: str) -> str | None:
        """The text that was kept last; None when there is none."""
        return self._kept.get((project_id, repository))

    def keep(self, project_id: str, repository: str, digest: str, text: str, at: int) -> None:  # noqa: ARG002  a database keeps them for people
        """Replace it."""
        self._kept[project_id, repository] = text
