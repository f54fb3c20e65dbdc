"""What CI's tests say for each landed commit of a run, in words. Never reads a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autopack.app.sentences import count
from autopack.cli import render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autopack.app.evidence import LandedProof
    from autopack.app.report import RunView

COMMITS_TOLD: Final = 50
CHARACTERS_MAX: Final = 160
"""Of one test's id, which its author chose."""
TESTS_TOLD: Final = 5
"""For each commit; the evidence page and `--json` tell more."""


def proof_lines(run: RunView) -> Iterator[str]:
    """Tests that a commit turned green, and red ones that it is not blamed for."""
    if not run.proofs:
        return
    rows = [row for proof in run.proofs[:COMMITS_TOLD] for row in _rows(proof)]
    yield from ("", "what its tests say of each commit")
    yield from render.table(("",) * 3, rows)[1:]
    if len(run.proofs) > COMMITS_TOLD:
        yield f"  … {count(len(run.proofs) - COMMITS_TOLD, 'commit')} more, in the run's files"


def _rows(proof: LandedProof) -> Iterator[tuple[str, str, str]]:
    yield f"  {proof.phase_id}", proof.commit[:12], proof.proof
    yield from (("", "", told) for told in _first(proof.proved))
    excused = [f"not blamed for {red.test}: {red.issue_key}" for red in proof.exonerated]
    yield from (("", "", told) for told in _first(excused))


def _first(told: list[str] | tuple[str, ...]) -> Iterator[str]:
    yield from (_cut(each) for each in told[:TESTS_TOLD])
    if len(told) > TESTS_TOLD:
        yield f"… {len(told) - TESTS_TOLD} more"


def _cut(text: str) -> str:
    return text if len(text) <= CHARACTERS_MAX else f"{text[: CHARACTERS_MAX - 1]}…"
