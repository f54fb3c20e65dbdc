"""`Reproduce` of an incident: for each failed phase the commands that show its failure again.

What CI judged is made again and judged by CI's commands; what the gate or an auditor refused is
shown with what they said of it, for CI may never have seen it. Never runs a command.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from autopack.adapters.files.escape import block, inline
from autopack.adapters.files.summaries import evidence_lines, facts
from autopack.app.outcome import Places
from autopack.app.ports import Recorded
from autopack.app.report import PhaseView, RunView
from autopack.core.event import AttemptEnded, AuditEnded, CandidateReapplied, CandidateTested
from autopack.core.limit import Limit, limit_of
from autopack.core.project import Project
from autopack.core.run import Candidate, Cause, Failure, Run

FINDINGS_TOLD: Final = 30
"""Of a phase's last evidence."""
NOTES_CHARACTERS_TOLD: Final = 4_000
"""Of what an auditor said last: its attempt has more of it."""
_REFUSED: Final = {
    "gate": "the gate refused its last candidate",
    "auditor": "the auditor did not approve its last candidate",
}
_JUDGED: Final = (AttemptEnded, AuditEnded, CandidateReapplied, CandidateTested)


@dataclass(frozen=True)
class Log:
    """A log file with its size; `told`: head and end of what it says, empty when not read."""

    path: str
    size: int
    told: str = ""


@dataclass(frozen=True)
class Context:
    """What is around a run: its base's project file, and the programs of this machine."""

    project: Project | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


Logs = Mapping[str, Sequence[Log]]
"""Log files by phase id."""


@dataclass(frozen=True)
class _Last:
    """A phase's last candidate, whether CI judged it, and what the auditor said of it."""

    candidate: Candidate | None = None
    tested: bool = False
    notes: str = ""
    latest: bool = True
    """It is of the last attempt; that one may have left none."""


def reproduction(
    run: Run,
    view: RunView,
    events: Sequence[Recorded],
    logs: Logs,
    places: Places,
    context: Context,
) -> Iterator[str]:
    """Lines of the section."""
    yield from ("## Reproduce", "")
    if context.versions:
        yield from facts(*context.versions.items())
    if not places.repository:
        return
    failed = [phase for phase in view.phases if phase.failure]
    last = _last(events)
    good = view.snapshots[-1].commit if view.snapshots else view.base_commit
    for phase in failed:
        known = last.get(phase.phase_id, _Last())
        refused = _refused_by(phase)
        if refused:
            yield from _shown(phase, refused, known, logs, places)
        if known.tested or not refused:
            yield from _judged_again(run, phase, known, good, places, context)
    if not failed:
        yield from ("No phase failed. The last good state:", "")
        yield from (block("\n".join(_clone_lines(places, "reproduce", good))), "")
    if context.project is None:
        yield from ("The base's project file could not be read: it names the commands of CI.", "")
    fenced = (
        "without network and outside of your files" if run.spec.sandbox != "none" else "unfenced"
    )
    yield from (f"CI runs its commands {fenced}, in an environment built from the base.", "")


def _last(events: Sequence[Recorded]) -> dict[str, _Last]:
    """What the events tell of each phase's last candidate, by phase id."""
    found: dict[str, _Last] = {}
    for recorded in events:
        event = recorded.happened.event
        if not isinstance(event, _JUDGED):
            continue
        now = found.get(event.phase_id, _Last())
        if isinstance(event, CandidateTested):
            now = replace(now, tested=True)
        elif event.candidate:
            now = _Last(event.candidate)
        elif isinstance(event, AttemptEnded):
            now = replace(now, latest=False)
        if isinstance(event, AuditEnded):
            now = replace(now, notes=event.notes)
        found[event.phase_id] = now
    return found


def _refused_by(phase: PhaseView) -> str:
    """`gate` or `auditor`, when one of them had the last word; else empty."""
    if phase.failure is None:
        return ""
    limit = limit_of(Failure(Cause(phase.failure.cause), phase.failure.reason))
    if limit in {Limit.ESCALATED, Limit.AUDITOR_ATTEMPTS}:
        return "auditor"
    source = phase.evidence.source if phase.evidence else ""
    return source if limit is Limit.BUILDER_ATTEMPTS and source in _REFUSED else ""


def _shown(
    phase: PhaseView, refused: str, last: _Last, logs: Logs, places: Places
) -> Iterator[str]:
    """What a refused candidate changed, and what was said of it."""
    name = f"Phase {inline(phase.phase_id)}"
    if last.candidate and last.latest:
        judged = "which CI had judged" if last.tested else "which CI never judged"
        yield from (f"{name}: {_REFUSED[refused]}, {judged}. Its change:", "")
        kept = next((k.ref for k in phase.kept if k.commit == last.candidate.commit), "")
        git_dir, ref = shlex.quote(places.repository), shlex.quote(kept or last.candidate.commit)
        change = f"{shlex.quote(last.candidate.parent)} {ref}"
        yield from (block(f"git --git-dir={git_dir} --no-pager diff {change}"), "")
    else:
        yield from (f"{name}: its last attempt left nothing that could be a candidate.", "")
    if refused == "gate" and phase.evidence:
        first = phase.evidence.findings[:FINDINGS_TOLD]
        yield from evidence_lines(replace(phase.evidence, findings=first))
    if refused == "auditor":
        if last.notes:
            yield from ("What the auditor said:", "")
            yield from (block(last.notes[:NOTES_CHARACTERS_TOLD]), "")
        audits = (log.path for log in logs.get(phase.phase_id, ()) if "/audit-" in log.path)
        yield from facts(*(("log of the auditor", path) for path in audits))


def _judged_again(
    run: Run, phase: PhaseView, last: _Last, good: str, places: Places, context: Context
) -> Iterator[str]:
    """What a phase left, or where it stood, under CI's commands."""
    name, would = f"Phase {inline(phase.phase_id)}", "with the commands that CI would have run"
    if last.tested:
        yield from (f"{name}, its last candidate, as CI judged it:", "")
    elif phase.kept:
        yield from (f"{name}, its last candidate, {would}:", "")
    else:
        yield from (f"{name}, which left no candidate: where it stood, {would}:", "")
    commit = phase.kept[-1].commit if phase.kept else good
    yield from (block("\n".join(_again_lines(run, phase, commit, places, context))), "")


def _clone_lines(places: Places, folder: str, commit: str) -> Iterator[str]:
    at = shlex.quote(folder)
    yield f"git clone --shared --no-checkout {shlex.quote(places.repository)} {at}"
    yield f"cd {at}"
    yield f"git switch --detach {shlex.quote(commit)}"


def _again_lines(
    run: Run, phase: PhaseView, commit: str, places: Places, context: Context
) -> Iterator[str]:
    yield from _clone_lines(places, f"reproduce-{phase.phase_id}", commit)
    project = context.project
    if project is None:
        return
    if project.environment:
        yield from (shlex.join(argv) for argv in project.environment.prepare)
    for command in project.profile(run.spec.phase(phase.phase_id).ci_profile):
        yield shlex.join(word.replace("{report}", "report.xml") for word in command.argv)
