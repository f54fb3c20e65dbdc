"""Find what an entry point offers: ours and strangers' are loaded alike, on first use.

Never looks at what it loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from autopack.core.errors import OperatorFault
from autopack.core.words import nearest

AGENTS = "autopack.agents"
FORGES = "autopack.forges"
VERIFIERS = "autopack.verifiers"
CHECKS = "autopack.checks"


def load(group: str, name: str, asked_by: str) -> Callable[..., Any]:
    """The factory that an entry point names; OperatorFault when unknown or broken.

    `asked_by`: the configuration key, for the message.
    """
    found = {point.name: point for point in entry_points(group=group)}
    if name not in found:
        meant = nearest(name, found)
        known = ", ".join(sorted(found)) or "none installed"
        hint = f"did you mean {meant!r}?" if meant else f"known: {known}"
        raise OperatorFault(f"{asked_by}: no {group} entry point {name!r}", hint)
    try:
        factory = found[name].load()
    except (ImportError, AttributeError) as fault:
        what = f"{asked_by}: {found[name].value} cannot be imported: {fault}"
        raise OperatorFault(what, "reinstall the package that brings it") from fault
    if not callable(factory):
        raise OperatorFault(f"{asked_by}: {found[name].value} is no factory", "report it there")
    return factory  # type: ignore[no-any-return]  # `callable` proves it
