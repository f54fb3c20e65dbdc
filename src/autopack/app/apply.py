"""The governed apply path: what a builder left becomes a candidate, is judged, is made again.

Every attempt is kept under its ref, also a refused or failed one. Nothing here touches a checkout
or a branch; landing is one call of the port, made by `app.perform`.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import asdict, dataclass

from autopack.app.agents import (
    Built,
)
from autopack.app.ports import (
    Clone,
    CommitFacts,
    Refused,
    Repository,
)
from autopack.core import judging as programs
from autopack.core import policy
from autopack.core.command import Audit, Build, Reapply
from autopack.core.errors import EnvironmentFault, OperatorFault
from autopack.core.event import (
    AttemptEnded,
    CandidateReapplied,
    Outcome,
    ReapplyConflicted,
)
from autopack.core.ids import candidate_ref, parked_name
from autopack.core.issue import IssueReport, IssueSeverity, IssueSource
from autopack.core.policy import Rules
from autopack.core.project import (
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
    PhaseSpec,
    RunSpec,
)

SUMMARY_CHARACTERS_MAX = 72
"""Git's convention for a commit's first line."""
REFS_TOLD_MAX = 5
"""Refs in the way that an error names."""
_TRAILER = re.compile(r"^Autopack-(\w+): (.*)$", re.MULTILINE)


def check_unused(repository: Repository, spec: RunSpec) -> None:
    """Refuse a run whose id another run had: what that one made would be taken for its own.

    For a run that has made nothing yet. A branch at its base is what a lost answer left of this
    very command.
    """
    start = (f"refs/heads/{spec.branch}", spec.base_commit)
    found = sorted(repository.refs_of(spec.run_id).items())
    taken = [ref for ref, commit in found if (ref, commit) != start]
    if taken:
        more = f" and {len(taken) - REFS_TOLD_MAX} more" if len(taken) > REFS_TOLD_MAX else ""
        raise OperatorFault(
            f"the run id {spec.run_id} was used before: Autopack's own repository has "
            f"{', '.join(taken[:REFS_TOLD_MAX])}{more}",
            "choose another id with --run-id; the old work stays under those refs",
        )


def known_attempt(
    repository: Repository, spec: RunSpec, build: Build, park: int
) -> AttemptEnded | None:
    """The answer of an attempt that was kept before a crash; None when nothing was kept.

    However it ended: a second agent's work under the same number would be lost. `park` is the
    number that the phase's next parking would have.
    """
    for name in (str(build.attempt), parked_name(build.attempt, park)):
        commit = repository.resolve(candidate_ref(spec.run_id, build.phase_id, name))
        if commit is not None:
            return _kept(repository, spec, build, name, commit)
    return None


def _kept(
    repository: Repository, spec: RunSpec, build: Build, name: str, commit: str
) -> AttemptEnded:
    facts = _own_facts(repository, spec, build.phase_id, name, commit, build.parent)
    trailers = dict(_TRAILER.findall(facts.message))
    outcome = Outcome(trailers["Outcome"])
    evidence = None
    if outcome is not Outcome.SUBMITTED:
        evidence = Evidence("builder", _say(outcome, "its findings were lost in a crash"))
    return AttemptEnded(
        build.phase_id,
        build.attempt,
        outcome,
        int(trailers["Tokens"]),
        Candidate(name, commit, facts.tree, build.parent),
        evidence,
        float(trailers.get("Until", 0)),
        _issues(trailers.get("Issues", "")),
        _unpacked(trailers["Note"]) if "Note" in trailers else "",
    )


def _packed(told: str) -> str:
    """A text as one word of a commit's message: nothing of an agent is to be read there."""
    return base64.b64encode(zlib.compress(told.encode(), 9)).decode()


def _unpacked(packed: str) -> str:
    """As `_packed` put it, in a commit that was seen to be ours."""
    return zlib.decompress(base64.b64decode(packed)).decode()


