"""Tiers and phases as Markdown that the plan compiler reads again to the same ones.

A task that would not come back as it stands, because Markdown would take a part of it for something
else, is quoted line by line. Never writes a file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from autopack.adapters.files.plan_markdown import parse_markdown
from autopack.core.builtin import BUILT_IN
from autopack.core.spec import PhaseSpec, TierSpec
from autopack.core.words import visible

_LINES = re.compile(r"\r\n?|[\v\f\x1c-\x1e\x85]")
_PROBE = (
    "## Tier T: t\n\n### Phase A: a\n\n- scope: a\n\n{}\n\n### Phase B: b\n\n- scope: b\n\nend\n"
)


def plan_text(tiers: Sequence[TierSpec], phases: Sequence[PhaseSpec]) -> str:
    """The tiers in order, each with its phases by index, as a plan's Markdown."""
    lines: list[str] = []
    for tier in sorted(tiers, key=lambda each: each.tier_index):
        lines += [heading(f"## Tier {tier.tier_id}:", tier.name), ""]
        mine = [phase for phase in phases if phase.tier_id == tier.tier_id]
        for phase in sorted(mine, key=lambda each: each.phase_index):
            lines += [*_phase(phase), ""]
    return "\n".join(lines)


def _phase(phase: PhaseSpec) -> list[str]:
    lists = (("scope", phase.scope), ("needs", phase.needs), ("packs", phase.packs),
             ("deliver", phase.deliver))  # fmt: skip
    return [
        heading(f"### Phase {phase.phase_id}:", phase.name),
        "",
        f"- category: {_category(phase)}",
        f"- complexity: {phase.complexity.value}",
        f"- mode: {phase.builder_mode}",
        *(f"- {key}: {', '.join(map(_item, items))}" for key, items in lists if items),
        "",
        task_text(phase.task),
    ]


def heading(begins: str, words: str) -> str:
    """A heading that reads again to the same words; they stand as they are, not escaped."""
    said = visible(" ".join(words.split()))
    closed = " ##" if said.endswith("#") else ""  # else Markdown takes its own for the closing
    return f"{begins} {said}{closed}"


def _category(phase: PhaseSpec) -> str:
    """The word that gives the phase its category and, where an alias has one, its auditor's."""
    for name, alias in BUILT_IN.aliases.items():
        if alias.auditor_profile and alias.auditor_profile == phase.auditor_profile:
            return name
    return phase.task_category


def _item(text: str) -> str:
    """One item of a list between backticks, so that it may hold a comma."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if text[:1] in "` " or text[-1:] in "` " else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def task_text(task: str) -> str:
    """A task as the text under a phase's heading."""
    text = visible(_LINES.sub("\n", task), keep="\n\t")
    read = parse_markdown(_PROBE.format(text), "")
    phases = [phase for tier in read.tiers for phase in tier.phases]
    if not read.problems and [phase.task for phase in phases] == [text, "end"]:
        return text
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))
