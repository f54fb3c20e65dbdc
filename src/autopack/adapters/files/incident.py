"""`incident/`: what somebody needs to understand a failed run, to make it again, and to go on.

`incident.md` tells cause, last good snapshot, budgets, each attempt with its evidence and the ends
of its logs, and commands to copy; `spec.json` beside it is what was frozen. Bounded in bytes,
whatever was said. Never writes a file and never makes a script: hostile texts stay text.
"""

from __future__ import annotations

import json
import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

from autopack.adapters.files.budget_table import budget_table
from autopack.adapters.files.escape import block, inline
from autopack.adapters.files.reproduction import (
    FINDINGS_TOLD,
    Context,
    Log,
    Logs,
    reproduction,
)
from autopack.adapters.files.summaries import (
    entry_lines,
    evidence_lines,
    facts,
    failure_lines,
    section,
    when,
)
from autopack.app.outcome import Places
from autopack.app.ports import Recorded
from autopack.app.report import EntryView, KeptView, PhaseView, RunView
from autopack.core.cost import Try, costs
from autopack.core.event import AttemptEnded
from autopack.core.limit import limit_of
from autopack.core.run import Run

LOG_BYTES_TOLD: Final = 4_096
"""Of one log: its head, and more of its end, where errors are told."""
LOG_HEAD_BYTES: Final = 512
LOGS_TOLD: Final = 40
"""Logs of the whole run that are told from; the others are listed."""
ATTEMPT_CHARACTERS_MAX: Final = 60_000
INCIDENT_CHARACTERS_MAX: Final = 1_000_000
"""Beyond it attempts are only counted: the phases' own files and the events have them."""
_FOLDER = re.compile(r"/(?:attempt-|audit-|ci-)(\d+)[^/]*/[^/]*$")


@dataclass(frozen=True)
class _Attempt:
    """One attempt of a phase and all that came of it; number 0: what belongs to none."""

    number: int
    entries: list[EntryView]
    kept: list[KeptView]
    tries: list[Try]
    logs: list[Log]


def spec_json(run: Run) -> str:
    """`incident/spec.json`: plan and settings as they were frozen when the run was created."""
    return json.dumps(asdict(run.spec), indent=1, sort_keys=True, ensure_ascii=True) + "\n"


def incident(
    run: Run,
    view: RunView,
    events: Sequence[Recorded],
    logs: Logs,
    places: Places,
    context: Context,
) -> str:
    """`incident/incident.md` of a run that failed."""
    last = view.snapshots[-1] if view.snapshots else None
    good = f"{last.commit} ({last.tag})" if last else f"none; the base is {view.base_commit}"
    tiers = "".join(f", tier {tier.tier_id} {tier.cleanliness}" for tier in view.tiers)
    lines = [
        f"# Incident: run {inline(view.run_id)}",
        "",
        *facts(
            ("state", view.state),
            ("ended by", limit_of(run.failure).value if run.failure else ""),
            ("landed", view.landed + tiers),
            ("base", f"{view.base_ref} at {view.base_commit}"),
            ("last good snapshot", good),
            ("branch", view.branch),
            ("delivered", view.delivered or "not yet"),
            ("delivery refused", view.delivery_refusal),
            ("environment of CI", run.environment_digest),
        ),
        *failure_lines(view.failure),
    ]
    for phase in view.phases:
        if phase.failure and phase.evidence:
            lines += [f"### Last evidence of phase {inline(phase.phase_id)}", ""]
            first = phase.evidence.findings[:FINDINGS_TOLD]
            lines += evidence_lines(replace(phase.evidence, findings=first))
    lines += [*_next(view, places), *section("Budgets", budget_table(run))]
    lines += reproduction(run, view, events, logs, places, context)
    lines += ["## Timeline", "", *(f"- {when(e.at)}: {inline(e.what)}" for e in view.entries), ""]
    return _bounded(lines, _attempts(view, events, logs), places)


def _next(view: RunView, places: Places) -> Iterator[str]:
    yield from ("## Where to look", "")
    yield from facts(
        ("files", places.artefacts),
        ("plan and settings as frozen", "spec.json, beside this file"),
        ("logs", places.logs),
        ("attempts, as refs of", places.repository),
    )
    yield from ("## What to do next", "")
    on = "take it as it is: every phase has landed" if view.all_landed else "go on"
    yield f"Show the run, its log and the last attempt, stand on the last good state, or {on}:"
    yield from ("", block("\n".join(_commands(view, places))), "")


def _commands(view: RunView, places: Places) -> Iterator[str]:
    last = view.snapshots[-1].commit if view.snapshots else view.base_commit
    kept = [kept for phase in view.phases if phase.failure for kept in phase.kept]
    run_id = shlex.quote(view.run_id)
    yield f"cd {shlex.quote(view.repository)}"
    yield f"autopack run view {run_id}"
    yield f"autopack report run {run_id}"
    yield f"autopack events list {run_id}"
    if kept and places.repository:
        yield f"git --git-dir={shlex.quote(places.repository)} show {shlex.quote(kept[-1].ref)}"
    yield f"git switch --detach {shlex.quote(last)}"
    if not view.all_landed:
        yield f"autopack run retry {run_id}"
        return
    yield "autopack issues list"
    if view.undelivered:
        yield f"autopack run deliver {run_id}"
    yield f"git merge {shlex.quote(view.branch)}"


