"""The gate's checks as data: their order, what findings come to, what an auditor waived.

Never looks at a change: a check is told of by its findings alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from autopack.core.event import GateVerdict
from autopack.core.run import CheckResult, CheckVerdict, Finding, Severity, Waiver

FINDINGS_MAX: Final = 20
"""Findings told of one rule: enough to see the pattern of a bad change."""
CHECKS_MAX: Final = 50
"""Checks that a project may name."""
ORDER: Final = (
    "structure", "scope", "protected", "secrets", "commands", "configuration", "ratchet",
    "deliverables",
)  # fmt: skip
"""As results are told: cheapest first. What a project adds comes before the last."""
REQUIRED: Final = frozenset({"structure", "scope", "protected", "secrets", "deliverables"})
"""What no project leaves out; a phase that shows no deliverable is red (specification 1)."""
CHEAP: Final = REQUIRED
"""Looked at whatever the others say; the rest need not run where one of these fails."""
RED_BEFORE: Final = "command-red-before"
"""The rule of findings that the parent has as well."""
DEFAULT: Final = ("commands", "configuration", "ratchet")
"""What a project has beside the required ones when it names none."""


def arranged(names: Iterable[str]) -> tuple[str, ...]:
    """The required checks and the named ones, each once, in the gate's order."""
    names = tuple(names)
    wanted = REQUIRED.union(names)
    known = [name for name in ORDER if name in wanted]
    others = [name for name in dict.fromkeys(names) if name not in ORDER]
    return (*known[:-1], *others, known[-1])


def result(
    check: str, findings: Iterable[Finding], waivers: Sequence[Waiver], seconds: float = 0.0
) -> CheckResult:
    """What a check's findings come to; what asks is waived where an auditor waived all of it."""
    told = tuple(bounded(findings))
    severities = {finding.severity for finding in told}
    if Severity.REFUSE in severities:
        return CheckResult(check, CheckVerdict.FAIL, told, seconds=seconds)
    if Severity.ASK not in severities:
        return CheckResult(check, CheckVerdict.PASS, told, seconds=seconds)
    found = CheckResult(check, CheckVerdict.NEEDS_AUDITOR, told, seconds=seconds)
    reasons = _reasons(found, waivers)
    return found if reasons is None else _waive(found, "; ".join(reasons))


def overall(results: Iterable[CheckResult]) -> GateVerdict:
    """The gate's verdict: one failed check fails, one question needs an auditor."""
    verdicts = {each.verdict for each in results}
    if CheckVerdict.FAIL in verdicts:
        return GateVerdict.FAIL
    asks = CheckVerdict.NEEDS_AUDITOR in verdicts
    return GateVerdict.NEEDS_AUDITOR if asks else GateVerdict.PASS


def waiver(results: Iterable[CheckResult], reason: str, audit: int) -> Waiver | None:
    """What an auditor's approval waives of these; None when nothing was asked."""
    asked = tuple(
        key for each in results if each.verdict is CheckVerdict.NEEDS_AUDITOR for key in _keys(each)
    )
    return Waiver(asked, reason, audit) if asked else None


def approved(results: Iterable[CheckResult], reason: str) -> tuple[CheckResult, ...]:
    """The results after an auditor's approval: what asked is waived."""
    return tuple(
        _waive(each, reason) if each.verdict is CheckVerdict.NEEDS_AUDITOR else each
        for each in results
    )


def red_before(results: Iterable[CheckResult]) -> Iterator[Finding]:
    """What is as red on the parent: an issue of the project, not the candidate's doing."""
    for each in results:
        yield from (found for found in each.findings if found.rule == RED_BEFORE)


def bounded(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings, FINDINGS_MAX of each rule, and how many more there are."""
    told: dict[tuple[str, Severity], int] = {}
    for finding in findings:
        key = (finding.rule, finding.severity)
        told[key] = told.get(key, 0) + 1
        if told[key] <= FINDINGS_MAX:
            yield finding
    for (rule, severity), count in told.items():
        if count > FINDINGS_MAX:
            message = f"and {count - FINDINGS_MAX:,} more of this rule"
            yield Finding(rule, message, severity=severity)


def key(check: str, finding: Finding) -> str:
    """The name of a question; `Waiver.questions` are such."""
    return f"{check}\n{finding.rule}\n{finding.path}\n{finding.test}\n{finding.message}"


def _waive(found: CheckResult, reason: str) -> CheckResult:
    return replace(found, verdict=CheckVerdict.WAIVED, reason=reason)


def _keys(found: CheckResult) -> Iterator[str]:
    """What names the questions of a check: where a change is made again its lines have moved."""
    for each in found.findings:
        if each.severity is Severity.ASK:
            yield key(found.check, each)


def _reasons(found: CheckResult, waivers: Sequence[Waiver]) -> list[str] | None:
    """Why an auditor waived these questions; None when one of them was not."""
    reasons: dict[str, None] = {}
    for key in _keys(found):
        reason = next((each.reason for each in waivers if key in each.questions), None)
        if reason is None:
            return None
        reasons[reason] = None
    return list(reasons)
