"""What a run made that did not land: where it is kept, what it changes, why it did not land.

Read from refs and events; nothing is judged anew. Never changes anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from autopack.app.archive import Work
from autopack.app.ports import Recorded
from autopack.app.story import told
from autopack.core.event import (
    AttemptEnded,
    AuditEnded,
    CandidateChecked,
    CandidateReapplied,
    CandidateTested,
    CiVerdict,
    GateVerdict,
    Outcome,
    PlanDrafted,
    PlanRejected,
    ReapplyConflicted,
    SnapshotLanded,
)
from autopack.core.run import Candidate, Run

FROM_CLONE = "what a clone held when its work could not be captured, or its supervisor died"
GREEN = "CI said green, and the run ended before it landed"
UNTOLD = "the run ended before it was judged"


@dataclass(frozen=True)
class Salvaged:
    """A piece of work that did not land; `files` are the paths it changes against its parent."""

    work: Work
    files: tuple[str, ...]
    why: str


@dataclass
class _Fates:
    """What became of the candidates of one phase, by name."""

    why: dict[str, str] = field(default_factory=dict)
    landed: set[str] = field(default_factory=set)
    made_of: dict[str, str] = field(default_factory=dict)
    now: Candidate | None = None

    def take(self, candidate: Candidate, why: str = "") -> None:
        """A candidate of this phase came to be, of the one before when `why` says so."""
        if why and self.now is not None:
            self.why[self.now.name] = why
            self.made_of[candidate.name] = self.now.name
        self.now = candidate

    def say(self, why: str) -> None:
        """The last word on the candidate under judgement."""
        if self.now is not None and why:
            self.why[self.now.name] = why

    def land(self, commit: str) -> None:
        """The candidate landed, and with it those that it is the same change as."""
        name = self.now.name if self.now is not None and self.now.commit == commit else ""
        while name:
            self.landed.add(name)
            name = self.made_of.get(name, "") if ".r" in name else ""


def salvaged(
    run: Run,
    events: Iterable[Recorded],
    works: Sequence[Work],
    files: Mapping[str, tuple[str, ...]],
) -> list[Salvaged]:
    """The kept works of the run that did not land, in the plan's order; `files` by ref."""
    fates = {phase.phase_id: _Fates() for phase in run.every_phase}
    for recorded in events:
        _follow(fates, recorded)
    order = {phase.phase_id: number for number, phase in enumerate(run.every_phase)}
    landed = {snapshot.commit for snapshot in run.snapshots}
    found = []
    for work in works:
        fate = fates.get(work.phase_id, _Fates())
        if work.quarantined:
            why = FROM_CLONE
        elif work.commit in landed or work.name in fate.landed:
            continue
        else:
            why = fate.why.get(work.name, UNTOLD)
        found.append(Salvaged(work, files.get(work.ref, ()), why))
    return sorted(found, key=lambda each: (order.get(each.work.phase_id, len(order)),
                                           each.work.quarantined))  # fmt: skip


def _follow(fates: Mapping[str, _Fates], recorded: Recorded) -> None:
    event = recorded.happened.event
    fate = fates.get(getattr(event, "phase_id", ""))
    if fate is None:
        return
    match event:
        case AttemptEnded(candidate=candidate, outcome=outcome):
            fate.now = candidate
            fate.say("" if outcome is Outcome.SUBMITTED else _said(recorded))
        case CandidateReapplied(candidate=candidate):
            fate.take(candidate, f"made again on the branch as {candidate.name}")
        case AuditEnded(candidate=candidate):
            if candidate is not None:
                fate.take(candidate, f"the auditor changed it: {candidate.name}")
            fate.say(_said(recorded))
        case CandidateChecked(verdict=verdict):
            fate.say("" if verdict is GateVerdict.PASS else _said(recorded))
        case CandidateTested(verdict=CiVerdict.PASS):
            fate.say(GREEN)
        case CandidateTested() | ReapplyConflicted() | PlanRejected():
            fate.say(_said(recorded))
        case SnapshotLanded(commit=commit):
            fate.land(commit)
        case PlanDrafted():  # it became the plan: nothing is left of it to save
            fate.land(fate.now.commit if fate.now else "")
        case _:
            pass


def _said(recorded: Recorded) -> str:
    """The event in one line, with the first thing that it found."""
    said = told(recorded.happened.event)
    first = next((finding for finding in said.findings), None)
    detail = " ".join(said.detail.split())
    if first is not None:
        place = f"{first.path}:{first.line}: " if first.line else f"{first.path}: "
        place = place if first.path else ""
        detail = f"{detail + '; ' if detail else ''}{first.rule}: {place}{first.message}"
    return f"{said.what}: {detail}" if detail else said.what
