"""Reports on paper: no heading twice in a table, and nothing past the terminal's edge."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from autopack.app.backlog_summary import backlog_summary
from autopack.app.issues_view import debt
from autopack.app.metrics import run_metrics, tier_metrics
from autopack.app.overruns import budget_analysis
from autopack.app.review import reviewed
from autopack.cli import render
from autopack.cli.sheet import Sheet, text
from autopack.cli.sheets import (
    backlog_sheet,
    budget_sheet,
    forecast_sheet,
    run_sheet,
    runs_sheet,
    tiers_sheet,
)
from autopack.core.backlog import Facts, Sighting, backlog
from autopack.core.cost import PhaseCost, Try
from autopack.core.forecast import choose, forecast
from autopack.core.issue import Issue, IssueSeverity, IssueSource
from autopack.core.run import Cause, Failure, Phase, Run, Stage, Step
from autopack.core.tier import Excess, excess
from tests.app.test_report import run_of, spec

FOUND = Issue("a__problem__of_" + "x" * 60, IssueSeverity.MAJOR, IssueSeverity.MAJOR,
              IssueSource.PROBE, "c", expected_fail=False, occurrence_count=1, evidence_refs=(),
              description="")  # fmt: skip
FAILED = Failure(Cause.BUDGET_EXHAUSTED, "incident_token_cap of 200,000 tokens is spent", "F2")


def ended() -> Run:
    """A run with one of everything, and a tier that tolerates no issue."""
    phases = (
        Phase(spec("F1", 1), Step.COMPLETE, 1, tokens_spent=50_000, issues=(FOUND,)),
        Phase(spec("F2", 2, "T2"), Step.FAILED, 2, tokens_spent=200_000, failure=FAILED),
    )
    run = run_of(*phases, stage=Stage.DONE, failure=FAILED)
    tiers = tuple(replace(tier, minor_issues_max=0) for tier in run.spec.tiers)
    return replace(run, spec=replace(run.spec, tiers=tiers))


def sheets() -> list[Sheet]:
    run = ended()
    costs = [PhaseCost(p.phase_id, (Try(p.phase_id, "build", 1, "submitted", 7),), 1, 0)
             for p in run.phases]  # fmt: skip
    metrics = run_metrics(run)
    entries = backlog(Facts([Sighting(1, "r1", "T1", "F1", 1, FOUND)]))
    return [
        runs_sheet([metrics], "project p"),
        tiers_sheet("r", tier_metrics(run)),
        budget_sheet(budget_analysis([run]), "project p"),
        backlog_sheet(backlog_summary("p", entries)),
        run_sheet(reviewed(run, costs, metrics)),
        forecast_sheet("plan", forecast(choose(run.spec.phases, []), {})),
    ]


def test_no_table_has_a_heading_twice() -> None:
    grids = [grid for sheet in sheets() for grid in sheet.grids]
    assert len(grids) >= 11
    for grid in grids:
        assert len(set(grid.header)) == len(grid.header), grid.header
        assert all(len(row) == len(grid.header) for row in grid.rows)


def test_tables_end_at_the_terminals_edge() -> None:
    for sheet in sheets():
        told = list(text(replace(sheet, facts=()), 80))
        assert max(map(len, told)) <= 80, told
        assert max(map(len, text(sheet))) > 80 or len(sheet.grids) != 1


@given(
    st.lists(st.tuples(*[st.text("ab", min_size=1, max_size=30)] * 5), max_size=4),
    st.integers(10, 200),
)
def test_no_cell_is_lost_where_a_table_is_parted(rows: list[tuple[str, ...]], width: int) -> None:
    header = ("", "ONE", "TWO", "THREE", "FOUR")
    whole, parted = render.table(header, rows), render.table(header, rows, width)
    words = [cell for row in [header, *rows] for cell in row if cell]
    assert all(" ".join(parted).split().count(word) >= words.count(word) for word in words)
    if max(map(len, whole)) <= width:
        assert parted == whole
    for part in "\n".join(parted).split("\n\n"):
        assert "ONE" in part
        lead, *others = part.splitlines()[0].split()
        assert max(map(len, part.splitlines())) <= width or len(others) == 1, lead


def test_what_is_over_a_tolerance_is_said() -> None:
    (over,) = excess(ended())
    assert over == Excess("T1", "major", 1, 0)
    assert debt("excess_minor_issues", [over]) == "excess issues (tier T1: 1 major of 0)"
    total = [over, Excess("", "minor", 7, 6)]
    assert debt("excess_minor_issues", total).endswith("1 major of 0; run: 7 minor of 6)")
    assert debt("has_minor_issues", []) == "has minor issues"
