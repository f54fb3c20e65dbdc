"""An event of a run as one line for people. Never prints."""

from __future__ import annotations

from typing import Final

from autopack.app.ports import Recorded
from autopack.app.story import told

DETAIL_CHARACTERS_MAX: Final = 240
"""Three lines of a terminal; `run view` and the artefacts tell the rest."""


def line(recorded: Recorded) -> str:
    """What happened, with the phase it happened to and the head of what was said about it."""
    story = told(recorded.happened.event)
    said = story.detail or "; ".join(f"{f.path} {f.message}".strip() for f in story.findings[:3])
    detail = " ".join(said.split())
    if len(detail) > DETAIL_CHARACTERS_MAX:
        detail = detail[: DETAIL_CHARACTERS_MAX - 1] + "…"
    words = f"{story.what}: {detail}" if detail else story.what
    return f"{story.phase_id}: {words}" if story.phase_id else words
