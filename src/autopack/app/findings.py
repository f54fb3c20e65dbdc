"""What was found of a phase's work, as reports show it: evidence, findings, the gate's checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autopack.core.run import CheckResult, Evidence, Finding


@dataclass(frozen=True)
class FindingView:
    """One finding; `line` from 1, 0 when unknown."""

    rule: str
    message: str
    path: str
    line: int
    severity: str

    @property
    def place(self) -> str:
        """As `path:line`, or empty."""
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass(frozen=True)
class EvidenceView:
    """Why the last attempt did not land; `source` as in `core.run.Evidence`."""

    source: str
    summary: str
    findings: tuple[FindingView, ...]


@dataclass(frozen=True)
class CheckView:
    """What a check of the gate said of the candidate last; `reason`: why it was waived."""

    check: str
    verdict: str
    reason: str
    findings: tuple[FindingView, ...]


def evidence_view(evidence: Evidence) -> EvidenceView:
    """Evidence to show."""
    found = tuple(map(finding_view, evidence.findings))
    return EvidenceView(evidence.source, evidence.summary, found)


def finding_view(finding: Finding) -> FindingView:
    """A finding to show."""
    severity = finding.severity.value
    return FindingView(finding.rule, finding.message, finding.path, finding.line, severity)


def check_views(checks: Sequence[CheckResult]) -> tuple[CheckView, ...]:
    """The gate's checks to show."""
    return tuple(
        CheckView(
            each.check, each.verdict.value, each.reason, tuple(map(finding_view, each.findings))
        )
        for each in checks
    )
