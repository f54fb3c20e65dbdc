"""The Store port: what holds for the fake and for the real one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from autopack.adapters.store.open import open_store
from autopack.app.ports import Store, Transaction
from autopack.core import machine
from autopack.core.backlog import Cleanup, Facts, Settled, backlog
from autopack.core.draft import PHASE
from autopack.core.errors import OperatorFault, OwnFault
from autopack.core.event import (
    AttemptEnded,
    BasePrepared,
    CandidateChecked,
    CandidateTested,
    CiVerdict,
    EnvironmentPrepared,
    Event,
    GateVerdict,
    Happened,
    IssueRecorded,
    Outcome,
    PlanDrafted,
    RunCreated,
    SnapshotLanded,
)
from autopack.core.issue import (
    IssueReport,
    IssueSeverity,
    IssueSource,
    KnownIssue,
    SeverityUpgrade,
)
from autopack.core.run import Candidate, Run
from autopack.testing import MemoryStore
from tests.contracts.walks import AT, born, moved, run_spec, walk
from tests.core.walk import undrafted


def nothing(_transaction: Transaction) -> None:
    """A `within` that adds nothing."""


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a store may be."""
    if request.param == "sqlite":
        return tmp_path / "state" / "store.db"
    url: str = request.getfixturevalue("database")
    return url


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store
    if request.param == "memory":
        made = MemoryStore()
    elif request.param == "sqlite":
        made = open_store(tmp_path / "state" / "store.db")
    else:
        made = open_store(request.getfixturevalue("database"))
    yield made
    made.close()


def record(store: Store, run_id: str = "r1", events: int = 4) -> None:
    (first, created), *rest = walk(run_id)[:events]
    store.create(first, created)
    for run, happened in rest:
        assert store.save(run, happened, expected_version=run.version - 1, within=nothing)


class TestRuns:
    def test_a_new_run_is_loaded_as_it_was_created(self, store: Store) -> None:
        run, happened = born()
        store.create(run, happened)
        assert store.load("r1") == run

    def test_a_taken_id_is_refused_and_the_old_run_kept(self, store: Store) -> None:
        record(store)
        with pytest.raises(OperatorFault, match="r1"):
            store.create(*born(phases=5))
        assert store.load("r1") == walk()[-1][0]
        assert len(store.events("r1")) == 4

    def test_a_drafted_plan_has_tiers_and_phases_of_its_own(self, store: Store) -> None:
        spec = run_spec(phases=2)
        run = machine.create(undrafted(spec, 2, 500)).run
        store.create(run, Happened(RunCreated(run.spec), AT))
        candidate = Candidate("1", "c1", "t1", "0" * 40)
        ended = AttemptEnded(PHASE, 1, Outcome.SUBMITTED, 100, candidate)
        for event in (
            BasePrepared(),
            ended,
            PlanDrafted(PHASE, replace(spec, draft=run.spec.draft)),
        ):
            assert store.verify("r1") == []
            run, happened = moved(run, event)
            assert store.save(run, happened, expected_version=run.version - 1, within=nothing)
        assert store.verify("r1") == []
        assert [phase.phase_id for phase in store.load("r1").phases] == ["F1", "F2"]

    def test_an_unknown_run_is_named(self, store: Store) -> None:
        with pytest.raises(OperatorFault, match="nobody"):
            store.load("nobody")
        with pytest.raises(OperatorFault, match="nobody"):
            store.verify("nobody")
        with pytest.raises(OperatorFault, match="nobody"):
            store.runs(after="nobody")

    @pytest.mark.parametrize("odd", ["a\udcff", "a\0b", "", "../r1", "r1\n", "x" * 1000])
    def test_what_no_run_can_be_called_is_an_unknown_run(self, store: Store, odd: str) -> None:
        """A command line may hold any bytes, and no database takes them all."""
        record(store)
        for ask in (
            lambda: store.load(odd),
            lambda: store.verify(odd),
            lambda: store.ask(odd, "cancel", "me"),
        ):
            with pytest.raises(OperatorFault, match="there is no run") as refused:
                ask()
            assert str(refused.value).isprintable() or "\n" in str(refused.value)
            str(refused.value).encode()
        assert store.events(odd) == []
        if odd:
            with pytest.raises(OperatorFault):
                store.runs(after=odd)

    def test_every_saved_run_is_loaded_as_it_was_saved(self, store: Store) -> None:
        (first, created), *rest = walk()
        store.create(first, created)
        for run, happened in rest:
            assert store.save(run, happened, expected_version=run.version - 1, within=nothing)
            assert store.load("r1") == run

    def test_runs_are_paged_newest_first(self, store: Store) -> None:
        names = [f"r{number}" for number in range(7)]
        for name in names:
            record(store, name, events=1)
        first = store.runs(limit=3)
        assert [run.run_id for run in first] == ["r6", "r5", "r4"]
        rest = store.runs(after="r4")
        assert [run.run_id for run in rest] == ["r3", "r2", "r1", "r0"]

    def test_runs_are_chosen_by_whether_they_ended(self, store: Store) -> None:
        record(store, "open", events=1)
        record(store, "stopping")
        ended = {run.run_id for run in store.runs(ended=True)}
        going = {run.run_id for run in store.runs(ended=False)}
        assert ended | going == {"open", "stopping"}
        assert "open" in going
        assert ended == ({"stopping"} if walk()[-1][0].ended else set())

    def test_the_open_ones_are_listed_newest_first(self, store: Store) -> None:
        assert store.open_ids() == []
        for run_id in ("b", "a", "c"):
            record(store, run_id, events=1)
        record(store, "stopping")
        known = [run.run_id for run in store.runs(ended=False)]
        assert store.open_ids() == known
        assert known[-3:] == ["c", "a", "b"]


