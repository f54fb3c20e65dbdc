"""The governed apply path: what a builder left becomes a candidate, is judged, is made again.

Every attempt is kept under its ref, also a refused or failed one. Nothing here touches a checkout
or a branch; landing is one call of the port, made by `app.perform`.
"""

from __future__ import annotations

import re

from autopack.app.ports import Built, Clone, Refused, Repository
from autopack.core import policy
from autopack.core.command import Audit, Build, Reapply
from autopack.core.event import (
    AttemptEnded,
    CandidateChecked,
    CandidateReapplied,
    Outcome,
    ReapplyConflicted,
)
from autopack.core.ids import candidate_ref
from autopack.core.policy import Rules
from autopack.core.run import Candidate, Evidence, Finding, RunSpec

SUMMARY_CHARS_MAX = 72
"""Git's convention for a commit's first line."""
_TRAILER = re.compile(r"^Autopack-(\w+): (.*)$", re.MULTILINE)


def known_attempt(repository: Repository, spec: RunSpec, build: Build) -> AttemptEnded | None:
    """The answer of an attempt that was kept before a crash; None when nothing was kept.

    However it ended: a second agent's work under the same number would be lost.
    """
    name = str(build.attempt)
    commit = repository.resolve(candidate_ref(spec.run_id, build.phase_id, name))
    if commit is None:
        return None
    trailers = dict(_TRAILER.findall(repository.message(commit)))
    outcome = Outcome(trailers["Outcome"])
    candidate = Candidate(name, commit, repository.tree(commit), build.parent)
    evidence = None
    if outcome is not Outcome.SUBMITTED:
        evidence = Evidence("builder", _say(outcome, "its findings were lost in a crash"))
    tokens = int(trailers["Tokens"])
    return AttemptEnded(build.phase_id, build.attempt, outcome, tokens, candidate, evidence)


def capture_attempt(
    repository: Repository, spec: RunSpec, build: Build, built: Built, clone: Clone, at: int
) -> AttemptEnded:
    """Capture what an attempt left and keep it; git, not the agent, says what it is."""
    phase = spec.phase(build.phase_id)
    tree: str | Refused | None
    if built.patch is None:
        tree = repository.capture(clone, phase.deliver)
    else:
        tree = repository.apply(build.parent, built.patch) if built.patch.strip() else None
    if isinstance(tree, Refused):
        return _refused(repository, spec, build, built, tree.findings, at)
    if tree is None or tree == repository.tree(build.parent):
        outcome = Outcome.EMPTY if built.outcome is Outcome.SUBMITTED else built.outcome
        return _ended(build, built, outcome, None, Evidence("builder", _say(outcome, built.note)))
    candidate = _keep(repository, spec, build, built, tree, built.outcome, at)
    if built.outcome is Outcome.SUBMITTED:
        return _ended(build, built, Outcome.SUBMITTED, candidate, None)
    evidence = Evidence("builder", _say(built.outcome, built.note))
    return _ended(build, built, built.outcome, candidate, evidence)


def _refused(
    repository: Repository,
    spec: RunSpec,
    build: Build,
    built: Built,
    findings: tuple[Finding, ...],
    at: int,
) -> AttemptEnded:
    candidate = None
    if built.patch is not None:  # the work itself is kept, as a file in a commit of its own
        tree = repository.keep_patch(build.parent, built.patch)
        candidate = _keep(repository, spec, build, built, tree, Outcome.REFUSED, at)
    evidence = Evidence("gate", "the work cannot become a candidate", findings)
    return _ended(build, built, Outcome.REFUSED, candidate, evidence)


def _ended(
    build: Build,
    built: Built,
    outcome: Outcome,
    candidate: Candidate | None,
    evidence: Evidence | None,
) -> AttemptEnded:
    return AttemptEnded(build.phase_id, build.attempt, outcome, built.tokens, candidate, evidence)


def _say(outcome: Outcome, note: str) -> str:
    words = {
        Outcome.EMPTY: "the attempt ended well and changed nothing",
        Outcome.FAILED: "the builder failed",
        Outcome.TIMED_OUT: "the builder ran out of time",
        Outcome.CANCELLED: "the attempt was cancelled",
    }
    said = words.get(outcome, f"the attempt ended {outcome}")
    return f"{said}: {note}" if note else said


def _keep(
    repository: Repository,
    spec: RunSpec,
    build: Build,
    built: Built,
    tree: str,
    outcome: Outcome,
    at: int,
) -> Candidate:
    name = str(build.attempt)
    trailers = {"Outcome": str(outcome), "Tokens": str(built.tokens)}
    message = _message(spec, build.phase_id, name, spec.builder, trailers)
    return _commit(repository, spec, build.phase_id, name, tree, build.parent, message, at)


def _message(
    spec: RunSpec, phase_id: str, name: str, agent: str, more: dict[str, str] | None = None
) -> str:
    phase = spec.phase(phase_id)
    title = " ".join(f"[autopack] {phase_id}: {phase.name}".split())[:SUMMARY_CHARS_MAX]
    trailers = {"Run": spec.run_id, "Phase": phase_id, "Attempt": name, "Agent": agent}
    lines = [f"Autopack-{key}: {value}" for key, value in (trailers | (more or {})).items()]
    return "\n".join([title.rstrip(), "", *lines, ""])


def _commit(
    repository: Repository,
    spec: RunSpec,
    phase_id: str,
    name: str,
    tree: str,
    parent: str,
    message: str,
    at: int,
) -> Candidate:
    ref = candidate_ref(spec.run_id, phase_id, name)
    commit = repository.commit(tree, parent, message, at, ref)
    return Candidate(name, commit, repository.tree(commit), parent)


def check_candidate(
    repository: Repository, rules: Rules, phase_id: str, candidate: Candidate
) -> CandidateChecked:
    """The gate's verdict on a candidate's resulting tree."""
    diff = repository.diff(candidate.parent, candidate.tree)
    findings = policy.judge(diff, rules)
    return CandidateChecked(phase_id, policy.verdict(findings), findings)


def reapply_candidate(
    repository: Repository, spec: RunSpec, reapply: Reapply, at: int
) -> CandidateReapplied | ReapplyConflicted:
    """The candidate's change on top of the branch that moved, as a new candidate."""
    tree = repository.reapply(reapply.candidate.commit, reapply.onto)
    if isinstance(tree, Refused):
        evidence = Evidence("conflict", "the branch moved and the change conflicts", tree.findings)
        return ReapplyConflicted(reapply.phase_id, evidence)
    message = _message(spec, reapply.phase_id, reapply.name, spec.builder)
    candidate = _commit(
        repository, spec, reapply.phase_id, reapply.name, tree, reapply.onto, message, at
    )
    return CandidateReapplied(reapply.phase_id, candidate)


def apply_audit_patch(
    repository: Repository, spec: RunSpec, audit: Audit, patch: bytes, at: int
) -> Candidate | Evidence:
    """An auditor's patch on top of the candidate's work, as one change from the same parent."""
    tree = repository.apply(audit.candidate.commit, patch)
    if isinstance(tree, Refused):
        return Evidence("gate", "the auditor's patch does not apply", tree.findings)
    name = f"{audit.candidate.name.partition('.')[0]}.a{audit.attempt}"
    message = _message(spec, audit.phase_id, name, spec.auditor)
    parent = audit.candidate.parent
    return _commit(repository, spec, audit.phase_id, name, tree, parent, message, at)
