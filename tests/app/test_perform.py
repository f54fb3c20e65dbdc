"""What performing a command does beyond its event: what is kept, counted, refused, waited for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from autopack.adapters.files.starts import FileStarts
from autopack.app.agents import (
    Agents,
    Attempt,
    Built,
    Starts,
)
from autopack.app.perform import (
    Performer,
)
from autopack.app.ports import (
    Cancel,
    Clone,
    Refused,
)
from autopack.app.room import Room
from autopack.app.supervise import Cancellation
from autopack.app.world import (
    World,
)
from autopack.core import machine
from autopack.core.command import Audit, Build, Command, Pending, PrepareBase, Wait
from autopack.core.errors import EnvironmentFault, OperatorFault
from autopack.core.event import (
    AttemptEnded,
    AuditEnded,
    BasePrepared,
    CommandFailed,
    Event,
    Outcome,
    Unparked,
)
from autopack.core.issue import IssueReport, IssueSource
from autopack.core.policy import Rules
from autopack.core.run import Candidate, Run
from autopack.testing import (
    FakeAuditor,
    FakeBuilder,
    FakeClock,
    FakeDisk,
    FakeVerifier,
    MemoryRepository,
    MemoryStarts,
    Objects,
    UserRepository,
    Work,
)
from autopack.testing.objects import MemoryTag
from tests.core.walk import phase_spec, run_spec


class Waiting(Cancellation):
    """Never set; waiting takes no time but on the monotonic clock, or on both."""

    def __init__(self, clock: FakeClock, *, wall: bool) -> None:
        super().__init__()
        self.clock, self.wall = clock, wall
        self.waited: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waited.append(timeout)
        assert len(self.waited) < 1000, "it waits for ever"
        self.clock.advance(timeout)
        if not self.wall:
            self.clock.jump(-timeout)
        return False


@dataclass
class Bench:
    """A performer over fakes, and a run whose commands it performs."""

    tmp_path: Path
    builder: FakeBuilder = field(default_factory=FakeBuilder)
    clock: FakeClock = field(default_factory=FakeClock)
    starts: Starts = field(default_factory=MemoryStarts)
    repository_of: Callable[[dict[str, UserRepository]], MemoryRepository] = MemoryRepository

    def __post_init__(self) -> None:
        self.user = UserRepository(Objects())
        base = self.user.commit({b"README.md": b"a project\n"})
        self.base = base
        self.repository = self.repository_of({"/repository": self.user})
        self.spec = replace(run_spec(phase_spec("P1")), base_commit=base, auditor="auditor")
        self.run: Run = machine.create(self.spec).run
        self.auditor = FakeAuditor()
        self.performer = Performer(
            World(
                repository=lambda _spec: self.repository,
                rules=lambda _spec, phase: Rules(scope=phase.scope),
                agents=Agents({"scripted": self.builder}, {"auditor": self.auditor}),
                verifier=FakeVerifier(),
                clock=self.clock,
                starts=self.starts,
                planned=lambda _run, _text: ("no plan is asked for here",),
                scratch=self.tmp_path / "clones",
                quarantine=self.tmp_path / "quarantine",
                logs=self.tmp_path / "logs",
                backoff_seconds=0.0,
            )
        )

    def build(self, attempt: int = 1, tokens_max: int = 100, number: int = 9) -> Event:
        return self.perform(Build("P1", attempt, self.base, tokens_max), number=number)

    def kept(self) -> dict[str, str]:
        """Attempts kept, by name, with the content of `work`."""
        prefix = "refs/autopack/r/P1/"
        return {
            ref.removeprefix(prefix): (self.repository.read(commit, "work") or b"").decode()
            for ref, commit in self.repository.refs.items()
            if ref.startswith(prefix)
        }

    def perform(
        self, command: Command, cancel: Cancellation | None = None, number: int = 9
    ) -> Event:
        pending = Pending(number, command, issued_at=1_000)
        return self.performer(self.run, pending, cancel or Cancellation())


# --- an id that was used before ---------------------------------------------------------------


def leave_a_branch(bench: Bench) -> str:
    made = bench.repository.commit(
        bench.repository.tree(bench.base), bench.base, "old", 1, "refs/autopack/other/P/1"
    )
    bench.repository.refs["refs/heads/autonomous/r"] = made
    return "refs/heads/autonomous/r"


def leave_an_attempt(bench: Bench) -> str:
    ref = "refs/autopack/r/P9/1"
    bench.repository.commit(bench.repository.tree(bench.base), bench.base, "old", 1, ref)
    return ref


def leave_a_tag(bench: Bench) -> str:
    ref = "refs/tags/autonomous/r/tier-T1/phase-P9"
    bench.repository.tags[ref] = MemoryTag(bench.base, "old", 1)
    return ref


@pytest.mark.parametrize("leave", [leave_a_branch, leave_an_attempt, leave_a_tag])
def test_a_run_whose_id_was_used_before_is_refused_and_nothing_is_touched(
    tmp_path: Path, leave: Callable[[Bench], str]
) -> None:
    bench = Bench(tmp_path)
    ref = leave(bench)
    before = (dict(bench.repository.refs), dict(bench.repository.tags))
    with pytest.raises(OperatorFault, match=f"run id r was used before.*{ref}") as caught:
        bench.perform(PrepareBase())
    assert "--run-id" in caught.value.hint
    assert (bench.repository.refs, bench.repository.tags) == before


def test_preparing_again_after_a_lost_answer_is_no_second_use(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.perform(PrepareBase()) == BasePrepared()
    assert bench.perform(PrepareBase()) == BasePrepared()
    assert bench.repository.refs["refs/heads/autonomous/r"] == bench.base


@pytest.mark.parametrize("wrong", ["parent", "run"])
def test_an_attempt_that_another_run_left_is_not_taken_for_ours(tmp_path: Path, wrong: str) -> None:
    bench = Bench(tmp_path)
    run_id, parent = ("r", bench.user.commit({b"x": b"y"})) if wrong == "parent" else ("q", "")
    lines = {"Run": run_id, "Phase": "P1", "Attempt": "1", "Outcome": "submitted", "Tokens": "5"}
    message = "old\n\n" + "".join(f"Autopack-{key}: {value}\n" for key, value in lines.items())
    tree = bench.repository.tree(bench.base)
    ref = "refs/autopack/r/P1/1"
    old = bench.repository.commit(tree, parent or bench.base, message, 1, ref)
    with pytest.raises(EnvironmentFault, match=f"{ref}.*{old}"):
        bench.build()
    assert bench.builder.attempts == []
    assert bench.repository.refs[ref] == old


# --- finished work is never lost --------------------------------------------------------------


def test_a_parked_attempts_work_is_kept_beside_the_next_of_its_number(tmp_path: Path) -> None:
    until = 5_000.0
    parked = Work({"work": b"half"}, Built(Outcome.PARKED, 7, parked_until=until))
    bench = Bench(tmp_path, FakeBuilder(default=parked))
    told = bench.build()
    assert isinstance(told, AttemptEnded)
    assert (told.outcome, told.tokens, told.parked_until) == (Outcome.PARKED, 7, until)
    assert told.candidate is not None
    assert told.candidate.name == "1.p1"
    again = bench.build()  # its answer was lost
    assert isinstance(again, AttemptEnded)
    assert replace(again, evidence=None) == replace(told, evidence=None)
    assert len(bench.builder.attempts) == 1
    bench.run = replace(bench.run, phases=(replace(bench.run.phase("P1"), parks_used=1),))
    bench.builder.default = Work({"work": b"whole"})
    after = bench.build(number=10)
    assert isinstance(after, AttemptEnded)
    assert after.outcome is Outcome.SUBMITTED
    assert bench.kept() == {"1.p1": "half", "1": "whole"}


def test_a_parked_attempt_whose_work_is_refused_stays_parked(tmp_path: Path) -> None:
    built = Built(Outcome.PARKED, 7, patch=b"no patch at all\n", parked_until=5_000.0)
    bench = Bench(tmp_path, FakeBuilder(default=built))
    told = bench.build()
    assert isinstance(told, AttemptEnded)
    assert (told.outcome, told.parked_until) == (Outcome.PARKED, 5_000.0)
    assert list(bench.kept()) == ["1.p1"]


class Uncapturing(MemoryRepository):
    """A repository whose disk is full."""

    def capture(self, clone: Clone, force: Sequence[str]) -> str | Refused:
        raise EnvironmentFault("the disk is full")

    def apply(self, parent: str, patch: bytes) -> str | Refused:
        raise EnvironmentFault("the disk is full")


def test_a_clone_whose_capture_is_given_up_is_kept_and_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path, repository_of=Uncapturing)
    aside = tmp_path / "quarantine" / "r" / "P1"
    for name in ("attempt-1", "attempt-1-2"):
        bench.builder.default = Work({"work": name.encode()}, Built(Outcome.SUBMITTED, 7))
        told = bench.build()
        assert isinstance(told, CommandFailed)
        assert told.tokens == 7
        assert "the disk is full" in told.reason
        assert str(aside / name) in told.reason
        assert (aside / name / "work").read_text() == name
    assert not list((tmp_path / "clones" / "r" / "P1").iterdir())
    bench.builder.default = Built(Outcome.SUBMITTED, 7, patch=b"the patch")
    told = bench.build()
    assert (aside / "attempt-1-3.patch").read_bytes() == b"the patch"


class Confined(Uncapturing):
    """Nothing can be moved either."""

    def set_aside(self, folder: Path, to: Path, patch: bytes | None) -> Path:
        raise EnvironmentFault(f"{folder} could not be moved and stays")


def test_a_clone_that_cannot_be_moved_stays_and_no_try_begins_over_it(tmp_path: Path) -> None:
    work = Work({"work": b"done"}, Built(Outcome.SUBMITTED, 7))
    bench = Bench(tmp_path, FakeBuilder(default=work), repository_of=Confined)
    left = tmp_path / "clones" / "r" / "P1" / "attempt-1" / "work"
    told = bench.build()
    assert isinstance(told, CommandFailed)
    assert told.tokens == 7
    assert "could not be moved and stays" in told.reason
    assert left.read_text() == "done"
    with pytest.raises(EnvironmentFault, match="could not be moved and stays"):
        bench.build(number=10)
    assert left.read_text() == "done"
    assert len(bench.builder.attempts) == 1


@pytest.mark.parametrize("told_of", [True, False])
def test_work_is_kept_though_its_agent_is_said_not_to_have_begun(
    tmp_path: Path, *, told_of: bool
) -> None:
    files = {"work": b"done"} if told_of else {}
    bench = Bench(tmp_path)
    doubts = (IssueReport("odd", IssueSource.SELF_DOUBT),)
    failed = Built(Outcome.FAILED, 7, error="no fence", issues=doubts)
    bench.builder.default = Work(files, failed)
    told = bench.build()
    assert isinstance(told, CommandFailed)
    assert (told.tokens, told.issues) == (7, doubts), "what it said until then is not lost"
    aside = tmp_path / "quarantine" / "r" / "P1" / "attempt-1"
    assert told.reason == (f"no fence\nits clone is kept in {aside}" if told_of else "no fence")
    assert (aside / "work").exists() is told_of
    assert not list((tmp_path / "clones" / "r" / "P1").iterdir())


def test_a_clone_without_an_answer_is_kept_and_room_is_looked_for_first(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Deadly(deaths=1))
    with pytest.raises(Dead):
        bench.build()
    left = tmp_path / "clones" / "r" / "P1" / "attempt-1" / "work"
    assert left.read_text() == "done"
    full = Room(FakeDisk(left=0), (tmp_path,), 1, (tmp_path,), 0, relieve=lambda: None)
    world = bench.performer._world
    bench.performer = Performer(replace(world, room=full))
    with pytest.raises(EnvironmentFault, match="must stay free"):
        bench.build()
    assert left.read_text() == "done"
    bench.performer = Performer(world)
    told = bench.build()
    assert isinstance(told, AttemptEnded)
    assert (tmp_path / "quarantine" / "r" / "P1" / "attempt-1" / "work").read_text() == "done"


# --- attempts that die with their supervisor --------------------------------------------------


class Dead(BaseException):
    """The supervisor is killed while the agent works."""


class Deadly(FakeBuilder):
    """Its supervisor is killed in each of the first tries, after some tokens were reported."""

    def __init__(self, deaths: int, tokens: int = 0) -> None:
        super().__init__(default=Work({"work": b"done"}, Built(Outcome.SUBMITTED, 7)))
        self.deaths, self.tokens = deaths, tokens

    def build(self, attempt: Attempt, clone: Clone, cancel: Cancel) -> Built:
        built = super().build(attempt, clone, cancel)
        if len(self.attempts) <= self.deaths:
            self.reported[attempt.log_folder] = self.tokens
            raise Dead
        return built


def notes(*, real: bool) -> Starts:
    return FileStarts() if real else MemoryStarts()


@pytest.mark.parametrize("real", [False, True])
def test_an_attempt_that_kills_its_supervisor_is_not_started_for_ever(
    tmp_path: Path, real: bool
) -> None:
    builder = Deadly(deaths=1000, tokens=10)
    bench = Bench(tmp_path, builder, starts=notes(real=real))
    starts_max = bench.spec.infra_retries_max + 1
    for _ in range(starts_max):
        with pytest.raises(Dead):
            bench.build()
    for _ in range(3):
        told = bench.build()
        assert isinstance(told, CommandFailed)
        assert f"started {starts_max} times" in told.reason
        assert told.tokens == 10 * starts_max
    assert len(builder.attempts) == starts_max


@pytest.mark.parametrize("real", [False, True])
def test_tokens_that_a_lost_try_reported_count_once_and_bound_the_next(
    tmp_path: Path, real: bool
) -> None:
    builder = Deadly(deaths=2, tokens=30)
    bench = Bench(tmp_path, builder, starts=notes(real=real))
    for _ in range(2):
        with pytest.raises(Dead):
            bench.build(tokens_max=100)
    told = bench.build(tokens_max=100)
    assert isinstance(told, AttemptEnded)
    assert told.tokens == 30 + 30 + 7
    assert [attempt.tokens_max for attempt in builder.attempts] == [100, 70, 40]
    assert bench.build(tokens_max=100) == told


def test_no_try_begins_when_lost_ones_used_all_tokens(tmp_path: Path) -> None:
    builder = Deadly(deaths=1, tokens=100)
    bench = Bench(tmp_path, builder)
    with pytest.raises(Dead):
        bench.build(tokens_max=100)
    told = bench.build(tokens_max=100)
    assert isinstance(told, CommandFailed)
    assert told.tokens == 100
    assert len(builder.attempts) == 1


def test_a_retry_of_an_answered_command_starts_its_count_again(tmp_path: Path) -> None:
    builder = Deadly(deaths=1, tokens=30)
    bench = Bench(tmp_path, builder)
    with pytest.raises(Dead):
        bench.build(number=9)
    told = bench.build(number=10)
    assert isinstance(told, AttemptEnded)
    assert told.tokens == 7


def test_an_audit_has_the_same_bounds(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    folder = tmp_path / "logs" / "r" / "P1" / "audit-1"
    candidate = Candidate("1", bench.base, bench.repository.tree(bench.base), bench.base)
    audit = Audit("P1", 1, candidate, "why", 100)
    bench.starts.note(folder, 9, 0)
    bench.auditor.reported[folder] = 40
    told = bench.perform(audit)
    assert isinstance(told, AuditEnded)
    assert told.tokens == 40
    assert [task.tokens_max for task in bench.auditor.tasks] == [60]
    bench.starts.note(folder, 9, 0)
    told = bench.perform(audit)
    assert isinstance(told, CommandFailed)
    assert len(bench.auditor.tasks) == 1


def test_a_spoilt_line_of_starts_is_a_start_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "starts-9").write_bytes(b"5\nx\n-3\n" + b"9" * 40)
    assert FileStarts().noted(tmp_path, 9) == (5, 0, 0, 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match="no agent starts"):
        FileStarts().note(tmp_path / "file", 9, 0)


# --- waiting ----------------------------------------------------------------------------------


def test_a_wait_ends_on_time_though_the_wall_clock_stands_still(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    cancel = Waiting(bench.clock, wall=False)
    told = bench.perform(Wait("P1", bench.clock.now() + 150.5), cancel)
    assert told == Unparked("P1", 150.5)
    assert cancel.waited == [60.0, 60.0, 30.5]


def test_a_wait_follows_a_wall_clock_that_is_set(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    cancel = Waiting(bench.clock, wall=True)
    until = bench.clock.now() + 100
    bench.clock.jump(-1000)
    assert bench.perform(Wait("P1", until), cancel) == Unparked("P1", 1100.0)
