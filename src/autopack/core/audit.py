"""When an auditor is to be asked: what a candidate needs before it lands, and what has stalled.

Approval is needed where the ruleset says so (`auto_apply = no`). Where the run has an auditor it is
also asked about high-risk phases and new major issues, when attempts lead to the same evidence
twice in a row, and before a phase fails because its attempts are spent. Only tells; never asks.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from autopack.core.issue import IssueSeverity
from autopack.core.run import Stage

if TYPE_CHECKING:
    from autopack.core.run import Evidence, Phase, Run

KEYS_TOLD_MAX = 5
"""Keys of major issues in one reason."""
SUMMARY_CHARACTERS_MAX = 500
"""Of a summary, in a fingerprint."""
_CHANGING = re.compile(r"0x[0-9a-f]+|\d+", re.IGNORECASE)
_NOT_ITS_DOING = frozenset({"auditor", "conflict"})


def available(run: Run, phase: Phase) -> bool:
    """Somebody audits the phase, whether or not its attempts are spent."""
    working = run.stage is Stage.WORKING  # a draft has the compiler
    return working and bool(_auditor(run, phase)) and phase.spec.auditor_attempts_max > 0


def may_ask(run: Run, phase: Phase) -> bool:
    """An auditor's attempt is left, and tokens for it."""
    left = phase.spec.auditor_attempts_max - phase.auditor_attempts_used
    return available(run, phase) and left > 0 and phase.tokens_left > 0


def may_ask_aside(run: Run, phase: Phase) -> bool:
    """The same, and one more is left for the approval that the phase needs in the end."""
    needed = 1 if needs_approval(run, phase) or unseen_majors(phase) else 0
    spare = phase.spec.auditor_attempts_max - phase.auditor_attempts_used - needed
    return may_ask(run, phase) and spare > 0


def needs_approval(run: Run, phase: Phase) -> bool:
    """Whatever its candidate is: its category or its risk asks for it."""
    return not phase.spec.auto_apply or (phase.spec.high_risk and available(run, phase))


def wanted(run: Run, phase: Phase) -> str:
    """Why a candidate that passed the gate may not land unseen; empty when it may."""
    if phase.approved:
        return ""
    if not phase.spec.auto_apply:
        return f"{phase.spec.task_category} is not applied without approval"
    if not available(run, phase):
        return ""
    if phase.spec.high_risk:
        return f"high risk: {phase.spec.task_category}, complexity {phase.spec.complexity}"
    keys = unseen_majors(phase)
    more = f" and {len(keys) - KEYS_TOLD_MAX} more" if len(keys) > KEYS_TOLD_MAX else ""
    return f"major issues: {', '.join(keys[:KEYS_TOLD_MAX])}{more}" if keys else ""


def unseen_majors(phase: Phase) -> tuple[str, ...]:
    """Keys of its major issues that no auditor has agreed to."""
    return tuple(key for key in majors(phase) if key not in phase.majors_approved)


def majors(phase: Phase) -> tuple[str, ...]:
    """Keys of its major issues: reported so, or made so by an upgrade or age."""
    found = (f for f in phase.issues if f.effective_severity is IssueSeverity.MAJOR)
    return tuple(issue.issue_key for issue in found)


def stalled(phase: Phase, evidence: Evidence) -> str:
    """Why another attempt alone is not likely to help; empty when it may be."""
    before = phase.evidence
    if before is None or evidence.source in _NOT_ITS_DOING:
        return ""
    if fingerprint(before) != fingerprint(evidence):
        return ""
    return f"stall: two attempts in a row ended alike: {_first_line(evidence.summary)}"


def fingerprint(evidence: Evidence) -> tuple[object, ...]:
    """What two pieces of evidence share that tell of the same: numbers and addresses left out."""
    if evidence.findings:
        told = {(f.rule, f.path, f.test, _CHANGING.sub("#", f.message)) for f in evidence.findings}
        return evidence.source, frozenset(told)
    summary = evidence.summary
    if evidence.source == "builder":  # how it ended; what the agent says of it may vary
        summary = summary.partition(":")[0]
    return evidence.source, _CHANGING.sub("#", summary)[:SUMMARY_CHARACTERS_MAX]


def _first_line(text: str) -> str:
    return text.partition("\n")[0][:SUMMARY_CHARACTERS_MAX]


def _auditor(run: Run, phase: Phase) -> str:
    return run.spec.auditor_of(phase.phase_id)
