"""What runs may be called: free ids, for every part of a series, and what is wrong with others.

Never reserves a name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from typing import Final, Protocol

from autopack.core import series
from autopack.core.ids import id_problem

STEM_CHARACTERS_MAX: Final = 48
"""Leaves room in an id's 64 for `-<n>`, a part's `-<n>` and a successor's `-r<n>`."""


class Refs(Protocol):
    """The refs of the user's repository."""

    def in_the_way(self, run_id: str) -> tuple[str, ...]:
        """Refs that a delivery of this run would meet."""
        ...


def name_problems(run_id: str, facts: Refs, known: Container[str], parts: int = 1) -> list[str]:
    """A name that is no id, or taken, of a run or one of its series' `parts`.

    Refs `a` and `a/b` cannot both exist.
    """
    problems: list[str] = []
    for name in series.planned(run_id, parts):
        whose = "" if name == run_id else f" (part of {run_id}, a plan of {parts} runs)"
        if problem := id_problem(name):
            return [*problems, f"run id {name!r}{whose}: {problem}"]
        if name in known:
            said = "the store has a run of that name, or keeps it for a part of a series"
            problems.append(f"run id {name}{whose}: {said}")
        problems += ways_blocked(name, facts)
    return list(dict.fromkeys(problems))


def ways_blocked(run_id: str, facts: Refs, *, fixed: bool = False) -> list[str]:
    """Refs of the user's repository where a run's own must go. `fixed`: its name is not chosen."""
    problems = []
    for ref in facts.in_the_way(run_id):
        noun, name = ref.removeprefix("refs/").split("/", 1)
        branch = noun == "heads"
        kind = "branch" if branch else "tag"
        clear = f"git branch -m {name} <new-name>" if branch else f"git tag -d {name}"
        hint = f"rename or delete it (`{clear}`)"
        if name != "autonomous" and not fixed:
            hint = "choose another --run-id"
        problems.append(f"the {kind} {name} stands where this run's refs must go: {hint}")
    return problems


def free_id(name: str, facts: Refs, known: Container[str], parts: int) -> str:
    """The first of `<name>-1`, `<name>-2` … that is free, whatever the name holds."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:STEM_CHARACTERS_MAX].strip("-_") or "run"
    return free_name(lambda number: f"{stem}-{number}", facts, known, parts)


def free_name(
    called: Callable[[int], str], facts: Refs, known: Container[str], parts: int = 1
) -> str:
    """The first of the names that neither the store nor the repository has, for all `parts`."""
    number = 1
    while any(
        name in known or _taken(name, facts) for name in series.planned(called(number), parts)
    ):
        number += 1
    return called(number)


def _taken(run_id: str, facts: Refs) -> bool:
    """Whether a ref of the run's own stands there; one named `autonomous` blocks every run."""
    return any(ref.count("/") > 2 for ref in facts.in_the_way(run_id))