def _issues(packed: str) -> tuple[IssueReport, ...]:
    told = json.loads(_unpacked(packed)) if packed else []
    return tuple(
        IssueReport(
            **{
                **each,
                "source": IssueSource(each["source"]),
                "severity": IssueSeverity(each["severity"]) if each["severity"] else None,
                "evidence_refs": tuple(each["evidence_refs"]),
            }
        )
        for each in told
    )


def _own_facts(
    repository: Repository, spec: RunSpec, phase_id: str, name: str, commit: str, parent: str
) -> CommitFacts:
    """What a kept commit says, once it is seen to be what this command would have made."""
    facts = repository.facts(commit)
    trailers = dict(_TRAILER.findall(facts.message))
    said = tuple(trailers.get(key) for key in ("Run", "Phase", "Attempt"))
    if (facts.parent, *said) != (parent, spec.run_id, phase_id, name):
        ref = candidate_ref(spec.run_id, phase_id, name)
        raise EnvironmentFault(
            f"{ref} in Autopack's own repository is {commit}, which this run did not make on "
            f"{parent}",
            "start the work again under another run id; what is there stays",
        )
    return facts


def capture_attempt(
    repository: Repository,
    spec: RunSpec,
    build: Build,
    built: Built,
    clone: Clone,
    at: int,
    park: int,
) -> AttemptEnded:
    """Capture what an attempt left and keep it; git, not the agent, says what it is.

    A parked attempt stays parked whatever it left, and is kept as the phase's parking `park`.
    """
    name = str(build.attempt)
    if built.outcome is Outcome.PARKED:
        name = parked_name(build.attempt, park)
    keep = _Keep(repository, spec, build, built, name, at)
    phase = spec.phase(build.phase_id)
    tree: str | Refused | None
    if built.patch is None:
        tree = repository.capture(clone, phase.deliver)
    else:
        tree = repository.apply(build.parent, built.patch) if built.patch.strip() else None
    if isinstance(tree, Refused):
        return keep.refused(tree.findings)
    if tree is None or tree == repository.tree(build.parent):
        outcome = Outcome.EMPTY if built.outcome is Outcome.SUBMITTED else built.outcome
        return keep.ended(outcome, None, Evidence("builder", _say(outcome, built.note)))
    candidate = keep.commit(tree, built.outcome)
    if built.outcome is Outcome.SUBMITTED:
        return keep.ended(Outcome.SUBMITTED, candidate, None)
    evidence = Evidence("builder", _say(built.outcome, built.note))
    return keep.ended(built.outcome, candidate, evidence)


@dataclass(frozen=True)
class _Keep:
    """One attempt, and the name under which its work is kept."""

    repository: Repository
    spec: RunSpec
    build: Build
    built: Built
    name: str
    at: int

    def commit(self, tree: str, outcome: Outcome) -> Candidate:
        trailers = {"Outcome": str(outcome), "Tokens": str(self.built.tokens)}
        if outcome is Outcome.PARKED:
            trailers["Until"] = str(self.built.parked_until)
        if self.built.issues:
            told = [asdict(issue) for issue in self.built.issues]
            trailers["Issues"] = _packed(json.dumps(told, separators=(",", ":")))
        if note := self._note(outcome):
            trailers["Note"] = _packed(note)
        phase_id, parent = self.build.phase_id, self.build.parent
        message = _message(self.spec, phase_id, self.name, self.spec.builder_of(phase_id), trailers)
        return _commit(
            self.repository, self.spec, phase_id, self.name, tree, parent, message, self.at
        )

    def refused(self, findings: tuple[Finding, ...]) -> AttemptEnded:
        parked = self.built.outcome is Outcome.PARKED
        outcome = Outcome.PARKED if parked else Outcome.REFUSED
        candidate = None
        if self.built.patch is not None:  # the work itself is kept, as a file in a commit
            tree = self.repository.keep_patch(self.build.parent, self.built.patch)
            candidate = self.commit(tree, outcome)
        evidence = Evidence("gate", "the work cannot become a candidate", findings)
        return self.ended(outcome, candidate, evidence)

    def ended(
        self, outcome: Outcome, candidate: Candidate | None, evidence: Evidence | None
    ) -> AttemptEnded:
        build, built = self.build, self.built
        return AttemptEnded(
            build.phase_id,
            build.attempt,
            outcome,
            built.tokens,
            candidate,
            evidence,
            built.parked_until,
            built.issues,
            self._note(outcome),
        )

    def _note(self, outcome: Outcome) -> str:
        """The builder's note, where the evidence does not hold it."""
        return self.built.note if outcome in {Outcome.SUBMITTED, Outcome.REFUSED} else ""


