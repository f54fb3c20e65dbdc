"""The gate: a candidate through its checks, in order, to one verdict with all that was found.

A check that cannot do its work is the environment's failure, named; it is never a pass. Never
decides what becomes of the candidate (that is the machine's).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from autopack.app.checks import NamedCheck, Subject
from autopack.app.ports import Cancel, Clock, Repository
from autopack.core import gate
from autopack.core.errors import EnvironmentFault, Fault, refusal
from autopack.core.event import CandidateChecked
from autopack.core.policy import Rules
from autopack.core.redact import cleaned
from autopack.core.run import (
    Candidate,
    CheckResult,
    CheckVerdict,
    Finding,
    Phase,
    Severity,
    Waiver,
)
from autopack.core.spec import RunSpec
from autopack.core.words import plain

MESSAGE_CHARACTERS_MAX: Final = 8_000
"""Of one finding: a check's evidence may quote the end of what a program said."""
NAME_CHARACTERS_MAX: Final = 4_096
"""Of a rule, a path, a test's id."""
FINDINGS_LOOKED_MAX: Final = 100_000
"""Findings of one check that are counted; a check that gives more has lost its way."""


def check_phase(
    repository: Repository,
    checks: Sequence[NamedCheck],
    run: RunSpec,
    phase: Phase,
    rules: Rules,
    candidate: Candidate,
    clock: Clock | None = None,
    cancel: Cancel | None = None,
) -> CandidateChecked:
    """The gate's verdict on a phase's candidate, with what an auditor waived of its questions."""
    diff = repository.diff(candidate.parent, candidate.tree)
    subject = Subject(run, phase.spec, rules, candidate, diff, repository)
    return judge(subject, checks, phase.waivers, clock, cancel)


def judge(
    subject: Subject,
    checks: Sequence[NamedCheck],
    waivers: Sequence[Waiver] = (),
    clock: Clock | None = None,
    cancel: Cancel | None = None,
) -> CandidateChecked:
    """The cheap checks, all of them; then the dear ones, while none has failed."""
    cancel = cancel or threading.Event()
    found: dict[str, CheckResult] = {}
    for each in sorted(checks, key=lambda each: not each.cheap):
        failed = any(result.verdict is CheckVerdict.FAIL for result in found.values())
        if each.cheap or not failed:
            found[each.name] = _result(each, subject, waivers, clock, cancel)
    results = tuple(found[each.name] for each in checks if each.name in found)
    return CandidateChecked(
        subject.phase.phase_id,
        gate.overall(results),
        tuple(_open(results)),
        results,
        tuple(each.name for each in checks if each.name not in found),
    )


def _open(results: Iterable[CheckResult]) -> Iterator[Finding]:
    for each in results:
        if each.verdict is not CheckVerdict.WAIVED:
            yield from each.findings


def _result(
    each: NamedCheck,
    subject: Subject,
    waivers: Sequence[Waiver],
    clock: Clock | None,
    cancel: Cancel,
) -> CheckResult:
    began = clock.monotonic() if clock else 0.0
    try:
        found = tuple(map(_told, _limited(each, each.check(subject, cancel))))
    except Fault:
        raise
    except OSError as error:
        refused = refusal(error, "the machine")
        what = f"the gate's check {each.name!r} failed: {refused.what}"
        hint = f"{refused.hint}; [gate] checks may leave out one that a package brings"
        raise EnvironmentFault(what, hint) from error
    except Exception as error:
        what = f"the gate's check {each.name!r} failed: {plain(repr(error), 500)}"
        hint = "mend or update the package that brings it; [gate] checks may leave it out"
        raise EnvironmentFault(what, hint) from error
    seconds = round(clock.monotonic() - began, 3) if clock else 0.0
    return gate.result(each.name, found, waivers, seconds)


def _limited(each: NamedCheck, findings: Iterable[Finding]) -> Iterator[Finding]:
    for number, finding in enumerate(findings):
        if number >= FINDINGS_LOOKED_MAX:
            what = f"the gate's check {each.name!r} gave more than {FINDINGS_LOOKED_MAX:,} findings"
            raise EnvironmentFault(what, "mend or update the package that brings it")
        yield finding


def _told(finding: Finding) -> Finding:
    """A finding as it is kept, whoever made it; TypeError when it is none."""
    if not isinstance(finding, Finding):
        msg = f"it gave {type(finding).__name__}, not a Finding"
        raise TypeError(msg)
    finding = cleaned(finding)
    return Finding(
        plain(finding.rule, NAME_CHARACTERS_MAX),
        plain(finding.message, MESSAGE_CHARACTERS_MAX),
        plain("/" + finding.path + "/", NAME_CHARACTERS_MAX)[1:-1],  # spaces at its ends count
        int(finding.line),
        Severity(finding.severity),
        plain(finding.test, NAME_CHARACTERS_MAX),
    )
