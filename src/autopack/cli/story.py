"""An event of a run as one line for people. Never prints."""

from __future__ import annotations

from typing import Final

from autopack.app.ports import Recorded
from autopack.app.story import Teller

DETAIL_CHARACTERS_MAX: Final = 240
"""Three lines of a terminal; `run view` and the artefacts tell the rest."""


def line(recorded: Recorded, teller: Teller) -> str:
    """What happened, with the phase it happened to and head and end of what was said about it."""
    story = teller.told(recorded.happened.event)
    said = story.detail or "; ".join(f"{f.path} {f.message}".strip() for f in story.findings[:3])
    detail = " ".join(said.split())
    if len(detail) > DETAIL_CHARACTERS_MAX:
        half = DETAIL_CHARACTERS_MAX // 2
        detail = f"{detail[:half].rstrip()} … {detail[-half:].lstrip()}"
    words = f"{story.what}: {detail}" if detail else story.what
    return f"{story.phase_id}: {words}" if story.phase_id else words
