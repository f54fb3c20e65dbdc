"""Builder, auditor and CI of the simulation: they work in zero time and behave as badly as told.

Every piece of work carries a number of its own, so that lost or mixed-up work is seen.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from autopack.app.agents import (
    Attempt,
    Audited,
    AuditTask,
    Built,
)
from autopack.app.ports import (
    Cancel,
    Clone,
    Tested,
    TestTask,
)
from autopack.core.draft import FILE, PHASE
from autopack.core.errors import EnvironmentFault
from autopack.core.event import CiVerdict, Outcome, Recommendation
from autopack.core.issue import IssueReport, IssueSeverity, IssueSource
from autopack.core.spec import (
    CiProfile,
    RunSpec,
)
from autopack.testing import FakeClock, MemoryRepository
from tests.simulation import failing

SURPLUS_MAX = 50
"""Tokens that one answer may pass what it was allowed."""
CONFLICTING = 0.2
"""How often a work also changes what all of them may change."""
FAILING = 0.3
"""How often CI meets red tests that it blames."""
AGAIN = 0.4
"""How often a bad attempt does what the one before it did."""
DOUBTING = 0.2
"""How often an agent reports an issue."""
SHARED = "shared.txt"
PROTECTED = "AGENTS.md"


@dataclass
class Ledger:
    """Which works were handed in as finished, by run and phase."""

    made: int = 0
    finished: dict[tuple[str, str], set[bytes]] = field(default_factory=dict)
    plans: set[bytes] = field(default_factory=set)
    """Works that are a plan; the others that were to be one are none."""
    drafts_well: dict[str, float] = field(default_factory=dict)
    """By run: how often an attempt at its plan is one."""
    reported: dict[bytes, tuple[IssueReport, ...]] = field(default_factory=dict)
    """What was doubted of each work."""

    def work(self) -> bytes:
        """The content of the next work."""
        self.made += 1
        return b"work %d" % self.made

    def finish(self, run_id: str, phase_id: str, work: bytes) -> None:
        self.finished.setdefault((run_id, phase_id), set()).add(work)

    def is_finished(self, run_id: str, phase_id: str, work: bytes | None) -> bool:
        """Whether the work was handed in for that phase."""
        return work in self.finished.get((run_id, phase_id), set())


@dataclass
class Agents:
    """All three; `meanwhile` lets the rest of the world go on while one of them works."""

    rng: random.Random
    misbehave: float
    repository: MemoryRepository
    clock: FakeClock
    ledger: Ledger
    meanwhile: Callable[[], None]
    calm: bool = False
    misdeeds: dict[tuple[str, str], int] = field(default_factory=dict)
    """What the last bad attempt at a phase did."""
    surplus: int = 0
    """Tokens that each answer says beside what it may: none, but for a planted bug."""

    def build(self, attempt: Attempt, clone: Clone, cancel: Cancel) -> Built:
        """One attempt, or whatever the seed has in mind instead; with what it doubts."""
        self.meanwhile()
        work = self.ledger.work()
        if attempt.phase.phase_id == PHASE and (
            self.rng.random() < self.ledger.drafts_well[attempt.run_id]
        ):
            self.ledger.plans.add(work)
        self.ledger.reported[work] = self._doubts(IssueSource.SELF_DOUBT)
        built = self._build(attempt, clone, cancel, work)
        return replace(built, issues=self.ledger.reported[work])

    def _build(self, attempt: Attempt, clone: Clone, cancel: Cancel, work: bytes) -> Built:
        phase_id = attempt.phase.phase_id
        patch = new_file(work_path(phase_id), work)
        tokens = self._tokens(attempt.tokens_max)
        if cancel.is_set():
            return Built(Outcome.CANCELLED, tokens, patch=patch)
        if not self._badly():
            self.ledger.finish(attempt.run_id, phase_id, work)
            if self.rng.random() < CONFLICTING:
                shared = self.repository.read(clone.commit, SHARED) or b""
                patch += replaced(SHARED, shared, work)
            return Built(Outcome.SUBMITTED, tokens, patch=patch)
        return self._bad_attempt(attempt, patch, work, tokens)

    def _bad_attempt(self, attempt: Attempt, patch: bytes, work: bytes, tokens: int) -> Built:
        drawn, key = self.rng.randrange(7), (attempt.run_id, attempt.phase.phase_id)
        kind = self.misdeeds.get(key, drawn) if self.rng.random() < AGAIN else drawn
        self.misdeeds[key] = kind
        if kind == 0:
            until = self.clock.now() + self.rng.randint(0, 5000)
            return Built(Outcome.PARKED, tokens, parked_until=until)
        if kind == 1:
            return Built(Outcome.SUBMITTED, tokens, error="the sandbox did not start")
        if kind == 2:
            return Built(Outcome.EMPTY, tokens, patch=b"")
        if kind == 3:
            outcome = self.rng.choice([Outcome.FAILED, Outcome.TIMED_OUT, Outcome.CANCELLED])
            return Built(outcome, tokens, patch=patch)
        if kind == 4:
            return Built(Outcome.SUBMITTED, tokens, patch=b"no patch at all\n")
        self.ledger.finish(attempt.run_id, attempt.phase.phase_id, work)
        if kind == 5:
            return Built(Outcome.SUBMITTED, tokens, patch=patch + new_file("outside.txt", work))
        return Built(Outcome.SUBMITTED, tokens, patch=patch + new_file(PROTECTED, work))

    def audit(self, task: AuditTask, clone: Clone, cancel: Cancel) -> Audited:
        """A verdict, sometimes with a patch and with issues."""
        self.meanwhile()
        return replace(self._audit(task, cancel), issues=self._doubts(IssueSource.AUDITOR))

    def _audit(self, task: AuditTask, cancel: Cancel) -> Audited:
        tokens = self._tokens(task.tokens_max)
        if cancel.is_set():
            return Audited(Recommendation.INVALID, tokens, "cancelled")
        patch = None
        if self.rng.random() < 0.3:
            phase_id, work = task.phase.phase_id, self.ledger.work()
            self.ledger.finish(task.run_id, phase_id, work)
            patch = new_file(patch_path(phase_id, task.number), work)
        if not self._badly():
            return Audited(Recommendation.APPROVE, tokens, "good", patch)
        if self.rng.random() < 0.2:
            return Audited(Recommendation.INVALID, tokens, error="the auditor did not start")
        if self.rng.random() < 0.2:
            patch = b"no patch at all\n"
        return Audited(self.rng.choice([*Recommendation]), tokens, "notes", patch)

    def spent(self, log_folder: Path, tokens_max: int) -> int:
        """None: what a dead try used is its secret."""
        return 0

    def prepare(self, run: RunSpec, cancel: Cancel) -> str:
        """The environment's digest."""
        self.meanwhile()
        if self._badly() and self.rng.random() < 0.2:
            raise EnvironmentFault("the environment could not be built")
        return "digest"

    def test(self, task: TestTask, cancel: Cancel) -> Tested:
        """CI's verdict, whatever was submitted."""
        self.meanwhile()
        if cancel.is_set():
            return Tested(CiVerdict.CANCELLED)
        if not self._badly():
            green = task.watched if self.rng.random() < 0.5 else ()
            cached = self.rng.random() < 0.1
            if not self.calm and self.rng.random() < FAILING:
                strict = task.profile is CiProfile.STRICT
                return replace(
                    failing.judged(self.rng, strict=strict, known=task.quarantined), passed=green
                )
            return Tested(CiVerdict.PASS, tests_run=1, cached=cached, passed=green)
        if self.rng.random() < 0.1:
            return Tested(CiVerdict.INFRA, error="the disk is full")
        return Tested(self.rng.choice([*CiVerdict]), tests_run=1)

    def _doubts(self, source: IssueSource) -> tuple[IssueReport, ...]:
        """One issue now and then; few keys, so that they meet again."""
        if self.calm or self.rng.random() >= DOUBTING:
            return ()
        severity = self.rng.choice([None, *IssueSeverity])
        return (IssueReport(f"issue_{self.rng.randint(1, 3)}", source, severity=severity),)

    def _badly(self) -> bool:
        return not self.calm and self.rng.random() < self.misbehave

    def _tokens(self, tokens_max: int) -> int:
        if self._badly():
            return self.rng.randint(0, tokens_max + SURPLUS_MAX) + self.surplus
        return self.rng.randint(0, max(1, tokens_max // 4))


def work_path(phase_id: str) -> str:
    """The file that a phase's work is in."""
    return FILE if phase_id == PHASE else f"work/{phase_id}"


def patch_path(phase_id: str, audit: int) -> str:
    """The file that the patch of one audit of a phase is in."""
    return f"work/{phase_id}.audit-{audit}"


def new_file(path: str, work: bytes) -> bytes:
    """A patch that adds a file of one line."""
    name = path.encode()
    head = b"diff --git a/%b b/%b\nnew file mode 100644\n--- /dev/null\n+++ b/%b\n"
    return head % (name, name, name) + b"@@ -0,0 +1 @@\n+" + work + b"\n"


def replaced(path: str, old: bytes, work: bytes) -> bytes:
    """A patch that replaces the one line of a file."""
    name = path.encode()
    head = b"diff --git a/%b b/%b\n--- a/%b\n+++ b/%b\n@@ -1 +1 @@\n"
    return head % (name, name, name, name) + b"-" + old + b"+" + work + b"\n"
