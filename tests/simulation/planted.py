"""Bugs on purpose: doubles that break one promise each, to show that the simulator sees it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import cast

from autopack.app.forge import PullRequest, PullState
from autopack.app.ports import Transaction
from autopack.core import machine
from autopack.core.event import Happened, RunCreated
from autopack.core.run import Run
from autopack.core.spec import RunSpec
from autopack.testing import MemoryForge, MemoryRepository, MemoryStore, MemoryTransaction
from autopack.testing.objects import MemoryCommit, MemoryTag
from tests.simulation.agents import SURPLUS_MAX
from tests.simulation.world import Doubles

SELDOM = 0.02
"""How often per write: a power cut that hits just then."""


class EventLost(MemoryStore):
    """State and event are two writes, and a crash between them loses the event."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng

    def save(
        self,
        run: Run,
        happened: Happened,
        *,
        expected_version: int,
        within: Callable[[Transaction], None],
    ) -> bool:
        saved = super().save(run, happened, expected_version=expected_version, within=within)
        if saved and self._rng.random() < SELDOM:
            self._events[run.run_id].pop()
        return saved


class WriteLost(MemoryStore):
    """A write is acknowledged before it is durable: event and state are gone after a crash."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng

    def save(
        self,
        run: Run,
        happened: Happened,
        *,
        expected_version: int,
        within: Callable[[Transaction], None],
    ) -> bool:
        if self.load(run.run_id).version == expected_version and self._rng.random() < SELDOM:
            return True
        return super().save(run, happened, expected_version=expected_version, within=within)


class PartLost(MemoryStore):
    """The next part of a series is acknowledged with the end of the one before, and not written."""

    def save(
        self,
        run: Run,
        happened: Happened,
        *,
        expected_version: int,
        within: Callable[[Transaction], None],
    ) -> bool:
        def forgetting(transaction: Transaction) -> None:
            within(transaction)
            cast("MemoryTransaction", transaction).made.clear()

        return super().save(run, happened, expected_version=expected_version, within=forgetting)


class PartTwice(MemoryStore):
    """The next part is written once more, under another name."""

    def save(
        self,
        run: Run,
        happened: Happened,
        *,
        expected_version: int,
        within: Callable[[Transaction], None],
    ) -> bool:
        def doubling(transaction: Transaction) -> None:
            within(transaction)
            for made, first in [*cast("MemoryTransaction", transaction).made]:
                again = replace(made.spec, run_id=f"{made.run_id}-again")
                transaction.create(
                    machine.create(again).run, replace(first, event=RunCreated(again))
                )

        return super().save(run, happened, expected_version=expected_version, within=doubling)


class CommitTwice(MemoryRepository):
    """Commits without looking whether the name is taken, and has forgotten what it kept."""

    def resolve(self, ref: str) -> str | None:
        return None if ref.startswith("refs/autopack/") else super().resolve(ref)

    def commit(self, tree: str, parent: str, message: str, at: int, ref: str) -> str:
        self.refs.pop(ref, None)
        return super().commit(tree, parent, message, at, ref)


class LandTwice(MemoryRepository):
    """Makes a new commit at each landing, also when it is done again."""

    def land(self, branch: str, commit: str, expected: str, tag: str, message: str, at: int) -> str:
        there = self.refs[f"refs/heads/{branch}"]
        if there != expected:
            again = MemoryCommit(self.tree(commit), there, message, at)
            self.refs[f"refs/heads/{branch}"] = self.objects.add_commit(again)
            self.tags[f"refs/tags/{tag}"] = MemoryTag(commit, message, at)
            return commit
        return super().land(branch, commit, expected, tag, message, at)


def tenfold_phases(spec: RunSpec) -> RunSpec:
    """Every phase may spend ten times what was planned."""
    more = (replace(p, incident_token_cap=10 * p.incident_token_cap) for p in spec.phases)
    return replace(spec, phases=tuple(more), token_cap=10 * spec.token_cap)


def without_tier_caps(spec: RunSpec) -> RunSpec:
    """No tier has a cap of tokens or CI runs."""
    tiers = (replace(t, token_cap=10**9, ci_run_cap=10**6) for t in spec.tiers)
    return replace(spec, tiers=tuple(tiers))


def without_tolerances(spec: RunSpec) -> RunSpec:
    """Every tier is clean, whatever issues it has."""
    return replace(spec, tiers=tuple(replace(t, minor_issues_max=None) for t in spec.tiers))


def twice_reserved(run: Run) -> Run:
    """Phases hold on to their whole cap, whatever of it is spent."""
    held = (replace(p, tokens_reserved=p.tokens_reserved and p.spec.incident_token_cap)
            for p in run.phases)  # fmt: skip
    return replace(run, phases=tuple(held))


def uncounted(run: Run) -> Run:
    """No CI run counts."""
    return replace(run, phases=tuple(replace(p, ci_runs_used=0) for p in run.phases))


def all_resolved(run: Run) -> Run:
    """Whatever was seen is resolved."""
    keys = {found.issue_key for phase in run.phases for found in phase.issues}
    return replace(run, resolved=tuple(sorted(keys)))


def unpaid(run: Run) -> Run:
    """What a plan cost is forgotten once it is there."""
    return replace(run, draft=run.draft and replace(run.draft, tokens_spent=0))


def thawed(run: Run) -> Run:
    """A drafted plan has its say after it was frozen."""
    if run.draft is None or run.pending:
        return run
    return replace(run, spec=replace(run.spec, parallel_max=run.spec.parallel_max + 1))


class BlindToEnded(MemoryForge):
    """Finds open pull requests only, so that what a person closed is opened again."""

    def find(self, head: str, marker: str) -> tuple[PullRequest, ...]:
        return tuple(p for p in super().find(head, marker) if p.state is PullState.OPEN)


class BlindToRewritten(MemoryForge):
    """Finds by the marker alone, so that a text written anew hides what is there."""

    def find(self, head: str, marker: str) -> tuple[PullRequest, ...]:
        return tuple(p for p in super().find(head, marker) if marker in p.body)


PLANTED: dict[str, Doubles] = {
    "promoted-again": Doubles(forge=BlindToEnded),
    "promoted-unseen": Doubles(forge=BlindToRewritten),
    "event-lost": Doubles(store=EventLost),
    "write-lost": Doubles(store=WriteLost),
    "part-lost": Doubles(store=lambda _rng: PartLost()),
    "part-twice": Doubles(store=lambda _rng: PartTwice()),
    "commit-twice": Doubles(repository=lambda users: CommitTwice(users, checkouts=False)),
    "land-twice": Doubles(repository=lambda users: LandTwice(users, checkouts=False)),
    "overspent": Doubles(surplus=SURPLUS_MAX),
    "phase-cap": Doubles(reads=tenfold_phases),
    "run-cap": Doubles(reads=lambda spec: replace(spec, token_cap=10**9)),
    "tier-caps": Doubles(reads=without_tier_caps),
    "twice-reserved": Doubles(moves=twice_reserved),
    "ci-runs-uncounted": Doubles(moves=uncounted),
    "tier-cap-forgotten": Doubles(moves=lambda run: replace(run, tier_caps_hit=())),
    "tolerance-unread": Doubles(reads=without_tolerances),
    "upgrade-unread": Doubles(reads=lambda spec: replace(spec, severity_upgrades=())),
    "age-unread": Doubles(reads=lambda spec: replace(spec, known_issues=())),
    "run-tolerance-unread": Doubles(reads=lambda spec: replace(spec, minor_issues_max=None)),
    "all-resolved": Doubles(moves=all_resolved),
    "draft-unpaid": Doubles(moves=unpaid),
    "draft-forgotten": Doubles(moves=lambda run: replace(run, draft=None)),
    "draft-unread": Doubles(judges=False),
    "spec-thawed": Doubles(moves=thawed),
}
SAID: dict[str, str] = {
    "promoted-again": "two pull requests",
    "promoted-unseen": "two pull requests",
    "part-lost": " goes on in ",
    "part-twice": " goes on in ",
    "overspent": "phase cap: ",
    "phase-cap": " reserves ",
    "run-cap": "run cap: ",
    "tier-caps": "tier cap: |tier cap of ",
    "twice-reserved": " reserves ",
    "ci-runs-uncounted": "CI runs of ",
    "tier-cap-forgotten": "tier cap of ",
    "tolerance-unread": "cleanliness of tier ",
    "upgrade-unread": "issues of tier ",
    "age-unread": "issues of tier ",
    "draft-unpaid": "tokens of _plan: ",
    "draft-forgotten": "tokens of the run: ",
    "draft-unread": "takes what is no plan",
    "spec-thawed": "has another spec after ",
    "run-tolerance-unread": "debt: excess_minor_issues",
}
"""What is said of bugs in budgets, tiers and drafts: each is found by the promise that it breaks."""
