"""Ids of runs, tiers and phases, and the refs made of them. Never asks whether a ref exists."""

from __future__ import annotations

import re

ID_CHARACTERS_MAX = 64
ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def id_problem(value: str) -> str:
    """Why `value` is no valid run, tier or phase id; empty when it is one.

    An id is part of ref and file names, so git's own refusals (`..`, `.lock`, a final dot) apply.
    """
    if not ID_PATTERN.fullmatch(value):
        return "ids are 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit"
    if ".." in value or value.endswith((".", ".lock")):
        return "ids are parts of git refs: no '..', no final '.', no final '.lock'"
    return ""


def candidate_ref(run_id: str, phase_id: str, name: str) -> str:
    """The ref that keeps an attempt, whatever becomes of it."""
    return f"refs/autopack/{run_id}/{phase_id}/{name}"


def parked_name(attempt: int, park: int) -> str:
    """The name under which a parked attempt's work is kept; its number is used again."""
    return f"{attempt}.p{park}"


def snapshot_tag(run_id: str, tier_id: str, phase_id: str) -> str:
    """The annotated tag of a landed phase, without `refs/tags/`."""
    return f"autonomous/{run_id}/tier-{tier_id}/phase-{phase_id}"
