"""Replay commits of a history, each as a phase on its own parent, through gate, apply and CI.

It is no run: nothing is recorded, no token is spent, no branch is made, and the user's repository
is only read. Candidates lie under refs of the backtest's own, which whoever opened it removes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from autopack.app import apply
from autopack.app.agents import (
    Attempt,
    Builder,
    Built,
)
from autopack.app.checks import POLICY, NamedCheck, Subject
from autopack.app.gate import judge
from autopack.app.ports import (
    Cancel,
    Clock,
    Clone,
    Repository,
    TestTask,
    Verifier,
)
from autopack.core import policy
from autopack.core.backtest import (
    GATE,
    BacktestVerdict,
    CiRun,
    Measure,
    Replayed,
    scope_of,
    verdict_of,
)
from autopack.core.command import Build
from autopack.core.errors import EnvironmentFault, OperatorFault
from autopack.core.event import AttemptEnded, CiVerdict, Outcome
from autopack.core.patch import TreeDiff
from autopack.core.project import (
    PolicySettings,
    Project,
    parse_project,
)
from autopack.core.reader import (
    FILE_NAME,
)
from autopack.core.run import (
    Candidate,
    Evidence,
    Finding,
)
from autopack.core.spec import (
    CiProfile,
    Complexity,
    PhaseSpec,
    RunSpec,
    TierSpec,
)

RUN_ID: Final = "_backtest"
"""No run can have it: an id begins with a letter or a digit."""
REFS: Final = f"refs/autopack/{RUN_ID}"
AT: Final = 1
"""Unix seconds of every candidate: a backtest done again makes the same commits, and no more."""
CUT_OFF: Final = frozenset({"too-slow", "ci-cancelled"})
"""Rules of findings that a clock made, or whoever told us to end."""
_NO_CI: Final = '\n[ci.normal]\ncommands = [{ run = "true" }]\n'


@dataclass(frozen=True)
class Past:
    """A commit of the history; `parent` empty for a root, `base` the commit it is replayed on."""

    commit: str
    parent: str
    base: str
    tree: str
    subject: str
    paths: tuple[bytes, ...]


class History(Protocol):
    """Commits as somebody made them, to be done again."""

    def patch(self, commit: str) -> bytes:
        """What a commit changed against its first parent, as a unified diff.

        OperatorFault when there is no such commit, EnvironmentFault when git fails.
        """
        ...

    def lay_out(self, commit: str, clone: Clone) -> None:
        """Make the files of a clone, which stands on the commit's parent, those of the commit."""
        ...


@dataclass(frozen=True)
class Policies:
    """The policy that judges, and the one it is compared with."""

    judging: PolicySettings
    compared: PolicySettings | None = None


@dataclass(frozen=True)
class Ground:
    """What replaying works with. `verifier` None: no CI. `clones` None: builders leave patches."""

    repository: Repository
    builder: Builder
    clock: Clock
    policies: Policies
    project_id: str
    origin: str
    """The user's repository, as a run would name it."""
    scratch: Path
    """Private to this backtest, and emptied by whoever made it."""
    logs: Path
    verifier: Verifier | None = None
    checks: Sequence[NamedCheck] = POLICY
    in_clones: bool = False
    seconds_max: float = 600
    workers_max: int = 1
    """Commits at a time; their order stays."""


@dataclass(frozen=True)
class Deadline:
    """Told to end by another, or when the time of one commit is over."""

    cancel: Cancel
    clock: Clock
    until: float

    def is_set(self) -> bool:
        return self.cancel.is_set() or self.clock.monotonic() >= self.until

    def wait(self, timeout: float | None = None) -> bool:
        left = max(0.0, self.until - self.clock.monotonic())
        self.cancel.wait(left if timeout is None else min(timeout, left))
        return self.is_set()


