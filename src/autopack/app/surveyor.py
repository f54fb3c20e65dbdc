"""Looks at a repository's base commit for its survey: what is worth reading is read once, bounded.

Never looks at the work tree: a run starts from a commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from autopack.core.errors import OperatorFault
from autopack.core.survey import DOCUMENT_BYTES_MAX, Survey, documents, survey


class Surveyed(Protocol):
    """A repository whose commits can be listed and read."""

    def listed(self, commit: str) -> Mapping[str, int]:
        """The plain files of a commit: path and bytes."""
        ...

    def read(self, commit: str, path: str) -> str | None: ...


def surveyed(source: Surveyed, commit: str) -> Survey:
    """The survey of a commit; a document that cannot be read as text is named without one."""
    files = source.listed(commit)
    texts = {
        path: _text(source, commit, path)
        for path in documents(files)
        if files[path] <= DOCUMENT_BYTES_MAX
    }
    return survey(files, texts, commit)


def _text(source: Surveyed, commit: str, path: str) -> str | None:
    try:
        return source.read(commit, path)
    except OperatorFault:  # not UTF-8
        return None
