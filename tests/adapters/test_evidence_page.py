"""The evidence page: what it says of tests, within limits, and nothing in it is taken literally."""

from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from autopack.adapters.files.evidence_page import (
    PAGE_CHARACTERS_MAX,
    TESTS_TOLD,
    Page,
    evidence_page,
)
from autopack.app.evidence import AuditProof, LandedProof
from autopack.app.report import run_view
from autopack.core.blame import Blamed, Exoneration
from autopack.core.idset import PROVED_MAX
from autopack.core.run import CheckResult, CheckVerdict, Finding, Phase, Run, Severity, Stage, Step
from tests.core.walk import phase_spec, run_spec

COMMIT = "c" * 40
PROOF = LandedProof("P1", "first", COMMIT, "tag", 1, 100, 1, gate="pass", ci_profile="normal",
                    tests_run=3, proved=("t::new",))  # fmt: skip
FLAKE = Exoneration("t::flaky", Blamed.FLAKY, "green in a rerun", "f" * 16, ("fail", "pass"))


def page(*landed: LandedProof) -> str:
    spec = run_spec(phase_spec("P1"))
    run = Run(spec, Stage.DONE, (Phase(spec.phases[0], Step.COMPLETE),), version=9, tip=COMMIT)
    return evidence_page(Page(run_view(run), "work", "<!-- mark -->", landed))


def section(text: str, title: str) -> list[str]:
    """The lines of a section; empty when there is none."""
    after = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [line for line in after.splitlines() if line]


def test_tests_from_red_to_green_stand_by_commit() -> None:
    text = page(PROOF)
    assert section(text, "Tests from red to green") == [
        "- `P1` (cccccccccccc), 1 test red without it, green with it: `t::new`"
    ]
    assert not section(text, "Weak evidence")


def test_a_commit_that_proves_nothing_is_named_as_weak() -> None:
    text = page(replace(PROOF, proved=(), weak=True))
    assert section(text, "Weak evidence") == [
        "- `P1` (cccccccccccc): a CI command tells by its exit code alone",
        "- `P1` (cccccccccccc): no test is known to be red without it",
    ]
    assert "1 commit on weak evidence" in text


def test_what_is_left_out_is_counted() -> None:
    (told,) = section(
        page(replace(PROOF, proved=tuple(f"t{n}" for n in range(TESTS_TOLD + 7)))),
        "Tests from red to green",
    )
    assert told.endswith(f"`t{TESTS_TOLD - 1}`, 7 more")
    (told,) = section(
        page(replace(PROOF, proved=tuple(map(str, range(PROVED_MAX))))), "Tests from red to green"
    )
    assert told.endswith(f"at least {PROVED_MAX - TESTS_TOLD} more")
    red = section(page(replace(PROOF, exonerated=(FLAKE,) * (TESTS_TOLD + 3))), RED)
    assert red[-1] == "- `P1` (cccccccccccc): 3 more"


RED = "Red tests that are not the change's doing"


def test_exonerations_have_their_reason_and_their_issue() -> None:
    (told,) = section(page(replace(PROOF, exonerated=(FLAKE,))), RED)
    assert told == (
        f"- `P1` (cccccccccccc): `t::flaky`: `green in a rerun`; issue `{FLAKE.issue_key}`"
    )


def test_findings_of_tests_are_told_once_with_the_waiver_where_they_asked() -> None:
    ask = Finding("test_vanished", "t::gone is gone", severity=Severity.ASK, test="t::gone")
    note = Finding("test_proves_nothing", "t::weak is new", severity=Severity.NOTE)
    waived = CheckResult("test_ids", CheckVerdict.WAIVED, (ask,), "of no use")
    text = page(replace(PROOF, checks=(waived,), beside=(ask, note)))
    assert section(text, "Its tests beside the parent's") == [
        "- `P1` (cccccccccccc): `test_proves_nothing`: `t::weak is new`"
    ]
    assert section(text, "What the gate asked, and an auditor waived") == [
        "- `P1`: `test_vanished`: `t::gone is gone`; the auditor: `of no use`"
    ]


def test_auditors_speak_of_every_attempt() -> None:
    rejected, approved = AuditProof("revise", "keep it", 1), AuditProof("approve", "", 2)
    text = page(replace(PROOF, audits_before=(rejected,), audits=(approved,)))
    assert section(text, "Auditor") == [
        "- `P1`, attempt 1: revise: `keep it`",
        "- `P1`, attempt 2: approve: no notes",
    ]


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=60), many=st.integers(1, 300))
def test_no_id_or_reason_leaves_its_code_span_and_the_page_has_a_limit(
    text: str, many: int
) -> None:
    hostile = f"{text} @you <b> #1 [x](http://evil)"
    red = replace(FLAKE, test=hostile, reason=hostile)
    said = Finding(hostile, hostile, severity=Severity.NOTE)
    proof = replace(PROOF, proved=(hostile,) * many, exonerated=(red,) * many, beside=(said,) * 3)
    shown = page(proof)
    assert len(shown) <= PAGE_CHARACTERS_MAX
    for line in shown.splitlines():
        outside = re.sub(r"(`+).*?(?<!`)\1(?!`)", "", line)
        assert "@you" not in outside
        assert "<b>" not in outside
        assert "http://evil" not in outside