def project_of(text: str, name: str, told: str = FILE_NAME) -> Project:
    """The project part of a file that may leave `[ci]` out; its profiles are empty then.

    `name`: the id when the file gives none. OperatorFault with all problems, of the file `told`.
    """
    try:
        silent = "ci" not in tomllib.loads(text)
    except (ValueError, RecursionError):  # told of by who reads all of it
        silent = False
    project = parse_project(text + _NO_CI if silent else text, name)
    if isinstance(project, tuple):
        what = "\n".join(str(problem).replace(FILE_NAME, told, 1) for problem in project)
        raise OperatorFault(what, "correct it, and try again")
    return replace(project, normal=(), strict=()) if silent else project


def replay(pasts: Sequence[Past], ground: Ground, cancel: Cancel) -> Iterator[Replayed]:
    """Each commit's verdict, in the order given; ends early, after whole commits, when told to."""

    def one(past: Past) -> Replayed | None:
        return None if cancel.is_set() else _Replay(past, ground).verdict(cancel)

    pool = ThreadPoolExecutor(ground.workers_max, thread_name_prefix="backtest")
    try:
        for future in [pool.submit(one, past) for past in pasts]:
            found = future.result()
            if found is None:
                return
            if cancel.is_set() and CUT_OFF & {finding.rule for finding in found.findings}:
                return  # we were told to end: that is no verdict on this commit
            yield found
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Replay:
    """One commit as the only phase of a run that is never recorded."""

    past: Past
    ground: Ground

    def verdict(self, cancel: Cancel) -> Replayed:
        ground, past = self.ground, self.past
        began = ground.clock.monotonic()
        deadline = Deadline(cancel, ground.clock, began + ground.seconds_max)
        spec = _spec(past, ground)
        phase = spec.phases[0]
        ended = self._build(spec, phase, deadline)
        candidate, evidence = ended.candidate, ended.evidence
        found = Replayed(
            past.commit, past.parent, past.subject, BacktestVerdict.REFUSE, (), 0.0, None
        )
        if evidence is not None or candidate is None:
            told = evidence.summary if evidence else "nothing was left"
            findings = (evidence.findings if evidence else ()) or (Finding("empty-change", told),)
            compared = None if ground.policies.compared is None else BacktestVerdict.REFUSE
            found = replace(found, findings=findings, before=compared)
        else:
            found = self._gate(found, spec, phase, candidate, deadline)
            if ground.verifier is not None and found.verdict is not BacktestVerdict.REFUSE:
                found = self._test(found, spec, phase, candidate, ground.verifier, deadline)
        return replace(found, seconds=ground.clock.monotonic() - began)

    def _build(self, spec: RunSpec, phase: PhaseSpec, cancel: Cancel) -> AttemptEnded:
        """What the replaying builder leaves, captured and kept as any attempt's work is."""
        ground, past = self.ground, self.past
        build = Build(phase.phase_id, 1, past.base, 0)
        attempt = Attempt(spec.run_id, phase, 1, 0, None, ground.logs / past.commit)
        folder = ground.scratch / past.commit
        if not ground.in_clones:
            clone = Clone(folder, past.base, folder)  # never made: a patch is left
            return self._captured(spec, build, ground.builder.build(attempt, clone, cancel), clone)
        try:
            clone = ground.repository.clone(past.base, folder)
            return self._captured(spec, build, ground.builder.build(attempt, clone, cancel), clone)
        finally:
            ground.repository.discard(folder)

    def _captured(self, spec: RunSpec, build: Build, built: Built, clone: Clone) -> AttemptEnded:
        if built.error:
            raise EnvironmentFault(f"{self.past.commit} could not be replayed: {built.error}")
        if built.outcome is not Outcome.SUBMITTED:
            slow = f"not done after {self.ground.seconds_max:g} s"
            late = built.outcome is Outcome.CANCELLED
            finding = Finding("too-slow", slow) if late else Finding("replay-failed", built.note)
            evidence = Evidence("builder", finding.message, (finding,))
            return AttemptEnded(build.phase_id, 1, built.outcome, 0, None, evidence)
        return apply.capture_attempt(self.ground.repository, spec, build, built, clone, AT, 1)

    def _gate(
        self,
        found: Replayed,
        spec: RunSpec,
        phase: PhaseSpec,
        candidate: Candidate,
        cancel: Cancel,
    ) -> Replayed:
        ground, policies = self.ground, self.ground.policies
        diff = ground.repository.diff(candidate.parent, candidate.tree)
        rules = policy.rules_for(phase, policies.judging)
        subject = Subject(spec, phase, rules, candidate, diff, ground.repository)
        checked = judge(subject, ground.checks, cancel=cancel)
        before = None
        if policies.compared is not None:
            subject = replace(subject, rules=policy.rules_for(phase, policies.compared))
            before = GATE[judge(subject, ground.checks, cancel=cancel).verdict]
        return replace(
            found,
            verdict=GATE[checked.verdict],
            findings=checked.findings,
            identical=candidate.tree == self.past.tree,
            measure=measured(diff),
            before=before,
        )

    def _test(
        self,
        found: Replayed,
        spec: RunSpec,
        phase: PhaseSpec,
        candidate: Candidate,
        verifier: Verifier,
        cancel: Cancel,
    ) -> Replayed:
        """Only green is accepted: whatever else CI says is a finding that refuses."""
        folder = self.ground.scratch / f"{self.past.commit}-ci"
        logs = self.ground.logs / self.past.commit
        task = TestTask(
            spec, phase, candidate.commit, candidate.tree, CiProfile.NORMAL, folder, logs
        )
        try:
            tested = verifier.test(task, cancel)
        finally:
            self.ground.repository.discard(folder)
        said = tested.error or (tested.evidence.summary if tested.evidence else "")
        ran = CiRun(
            tested.verdict.value, said, tested.tests_run, tested.weak, tested.cached, str(logs)
        )
        if tested.verdict is CiVerdict.PASS:
            return replace(found, ci=ran)
        if tested.verdict is CiVerdict.CANCELLED:
            said = f"CI was not done after {self.ground.seconds_max:g} s"
        red = Finding(f"ci-{tested.verdict.value}".lower(), said)
        findings = (*found.findings, red)
        # another policy would meet the same CI, unless its gate had refused before
        return replace(
            found,
            ci=ran,
            findings=findings,
            verdict=verdict_of(findings),
            before=None if found.before is None else BacktestVerdict.REFUSE,
        )