class TestSave:
    def test_a_stale_version_writes_nothing(self, store: Store) -> None:
        record(store, events=3)
        run, happened = walk()[2]
        asked: list[Transaction] = []
        assert not store.save(run, happened, expected_version=2, within=asked.append)
        assert not asked
        assert store.load("r1").version == 3
        assert len(store.events("r1")) == 3

    def test_a_crash_inside_writes_nothing(self, store: Store) -> None:
        record(store, events=2)
        run, happened = walk()[2]

        def crash(_transaction: Transaction) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            store.save(run, happened, expected_version=2, within=crash)
        assert store.load("r1") == walk()[1][0]
        assert len(store.events("r1")) == 2
        assert store.save(run, happened, expected_version=2, within=nothing)

    def test_callbacks_come_in_order_after_the_commit_and_may_write(self, store: Store) -> None:
        record(store, events=2)
        run, happened = walk()[2]
        told: list[tuple[str, int]] = []

        def ask() -> None:
            store.ask("r1", "cancel", "somebody")

        def within(transaction: Transaction) -> None:
            transaction.on_commit(lambda: told.append(("first", store.load("r1").version)))
            transaction.on_commit(ask)
            transaction.on_commit(lambda: told.append(("last", len(store.requests()))))
            assert not told

        assert store.save(run, happened, expected_version=2, within=within)
        assert told == [("first", 3), ("last", 1)]

    def test_a_write_that_is_rolled_back_calls_nobody(self, store: Store) -> None:
        record(store, events=2)
        run, happened = walk()[2]
        told: list[str] = []

        def crash(transaction: Transaction) -> None:
            transaction.on_commit(lambda: told.append("rolled back"))
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            store.save(run, happened, expected_version=2, within=crash)
        assert store.save(run, happened, expected_version=2, within=nothing)
        assert not told

    def test_a_run_that_does_not_follow_is_our_own_fault(self, store: Store) -> None:
        record(store, events=1)
        run, happened = walk()[2]
        with pytest.raises(OwnFault, match="r1"):
            store.save(run, happened, expected_version=1, within=nothing)

    def test_an_unknown_run_is_refused(self, store: Store) -> None:
        run, happened = moved(born()[0], BasePrepared())
        with pytest.raises(OperatorFault, match="r1"):
            store.save(run, happened, expected_version=1, within=nothing)

    def test_of_many_writers_of_a_version_one_wins(self, store: Store) -> None:
        record(store, events=1)
        run, happened = walk()[1]
        results: list[bool] = []
        gate = threading.Barrier(8)

        def write() -> None:
            gate.wait()
            results.append(store.save(run, happened, expected_version=1, within=nothing))

        threads = [threading.Thread(target=write) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == [False] * 7 + [True]
        assert store.verify("r1") == []


class TestHandOver:
    """A run that is recorded with an event of another."""

    def test_a_new_run_comes_with_the_event_that_makes_it(self, store: Store) -> None:
        record(store, events=2)
        run, happened = walk()[2]
        made: list[bool] = []
        assert store.save(
            run, happened, expected_version=2, within=lambda t: made.append(t.create(*born("r2")))
        )
        assert made == [True]
        assert store.load("r2") == born("r2")[0]
        assert (store.verify("r1"), store.verify("r2")) == ([], [])
        assert [entry.happened for entry in store.events("r2")] == [born("r2")[1]]
        assert store.open_ids() == ["r2", "r1"]
        again, happened = moved(store.load("r2"), BasePrepared())
        assert store.save(again, happened, expected_version=1, within=nothing)

    def test_a_taken_name_is_told_and_another_can_be_had(self, store: Store) -> None:
        record(store, "r2")
        record(store, events=2)
        run, happened = walk()[2]
        made: list[bool] = []

        def within(transaction: Transaction) -> None:
            made.extend(transaction.create(*born(name)) for name in ("r2", "r1", "r3", "r3"))

        assert store.save(run, happened, expected_version=2, within=within)
        assert made == [False, False, True, False]
        assert store.load("r2") == walk("r2")[-1][0]
        assert store.load("r3") == born("r3")[0]
        assert [store.verify(name) for name in ("r1", "r2", "r3")] == [[], [], []]

    def test_a_crash_after_it_leaves_neither(self, store: Store) -> None:
        record(store, events=2)
        run, happened = walk()[2]

        def crash(transaction: Transaction) -> None:
            assert transaction.create(*born("r2"))
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            store.save(run, happened, expected_version=2, within=crash)
        assert store.load("r1").version == 2
        with pytest.raises(OperatorFault, match="r2"):
            store.load("r2")
        assert store.save(
            run, happened, expected_version=2, within=lambda t: needed(t.create(*born("r2")))
        )

    def test_what_the_event_says_of_issues_is_known_to_it(self, store: Store) -> None:
        record(store, "older", events=3)
        record(store, events=3)
        seen: list[Facts] = []
        for name in ("older", "r1"):
            report = IssueReport(f"of_{name}", IssueSource.PROBE)
            run, happened = moved(store.load(name), IssueRecorded("F1", report, "me"), unasked=True)
            assert store.save(
                run,
                happened,
                expected_version=3,
                within=lambda transaction: seen.append(transaction.facts("p", "/repo")),
            )
        keys = {entry.issue_key: entry.last_seen_at for entry in backlog(seen[1])}
        assert keys == {"of_older": AT + 3, "of_r1": AT + 3}
        numbers = {sighting.run_id: sighting.run_number for sighting in seen[1].sightings}
        assert numbers["older"] < numbers["r1"]

    def test_it_knows_cleanups_and_what_was_resolved(self, store: Store) -> None:
        """With how much was known of the issue, for whoever sees it later."""
        for name, verdict in (("r1", CiVerdict.PASS), ("r2", CiVerdict.FAIL)):
            for run, happened in cleaning(name, verdict):
                if run.version == 1:
                    store.create(run, happened)
                else:
                    assert store.save(
                        run, happened, expected_version=run.version - 1, within=nothing
                    )
        seen: list[Facts] = []
        record(store, "r3", events=3)
        store.save(
            *walk("r3")[3],
            expected_version=3,
            within=lambda transaction: seen.append(transaction.facts("p", "/repo")),
        )
        (facts,) = seen
        numbers = {each.run_id: each.run_number for each in facts.cleanups}
        assert sorted(facts.cleanups, key=lambda each: each.run_id) == [
            Cleanup(numbers["r1"], "r1", "old", 7),
            Cleanup(numbers["r2"], "r2", "old", 7, failed=True),
        ]
        assert facts.settled == [Settled(numbers["r1"], "r1", "old", 7)]
        (rule, other) = sorted(facts.sightings, key=lambda each: each.issue.issue_key)
        assert (rule.issue.upgraded, other.issue.upgraded) == (True, False)

    def test_who_continues_a_run_is_told_oldest_first(self, store: Store) -> None:
        record(store, events=1)
        for name, before in (("r1-r1", "r1"), ("other", ""), ("r1-2", "r1")):
            spec = replace(run_spec(name), predecessor=before)
            store.create(machine.create(spec).run, Happened(RunCreated(spec), AT))
        assert store.continued("r1") == ["r1-r1", "r1-2"]
        assert store.continued("r1-2") == []
        assert store.continued("no id\0") == []


def cleaning(name: str, verdict: CiVerdict) -> list[tuple[Run, Happened]]:
    """A run whose only phase cleans a known issue, and lands or fails by that verdict."""
    spec = run_spec(name, phases=1)
    known = KnownIssue("old", IssueSeverity.MINOR, True, "r0", ("test:t",), "", 7)
    phase = replace(spec.phases[0], cleans="old", builder_attempts_max=1, auditor_attempts_max=0)
    rule = SeverityUpgrade(issue_key="bad_*")
    spec = replace(spec, phases=(phase,), known_issues=(known,), severity_upgrades=(rule,))
    made = Candidate("1", "c" * 40, "d" * 40, "0" * 40)
    told = tuple(IssueReport(key, IssueSource.PROBE) for key in ("bad_one", "small"))
    events: list[Event] = [
        BasePrepared(),
        EnvironmentPrepared("sha256:e"),
        AttemptEnded("F1", 1, Outcome.SUBMITTED, 1, made, issues=told if name == "r1" else ()),
        CandidateChecked("F1", GateVerdict.PASS),
        CandidateTested("F1", verdict, passed=("t",)),
    ]
    if verdict is CiVerdict.PASS:
        events.append(SnapshotLanded("F1", "c" * 40, "tag"))
    steps = [(machine.create(spec).run, Happened(RunCreated(spec), AT))]
    for event in events:
        steps.append(moved(steps[-1][0], event))
    return steps


def needed(made: bool) -> None:
    assert made


class TestEvents:
    def test_events_come_in_order_with_what_happened(self, store: Store) -> None:
        record(store)
        entries = store.events("r1")
        assert [entry.sequence for entry in entries] == [1, 2, 3, 4]
        assert [entry.happened for entry in entries] == [happened for _, happened in walk()]
        assert {entry.run_id for entry in entries} == {"r1"}
        assert len({entry.digest for entry in entries}) == 4

    def test_events_are_paged(self, store: Store) -> None:
        record(store)
        assert [entry.sequence for entry in store.events("r1", after=1, limit=2)] == [2, 3]
        assert store.events("r1", after=4) == []
        assert store.events("nobody") == []

    def test_the_digest_depends_on_all_events_before(self, store: Store) -> None:
        record(store, "r1")
        record(store, "r2")
        digests = [[entry.digest for entry in store.events(name)] for name in ("r1", "r2")]
        assert not set(digests[0]) & set(digests[1])

    def test_a_sound_run_verifies(self, store: Store) -> None:
        record(store)
        assert store.verify("r1") == []


class TestRequests:
    def test_requests_wait_in_order_until_they_are_answered(self, store: Store) -> None:
        record(store, "r1")
        record(store, "r2")
        store.ask("r1", "cancel", "me")
        store.ask("r2", "deliver", "you")
        waiting = store.requests()
        assert [(each.run_id, each.kind, each.by) for each in waiting] == [
            ("r1", "cancel", "me"),
            ("r2", "deliver", "you"),
        ]
        store.answered(waiting[0].number)
        store.answered(waiting[0].number)
        assert store.requests() == waiting[1:]

    def test_numbers_are_not_used_again(self, store: Store) -> None:
        record(store)
        store.ask("r1", "cancel", "me")
        first = store.requests()[0].number
        store.answered(first)
        store.ask("r1", "cancel", "me")
        assert store.requests()[0].number > first

    def test_an_unknown_run_is_refused(self, store: Store) -> None:
        with pytest.raises(OperatorFault, match="nobody"):
            store.ask("nobody", "cancel", "me")


class TestGreen:
    def test_a_green_result_is_remembered_and_replaced(self, store: Store) -> None:
        assert store.green("tree") is None
        store.remember_green("tree", '{"tests":1}')
        store.remember_green("tree", '{"tests":2}')
        assert store.green("tree") == '{"tests":2}'
        assert store.green("other") is None


@pytest.mark.parametrize("create", [True, False])
def test_a_store_outlives_its_process(place: Path | str, create: bool) -> None:
    before = open_store(place)
    record(before)
    before.ask("r1", "cancel", "me")
    before.remember_green("tree", "{}")
    before.close()
    after = open_store(place, create=create)
    assert after.load("r1") == walk()[-1][0]
    assert [each.kind for each in after.requests()] == ["cancel"]
    assert after.green("tree") == "{}"
    after.close()
