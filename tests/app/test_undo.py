"""Where an undo goes, and when it is refused; what a run's candidates came to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autopack.app.archive import Work
from autopack.app.ports import Recorded
from autopack.app.salvage import FROM_CLONE, GREEN, UNTOLD, salvaged
from autopack.app.undo import Place, check_free, check_over, choose, places
from autopack.core import machine
from autopack.core.errors import OperatorFault
from autopack.core.event import (
    AttemptEnded,
    AuditEnded,
    CandidateChecked,
    CandidateReapplied,
    CandidateTested,
    CiVerdict,
    Event,
    GateVerdict,
    Happened,
    Outcome,
    ReapplyConflicted,
    Recommendation,
    SnapshotLanded,
)
from autopack.core.run import Candidate, Evidence, Finding, Run, Snapshot, Stage
from tests.core.walk import phase_spec, run_spec

BASE, ONE, TWO = "b" * 40, "1" * 40, "2" * 40
TAGS = "autonomous/r/tier-T/phase-P1", "autonomous/r/tier-T/phase-P2"


def landed() -> Run:
    spec = replace(run_spec(phase_spec("P1"), phase_spec("P2")), base_commit=BASE)
    snapshots = (Snapshot("P1", ONE, TAGS[0]), Snapshot("P2", TWO, TAGS[1]))
    return replace(machine.create(spec).run, snapshots=snapshots, stage=Stage.DONE, pending=())


@pytest.mark.parametrize(
    ("now", "wish", "goal"),
    [
        (TWO, {}, Place(ONE, TAGS[0])),
        (ONE, {}, Place(BASE)),
        (TWO, {"tag": TAGS[0]}, Place(ONE, TAGS[0])),
        (ONE, {"tag": f"refs/tags/{TAGS[1]}"}, Place(TWO, TAGS[1])),
        (BASE, {"phase_id": "P2"}, Place(TWO, TAGS[1])),
        (ONE, {"phase_id": "P1"}, Place(ONE, TAGS[0])),
    ],
    ids=["back", "to the base", "to a tag", "forward", "forward to a phase", "stays"],
)
def test_where_an_undo_goes(now: str, wish: dict[str, str], goal: Place) -> None:
    left, to = choose(landed(), now, **wish)
    assert left.commit == now
    assert to == goal
    assert left in places(landed())


@pytest.mark.parametrize(
    ("now", "wish", "words"),
    [
        ("f" * 40, {}, "where this run never left it"),
        ("", {}, "you have no autonomous/r"),
        ("f" * 40, {"tag": TAGS[0]}, "where this run never left it"),
        (TWO, {"tag": "main"}, "main is no snapshot of r"),
        (TWO, {"phase_id": "P3"}, "P3 is no snapshot of r"),
        (BASE, {}, "all of it is undone"),
    ],
    ids=["foreign", "deleted", "foreign, told", "main", "phase", "base"],
)
def test_where_no_undo_goes(now: str, wish: dict[str, str], words: str) -> None:
    with pytest.raises(OperatorFault, match=words):
        choose(landed(), now, **wish)


def test_when_an_undo_is_refused() -> None:
    check_over(landed(), asked=False)
    check_free("autonomous/r", "", Place(ONE))
    with pytest.raises(OperatorFault, match="under way"):
        check_over(landed(), asked=True)
    with pytest.raises(OperatorFault, match="under way"):
        check_over(machine.create(landed().spec).run, asked=False)
    with pytest.raises(OperatorFault, match="checked out in /tree") as told:
        check_free("autonomous/r", "/tree", Place(ONE, TAGS[0]))
    assert f"git reset --keep {TAGS[0]}" in told.value.hint


# --- what became of candidates --------------------------------------------------------------------

FIRST = Candidate("1", "a" * 40, "t", BASE)
AGAIN = Candidate("1.r1", "c" * 40, "t", ONE)
AUDITED = Candidate("1.a1", "d" * 40, "t", BASE)
BY = Evidence("ci", "2 of 3\ntests fail", (Finding("test", "it is red", "a.py", 3),))
ENDED = AttemptEnded("P1", 1, Outcome.SUBMITTED, candidate=FIRST)
REAPPLIED = CandidateReapplied("P1", AGAIN)
CHANGED = AuditEnded("P1", Recommendation.APPROVE, candidate=AUDITED)


@pytest.mark.parametrize(
    ("events", "fates"),
    [
        ([], {"1": UNTOLD}),
        ([ENDED], {"1": UNTOLD}),
        ([ENDED, SnapshotLanded("P1", FIRST.commit, TAGS[0])], {}),
        ([replace(ENDED, outcome=Outcome.TIMED_OUT, evidence=BY)], {"1": "attempt 1 timed out"}),
        ([ENDED, CandidateChecked("P1", GateVerdict.FAIL, BY.findings)],
         {"1": "gate: fail: test: a.py:3: it is red"}),
        ([ENDED, CandidateTested("P1", CiVerdict.FAIL, BY)],
         {"1": "CI: fail (0 tests): 2 of 3 tests fail; test: a.py:3: it is red"}),
        ([ENDED, CandidateChecked("P1", GateVerdict.PASS), CandidateTested("P1", CiVerdict.PASS)],
         {"1": GREEN}),
        ([ENDED, REAPPLIED, SnapshotLanded("P1", AGAIN.commit, TAGS[0])], {}),
        ([ENDED, REAPPLIED, CandidateTested("P1", CiVerdict.FAIL, BY)],
         {"1": "made again on the branch as 1.r1", "1.r1": "CI: fail"}),
        ([ENDED, ReapplyConflicted("P1", BY)], {"1": "conflicts with what landed, or is to land, before it"}),
        ([ENDED, CHANGED, SnapshotLanded("P1", AUDITED.commit, TAGS[0])],
         {"1": "the auditor changed it: 1.a1"}),
        ([ENDED, AuditEnded("P1", Recommendation.ESCALATE, notes="no")], {"1": "auditor: escalate"}),
    ],
    ids=["no events", "not judged", "landed", "timed out", "gate", "red", "green", "made again",
         "made again, red", "conflict", "audited", "escalated"],
)  # fmt: skip
def test_what_became_of_a_candidate(events: list[Event], fates: dict[str, str]) -> None:
    run = replace(landed(), snapshots=())
    log = [Recorded("r", n, Happened(event, 1), "") for n, event in enumerate(events, 1)]
    names = {"1": FIRST} | {
        made.name: made for made in (AGAIN, AUDITED)
        if any(getattr(event, "candidate", None) == made for event in events)
    }  # fmt: skip
    works = [
        Work(f"refs/autopack/r/P1/{name}", made.commit, made.tree, made.parent)
        for name, made in names.items()
    ]
    found = salvaged(run, log, works, {works[0].ref: ("a.py",)})
    told = {each.work.name: each.why for each in found}
    if any(isinstance(event, SnapshotLanded) for event in events):
        told = {name: why for name, why in told.items() if name != "1.a1"}
    assert told.keys() == fates.keys()
    for name, why in fates.items():
        assert told[name].startswith(why)
    assert all(each.files == ("a.py",) for each in found if each.work.name == "1")


def test_what_came_from_a_clone_stands_after_its_phase_s_attempts() -> None:
    works = [
        Work("refs/autopack/_quarantine/r/P1/attempt-1", "e" * 40, "t", BASE),
        Work("refs/autopack/r/P2/1", "f" * 40, "t", BASE),
        Work("refs/autopack/r/P1/1", "a" * 40, "t", BASE),
    ]
    found = salvaged(landed(), [], works, {})
    assert [(each.work.ref, each.why) for each in found] == [
        (works[2].ref, UNTOLD), (works[0].ref, FROM_CLONE), (works[1].ref, UNTOLD),
    ]  # fmt: skip
