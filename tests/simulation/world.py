"""One seed, one world: the real machine, supervisor and performer over durable fakes.

Single-threaded and deterministic. What runs at the same time in life is nested here: while an agent
works, the scheduler takes other steps; a crash unwinds all of them at once.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from autopack.app import agents, ports
from autopack.app.checks import POLICY, NamedCheck, Subject
from autopack.app.draft import Drafted
from autopack.app.perform import (
    Performer,
)
from autopack.app.supervise import Cancellation, Supervisor, create_run
from autopack.app.world import (
    World,
)
from autopack.core.command import AwaitRoom, Pending, Wait
from autopack.core.errors import EnvironmentFault, Fault, OwnFault
from autopack.core.event import Event
from autopack.core.policy import Rules
from autopack.core.run import Finding, Run
from autopack.core.spec import (
    PhaseSpec,
    RunSpec,
)
from autopack.testing import (
    FakeClock,
    MemoryForge,
    MemoryRepository,
    MemoryStarts,
    MemoryStore,
    Objects,
    UserRepository,
)
from tests.core.accounts import Accounts
from tests.simulation.agents import PROTECTED, SHARED, SURPLUS_MAX, Agents, Ledger
from tests.simulation.broken import Broken, need
from tests.simulation.engine import SimulatedEngine, State
from tests.simulation.faults import Crash, Process, Rates
from tests.simulation.invariants import Watch
from tests.simulation.layers import Slow, Watched
from tests.simulation.plans import Drawn, draw_run
from tests.simulation.promotions import Promotions

FAULTY_STEPS_MAX = 150
CALM_STEPS_MAX = 3000
"""Steps within which every run ends once nothing goes wrong any more."""
NESTED_MAX = 4
TEN_YEARS = 10 * 365 * 86400
STORE = (
    "load", "save", "runs", "open_ids", "continued", "events", "requests", "answered", "ask",
)  # fmt: skip
REPOSITORY = (
    "prepare", "read", "paths", "blobs", "clone", "discard", "capture", "apply", "keep_patch", "commit",
    "outlook", "resolve", "with_files", "tree", "facts", "diff", "reapply", "land", "deliver", "refs_of", "left", "set_aside",
)  # fmt: skip
NOWHERE = Path("/nowhere")


@dataclass(frozen=True)
class Doubles:
    """What stands for store and repository; a planted bug is put in here."""

    store: Callable[[random.Random], ports.Store] = lambda _rng: MemoryStore()
    repository: Callable[[dict[str, UserRepository]], MemoryRepository] = lambda users: (
        MemoryRepository(users, checkouts=False)
    )
    forge: Callable[[dict[str, str]], MemoryForge] = MemoryForge
    reads: Callable[[RunSpec], RunSpec] = lambda spec: spec
    """The spec as the machine has it; what was drawn is what holds."""
    moves: Callable[[Run], Run] = lambda run: run
    """The run as the machine makes it, after each event."""
    judges: bool = True
    """Whether a draft is looked at before it is taken."""
    surplus: int = 0
    """Tokens that an attempt uses beside those that it may."""


class Simulation:
    """A world under one seed."""

    def __init__(self, seed: int, doubles: Doubles | None = None, *, trace: bool = False) -> None:
        self.rng = random.Random(seed)
        self.trace = trace
        self.rates = Rates.draw(self.rng)
        self.clock = FakeClock()
        self.user = UserRepository(Objects())
        base = self.user.commit({b"README.md": b"a project\n", SHARED.encode(): b"shared\n"})
        self.doubles = doubles = doubles or Doubles()
        self.store = doubles.store(self.rng)
        self.repository = doubles.repository({"user": self.user})
        self.engine = SimulatedEngine(durable=seed % 2 == 0)
        self.starts = MemoryStarts()
        self.ledger = Ledger()
        self.agents = Agents(
            self.rng, self.rates.misbehave, self.repository, self.clock, self.ledger,
            self.meanwhile, surplus=doubles.surplus,
        )  # fmt: skip
        self.watch = Watch(self.store, self.repository, self.user, self.ledger)
        self.watch.foreign["refs/heads/main"] = base
        drawn = [
            draw_run(self.rng, run_id, base)
            for run_id in ("r1", "r2")[: 2 if self.rng.random() < 0.2 else 1]
        ]
        review = random.Random(f"{seed} promotions")
        self.promotions = Promotions(review, self.repository, doubles.forge({"main": base}))
        self.watch.promotions = self.promotions
        self.promotions.begin(base)
        drawn = [self._promoting(each) for each in drawn]
        self.specs = [each.spec for each in drawn]
        self.plans = {each.spec.run_id: each.plan for each in drawn}
        self.ledger.drafts_well = {each.spec.run_id: each.drafts_well for each in drawn}
        self.watch.specs = self.specs
        self.collided: set[str] = set()
        self.depth = 0
        self.steps = 0
        self.faulty = True
        self.stopping = False
        self.start()

    def _promoting(self, drawn: Drawn) -> Drawn:
        """A run with what is drawn for its promotion; so has the plan that its draft comes to."""
        spec = self.promotions.drawn(drawn.spec)
        plan = drawn.plan and replace(
            drawn.plan, promote=spec.promote, promotions_open_max=spec.promotions_open_max
        )
        return replace(drawn, spec=spec, plan=plan)

    # --- the supervisor's lives -----------------------------------------------------------------

    def start(self) -> None:
        """A new process over what is durable."""
        self.engine.restart()
        self.stopping = False
        self.process = Process(self.rng, self.rates, self.say)
        self.process.faulty = self.faulty
        repository = self.process.port(Slow(self.repository, self.meanwhile), REPOSITORY)
        forge = self.promotions.port(self.process.port)
        world = World(
            repository=lambda _spec: repository,
            rules=_rules,
            agents=agents.Agents({"scripted": self.agents}, {"auditor": self.agents}),
            verifier=self.agents,
            clock=self.clock,
            starts=self.process.port(self.starts, ["noted", "note"]),
            planned=self.process.port(self, ["planned"]).planned,
            checks=self._checks,
            scratch=NOWHERE,
            quarantine=NOWHERE,
            logs=NOWHERE,
            backoff_seconds=0.0,
            forge=lambda _spec, _cancel: forge,
            papers=self.promotions.papers,
        )
        self.performer = Performer(world)
        self.supervisor = Supervisor(
            self.process.port(Watched(self.store, self.watch, self.say, self.doubles.moves), STORE),
            self.engine,
            self.clock,
            self.perform,
            self.process.port(self, ["render"]).render,
        )

    def _checks(self, spec: RunSpec) -> tuple[NamedCheck, ...]:
        """Policy, and programs that take their time where the run's gate has some."""
        programs = (NamedCheck("commands", self._programs),) if spec.gate_commands else ()
        return (*POLICY, *programs)

    def _programs(self, subject: Subject, cancel: ports.Cancel) -> tuple[Finding, ...]:
        self.meanwhile()
        if cancel.is_set():
            raise EnvironmentFault("the gate's commands were told to end early")
        return ()

    def render(self, _run: Run) -> bool:
        """Artefacts are written; only a crash there matters."""
        return True

    def planned(self, run: Run, text: str) -> Drafted | tuple[str, ...]:
        """The plan that was drawn, where an agent wrote what is one."""
        plan = self.plans[run.run_id]
        good = text.removesuffix("\n").encode() in self.ledger.plans
        if plan is None or (self.doubles.judges and not good):
            return ("no plan",)
        return Drafted(self.doubles.reads(plan))

    def perform(self, run: Run, pending: Pending, cancel: Cancellation) -> Event:
        """The real performer; it never waits for a clock that nobody moves."""
        if isinstance(pending.command, Wait):
            self._wait(pending.command, cancel)
        if isinstance(pending.command, AwaitRoom):
            self._await_room()
        return self.performer(run, pending, cancel)

    def _await_room(self) -> None:
        """Somebody reviews, or time passes until the run gives up."""
        self.meanwhile()
        if self.rng.random() < 0.7:
            self.promotions.review()
        self.clock.advance(700 * 60)

    def _wait(self, wait: Wait, cancel: Cancellation) -> None:
        for _ in range(self.rng.randint(0, 4)):
            if cancel.is_set() or self.clock.now() >= wait.until:
                return
            self.clock.advance(self.rng.randint(0, 3000))
            self.meanwhile()
        if not cancel.is_set() and (left := wait.until - self.clock.now()) > 0:
            move = self.clock.advance if left < TEN_YEARS / 100 else self.clock.jump
            move(left + 1)

    # --- the scheduler --------------------------------------------------------------------------

    def run(self) -> None:
        """To the end of every run; Broken when a promise does not hold."""
        for spec in self.specs:
            created = create_run(self.store, self.clock, self.doubles.reads(spec))
            self.watch.acknowledged[spec.run_id] = created
            plan = self.plans[spec.run_id]
            self.watch.accounts[spec.run_id] = Accounts(spec, SURPLUS_MAX, plan)
        self._until_ended(self.rng.randint(0, FAULTY_STEPS_MAX))
        self._deliver_at_last()

    def _until_ended(self, faulty_steps: int) -> None:
        self.faulty = faulty_steps > 0
        first = self.steps
        while not self._idle():
            if self.faulty and self.steps - first >= faulty_steps:
                self.calm()
            need(self.steps - first < faulty_steps + CALM_STEPS_MAX, "a run does not end")
            self.top()

    def _deliver_at_last(self) -> None:
        """Somebody makes way and asks again: then all is delivered."""
        self.calm()
        self.user.refusal = ""
        for spec in self.specs:
            if spec.run_id not in self.collided:
                self.store.ask(spec.run_id, "deliver", "somebody")
        self._until_ended(0)
        for spec in self.specs:
            if spec.run_id not in self.collided:
                self.promotions.review(but=spec.branch)
                self.store.ask(spec.run_id, "promote", "somebody")
                self._until_ended(0)
        for spec in self.specs:
            self.watch.end(spec.run_id)
            if spec.run_id not in self.collided:
                self.watch.delivered(spec.run_id)
                self.promotions.end(self.store.load(spec.run_id))

    def calm(self) -> None:
        """From now on nothing goes wrong."""
        self.faulty = self.process.faulty = False
        self.agents.calm = True

    def _idle(self) -> bool:
        return not self.store.requests() and all(
            self.store.load(spec.run_id).ended for spec in self.specs
        )

    def top(self) -> None:
        """One step, and what a death of the process leads to."""
        try:
            self.step()
        except Crash:
            self.start()
        if self.stopping:
            self.start()
        self.watch.step()

    def step(self) -> None:
        """One thing happens; a fault that reaches the host ends the process."""
        self.steps += 1
        try:
            self._act()
        except OwnFault as fault:
            raise Broken(f"a defect of ours: {fault}") from fault
        except Fault as fault:
            raise self.process.die(f"by {fault.what}") from fault

    def _act(self) -> None:
        if self.faulty and self._disturb():
            return
        queued = self.engine.named(State.QUEUED)
        if queued and self.rng.random() < 0.7:
            self._deliver(self.rng.choice(queued))
        else:
            self.say("tick")
            self.clock.advance(self.rng.random() * 30)
            self.supervisor.tick()

    def meanwhile(self) -> None:
        """Other steps while something takes its time."""
        if self.depth >= NESTED_MAX or self.stopping:
            return
        self.depth += 1
        try:
            while self.rng.random() < 0.5 and not self.stopping:
                self.step()
        finally:
            self.depth -= 1

    def _deliver(self, name: str) -> None:
        forget = self.faulty and self.rng.random() < self.rates.again
        self.say(f"perform {name}")
        self.engine.deliver(name, self.supervisor.perform, forget=forget)

    def _disturb(self) -> bool:
        """Something from outside, perhaps."""
        rates, drawn = self.rates, self.rng.random()
        if (drawn := drawn - rates.crash) < 0:
            raise self.process.die("between two steps")
        if (drawn := drawn - rates.request) < 0:
            self._request()
        elif (drawn := drawn - rates.foreign) < 0:
            self._interfere()
        elif (drawn := drawn - rates.jump) < 0:
            self.say("the wall clock jumps")
            self.clock.jump(self.rng.randint(-TEN_YEARS, TEN_YEARS))
        elif (drawn := drawn - rates.stop) < 0 and self.depth:
            self._stop()
        elif 0 <= drawn < rates.again and (done := self.engine.named(State.DONE)):
            self.say("answered already")
            self._deliver(self.rng.choice(done))
        else:
            return False
        return True

    def _stop(self) -> None:
        """What the host's loop does at its end, while commands are under way."""
        self.say("stop")
        self.stopping = True
        self.supervisor.stop()
        self.supervisor._interrupt_all()

    def _request(self) -> None:
        kind = self.rng.choice(["cancel", "deliver", "deliver", "promote"])
        run_id = self.rng.choice(self.specs).run_id
        self.say(f"somebody asks: {kind} {run_id}")
        self.store.ask(run_id, kind, "somebody")

    def _interfere(self) -> None:
        """Somebody writes into the user's repository, perhaps over what we delivered."""
        run_id = self.rng.choice(self.specs).run_id
        kind = self.rng.randrange(8)
        self.say(f"somebody interferes with {run_id}: {kind}")
        if kind < 3:
            ref = "refs/heads/main" if kind else f"refs/heads/topic-{self.steps}"
            self.user.commit({b"theirs": b"%d" % self.steps}, ref)
            self.watch.foreign[ref] = self.user.refs[ref]
        elif kind < 5:
            self.user.refusal = self.rng.choice(["", "the branch is checked out"])
        elif kind == 6:
            self.promotions.review()
        elif kind == 7:
            self.promotions.interfere(f"autonomous/{run_id}")
        else:
            ref = f"refs/heads/autonomous/{run_id}"
            self.user.commit({b"theirs": b"%d" % self.steps}, ref)
            self.watch.foreign[ref] = self.user.refs[ref]
            self.collided.add(run_id)

    def say(self, text: str) -> None:
        """A line of the trace."""
        if self.trace:
            print(f"{self.steps:4} {'  ' * self.depth}{text}")


def _rules(_run: RunSpec, phase: PhaseSpec) -> Rules:
    return Rules(scope=phase.scope, protected=(PROTECTED,))


class SimulationError(AssertionError):
    """A seed that breaks a promise, and how to see it again."""


def simulate(
    seed: int, doubles: Doubles | None = None, *, trace: bool = False, planted: str = ""
) -> Simulation:
    """Run one seed to its end; SimulationError tells how to see it again."""
    logging.getLogger("autopack.app.supervise").setLevel(logging.CRITICAL)
    world = Simulation(seed, doubles, trace=trace)
    try:
        world.run()
    except Broken as broken:
        replay = f".venv/bin/python -m tests.simulation --seed {seed} --trace"
        replay += f" --plant {planted}" if planted else ""
        message = f"seed {seed}, step {world.steps}: {broken}\nreplay: {replay}"
        raise SimulationError(message) from broken
    return world
