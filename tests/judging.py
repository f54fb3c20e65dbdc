"""A change through the gate with policy's checks alone, for what speaks of policy."""

from __future__ import annotations

from autopack.app import gate
from autopack.app.checks import POLICY, Subject
from autopack.app.ports import Repository
from autopack.core.event import CandidateChecked
from autopack.core.patch import TreeDiff
from autopack.core.policy import Rules
from autopack.core.run import Candidate
from autopack.testing import MemoryRepository
from tests.core.walk import phase_spec, run_spec

SPEC = run_spec(phase_spec("P1"))


def judged(diff: TreeDiff, rules: Rules, repository: Repository | None = None) -> CandidateChecked:
    """The gate's answer; these checks read nothing of the repository but the change."""
    candidate = Candidate("1", "", diff.tree, diff.parent)
    subject = Subject(
        SPEC, SPEC.phases[0], rules, candidate, diff, repository or MemoryRepository({})
    )
    return gate.judge(subject, POLICY)