def _say(outcome: Outcome, note: str) -> str:
    words = {
        Outcome.EMPTY: "the attempt ended well and changed nothing",
        Outcome.FAILED: "the builder failed",
        Outcome.TIMED_OUT: "the builder ran out of time",
        Outcome.CANCELLED: "the attempt was cancelled",
        Outcome.PARKED: "the attempt met a usage limit",
    }
    said = words.get(outcome, f"the attempt ended {outcome}")
    return f"{said}: {note}" if note else said


def _message(
    spec: RunSpec, phase_id: str, name: str, agent: str, more: dict[str, str] | None = None
) -> str:
    phase = spec.phase(phase_id)
    title = " ".join(f"[autopack] {phase_id}: {phase.name}".split())[:SUMMARY_CHARACTERS_MAX]
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
    facts = _own_facts(repository, spec, phase_id, name, commit, parent)
    return Candidate(name, commit, facts.tree, parent)


def project_of_base(repository: Repository, spec: RunSpec) -> Project:
    """The project part of the base commit: what a run is judged by."""
    text = repository.read(spec.base_commit, FILE_NAME) or b""
    project = parse_project(text.decode(errors="replace"), spec.project_id)
    if isinstance(project, tuple):
        said = "\n".join(str(problem) for problem in project)
        raise OperatorFault(said, f"correct {FILE_NAME} on the base, and retry")
    return project


def rules_of(repository: Repository, spec: RunSpec, phase: PhaseSpec) -> Rules:
    """The path policy of a phase, from the base commit's project file."""
    project = project_of_base(repository, spec)
    return policy.rules_for(phase, project.policy, judging(repository, spec.base_commit, project))


def judging(repository: Repository, base: str, project: Project) -> list[str]:
    """The files of the base that run when a candidate is judged."""
    there = {path.decode("utf-8", "surrogateescape") for path in repository.paths(base)}
    named = dict.fromkeys(programs.named_paths(project))
    callers = sorted((path for path in there if programs.is_caller(path)), key=_depth)
    looked = [each.encode("utf-8", "surrogateescape") for each in callers[: programs.CALLERS_MAX]]
    for caller, blob in repository.blobs(base, looked, *programs.BYTES_MAX).items():
        text = (blob.data or b"").decode("utf-8", "replace")
        name = caller.decode("utf-8", "surrogateescape")
        named |= dict.fromkeys(programs.called_paths(name, text))
    return [path for path in named if path in there]


def _depth(path: str) -> tuple[int, str]:
    return path.count("/"), path


def reapply_candidate(
    repository: Repository, spec: RunSpec, reapply: Reapply, at: int
) -> CandidateReapplied | ReapplyConflicted:
    """The candidate's change on top of the branch that moved, as a new candidate."""
    tree = repository.reapply(reapply.candidate.commit, reapply.onto)
    if isinstance(tree, Refused):
        evidence = Evidence("conflict", "the branch moved and the change conflicts", tree.findings)
        return ReapplyConflicted(reapply.phase_id, evidence)
    message = _message(spec, reapply.phase_id, reapply.name, spec.builder_of(reapply.phase_id))
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
    message = _message(spec, audit.phase_id, name, spec.auditor_of(audit.phase_id))
    parent = audit.candidate.parent
    return _commit(repository, spec, audit.phase_id, name, tree, parent, message, at)
