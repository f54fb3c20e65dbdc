"""Promoting a run: one commit and one pull request whatever is met on the way, also by a crash."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from autopack.app.agents import Agents
from autopack.app.forge import ForgeAway, ForgeRefused, PullRequestDraft, PullState, StatusState
from autopack.app.papers import Papers, Status
from autopack.app.perform import Performer
from autopack.app.supervise import Cancellation, CutOff
from autopack.app.world import World
from autopack.core import promotion
from autopack.core.command import AwaitRoom, Command, Pending, PrepareBase, Promote
from autopack.core.errors import EnvironmentFault, Fault
from autopack.core.event import BasePrepared, Event, Promoted, PromotionRefused, RoomAwaited
from autopack.core.event import PromotionsFull as Full
from autopack.core.policy import Rules
from autopack.core.run import Phase, Run, Snapshot, Stage, Step
from autopack.core.spec import PromoteMode
from autopack.testing import (
    FakeClock,
    FakeVerifier,
    MemoryForge,
    MemoryRepository,
    MemoryStarts,
    Objects,
    UserRepository,
)
from tests.core.walk import phase_spec, run_spec

BRANCH = "autonomous/r"
TAG = "autonomous/r/tier-T1/phase-P1"


class Crash(BaseException):
    """The process dies here."""


@dataclass
class Dying:
    """A port that dies, or is refused, before or after the call of that number."""

    target: Any
    calls: list[str]
    at: int = 0
    after: bool = False
    fault: Callable[[], BaseException] = Crash

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever the port has
        found = getattr(self.target, name)
        if not callable(found):
            return found

        def call(*args: object, **options: object) -> object:
            self.calls.append(name)
            mine = len(self.calls) == self.at
            if mine and not self.after:
                raise self.fault()
            result = found(*args, **options)
            if mine:
                raise self.fault()
            return result

        return call


@dataclass
class Bench:
    """A run that landed one phase and is delivered, and what its promotion meets."""

    forge: MemoryForge = field(default_factory=MemoryForge)
    clock: FakeClock = field(default_factory=FakeClock)
    calls: list[str] = field(default_factory=list)
    rendered: int = 0

    def __post_init__(self) -> None:
        self.user = UserRepository(Objects())
        self.base = self.user.commit({b"README.md": b"a project\n"})
        self.repository = MemoryRepository({"/repository": self.user}, checkouts=False)
        self.repository.prepare("/repository", "main", self.base, BRANCH)
        tree = self.repository.objects.add_tree({b"README.md": b"a project\n", b"new": b"x\n"})
        self.commit = self.repository.commit(tree, self.base, "P1", 5, "refs/autopack/r/P1/1")
        self.repository.land(BRANCH, self.commit, self.base, TAG, "green", 5)
        assert self.repository.deliver("/repository", "r", self.commit, "") == ""
        self.forge.branches["main"] = self.base
        spec = replace(run_spec(phase_spec("P1")), base_commit=self.base, promote=PromoteMode.AUTO)
        self.run = Run(
            spec,
            Stage.CLOSING,
            (Phase(spec.phases[0], Step.COMPLETE),),
            version=8,
            tip=self.commit,
            snapshots=(Snapshot("P1", self.commit, TAG),),
            delivered=self.commit,
        )

    def papers(self, run: Run, notes: tuple[str, ...]) -> Papers:
        """Another text each time: a retry must not make another commit of it."""
        self.rendered += 1
        return Papers(
            {".autonomous_runs/r/run_summary.md": b"%d" % self.rendered},
            "[autopack] r",
            "\n".join([promotion.marker(run.spec), str(self.rendered), *notes]),
            (Status(self.commit, "autopack/ci", StatusState.SUCCESS, "CI: 1 test green"),),
        )

    def promote(self, at: int = 0, *, dated: int = 0, **dying: Any) -> Event:
        """Perform the command; `at`: which call of a port is the last."""
        return self.perform(Promote(self.commit, dated), at, **dying)

    def perform(
        self,
        command: Command,
        at: int = 0,
        *,
        cancel: Cancellation | None = None,
        **dying: Any,
    ) -> Event:
        self.calls = []
        repository = Dying(self.repository, self.calls, at, **dying)
        forge = Dying(self.forge, self.calls, at, **dying)
        world = World(
            repository=lambda _spec: repository,
            rules=lambda _spec, phase: Rules(scope=phase.scope),
            agents=Agents({}, {}),
            verifier=FakeVerifier(),
            clock=self.clock,
            starts=MemoryStarts(),
            planned=lambda _run, _text: ("no plan",),
            scratch=Path("/nowhere"),
            quarantine=Path("/nowhere"),
            logs=Path("/nowhere"),
            backoff_seconds=0.0,
            forge=lambda _spec, _cancel: forge,
            papers=self.papers,
        )
        pending = Pending(9, command, issued_at=1_000)
        return Performer(world)(self.run, pending, cancel or Cancellation())

    def check_whole(self) -> None:
        """One commit of summaries, one pull request, and the same branch everywhere."""
        (pull,) = self.forge.pulls.values()
        tip = self.repository.refs[f"refs/heads/{BRANCH}"]
        made = self.repository.objects.commits[tip]
        assert (made.parent, made.at) == (self.commit, 1_000)
        (change,) = self.repository.diff(self.commit, made.tree).changes
        assert change.path == b".autonomous_runs/r/run_summary.md"
        assert self.user.refs[f"refs/heads/{BRANCH}"] == tip
        assert self.forge.branches[BRANCH] == tip == pull.head_sha
        assert promotion.marker(self.run.spec) in pull.body
        assert (self.commit, "autopack/ci") in self.forge.statuses


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_run_becomes_one_pull_request(bench: Bench) -> None:
    said = bench.promote()
    bench.check_whole()
    assert isinstance(said, Promoted)
    assert (said.number, said.state) == (1, "open")
    assert said.notes == ("main has not moved: the work is on top of it",)
    assert said.tip == bench.forge.branches[BRANCH]


def _last_part() -> Bench:
    """The last part of a series lands nothing on what the first one landed."""
    bench = Bench()
    spec = replace(bench.run.spec, run_id="r-2", base_commit=bench.commit, base_ref=BRANCH,
                   predecessor="r", series="r", part=2, promote_onto="main")  # fmt: skip
    skipped = (Phase(spec.phases[0], Step.SKIPPED),)
    bench.run = replace(bench.run, spec=spec, phases=skipped, snapshots=(), delivered="")
    bench.repository.prepare("/repository", BRANCH, bench.commit, spec.branch)
    return bench


def test_a_last_part_that_lands_nothing_is_one_pull_request_of_its_own() -> None:
    """On the commit that the parts before it proved, wherever it dies."""
    whole = _last_part()
    whole.promote()
    for at in range(len(whole.calls) + 1):
        bench = _last_part()
        if at:
            with pytest.raises(Crash):
                bench.promote(at)
        said = bench.promote(dated=1_000)
        assert isinstance(said, Promoted)
        (pull,) = bench.forge.pulls.values()
        assert (pull.head, pull.head_sha) == ("autonomous/r-2", said.tip)
        assert bench.repository.objects.commits[said.tip].parent == bench.commit
        assert bench.user.refs["refs/heads/autonomous/r-2"] == said.tip
        assert bench.user.refs[f"refs/heads/{BRANCH}"] == bench.commit


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_every_step_leaves_one_commit_and_one_pull_request(after: bool) -> None:
    whole = Bench()
    whole.promote()
    steps = len(whole.calls)
    assert {"commit", "land", "deliver", "push", "create", "set_status"} <= set(whole.calls)
    for at in range(1, steps + 1):
        bench = Bench()
        with pytest.raises(Crash):
            bench.promote(at, after=after)
        bench.promote()
        bench.check_whole()
        bench.promote()  # and once more: a command may be performed twice
        bench.check_whole()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        lambda: EnvironmentFault("the answer was lost", "try again"),
        lambda: ForgeAway("HTTP 503"),
        lambda: ForgeRefused("HTTP 403"),
    ],
)
def test_a_fault_at_every_step_is_told_and_the_next_try_mends_it(
    fault: Callable[[], BaseException], after: bool
) -> None:
    whole = Bench()
    whole.promote()
    for at in range(1, len(whole.calls) + 1):
        bench = Bench()
        if at == 1:  # the first look: nothing is known yet, and the supervisor tells of the fault
            with pytest.raises(Fault):
                bench.promote(at, after=after, fault=fault)
            continue
        said = bench.promote(at, after=after, fault=fault)
        assert isinstance(said, Promoted | PromotionRefused)
        if isinstance(said, PromotionRefused):
            stands = bench.repository.refs[f"refs/heads/{BRANCH}"]
            assert said.tip in {"", stands}
            bench.run = replace(bench.run, delivered=said.delivered or bench.run.delivered)
        bench.run = replace(bench.run, tip=bench.run.delivered)
        assert isinstance(bench.promote(dated=1_000), Promoted)
        bench.check_whole()


def test_a_forge_that_is_away_is_asked_again_within_one_promotion(bench: Bench) -> None:
    bench.forge.before["find"] = [ForgeAway("HTTP 502"), ForgeAway("HTTP 502", retry_after=0.01)]
    bench.forge.after["create"] = [ForgeAway("the answer was lost")]
    said = bench.promote()
    assert isinstance(said, PromotionRefused)
    assert "the answer was lost" in said.reason
    assert said.tip == said.delivered != ""
    assert isinstance(bench.promote(dated=1_000), Promoted)
    bench.check_whole()


def test_a_second_promotion_brings_the_same_pull_request_up_to_date(bench: Bench) -> None:
    bench.promote()
    before = bench.forge.pulls[1].body
    bench.promote(dated=1_000)
    bench.check_whole()
    assert bench.forge.pulls[1].body != before


@pytest.mark.parametrize("state", [PullState.MERGED, PullState.CLOSED])
def test_what_a_person_ended_is_done(bench: Bench, state: PullState) -> None:
    bench.promote()
    bench.forge.end(1, state)
    del bench.forge.branches[BRANCH]  # as a merge may do
    said = bench.promote(dated=1_000)
    assert isinstance(said, Promoted)
    assert (said.number, said.state) == (1, state.value)
    assert len(bench.forge.pulls) == 1
    assert BRANCH not in bench.forge.branches


def test_commits_of_others_on_the_branch_there_are_left_alone(bench: Bench) -> None:
    bench.promote()
    bench.forge.branches[BRANCH] = "somebody's"
    said = bench.promote(dated=1_000)
    assert isinstance(said, PromotionRefused)
    assert "holds work of others" in said.reason
    assert bench.forge.branches[BRANCH] == "somebody's"


def test_the_users_own_branch_with_work_of_others_is_left_alone(bench: Bench) -> None:
    theirs = bench.user.commit({b"theirs": b"x"}, f"refs/heads/{BRANCH}")
    said = bench.promote()
    assert isinstance(said, PromotionRefused)
    assert said.reason.startswith("not delivered")
    assert bench.user.refs[f"refs/heads/{BRANCH}"] == theirs
    assert not bench.forge.pulls


def test_a_pull_request_that_somebody_opened_from_the_branch_keeps_its_text(bench: Bench) -> None:
    bench.forge.branches[BRANCH] = bench.commit
    bench.forge.create(PullRequestDraft(BRANCH, "main", "mine", "my words"))
    said = bench.promote()
    assert isinstance(said, Promoted)
    assert (said.number, bench.forge.pulls[1].body) == (1, "my words")
    assert any("somebody else wrote" in note for note in said.notes)


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("state", list(PullState))
def test_a_text_that_somebody_wrote_anew_does_not_make_a_second_one(
    bench: Bench, state: PullState, told: bool
) -> None:
    """Also where the run never heard of its number, or the branch has gone on by other hands."""
    first = bench.promote()
    assert isinstance(first, Promoted)
    bench.forge.pulls[1] = replace(bench.forge.pulls[1], body="my own words")
    if told:
        known = replace(bench.run.promotion, number=first.number)
        bench.run = replace(bench.run, promotion=known)
    if state is not PullState.OPEN:
        if told:
            bench.forge.branches[BRANCH] = "somebody's"
        bench.forge.end(1, state)
        del bench.forge.branches[BRANCH]
    again = bench.promote(dated=1_000)
    assert isinstance(again, Promoted)
    assert (again.number, again.state) == (1, state.value)
    assert [pull.body for pull in bench.forge.pulls.values()] == ["my own words"]


def test_a_pull_request_to_another_base_is_not_the_promotion(bench: Bench) -> None:
    bench.forge.branches |= {BRANCH: bench.commit, "staging": bench.base}
    bench.forge.create(PullRequestDraft(BRANCH, "staging", "mine", "my words"))
    said = bench.promote()
    assert isinstance(said, Promoted)
    assert {number: pull.base for number, pull in bench.forge.pulls.items()} == {
        1: "staging", said.number: "main",
    }  # fmt: skip


def test_ours_that_somebody_gave_another_base_is_still_the_promotion(bench: Bench) -> None:
    bench.promote()
    bench.forge.pulls[1] = replace(bench.forge.pulls[1], base="staging")
    said = bench.promote(dated=1_000)
    assert isinstance(said, Promoted)
    assert (said.number, len(bench.forge.pulls)) == (1, 1)


def test_a_marker_in_the_text_of_another_branch_is_nobodys_promotion(bench: Bench) -> None:
    bench.forge.branches["theirs"] = "a commit"
    text = promotion.marker(bench.run.spec)
    bench.forge.create(PullRequestDraft("theirs", "main", "mine", text))
    said = bench.promote()
    assert isinstance(said, Promoted)
    assert said.number == 2


def test_a_forge_that_takes_no_statuses_still_has_the_pull_request(bench: Bench) -> None:
    bench.forge.before["set_status"] = [ForgeRefused("HTTP 403: no right")]
    said = bench.promote()
    assert isinstance(said, Promoted)
    assert said.notes[-1] == "commit statuses were refused: HTTP 403: no right"


def test_the_limit_refuses_one_more_and_not_the_update_of_one(bench: Bench) -> None:
    bench.run = replace(bench.run, spec=replace(bench.run.spec, promotions_open_max=1))
    bench.promote()
    assert isinstance(bench.promote(dated=1_000), Promoted)
    other = replace(bench.run.spec, run_id="other")
    bench.forge.pulls[1] = replace(
        bench.forge.pulls[1], head="autonomous/other", body=promotion.marker(other)
    )
    said = bench.promote(dated=1_000)
    assert isinstance(said, PromotionRefused)
    assert said.reason.startswith("1 promotion pull request is open")


def test_a_base_that_moved_is_told_with_how_it_merges(bench: Bench) -> None:
    bench.forge.branches["main"] = bench.user.commit({b"README.md": b"a project\n", b"b": b"b"})
    said = bench.promote()
    assert isinstance(said, Promoted)
    assert "merges cleanly" in said.notes[0]
    bench.forge.branches["main"] = bench.user.commit({b"README.md": b"a project\n", b"new": b"y"})
    said = bench.promote(dated=1_000)
    assert isinstance(said, Promoted)
    assert "conflicts with the work" in said.notes[0]
    bench.forge.branches["main"] = "elsewhere"
    said = bench.promote(dated=1_000)
    assert isinstance(said, Promoted)
    assert "not known here" in said.notes[0]
    bench.check_whole()


def test_a_forge_without_the_base_is_given_nothing(bench: Bench) -> None:
    del bench.forge.branches["main"]
    said = bench.promote()
    assert isinstance(said, PromotionRefused)
    assert "has no branch main" in said.reason
    assert (bench.forge.branches, bench.repository.refs[f"refs/heads/{BRANCH}"]) == (
        {}, bench.commit,
    )  # fmt: skip


def test_a_supervisor_that_ends_leaves_it_to_the_next(bench: Bench) -> None:
    cancel = Cancellation()
    cancel.cut_off = True
    cancel.set()
    with pytest.raises(CutOff):
        bench.perform(Promote(bench.commit), cancel=cancel)


# --- room -----------------------------------------------------------------------------------------


def fresh(bench: Bench, most: int = 1) -> None:
    spec = replace(bench.run.spec, run_id="new", promotions_open_max=most)
    bench.run = Run(spec, Stage.CREATED, (Phase(spec.phases[0]),), version=1, tip=bench.base)


def test_a_run_that_would_be_one_too_many_waits_and_begins_when_there_is_room(
    bench: Bench,
) -> None:
    bench.promote()
    fresh(bench)
    assert bench.perform(PrepareBase()) == Full(1, 1)
    assert isinstance(bench.perform(PrepareBase(waited=True)), BasePrepared)
    bench.forge.end(1, PullState.MERGED)
    said = bench.perform(AwaitRoom(1))
    assert isinstance(said, RoomAwaited)
    assert said.found


def test_who_waits_too_long_gives_up(bench: Bench) -> None:
    bench.promote()
    fresh(bench)
    bench.clock.advance(bench.run.spec.parked_seconds_max + 2_000)
    assert bench.perform(AwaitRoom(1)) == RoomAwaited(found=False)


def test_a_manual_run_a_limit_of_none_and_a_silent_forge_delay_nobody(bench: Bench) -> None:
    bench.promote()
    fresh(bench, most=0)
    assert isinstance(bench.perform(PrepareBase()), BasePrepared)
    fresh(bench)
    manual = replace(bench.run.spec, promote=PromoteMode.MANUAL)
    bench.run = replace(bench.run, spec=manual)
    assert isinstance(bench.perform(PrepareBase()), BasePrepared)
    fresh(bench)
    bench.forge.before["open_marked"] = [ForgeAway("HTTP 503")]
    assert isinstance(bench.perform(PrepareBase()), BasePrepared)
