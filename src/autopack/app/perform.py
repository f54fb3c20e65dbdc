"""Perform one command through the ports and answer with its event.

At least once: every effect is named by run, phase and attempt, and looked at before it is made, so
that performing a command again after a crash does nothing twice. Never changes a run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from autopack.app import apply
from autopack.app.ports import (
    Agents,
    Attempt,
    AuditTask,
    Built,
    Clock,
    Clone,
    Repository,
    TestTask,
    Verifier,
)
from autopack.app.supervise import Cancellation, CutOff
from autopack.core.command import (
    Audit,
    Build,
    Check,
    Deliver,
    Land,
    Pending,
    PrepareBase,
    PrepareEnvironment,
    Reapply,
    Test,
    Wait,
)
from autopack.core.errors import EnvironmentFault, Fault, OperatorFault
from autopack.core.event import (
    AttemptEnded,
    AuditEnded,
    BasePrepared,
    CandidateTested,
    CommandFailed,
    Delivered,
    DeliveryRefused,
    EnvironmentPrepared,
    Event,
    Outcome,
    Recommendation,
    SnapshotLanded,
    Unparked,
)
from autopack.core.policy import Rules
from autopack.core.run import Candidate, Evidence, PhaseSpec, Run, RunSpec

CAPTURE_TRIES_MAX = 3
"""Tries to capture what an attempt left before its clone is given up."""
BACKOFF_SECONDS_MAX = 60.0
"""The longest wait before a command is tried again after an environment failure."""
NAP_SECONDS_MAX = 60.0
"""A parked phase looks at the wall clock at least this often, so that a clock jump is noticed."""


@dataclass(frozen=True)
class World:
    """Everything that performing asks of the outside."""

    repository: Callable[[RunSpec], Repository]
    rules: Callable[[RunSpec, PhaseSpec], Rules]
    """The path policy of a phase, from the base commit's project file."""
    agents: Agents
    verifier: Verifier
    clock: Clock
    scratch: Path
    """Clones, reports and prompts live below it, by run and phase."""
    logs: Path
    """What agents and CI printed, by run and phase; kept."""
    backoff_seconds: float = 5.0