def _attempts(
    view: RunView, events: Sequence[Recorded], logs: Logs
) -> Iterator[tuple[PhaseView, _Attempt | None]]:
    """Each phase, and each of its attempts after it."""
    number_of = _numbers(events)
    tries = _tries(events)
    for phase in view.phases:
        yield phase, None
        found: dict[int, _Attempt] = defaultdict(lambda: _Attempt(0, [], [], [], []))

        def at(number: int, found: dict[int, _Attempt] = found) -> _Attempt:
            return found.setdefault(number, _Attempt(number, [], [], [], []))

        for entry in phase.entries:
            at(number_of.get(entry.sequence, 0)).entries.append(entry)
        for kept in phase.kept:
            at(_leading(kept.ref.rpartition("/")[2])).kept.append(kept)
        for each in tries.get(phase.phase_id, ()):
            at(each.attempt).tries.append(each)
        for log in logs.get(phase.phase_id, ()):
            named = _FOLDER.search(log.path)
            audit = "/audit-" in log.path
            at(int(named[1]) if named and not audit else 0).logs.append(log)
        yield from ((phase, found[number]) for number in sorted(found))


def _numbers(events: Sequence[Recorded]) -> dict[int, int]:
    """The attempt that each event of a phase belongs to, by sequence number."""
    current: dict[str, int] = {}
    found: dict[int, int] = {}
    for recorded in events:
        event = recorded.happened.event
        if isinstance(event, AttemptEnded):
            current[event.phase_id] = event.attempt
        found[recorded.sequence] = current.get(getattr(event, "phase_id", ""), 0)
    return found


def _tries(events: Sequence[Recorded]) -> dict[str, tuple[Try, ...]]:
    """What each attempt cost; nothing when the log cannot be followed: the rest is still told."""
    try:
        return {cost.phase_id: cost.tries for cost in costs(each.happened for each in events)}
    except ValueError:
        return {}


def _leading(name: str) -> int:
    digits = name.partition(".")[0]
    return int(digits) if digits.isdecimal() else 0


def _bounded(
    lines: Iterable[str], attempts: Iterable[tuple[PhaseView, _Attempt | None]], places: Places
) -> str:
    """The file, with as many attempts as fit."""
    parts = ["\n".join(lines), "\n## Attempts\n"]
    size, left = sum(map(len, parts)), 0
    for phase, attempt in attempts:
        if attempt is None:
            part = f"\n### Phase {inline(phase.phase_id)}\n\n{inline(phase.summary)}.\n"
        else:
            wordy = _said(attempt) > 2 * ATTEMPT_CHARACTERS_MAX  # not even rendered: it takes long
            part = "" if wordy else "\n".join(_attempt_lines(attempt, places)) + "\n"
            if wordy or len(part) > ATTEMPT_CHARACTERS_MAX:
                part = "\n".join(_brief(attempt, phase)) + "\n"
        if size + len(part) > INCIDENT_CHARACTERS_MAX:
            left += 1
            continue
        size += len(part)
        parts.append(part)
    if left:
        parts.append(f"\n{left} more: see `phases/` and `autopack events list`.\n")
    return "\n".join(part.strip("\n") + "\n" for part in parts)


def _attempt_lines(attempt: _Attempt, places: Places) -> Iterator[str]:
    yield from _head(attempt)
    yield from entry_lines(attempt.entries)
    for kept in attempt.kept:
        yield f"- kept {inline(kept.ref)} at {kept.commit}"
    if attempt.kept and places.repository:
        shown = shlex.quote(attempt.kept[-1].ref)
        git_dir = shlex.quote(places.repository)
        yield from ("", block(f"git --git-dir={git_dir} show {shown}"), "")
    for log in attempt.logs:
        yield from (f"- log {inline(log.path)} ({log.size:,} bytes)", "")
        if log.told:
            yield from (block(log.told), "")


def _said(attempt: _Attempt) -> int:
    """Characters of what others said of it."""
    findings = sum(len(f.message) for entry in attempt.entries for f in entry.findings)
    return findings + sum(len(entry.detail) for entry in attempt.entries)


def _brief(attempt: _Attempt, phase: PhaseView) -> Iterator[str]:
    """An attempt of which too much was said: what happened, without what was said of it."""
    yield from _head(attempt)
    yield from (f"- {when(entry.at)}: {inline(entry.what)}" for entry in attempt.entries[:200])
    yield from (f"- kept {inline(kept.ref)} at {kept.commit}" for kept in attempt.kept[:200])
    yield f"- more was said than fits here: `phases/`, phase {inline(phase.phase_id)}"


def _head(attempt: _Attempt) -> Iterator[str]:
    yield from (f"#### {f'Attempt {attempt.number}' if attempt.number else 'Otherwise'}", "")
    for each in attempt.tries:
        by = "builder" if each.kind == "build" else "auditor"
        said = f"{by}: {each.result.replace('_', ' ')}, {each.tokens:,} tokens {each.use.value}"
        yield f"- {inline(said)}"
    if attempt.tries:
        yield ""
