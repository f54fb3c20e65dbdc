"""What is wrong with a plan's draft: all of it at once, each with its place.

Returns problems; never raises for a bad plan and never mends one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pathspec import GitIgnoreSpec

from autopack.core.builtin import BUILT_IN
from autopack.core.ids import id_problem
from autopack.core.plan_draft import (
    TASK_CHARACTERS_MAX,
    Form,
    PhaseDraft,
    Place,
    PlanDraft,
    PlanProblem,
    TierDraft,
    quoted,
    suggestion,
)
from autopack.core.spec import (
    Complexity,
)

PATH_CHARACTERS_MAX = 1_000
PHASES_MAX = 1_000
"""Of a plan, over all its runs."""
LIST_ITEMS_MAX = 200
CYCLES_SHOWN_MAX = 20
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


ADVICE: dict[str, dict[Form, str]] = {
    "plan": {
        Form.MARKDOWN: "write `## Tier T1: name`, below it `### Phase F1.1: name`",
        Form.TOML: "write `[[tiers]]`, below it `[[tiers.phases]]`",
        Form.JSON: 'write {"tiers": [{"id": "T1", "phases": [{"id": "F1.1", …}]}]}',
    },
    "task": {
        Form.MARKDOWN: "write what is to be done under its heading",
        Form.TOML: 'write what is to be done, as `task = "…"`',
        Form.JSON: 'write what is to be done, as `"task": "…"`',
    },
    "scope": {
        Form.MARKDOWN: "say which files it may change, as in `- scope: src/**, tests/**`",
        Form.TOML: 'say which files it may change, as in `scope = ["src/**", "tests/**"]`',
        Form.JSON: 'say which files it may change, as in `"scope": ["src/**", "tests/**"]`',
    },
    "hash": {
        Form.MARKDOWN: "write `\\#` for a #",
        Form.TOML: "write '\\#' for a #",
        Form.JSON: 'write "\\\\#" for a #',
    },
}
"""What to write instead, as it is written in each form."""


@dataclass
class Report:
    """Problems in the order found."""

    file: str
    form: Form
    problems: list[PlanProblem] = field(default_factory=list)

    def advice(self, topic: str) -> str:
        return ADVICE[topic][self.form]

    def add(self, place: Place, key: str, message: str, hint: str = "") -> None:
        if key in place.told:
            return
        self.problems.append(PlanProblem(self.file, message, place.line(key), place.key(key), hint))


def problems_of(draft: PlanDraft, phases_max: int) -> list[PlanProblem]:
    """Every problem of a readable draft beyond its reader's, in no particular order."""
    report = Report(draft.file, draft.form)
    phases = [phase for tier in draft.tiers for phase in tier.phases]
    if not phases and not draft.problems:
        report.add(Place(), "", "the plan has no phases", report.advice("plan"))
    if len(phases) > PHASES_MAX:
        message = f"the plan has {len(phases):,} phases; at most {PHASES_MAX:,}"
        report.add(phases[PHASES_MAX].place, "", message, "make two plans of it")
    _check_sizes(report, draft.tiers, phases_max, empty=not phases)
    _check_ids(report, draft.tiers, "tier")
    _check_ids(report, phases, "phase")
    for tier in draft.tiers:
        _check_name(report, tier.place, tier.name)
    for phase in phases:
        _check_name(report, phase.place, phase.name)
        _check_words(report, phase)
        _check_paths(report, phase)
    _check_needs(report, draft.tiers)
    return report.problems