def measured(diff: TreeDiff) -> Measure:
    """What the limits of policy count of a change."""
    return Measure(
        len(diff.changes),
        sum(max(change.lines, 0) for change in diff.changes),
        max((change.size for change in diff.changes), default=0),
    )


def by_name(pasts: Sequence[Past]) -> Mapping[str, tuple[str, ...]]:
    """Which commit the builder does again for which phase."""
    return {past.commit: (past.commit,) for past in pasts}


def _spec(past: Past, ground: Ground) -> RunSpec:
    """A run of one phase, whose scope is the commit's own files, and which has no mode's limits."""
    phase = replace(
        PHASE, phase_id=past.commit, name=past.subject or "no subject", scope=scope_of(past.paths)
    )
    return replace(
        SPEC,
        project_id=ground.project_id,
        repository=ground.origin,
        base_commit=past.base,
        phases=(phase,),
    )


PHASE: Final = PhaseSpec(
    phase_id="",
    tier_id="history",
    phase_index=0,
    name="",
    task="",
    task_category="core",
    complexity=Complexity.LOW,
    builder_mode="",
    scope=(),
    needs=(),
    packs=(),
    deliver=(),
    ci_profile=CiProfile.NORMAL,
    auto_apply=True,
    auditor_profile="",
    builder_attempts_max=1,
    auditor_attempts_max=0,
    incident_token_cap=0,
    files_max=0,
    changed_lines_max=0,
)
"""A phase that nobody planned: its scope and name are the change's own."""
SPEC: Final = RunSpec(
    run_id=RUN_ID,
    project_id="",
    repository="",
    base_ref="",
    base_commit="",
    tiers=(TierSpec("history", 0, "history", 0, 0),),
    phases=(),
    builder="replay",
    auditor="",
    sandbox="",
)
"""The run of such phases."""
