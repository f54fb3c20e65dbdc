"""What CI's verdict does to a phase: it waits to land, asks the auditor, is in doubt, runs again.

Called by the machine's table alone. Never judges a test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from autopack.core import gate, moves, queue
from autopack.core.command import Pending
from autopack.core.event import CandidateTested, CiVerdict
from autopack.core.idset import SILENCED, VANISHED
from autopack.core.run import (
    CheckVerdict,
    Doubt,
    Evidence,
    Finding,
    Phase,
    Run,
    Severity,
    Step,
    Waiver,
)

IN_SOURCE: Final = {VANISHED: "test-deleted", SILENCED: "test-skipped"}
"""What the ratchet says of a test's source where its id goes."""
TEST_IDS: Final = "test_ids"
"""The check whose findings are CI's, beside those of the gate."""


def tested(run: Run, event: CandidateTested, asked: Pending) -> Run:
    phase, candidate = run.phase(event.phase_id), moves.candidate_of(run.phase(event.phase_id))
    if event.verdict in {CiVerdict.INFRA, CiVerdict.CANCELLED}:
        if phase.phase_id not in queue.sound(run):
            return moves.put(run, replace(phase, step=Step.LANDING_QUEUED))
        summary = event.evidence.summary if event.evidence else "CI could not run"
        return moves.retry(run, phase, asked, summary)
    if not event.cached and not phase.judged:
        phase = replace(phase, ci_runs_used=phase.ci_runs_used + 1)
    phase = replace(phase, judged=True)
    if event.verdict is CiVerdict.PASS:
        return _green(run, phase, event, candidate.parent)
    evidence = event.evidence or Evidence("ci", f"CI said {event.verdict}")
    return moves.doubt(run, phase, Doubt(evidence, candidate.parent))


def _green(run: Run, phase: Phase, event: CandidateTested, parent: str) -> Run:
    """It lands in its turn, unless its tests ask what no auditor has waived."""
    waivers = (*phase.waivers, *_waived_by_source(event.findings, phase.waivers))
    said = gate.result(TEST_IDS, event.findings, waivers)
    others = tuple(each for each in phase.checks if each.check != TEST_IDS)
    phase = replace(phase, checks=(*others, said) if event.findings else others)
    if said.verdict is not CheckVerdict.NEEDS_AUDITOR:
        return moves.put(run, replace(phase, step=Step.LANDING_QUEUED, green=True))
    asks = tuple(found for found in said.findings if found.severity is Severity.ASK)
    if not run.spec.auditor_of(phase.phase_id):
        summary = "its tests need an auditor's approval and none is configured"
        return moves.doubt(run, phase, Doubt(Evidence("gate", summary, asks), parent))
    rules = ", ".join(dict.fromkeys(found.rule for found in asks))
    summary = f"CI is green, and its tests ask for an auditor's approval: {rules}"
    doubt = Doubt(Evidence("gate", summary, asks), parent, asks=True)
    return moves.put(run, replace(phase, step=Step.LANDING_QUEUED, green=True, doubt=doubt))


def _waived_by_source(findings: Sequence[Finding], waivers: Sequence[Waiver]) -> Iterator[Waiver]:
    """What an auditor agreed to by a test's source needs no second audit by its id."""
    for waiver in waivers:
        keys = tuple(
            gate.key(TEST_IDS, each)
            for each in findings
            if any(_names(question, each) for question in waiver.questions)
        )
        if keys:
            yield replace(waiver, questions=keys)


def _names(question: str, finding: Finding) -> bool:
    """Whether a question of the ratchet is about the test of a finding: file, class and name."""
    _, rule, path, _, message = question.split("\n", 4)
    if rule != IN_SOURCE.get(finding.rule):
        return False
    where, _, name = finding.test.partition("[")[0].rpartition("::")
    module = path.rpartition(".")[0].replace("/", ".") + "."
    case = f"{where}.{name}"
    told = case.removeprefix(module)
    return case.startswith(module) and message.startswith((f"{told} ", f"{told}:"))