class Performer:
    """Performs commands in a world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __call__(self, run: Run, pending: Pending, cancel: Cancellation) -> Event:
        """Perform the command; EnvironmentFault when the environment does not let it."""
        if pending.retry:
            cancel.wait(min(BACKOFF_SECONDS_MAX, self._backoff(pending.retry)))
        match pending.command:
            case PrepareBase():
                return self._prepare_base(run)
            case PrepareEnvironment():
                digest = self._world.verifier.prepare(run.spec, cancel)
                _leave_if_cut_off(cancel)
                return EnvironmentPrepared(digest)
            case Build() as build:
                return self._build(run, build, pending.issued_at, cancel)
            case Wait() as wait:
                return self._wait(wait, cancel)
            case Check() as check:
                return self._check(run, check)
            case Audit() as audit:
                return self._audit(run, audit, pending.issued_at, cancel)
            case Test() as test:
                return self._test(run, test, cancel)
            case Reapply() as reapply:
                repository = self._world.repository(run.spec)
                return apply.reapply_candidate(repository, run.spec, reapply, pending.issued_at)
            case Land() as land:
                return self._land(run, land, pending.issued_at)
            case Deliver() as deliver:
                return self._deliver(run, deliver)
            case _:
                assert_never(pending.command)

    def _backoff(self, retry: int) -> float:
        return float(self._world.backoff_seconds * 2 ** (retry - 1))

    def _folder(self, run: Run, phase_id: str, what: str) -> Path:
        return self._world.scratch / run.run_id / phase_id / what

    def _logs(self, run: Run, phase_id: str, what: str) -> Path:
        return self._world.logs / run.run_id / phase_id / what

    def _prepare_base(self, run: Run) -> Event:
        spec = run.spec
        repository = self._world.repository(spec)
        repository.prepare(spec.repository, spec.base_ref, spec.base_commit, spec.branch)
        return BasePrepared()

    def _build(self, run: Run, build: Build, at: int, cancel: Cancellation) -> Event:
        repository = self._world.repository(run.spec)
        folder = self._folder(run, build.phase_id, f"attempt-{build.attempt}")
        repository.discard(folder)  # what a crash left, also when the answer is known
        known = apply.known_attempt(repository, run.spec, build)
        if known is not None:  # it was captured, and the answer was lost in a crash
            return known
        builder = self._world.agents.builders.get(run.spec.builder)
        if builder is None:
            raise _no_agent("builder", run.spec.builder)
        phase = run.phase(build.phase_id).spec
        logs = self._logs(run, build.phase_id, f"attempt-{build.attempt}")
        attempt = Attempt(run.run_id, phase, build.attempt, build.tokens_max, build.evidence, logs)
        try:
            clone = repository.clone(build.parent, folder)
            built = builder.build(attempt, clone, cancel)
            if built.outcome is Outcome.CANCELLED:
                _leave_if_cut_off(cancel)
            return self._captured(run, build, built, clone, at, cancel)
        finally:
            repository.discard(folder)

    def _captured(
        self,
        run: Run,
        build: Build,
        built: Built,
        clone: Clone,
        at: int,
        cancel: Cancellation,
    ) -> Event:
        """What an attempt left, as its event. Finished work: a capture that fails is tried again.

        Tokens count whatever becomes of it, so that failures cannot be paid for ever.
        """
        reason = built.error
        for tried in range(0 if reason else CAPTURE_TRIES_MAX):
            if tried:
                cancel.wait(min(BACKOFF_SECONDS_MAX, self._backoff(tried)))
            try:
                return self._capture(run, build, built, clone, at)
            except Fault as fault:
                reason = f"what the attempt left could not be captured: {fault}"
        if built.error:
            return CommandFailed(reason, built.tokens)
        try:  # it may be kept all the same, its answer lost: then its tokens count once, with it
            known = apply.known_attempt(self._world.repository(run.spec), run.spec, build)
        except Fault:
            return CommandFailed(reason)
        return known or CommandFailed(reason, built.tokens)

    def _capture(self, run: Run, build: Build, built: Built, clone: Clone, at: int) -> AttemptEnded:
        if built.outcome is Outcome.PARKED:
            return AttemptEnded(
                build.phase_id,
                build.attempt,
                Outcome.PARKED,
                built.tokens,
                parked_until=built.parked_until,
            )
        repository = self._world.repository(run.spec)
        return apply.capture_attempt(repository, run.spec, build, built, clone, at)

    def _wait(self, wait: Wait, cancel: Cancellation) -> Event:
        clock = self._world.clock
        began, began_at = clock.monotonic(), clock.now()
        while not cancel.is_set():
            now = clock.now()
            left = wait.until - now
            if now == began_at:  # it stands still (SOURCE_DATE_EPOCH), or this second is not over
                left -= clock.monotonic() - began
            if left <= 0:
                break
            cancel.wait(min(left, NAP_SECONDS_MAX))
        _leave_if_cut_off(cancel)
        return Unparked(wait.phase_id, clock.monotonic() - began)

    def _check(self, run: Run, check: Check) -> Event:
        phase = run.phase(check.phase_id).spec
        rules = self._world.rules(run.spec, phase)
        return apply.check_candidate(
            self._world.repository(run.spec), rules, check.phase_id, check.candidate
        )

    def _audit(self, run: Run, audit: Audit, at: int, cancel: Cancellation) -> Event:
        auditor = self._world.agents.auditors.get(run.spec.auditor)
        if auditor is None:
            raise _no_agent("auditor", run.spec.auditor)
        repository = self._world.repository(run.spec)
        name = f"audit-{audit.attempt}"
        folder = self._folder(run, audit.phase_id, name)
        repository.discard(folder)
        task = AuditTask(
            run.run_id,
            run.phase(audit.phase_id).spec,
            audit.attempt,
            audit.candidate.commit,
            audit.reason,
            audit.tokens_max,
            self._logs(run, audit.phase_id, name),
        )
        try:
            clone = repository.clone(audit.candidate.commit, folder)
            audited = auditor.audit(task, clone, cancel)
        finally:
            repository.discard(folder)
        if audited.recommendation is Recommendation.INVALID:
            _leave_if_cut_off(cancel)
        if audited.error:
            return CommandFailed(audited.error, audited.tokens)
        candidate: Candidate | None = None
        if audited.patch is not None:
            try:
                made = apply.apply_audit_patch(repository, run.spec, audit, audited.patch, at)
            except EnvironmentFault as fault:
                return CommandFailed(str(fault), audited.tokens)
            if isinstance(made, Evidence):
                notes = f"{audited.notes}\nits patch was refused: {made.summary}".strip()
                return AuditEnded(audit.phase_id, Recommendation.INVALID, audited.tokens, notes)
            candidate = made
        return AuditEnded(
            audit.phase_id, audited.recommendation, audited.tokens, audited.notes, candidate
        )

    def _test(self, run: Run, test: Test, cancel: Cancellation) -> Event:
        repository = self._world.repository(run.spec)
        folder = self._folder(run, test.phase_id, f"ci-{test.candidate.name}")
        repository.discard(folder)
        task = TestTask(
            run.spec,
            run.phase(test.phase_id).spec,
            test.candidate.commit,
            test.candidate.tree,
            test.profile,
            folder,
            self._logs(run, test.phase_id, f"ci-{test.candidate.name}"),
        )
        try:
            tested = self._world.verifier.test(task, cancel)
        finally:
            repository.discard(folder)
        _leave_if_cut_off(cancel)
        if tested.error:
            raise EnvironmentFault(tested.error)
        return CandidateTested(
            test.phase_id,
            tested.verdict,
            tested.evidence,
            tested.tests_run,
            tested.cached,
            tested.weak,
        )

    def _land(self, run: Run, land: Land, at: int) -> Event:
        repository = self._world.repository(run.spec)
        message = f"[autopack] {land.phase_id} of {run.run_id} is green"
        stands = repository.land(
            run.spec.branch, land.candidate.commit, land.expected, land.tag, message, at
        )
        if stands != land.candidate.commit:
            what = f"{run.spec.branch} stands at {stands[:12]}, not at {land.expected[:12]}"
            raise EnvironmentFault(what, "someone else moved the supervisor's own branch")
        return SnapshotLanded(land.phase_id, land.candidate.commit, land.tag)

    def _deliver(self, run: Run, deliver: Deliver) -> Event:
        repository = self._world.repository(run.spec)
        refused = repository.deliver(run.spec.repository, run.run_id, deliver.tip, run.delivered)
        return DeliveryRefused(deliver.tip, refused) if refused else Delivered(deliver.tip)


def _leave_if_cut_off(cancel: Cancellation) -> None:
    if cancel.cut_off:
        raise CutOff


def _no_agent(role: str, name: str) -> OperatorFault:
    return OperatorFault(
        f"{role} {name!r} is not configured any more", f"put [agents.{name}] into autopack.toml"
    )
