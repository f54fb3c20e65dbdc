"""The reference page of hostile shapes, made from the tables that the tests hold the code to."""

from __future__ import annotations

from collections.abc import Sequence

from tests.hostile import clones, patches
from tests.hostile.shapes import Shape

PATCHES = {
    "Honest, and odd but honest": patches.HONEST,
    "Modes, links, submodules": patches.MODES,
    "Names of git's own, and of what judges": patches.GIT_NAMES,
    "Other names": patches.NAMES,
    "Broken": patches.BROKEN,
    "Huge": patches.HUGE,
}
CLONES = {
    "Work": clones.WORK,
    "The clone's own .git": clones.GIT_FOLDER,
    "Links, and things that change their kind": clones.LINKS,
    "Names": clones.NAMES,
    "Repositories inside": clones.NESTED,
    "Odd files, closed folders, huge counts": clones.ODD,
    "Changes while it is captured": clones.RACES,
}
INTRODUCTION = """\
What Autopack says to hostile and to odd shapes, before any CI runs. Each row is a test: `tests/hostile`
does the thing with the real git and compares verdict, rules, paths and lines; what is accepted is
compared byte for byte.

`refuse`: the attempt fails, and the builder is told why. `ask`: an auditor decides. `accept`: the change
goes on to CI. *Left out*: it is not part of the change. The [scope](plan.md) of the phase, which every
path must match, is not looked at here.

20,000 generated patches and clones (`make test-full`; 400 in `make test`) are held to the same: no ref,
file or setting changes anywhere, the user's repository passes `git fsck` byte for byte as it was,
nothing outside the clone is read, no program of theirs runs, and each gets a verdict.
"""


def text() -> str:
    """The page's body below its title."""
    parts = [INTRODUCTION, "## Patches\n"]
    parts += [_table(title, shapes) for title, shapes in PATCHES.items()]
    parts.append("## Clones\n")
    parts += [_table(title, shapes) for title, shapes in CLONES.items()]
    return "\n".join(parts)


def _table(title: str, shapes: Sequence[Shape]) -> str:
    rows = [f"| {shape.what} | {shape.verdict} | {_rules(shape)} |" for shape in shapes]
    return "\n".join(
        [f"### {title}\n", "| what is done | verdict | rule |", "| --- | --- | --- |", *rows, ""]
    )


def _rules(shape: Shape) -> str:
    return ", ".join(f"`{rule}`" for rule in dict.fromkeys(rule for rule, _, _ in shape.told))
