"""What people are told of drafts: by salvage, reports, views and the run's story."""

from __future__ import annotations

from tests.acceptance.test_draft import BAD, FILE, GOOD, draft, says
from tests.lab import Lab


def test_a_draft_that_became_the_plan_is_no_salvage(lab: Lab) -> None:
    assert draft(lab, says(BAD, " 1"), says(GOOD, " 2")) == 0
    (work,) = lab.cli("salvage", "r", "--json").data["works"]
    assert (work["phase_id"], work["name"], work["files"]) == ("_plan", "1", [FILE])
    assert work["why"].startswith(f"the draft is no plan: plan: {FILE}:")
    assert "unknown phase 'P9'" in work["why"]