def _check_sizes(
    report: Report, tiers: Sequence[TierDraft], phases_max: int, *, empty: bool
) -> None:
    """A plan may have any number of tiers, but a tier is never split over two runs."""
    for tier in tiers:
        if not tier.phases and not empty and "phases" not in tier.place.told:
            report.add(tier.place, "", f"tier {tier.id} has no phases".replace("  ", " "))
        if len(tier.phases) > phases_max:
            many = len(tier.phases)
            message = f"tier {tier.id} has {many} phases, a run at most {phases_max} (max_phases)"
            tiers_min = -(-many // phases_max)
            hint = f"make {tiers_min} tiers of it: several are split into runs; or raise max_phases"
            report.add(tier.place, "", message, hint)


def _check_ids(report: Report, rows: Sequence[TierDraft | PhaseDraft], noun: str) -> None:
    seen: dict[str, TierDraft | PhaseDraft] = {}
    for row in rows:
        if not row.id:
            continue
        if problem := id_problem(row.id):
            report.add(row.place, "id", f"bad {noun} id {quoted(row.id)}", problem)
        first = seen.setdefault(row.id.casefold(), row)
        if first is row:
            continue
        where = f" (line {first.place.line()})" if first.place.line() else ""
        if first.id == row.id:
            report.add(row.place, "id", f"{noun} id {row.id} is taken{where}")
        else:
            message = f"{noun} ids {first.id}{where} and {row.id} differ in case only"
            report.add(row.place, "id", message, "they would be one ref on some file systems")


def _check_name(report: Report, place: Place, name: str) -> None:
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        report.add(place, "name", "holds control characters", "a name is one line of plain text")


def _check_words(report: Report, phase: PhaseDraft) -> None:
    for key, value, known in (
        ("complexity", phase.complexity, [each.value for each in Complexity]),
        ("mode", phase.mode, list(BUILT_IN.builder_modes)),
    ):
        if value and value not in known:
            hint = suggestion(value, known) or f"known are {', '.join(known)}"
            report.add(phase.place, key, f"unknown {key} {quoted(value)}", hint)
    if phase.category and id_problem(phase.category):
        report.add(
            phase.place, "category", f"bad category {quoted(phase.category)}", "write one word"
        )
    if not phase.task.strip():
        report.add(phase.place, "task", "is empty", report.advice("task"))
    elif _unstorable(phase.task):
        report.add(phase.place, "task", "holds a NUL or a lone surrogate, which is no text")
    elif len(phase.task) > TASK_CHARACTERS_MAX:
        message = f"has {len(phase.task):,} characters; at most {TASK_CHARACTERS_MAX:,}"
        hint = "put the rest into a file of the repository, and name it in the task"
        report.add(phase.place, "task", message, hint)
    for pack in phase.packs:
        if not pack.strip() or not pack.isprintable():
            report.add(phase.place, "packs", f"bad pack id {quoted(pack)}")


def _unstorable(text: str) -> bool:
    return "\0" in text or any("\ud800" <= character <= "\udfff" for character in text)


def _check_paths(report: Report, phase: PhaseDraft) -> None:
    place = phase.place
    for key, paths in (("scope", phase.scope), ("deliver", phase.deliver)):
        if len(paths) > LIST_ITEMS_MAX:
            report.add(place, key, f"{len(paths)} entries, at most {LIST_ITEMS_MAX} are read")
            return
        for path in paths:
            if wrong := path_problem(path):
                report.add(
                    place, key, f"{quoted(path)} {wrong}", "paths begin at the repository's root"
                )
    sound = [path for path in phase.scope if not path_problem(path)]
    spec = _scope(report, phase, sound)
    for path in phase.deliver:
        if path_problem(path):
            continue
        if any(part in {"", "."} for part in path.rstrip("/").split("/")) or set(path) & {"*", "?"}:
            report.add(
                place, "deliver", f"{quoted(path)} is not one plain path", "globs belong to scope"
            )
        elif spec and len(sound) == len(phase.scope) and not spec.match_file(path):
            hint = "widen the scope, or the phase can never be green"
            report.add(place, "deliver", f"{quoted(path)} lies outside of the phase's scope", hint)


def path_problem(path: str) -> str:
    """Why a plan's path or glob is refused; empty when it is not."""
    bare = path.removeprefix("!")
    parts = re.split(r"[\\/]", bare)
    refusals = (
        (not path.strip(), "is empty"),
        (len(path) > PATH_CHARACTERS_MAX, f"is longer than {PATH_CHARACTERS_MAX} characters"),
        (any(unicodedata.category(c) in {"Cc", "Cs"} for c in path), "holds control characters"),
        (bare.startswith(("/", "\\\\", "~")) or _DRIVE.match(bare), "is absolute"),
        (".." in parts, "leaves the repository with '..'"),
        (".git" in (part.casefold() for part in parts), "names git's own folder"),
    )
    return next((message for refused, message in refusals if refused), "")


def _scope(report: Report, phase: PhaseDraft, patterns: Sequence[str]) -> GitIgnoreSpec | None:
    """The scope that `patterns` make; None, and a problem, when they allow nothing."""
    if not phase.scope:
        report.add(phase.place, "scope", "is missing", report.advice("scope"))
        return None
    made: list[str] = []
    for pattern in patterns:
        try:
            spec = GitIgnoreSpec.from_lines([pattern])
        except ValueError as fault:
            report.add(phase.place, "scope", f"{quoted(pattern)} is no gitignore pattern: {fault}")
            continue
        if any(each.include is not None for each in spec.patterns):
            made.append(pattern)
        else:
            message = f"{quoted(pattern)} matches nothing"
            report.add(phase.place, "scope", message, report.advice("hash"))
    if made and all(pattern.startswith("!") for pattern in made):
        report.add(phase.place, "scope", "only excludes, so nothing may be changed")
        return None
    return GitIgnoreSpec.from_lines(made) if made else None


def _check_needs(report: Report, tiers: Sequence[TierDraft]) -> None:
    tier_ids = {tier.id for tier in tiers}
    position: dict[str, int] = {}
    for number, tier in enumerate(tiers):
        for phase in tier.phases:
            position.setdefault(phase.id, number)
    by_id: dict[str, PhaseDraft] = {}
    for number, tier in enumerate(tiers):
        for phase in tier.phases:
            by_id.setdefault(phase.id, phase)
            for need in phase.needs:
                problem, hint = _need_problem(need, number, position, tier_ids)
                if problem:
                    report.add(phase.place, "needs", problem, hint)
    for cycle in cycles({each: phase.needs for each, phase in by_id.items()}):
        path = " → ".join([*cycle, cycle[0]])
        report.add(by_id[cycle[0]].place, "needs", f"phases wait for each other: {path}")


def _need_problem(
    need: str, tier: int, position: Mapping[str, int], tier_ids: set[str]
) -> tuple[str, str]:
    if need not in position:
        if need in tier_ids:
            return f"{quoted(need)} is a tier", "a phase waits for earlier tiers by itself"
        return f"unknown phase {quoted(need)}", suggestion(need, position)
    if position[need] > tier:
        return f"needs {need} of a later tier", "tiers run in order: move one of the two"
    return "", ""


def cycles(needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Cycles of a graph, each once in the order of its needs; unknown ids are passed over."""
    found: list[list[str]] = []
    done: set[str] = set()
    for start in needs:
        path: list[str] = []
        on_path: dict[str, int] = {}
        stack: list[tuple[str, Iterator[str]]] = []
        following: str | None = start if start not in done else None
        while following is not None or stack:
            if following is not None:
                on_path[following] = len(path)
                path.append(following)
                stack.append((following, iter(needs[following])))
            node, rest = stack[-1]
            following = None
            for need in rest:
                if need in on_path and len(found) < CYCLES_SHOWN_MAX:
                    found.append(path[on_path[need] :])
                elif need in needs and need not in done and need not in on_path:
                    following = need
                    break
            else:
                stack.pop()
                path.pop()
                del on_path[node]
                done.add(node)
    return found
