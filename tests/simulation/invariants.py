"""What holds at every step and at the end: nothing lost, nothing twice, nobody else's touched."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from autopack.app.ports import Store
from autopack.core import machine, promotion
from autopack.core.command import (
    AwaitRoom,
    Build,
    CompilePlan,
    Land,
    PrepareBase,
    Promote,
    Test,
    Wait,
)
from autopack.core.draft import FILE
from autopack.core.event import (
    AttemptEnded,
    CandidateTested,
    CiVerdict,
    CommandFailed,
    Event,
    Happened,
    Outcome,
    PlanDrafted,
)
from autopack.core.ids import candidate_ref
from autopack.core.run import Phase, Run, Stage, Step
from autopack.core.spec import RunSpec
from autopack.testing import MemoryRepository, UserRepository
from tests.core.accounts import Accounts
from tests.core.promises import keeps_promises
from tests.simulation.agents import SHARED, SURPLUS_MAX, Ledger, patch_path, work_path
from tests.simulation.broken import Broken, need
from tests.simulation.promotions import Promotions

DRAFTS: Final = (PrepareBase, AwaitRoom, Build, Wait, CompilePlan)
"""All that a run without a plan may ask for."""


def _takes_plan(before: Run, event: Event) -> bool:
    """Not in a run that stops: there the plan comes too late."""
    return isinstance(event, PlanDrafted) and before.stage is not Stage.STOPPING


def _works(phase: Phase) -> list[str]:
    """Where what lands of a phase may be: its builder's work, or a patch of its auditor."""
    audits = range(1, phase.auditor_attempts_used + 1)
    return [work_path(phase.phase_id), *(patch_path(phase.phase_id, each) for each in audits)]


