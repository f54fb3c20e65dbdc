"""A check of the gate that says what it was given, for tests of what comes of it."""

from __future__ import annotations

from collections.abc import Iterable

from autopack.app.checks import Subject
from autopack.app.ports import Cancel
from autopack.core.run import Finding


class FakeCheck:
    """A Check: the same findings for every change; `seen` are the commits it was asked about."""

    def __init__(self, *findings: Finding) -> None:
        self.findings = findings
        self.seen: list[str] = []

    def __call__(self, subject: Subject, cancel: Cancel) -> Iterable[Finding]:
        """Its findings."""
        del cancel
        self.seen.append(subject.candidate.commit)
        return self.findings
