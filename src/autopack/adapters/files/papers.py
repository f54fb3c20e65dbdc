"""The papers of a promotion, rendered from a run and its log. Writes nothing and sends nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from autopack.adapters.files.escape import file_part
from autopack.adapters.files.evidence_page import (
    FILE_CHARACTERS_MAX,
    Page,
    evidence_page,
    title,
)
from autopack.adapters.files.summaries import run_files
from autopack.app.evidence import LandedProof
from autopack.app.forge import DESCRIPTION_CHARACTERS_MAX, StatusState
from autopack.app.papers import Papers, Status
from autopack.app.ports import Recorded
from autopack.app.report import run_view
from autopack.core import promotion
from autopack.core.run import Run

FOLDER: Final = ".autonomous_runs"
"""Where they stand in the repository, wherever this machine keeps the files of runs."""
EVIDENCE: Final = "evidence.md"


def papers(run: Run, log: Iterable[Recorded], notes: tuple[str, ...] = ()) -> Papers:
    """Summaries, issue files and the evidence page; the page says what is to be known, too."""
    events = list(log)
    page = page_of(run, events, notes)
    top = f"{FOLDER}/{file_part(run.run_id)}"
    files = {
        "/".join(filter(None, (top, folder, name))): text.encode(errors="backslashreplace")
        for (folder, name), text in run_files(page.run).items()
    }
    files[f"{top}/{EVIDENCE}"] = evidence_page(page, FILE_CHARACTERS_MAX).encode(
        errors="backslashreplace"
    )
    statuses = tuple(status for proof in page.landed for status in _statuses(proof))
    return Papers(files, title(page), evidence_page(page), statuses)


def page_of(run: Run, events: list[Recorded], notes: tuple[str, ...] = ()) -> Page:
    """What the evidence page of a run is made of."""
    spec = run.spec
    view = run_view(promotion.as_ended(run), events)
    return Page(view, spec.title, promotion.marker(spec), view.proofs, notes)


def _statuses(proof: LandedProof) -> tuple[Status, ...]:
    """Gate, CI and, where it was asked, the auditor; nothing that others wrote."""
    said = [("gate", f"gate: {proof.gate}"), ("ci", f"CI: {proof.ci}")]
    if proof.audits:
        said.append(("auditor", f"auditor: {proof.audits[-1].recommendation}"))
    return tuple(
        Status(
            proof.commit,
            f"autopack/{context}",
            StatusState.SUCCESS,
            description[:DESCRIPTION_CHARACTERS_MAX],
        )
        for context, description in said
    )