@dataclass
class Watch:
    """Looks at everything durable; remembers what may never change."""

    store: Store
    repository: MemoryRepository
    user: UserRepository
    ledger: Ledger
    foreign: dict[str, object] = field(default_factory=dict)
    """Refs of the user's repository that are not the run's, as somebody else left them."""
    acknowledged: dict[str, Run] = field(default_factory=dict)
    accounts: dict[str, Accounts] = field(default_factory=dict)
    """What each run spent and left, told from its events and the spec that was drawn."""
    answered: set[tuple[str, int]] = field(default_factory=set)
    green: set[tuple[str, str]] = field(default_factory=set)
    """Run and commit of every candidate that CI passed."""
    specs: list[RunSpec] = field(default_factory=list)
    """Of all runs, also of those that went on after a part of their series."""
    promotions: Promotions | None = None
    refs: dict[str, str] = field(default_factory=dict)
    tags: dict[str, object] = field(default_factory=dict)

    def saved(self, before: Run, run: Run, happened: Happened) -> None:
        """One event was saved and acknowledged."""
        self.acknowledged[run.run_id] = run
        if happened.answers:
            key = (run.run_id, happened.answers)
            need(key not in self.answered, f"command {key} was answered twice")
            self.answered.add(key)
        try:
            self.accounts[run.run_id].take(before, happened, run)
            told = before
            if _takes_plan(before, happened.event):  # its phases are there from now on
                told = replace(before, phases=run.phases)
            keeps_promises(told, run, SURPLUS_MAX)
        except AssertionError as broken:
            raise Broken(f"after {happened.event.kind}: {broken}") from broken
        event = happened.event
        self._drafts(before, run, happened)
        if isinstance(event, CandidateTested) and event.verdict is CiVerdict.PASS:
            asked = next(p.command for p in before.pending if p.number == happened.answers)
            if isinstance(asked, Test):
                self.green.add((run.run_id, asked.candidate.commit))
        if isinstance(event, CandidateTested) and event.exonerated:
            self._exonerated(before, run, event)
        if isinstance(event, CommandFailed):
            need("internal error" not in event.reason, event.reason)
        if isinstance(event, AttemptEnded) and event.outcome is Outcome.SUBMITTED:
            self._is_work(run, event)
        if run.stage is Stage.DONE and before.stage is not Stage.DONE:
            self._handed_over(run)

    def _exonerated(self, before: Run, run: Run, event: CandidateTested) -> None:
        """Nobody pays for what is not the candidate's; what is, is never let off; told once."""
        wrong = [each.test for each in event.exonerated if each.test.startswith(("ours", "edited"))]
        need(not wrong, f"{run.run_id}: {wrong} were let off")
        was, now = before.phase(event.phase_id), run.phase(event.phase_id)
        if event.verdict is CiVerdict.PASS:
            need(was.attempts_used == now.attempts_used, f"{event.phase_id} paid for a flake")
            again = now.step is Step.BUILDING and not event.findings
            need(not again, f"{event.phase_id} builds again for a flake")
        found = [issue for phase in run.phases for issue in phase.issues]
        for key in {each.issue_key for each in event.exonerated}:
            told = sum(issue.occurrence_count for issue in found if issue.issue_key == key)
            need(told <= 1, f"{key} was counted {told} times in {run.run_id}")

    def _drafts(self, before: Run, run: Run, happened: Happened) -> None:
        """A plan is taken once, from its agent, and nothing of it is there before."""
        event, drafting = happened.event, before.spec.drafting
        if isinstance(event, PlanDrafted) and _takes_plan(before, event):
            need(drafting, f"{run.run_id} has a plan and takes another")
            asked = next(p.command for p in before.pending if p.number == happened.answers)
            made = asked.candidate.commit if isinstance(asked, CompilePlan) else ""
            read = self.repository.read(made, FILE) or b""
            need(
                read.removesuffix(b"\n") in self.ledger.plans, f"{run.run_id} takes what is no plan"
            )
            shared = self.repository.read(made, SHARED)
            same = shared == self.repository.read(run.spec.base_commit, SHARED)
            need(same, f"{run.run_id} takes more than a plan")
            need(run.spec == event.spec, f"{run.run_id} is not on the plan that was drafted")
            return
        need(run.spec == before.spec, f"{run.run_id} has another spec after {event.kind}")
        need(run.draft == before.draft, f"{run.run_id} has another draft after {event.kind}")
        if drafting:
            self._nothing_but_a_draft(run)
        if (asked_for := run.spec.draft) and asked_for.plan_only:
            need(run.tip == run.spec.base_commit, f"{run.run_id} was to make a plan only")

    def _nothing_but_a_draft(self, run: Run) -> None:
        wrong = [p.command for p in run.pending if not isinstance(p.command, DRAFTS)]
        need(not wrong, f"{run.run_id} has no plan and asks for {wrong}")
        need(not run.snapshots, f"{run.run_id} has no plan and lands")
        need(run.tip == run.spec.base_commit, f"{run.run_id} has no plan and leaves its base")
        need(run.draft is None, f"{run.run_id} is drafting what is drafted")
        ref = f"refs/heads/{run.spec.branch}"
        theirs = ref in self.user.refs and ref not in self.foreign
        need(not theirs, f"{run.run_id} has no plan and delivers")

    def _handed_over(self, run: Run) -> None:
        """A part that succeeded went on in one run, on its tip, with what comes next; no other."""
        self._followers(run)
        for run_id in self.store.continued(run.run_id):
            after = self.store.load(run_id)
            spec, before = after.spec, run.spec
            need(spec.base_commit == run.tip, f"{run_id} does not begin at the tip of {run.run_id}")
            need(spec.part == before.part + 1, f"{run_id} is part {spec.part}")
            need((after.version, spec.landed) == (1, ()), f"{run_id} is no new run")
            rest = [phase.phase_id for phase in before.rest_phases]
            told = [phase.phase_id for phase in (*spec.phases, *spec.rest_phases)]
            need(told == rest, f"{run_id} and what follows it do {told}, left were {rest}")
            need(len(spec.phases) <= spec.phases_max, f"{run_id} has too many phases")
            self.acknowledged[run_id] = after
            self.accounts[run_id] = Accounts(spec, SURPLUS_MAX)
            self.specs.append(spec)

    def _followers(self, run: Run) -> None:
        """At every moment: one run goes on after a part that succeeded, none after any other."""
        well = run.stage is Stage.DONE and run.failure is None
        wanted = 1 if well and run.spec.rest_phases else 0
        found = self.store.continued(run.run_id)
        need(len(found) == wanted, f"{run.run_id} goes on in {found}: {run.state}")

    def _is_work(self, run: Run, event: AttemptEnded) -> None:
        """The candidate holds what a builder handed in as finished, on the parent that it says."""
        made = event.candidate
        if made is None:
            raise Broken(f"{event.phase_id} submitted attempt {event.attempt} without a candidate")
        ref = candidate_ref(run.run_id, event.phase_id, made.name)
        need(self.repository.resolve(ref) == made.commit, f"{ref} is not the candidate")
        commit = self.repository.objects.commits[made.commit]
        need(commit.parent == made.parent, f"{ref} has another parent than its candidate says")
        need(commit.tree == made.tree, f"{ref} has another tree than its candidate says")
        need(self._work_in(run, event.phase_id, made.commit), f"{ref} is not finished work")
        work = self.repository.read(made.commit, work_path(event.phase_id)) or b""
        doubted = self.ledger.reported.get(work.removesuffix(b"\n"))
        need(event.issues == doubted, f"{ref}: its issues are not those of its builder")

    def _work_in(self, run: Run, phase_id: str, commit: str) -> bool:
        return self._finished(run, phase_id, commit, work_path(phase_id))

    def _finished(self, run: Run, phase_id: str, commit: str, path: str) -> bool:
        found = self.repository.read(commit, path)
        return found is not None and self.ledger.is_finished(
            run.run_id, phase_id, found.removesuffix(b"\n")
        )

    def step(self) -> None:
        """After each step of the scheduler."""
        for run_id, known in self.acknowledged.items():
            run = self.store.load(run_id)
            need(run == known, f"{run_id} was acknowledged at {known.version}, is {run.version}")
            logged = self.store.events(run_id, after=run.version - 1)
            need(len(logged) == 1, f"{run_id} is at {run.version}, its log is not")
            self._branch(run)
            self._followers(run)
        self._never_changes()
        if self.promotions:
            self.promotions.step()
        for ref, to in self.foreign.items():
            need(self.user.refs.get(ref) == to, f"somebody else's {ref} was touched")

    def _never_changes(self) -> None:
        refs, tags = self.repository.refs, self.repository.tags
        for ref, commit in self.refs.items():
            need(refs.get(ref) == commit, f"{ref} moved")
        for tag, was in self.tags.items():
            need(tags.get(tag) == was, f"{tag} moved")
        if len(refs) > len(self.refs):
            self.refs = {r: c for r, c in refs.items() if not r.startswith("refs/heads/")}
        if len(tags) > len(self.tags):
            self.tags = dict(tags)

    def _branch(self, run: Run) -> None:
        ref = f"refs/heads/{run.spec.branch}"
        there = self.repository.refs.get(ref, run.tip)
        landing = [p.command.candidate.commit for p in run.pending if isinstance(p.command, Land)]
        sealed = self._sealed(run)
        known = {run.tip, *landing, *self._untold(run), *sealed}
        need(there in known, f"{ref} stands where no event put it")
        theirs = self.user.refs.get(ref)
        if isinstance(theirs, str) and ref not in self.foreign:
            delivered = self.repository.objects.is_ancestor(theirs, run.tip) or theirs in sealed
            need(delivered, f"{ref} was delivered ahead of the run")

    def _sealed(self, run: Run) -> set[str]:
        """Summaries on the branch, of a promotion that is under way or could not tell of them."""
        asked = any(isinstance(p.command, Promote) for p in run.pending)
        told = asked or run.promotion.tried
        return self.promotions.sealed(run) if self.promotions and told else set()

    def _untold(self, run: Run) -> set[str]:
        """Landings that may have happened although every try of them was told as failed.

        Nobody is lied to: the run does not count them, delivers nothing of them, and keeps the
        work under its ref.
        """
        return {
            phase.candidate.commit
            for phase in run.phases
            if phase.step is Step.FAILED
            and phase.candidate
            and phase.candidate.parent == run.tip
            and phase.infra_retries_used == run.spec.infra_retries_max
        }

    def end(self, run_id: str) -> None:
        """When a run has ended."""
        run = self.store.load(run_id)
        need(run.ended, f"{run_id} does not end: {run.stage}, {run.pending}")
        log = [entry.happened for entry in self.store.events(run_id, limit=10**6)]
        need(len(log) == run.version, f"{run_id} is at {run.version}, its log at {len(log)}")
        need(machine.replay(log) == run, f"{run_id}: its events make another run")
        branch = self.repository.refs.get(f"refs/heads/{run.spec.branch}", run.tip)
        known = {run.tip, *self._untold(run), *self._sealed(run)}
        need(branch in known, f"{run_id} ended at another commit than its branch")
        need(run.failure or not run.spec.drafting, f"{run_id} succeeds and has no plan")
        self._landings(run)

    def _landings(self, run: Run) -> None:
        landed = [snapshot.phase_id for snapshot in run.snapshots]
        need(len(landed) == len(set(landed)), f"{run.run_id} landed a phase twice")
        prefix = f"refs/tags/autonomous/{run.run_id}/"
        tags = {ref: tag for ref, tag in self.repository.tags.items() if ref.startswith(prefix)}
        tags.pop(f"refs/tags/{promotion.tag(run.run_id)}", None)
        more = [tag for tag in tags.values() if tag.commit in self._untold(run)]
        told = len(tags) - len(more)
        need(told == len(landed), f"{run.run_id}: {len(landed)} landings, {told} tags")
        for snapshot in run.snapshots:
            phase = run.phase(snapshot.phase_id)
            name = phase.candidate.name if phase.candidate else ""
            kept = self.repository.resolve(candidate_ref(run.run_id, phase.phase_id, name))
            need(kept == snapshot.commit, f"{phase.phase_id} landed and is not under its ref")
            tag = tags.get(f"refs/tags/{snapshot.tag}")
            need(tag and tag.commit == snapshot.commit, f"{snapshot.tag} is not its landing")
            tested = (run.run_id, snapshot.commit) in self.green
            need(tested, f"{phase.phase_id} landed a commit that CI never passed")
            inside = self.repository.objects.is_ancestor(snapshot.commit, run.tip)
            need(inside, f"{phase.phase_id} landed and is not in the branch")
            paths, name = _works(phase), phase.phase_id
            there = any(self._finished(run, name, run.tip, path) for path in paths)
            need(there, f"{phase.phase_id} landed and its work is not in the branch")

    def delivered(self, run_id: str) -> None:
        """When nothing was in the way of a delivery."""
        run = self.store.load(run_id)
        if not run.snapshots:
            return
        need(run.delivered == run.tip, f"{run_id} is not delivered: {run.delivery_refusal}")
        mine = {f"refs/tags/{snapshot.tag}" for snapshot in run.snapshots}
        wanted = {ref: tag for ref, tag in self.repository.tags.items() if ref in mine}
        for ref, to in {f"refs/heads/{run.spec.branch}": run.tip, **wanted}.items():
            there = self.user.refs.get(ref)
            need(there == to or there in self._sealed(run), f"{ref} did not arrive")
