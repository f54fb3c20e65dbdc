"""The factories of the checks that are policy alone: registered as a stranger's are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autopack.app import checks

if TYPE_CHECKING:
    from autopack.adapters.gate.registry import CheckContext
    from autopack.app.checks import Check


def structure(context: CheckContext) -> Check:
    """The factory of `structure`."""
    del context
    return checks.structure


def scope(context: CheckContext) -> Check:
    """The factory of `scope`."""
    del context
    return checks.scope


def protected(context: CheckContext) -> Check:
    """The factory of `protected`."""
    del context
    return checks.protected


def deliverables(context: CheckContext) -> Check:
    """The factory of `deliverables`."""
    del context
    return checks.deliverables
