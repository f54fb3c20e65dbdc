"""What a drafting agent left becomes its run's plan, or all that is wrong with it.

Only the one file that was asked for is taken, and only as text; the plan's own compiler judges it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from autopack.app.ports import Repository
from autopack.core import draft
from autopack.core.command import CompilePlan
from autopack.core.event import PlanDrafted, PlanRejected
from autopack.core.names import printable
from autopack.core.patch import EXECUTABLE, FILE, TreeDiff
from autopack.core.redact import redact
from autopack.core.ruleset import Ruleset
from autopack.core.run import Finding, Run
from autopack.core.spec import CiProfile, Complexity, PhaseSpec, RunSpec, TierSpec
from autopack.core.words import plain

FINDING_CHARACTERS_MAX = 1_000
"""Of one problem or note of a draft, as its next attempt and a reader are told it."""
_PLACED = re.compile(re.escape(draft.FILE) + r"(?::(\d{1,9}))?: ")
"""How the compiler begins a problem that stands in the draft."""


@dataclass(frozen=True)
class Drafted:
    """A run on its drafted plan; `notes`: what its owner should know of the plan."""

    spec: RunSpec
    notes: tuple[str, ...] = ()


def drafting(spec: RunSpec, asked: draft.Draft, ruleset: Ruleset) -> RunSpec:
    """A run without a plan, with the one phase that drafts it."""
    cap = min(ruleset.draft_token_cap, spec.token_cap)
    phase = PhaseSpec(
        phase_id=draft.PHASE,
        tier_id=draft.PHASE,
        phase_index=0,
        name="draft the plan",
        task=_task(spec, asked.goal),
        task_category="plan",
        complexity=Complexity.MEDIUM,
        builder_mode=draft.MODE,
        scope=(f"/{draft.FILE}",),
        needs=(),
        packs=(),
        deliver=(draft.FILE,),
        ci_profile=CiProfile.NORMAL,
        auto_apply=True,
        auditor_profile="",
        builder_attempts_max=ruleset.draft_attempts_max,
        auditor_attempts_max=0,
        incident_token_cap=cap,
        files_max=1,
        changed_lines_max=draft.BYTES_MAX,
    )
    tier = TierSpec(draft.PHASE, 0, "the plan", cap, 0)
    return replace(spec, draft=asked, tiers=(tier,), phases=(phase,))


def _task(spec: RunSpec, goal: str) -> str:
    """What the drafting agent is told: the goal, and how large its plan may be."""
    return f"{goal}\n\nThe plan may have at most {spec.phases_max} phases in all."


def goal_problems(goal: str) -> list[str]:
    """What is wrong with the words that a plan is to be drafted for."""
    if not goal.strip():
        return ["the goal is empty: say what the plan is to reach"]
    if len(goal) > draft.GOAL_CHARACTERS_MAX:
        most = f"at most {draft.GOAL_CHARACTERS_MAX:,}: say it shorter, or write the plan"
        return [f"the goal has {len(goal):,} characters, {most}"]
    if any(unicodedata.category(char) == "Cs" or char == "\0" for char in goal):
        return ["the goal holds NUL or half of a surrogate pair: take it out"]
    return []


def compile_draft(
    repository: Repository,
    run: Run,
    asked: CompilePlan,
    planned: Callable[[Run, str], Drafted | tuple[str, ...]],
) -> PlanDrafted | PlanRejected:
    """The answer to a candidate with a plan in it."""
    candidate = asked.candidate
    diff = repository.diff(candidate.parent, candidate.tree)
    if findings := tuple(_strange(diff)):
        return PlanRejected(asked.phase_id, findings[: draft.PROBLEMS_MAX])
    data = repository.read(candidate.commit, draft.FILE)
    try:
        text = redact((data or b"").decode("utf-8-sig"))
    except UnicodeDecodeError as fault:
        return _rejected(asked, [f"not UTF-8 (byte {fault.start})"])
    made = planned(run, text)
    if isinstance(made, tuple):
        return _rejected(asked, made)
    return PlanDrafted(asked.phase_id, made.spec, _told(made.notes))


def _told(notes: tuple[str, ...]) -> tuple[str, ...]:
    kept = [plain(note, FINDING_CHARACTERS_MAX) for note in notes[: draft.NOTES_MAX]]
    more = len(notes) - len(kept)
    return (*kept, f"and {more:,} more") if more else tuple(kept)


def _strange(diff: TreeDiff) -> Iterable[Finding]:
    """Whatever else it changed, and why its plan is no file that could be read."""
    for change in diff.changes:
        path = printable(change.path)
        if change.path != draft.FILE.encode():
            what = f"only {draft.FILE} is to be written; undo this change"
            yield Finding("scope", what, path)
        elif change.new_mode not in {FILE, EXECUTABLE}:
            yield Finding("plan", "the plan must be a plain file", path)
        elif change.size > draft.BYTES_MAX:
            what = f"{change.size:,} bytes; a plan has at most {draft.BYTES_MAX:,}"
            yield Finding("plan", what, path)
    if not any(change.path == draft.FILE.encode() for change in diff.changes):
        yield Finding("plan", "it was not written", draft.FILE)


def _rejected(asked: CompilePlan, problems: Iterable[str]) -> PlanRejected:
    told = [_finding(problem) for problem in problems]
    return PlanRejected(asked.phase_id, tuple(told[: draft.PROBLEMS_MAX]))


def _finding(problem: str) -> Finding:
    """A problem as a finding: the place that it begins with stands apart."""
    placed = _PLACED.match(problem)
    line = int(placed[1] or 0) if placed else 0
    said = problem[placed.end() :] if placed else problem
    return Finding("plan", plain(said, FINDING_CHARACTERS_MAX), draft.FILE, line)
