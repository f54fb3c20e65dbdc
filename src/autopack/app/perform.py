"""Perform one command through the ports and answer with its event.

At least once: every effect is named by run, phase and attempt, and looked at before it is made, so
that performing a command again after a crash does nothing twice. Never changes a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, assert_never

from autopack.app import apply, audits, gate, promote, trial
from autopack.app.agents import (
    Attempt,
    Audited,
    Auditor,
    Builder,
    Built,
)
from autopack.app.aside import Aside
from autopack.app.draft import compile_draft
from autopack.app.ports import Clone
from autopack.app.starts import Tries
from autopack.app.supervise import Cancellation
from autopack.app.turns import leave_if_cut_off, unbegun, until
from autopack.app.world import World
from autopack.core import known
from autopack.core.command import (
    Audit,
    AwaitRoom,
    Build,
    Check,
    CompilePlan,
    Deliver,
    Land,
    Pending,
    PrepareBase,
    PrepareEnvironment,
    Promote,
    Reapply,
    Test,
    Wait,
    runs_commands,
)
from autopack.core.errors import EnvironmentFault, Fault, OperatorFault
from autopack.core.event import (
    AttemptEnded,
    AuditEnded,
    BasePrepared,
    CommandFailed,
    Delivered,
    DeliveryRefused,
    EnvironmentPrepared,
    Event,
    Outcome,
    Recommendation,
    SnapshotLanded,
)
from autopack.core.redact import cleaned
from autopack.core.run import (
    Candidate,
    Evidence,
    Run,
)

A = TypeVar("A")
CAPTURE_TRIES_MAX = 3
"""Tries to capture what an attempt left before its clone is given up."""
BACKOFF_SECONDS_MAX = 60.0
"""The longest wait before a command is tried again after an environment failure."""
WORK = (PrepareBase, PrepareEnvironment, Build, Audit, Test, Deliver, Promote)
"""What takes a slot: it loads the machine, as programs of the gate do. Waiting does not, nor does
what is short."""


class Performer:
    """Performs commands in a world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __call__(self, run: Run, pending: Pending, cancel: Cancellation) -> Event:
        """Perform the command; EnvironmentFault when the environment does not let it."""
        if pending.retry:
            cancel.wait(min(BACKOFF_SECONDS_MAX, self._backoff(pending.retry)))
        takes = isinstance(pending.command, WORK) or runs_commands(pending.command)
        if takes and self._world.slots is not None:
            with self._world.slots.taken(cancel) as begins:
                if not begins:
                    return self._unbegun(run, pending, cancel)
                return self._perform(run, pending, cancel)
        return self._perform(run, pending, cancel)

    def _perform(self, run: Run, pending: Pending, cancel: Cancellation) -> Event:
        match pending.command:
            case PrepareBase() as base:
                full = promote.full(self._world, run, base, cancel)
                return full or self._prepare_base(run, cancel)
            case AwaitRoom() as room:
                return promote.await_room(self._world, run, room, pending.issued_at, cancel)
            case Promote():
                return promote.promote(self._world, run, pending, cancel)
            case PrepareEnvironment():
                digest = self._world.verifier.prepare(run.spec, cancel)
                leave_if_cut_off(cancel)
                return EnvironmentPrepared(digest)
            case Build() as build:
                return self._build(run, build, pending, cancel)
            case Wait() as wait:
                return until(wait, self._world.clock, cancel)
            case Check() as check:
                return self._check(run, check, cancel)
            case CompilePlan() as ask:
                repository = self._world.repository(run.spec)
                return compile_draft(repository, run, ask, self._world.planned)
            case Audit() as audit:
                return self._audit(run, audit, pending, cancel)
            case Test() as test:
                return self._test(run, test, cancel)
            case Reapply() as reapply:
                repository = self._world.repository(run.spec)
                return apply.reapply_candidate(repository, run.spec, reapply, pending.issued_at)
            case Land() as land:
                return self._land(run, land, pending.issued_at)
            case Deliver() as deliver:
                return self._deliver(run, deliver, cancel)
            case _:
                assert_never(pending.command)

    def _backoff(self, retry: int) -> float:
        return float(self._world.backoff_seconds * 2 ** (retry - 1))

    def _folder(self, run: Run, phase_id: str, what: str) -> Path:
        return self._world.scratch / run.run_id / phase_id / what

    def _logs(self, run: Run, phase_id: str, what: str) -> Path:
        return self._world.logs / run.run_id / phase_id / what

    def _prepare_base(self, run: Run, cancel: Cancellation) -> Event:
        spec = run.spec
        repository = self._world.repository(spec)
        if run.draft is None:  # else it has made something: its plan
            apply.check_unused(repository, spec)
        try:
            repository.prepare(
                spec.repository, spec.base_ref, spec.base_commit, spec.branch, cancel
            )
        except Fault:
            leave_if_cut_off(cancel)
            raise
        return BasePrepared()

    def _build(self, run: Run, build: Build, pending: Pending, cancel: Cancellation) -> Event:
        repository = self._world.repository(run.spec)
        folder = self._folder(run, build.phase_id, _name(build))
        kept = self._known(run, build)
        if kept is not None:  # it was captured, and the answer was lost in a crash
            repository.discard(folder)
            return kept
        builder = self._builder(run, build.phase_id)
        if self._world.room is not None:
            self._world.room.check()
        self._aside(run, build).free(folder)
        phase = run.phase(build.phase_id).spec
        lost = self._tries(run, build, pending).begin(run.spec.infra_retries_max + 1)
        if isinstance(lost, CommandFailed):
            return lost
        logs = self._logs(run, build.phase_id, _name(build))
        tokens_max = build.tokens_max - lost
        told = known.in_scope(run, phase)
        attempt = Attempt(run.run_id, phase, build.attempt, tokens_max, build.evidence, logs, told)
        try:
            clone = repository.clone(build.parent, folder)
        except Fault as fault:
            repository.discard(folder)  # nobody worked in it
            return _failed(fault, lost)
        try:
            built = builder.build(attempt, clone, cancel)
            if built.outcome is Outcome.CANCELLED:
                leave_if_cut_off(cancel)  # the next supervisor keeps what is there, begins again
            built = replace(cleaned(built), tokens=built.tokens + lost)
            answer = self._captured(run, build, built, clone, pending.issued_at, cancel)
        except Fault as fault:
            return _failed(fault, lost)
        if isinstance(answer, AttemptEnded):  # all else may be the only copy of its work
            repository.discard(folder)
        return answer

    def _unbegun(self, run: Run, pending: Pending, cancel: Cancellation) -> Event:
        """What work answers that was told to end before its turn came."""
        leave_if_cut_off(cancel)
        asked, lost = pending.command, 0
        if isinstance(asked, Build):
            known = self._known(run, asked)
            if known is not None:
                return known
        if isinstance(asked, Build | Audit):
            lost = self._tries(run, asked, pending).lost()
        return unbegun(asked, lost)

    def _known(self, run: Run, build: Build) -> AttemptEnded | None:
        repository = self._world.repository(run.spec)
        return apply.known_attempt(repository, run.spec, build, _park(run, build))

    def _tries(self, run: Run, asked: Build | Audit, pending: Pending) -> Tries:
        of = self._builder if isinstance(asked, Build) else self._auditor
        spent = of(run, asked.phase_id).spent
        logs = self._logs(run, asked.phase_id, _name(asked))
        return Tries(self._world.starts, logs, pending.number, asked.tokens_max, spent)

    def _builder(self, run: Run, phase_id: str) -> Builder:
        name = run.spec.builder_of(phase_id)
        return _configured(self._world.agents.builders, "builder", name)

    def _auditor(self, run: Run, phase_id: str) -> Auditor:
        name = run.spec.auditor_of(phase_id)
        return _configured(self._world.agents.auditors, "auditor", name)

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

        Given up, its clone is set aside. Tokens count whatever becomes of it, so that failures
        cannot be paid for ever.
        """
        aside = self._aside(run, build)
        if built.error:
            deliver = run.phase(build.phase_id).spec.deliver
            reason = aside.unbuilt(built, clone, deliver)
            return CommandFailed(reason, built.tokens, built.issues)
        reason = ""
        for tried in range(CAPTURE_TRIES_MAX):
            if tried:
                cancel.wait(min(BACKOFF_SECONDS_MAX, self._backoff(tried)))
            try:
                return self._capture(run, build, built, clone, at)
            except Fault as fault:
                reason = f"what the attempt left could not be captured: {fault}"
        try:  # it may be kept all the same, its answer lost: then its tokens count once, with it
            known = self._known(run, build)
        except Fault:
            return CommandFailed(aside.keep(built, clone, reason))
        if known is not None:
            return known
        return CommandFailed(aside.keep(built, clone, reason), built.tokens, built.issues)

    def _capture(self, run: Run, build: Build, built: Built, clone: Clone, at: int) -> AttemptEnded:
        repository, park = self._world.repository(run.spec), _park(run, build)
        return apply.capture_attempt(repository, run.spec, build, built, clone, at, park)

    def _aside(self, run: Run, build: Build) -> Aside:
        to = self._world.quarantine / run.run_id / build.phase_id / _name(build)
        repository = self._world.repository(run.spec)
        return Aside(repository, to, f"{build.phase_id} of {run.run_id}")

    def _check(self, run: Run, check: Check, cancel: Cancellation) -> Event:
        world, phase = self._world, run.phase(check.phase_id)
        try:
            return gate.check_phase(
                world.repository(run.spec), world.checks(run.spec), run.spec, phase,
                world.rules(run.spec, phase.spec), check.candidate, world.clock, cancel,
            )  # fmt: skip
        except Fault:
            leave_if_cut_off(cancel)
            raise

    def _audit(self, run: Run, audit: Audit, pending: Pending, cancel: Cancellation) -> Event:
        auditor = self._auditor(run, audit.phase_id)
        repository = self._world.repository(run.spec)
        folder = self._folder(run, audit.phase_id, _name(audit))
        repository.discard(folder)
        lost = self._tries(run, audit, pending).begin(run.spec.infra_retries_max + 1)
        if isinstance(lost, CommandFailed):
            return lost
        logs = self._logs(run, audit.phase_id, _name(audit))
        try:
            task = audits.task_of(repository, run, audit, audit.tokens_max - lost, logs)
            clone = repository.clone(audit.candidate.commit, folder)
            audited = auditor.audit(task, clone, cancel)
        except Fault as fault:
            return _failed(fault, lost)
        finally:
            repository.discard(folder)
        if audited.recommendation is Recommendation.INVALID:
            leave_if_cut_off(cancel)
        audited = replace(audited, tokens=audited.tokens + lost)
        return self._audited(run, audit, audited, pending.issued_at)

    def _audited(self, run: Run, audit: Audit, audited: Audited, at: int) -> Event:
        """An auditor's answer as its event, with its patch as a candidate."""
        if audited.error:
            return CommandFailed(audited.error, audited.tokens, audited.issues)
        candidate: Candidate | None = None
        if audited.patch is not None:
            repository = self._world.repository(run.spec)
            try:
                made = apply.apply_audit_patch(repository, run.spec, audit, audited.patch, at)
            except Fault as fault:
                return CommandFailed(str(fault), audited.tokens, audited.issues)
            if isinstance(made, Evidence):
                notes = f"{audited.notes}\nits patch was refused: {made.summary}".strip()
                audited = replace(audited, recommendation=Recommendation.INVALID, notes=notes)
            else:
                candidate = made
        return AuditEnded(
            audit.phase_id,
            audited.recommendation,
            audited.tokens,
            audited.notes,
            candidate,
            audited.issues,
            audit.reason,
        )

    def _test(self, run: Run, test: Test, cancel: Cancellation) -> Event:
        repository = self._world.repository(run.spec)
        folder = self._folder(run, test.phase_id, f"ci-{test.candidate.name}")
        logs = self._logs(run, test.phase_id, f"ci-{test.candidate.name}")
        repository.discard(folder)
        try:
            return trial.judged(
                self._world.verifier, run, test, folder, logs, self._world.clock.now(), cancel
            )
        finally:
            repository.discard(folder)

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

    def _deliver(self, run: Run, deliver: Deliver, cancel: Cancellation) -> Event:
        refused = self._world.repository(run.spec).deliver(
            run.spec.repository, run.run_id, deliver.tip, run.delivered, cancel, asked=deliver.asked
        )
        if refused:
            leave_if_cut_off(cancel)
        return DeliveryRefused(deliver.tip, refused) if refused else Delivered(deliver.tip)


def _park(run: Run, build: Build) -> int:
    """The number of the parking that this attempt's would be."""
    return run.phase(build.phase_id).parks_used + 1


def _name(asked: Build | Audit) -> str:
    """The folder of one try, among those of its phase."""
    return f"{'attempt' if isinstance(asked, Build) else 'audit'}-{asked.attempt}"


def _failed(fault: Fault, lost: int) -> CommandFailed:
    """A fault as the answer that counts lost tokens; raised again when there are none."""
    if not lost:
        raise fault
    return CommandFailed(str(fault), lost)


def _configured(agents: Mapping[str, A], role: str, name: str) -> A:
    if name in agents:
        return agents[name]
    what = f"{role} {name!r} is not configured any more"
    raise OperatorFault(what, f"put [agents.{name}] into autopack.toml")
