"""The governed apply path over the real repository: what a builder left becomes a candidate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autopack.adapters.git.repository import BareRepository
from autopack.app.agents import (
    Built,
)
from autopack.app.apply import (
    apply_audit_patch,
    capture_attempt,
    known_attempt,
    reapply_candidate,
    rules_of,
)
from autopack.app.checks import POLICY
from autopack.app.gate import check_phase
from autopack.core.command import Audit, Build, Reapply
from autopack.core.event import (
    AttemptEnded,
    CandidateReapplied,
    GateVerdict,
    Outcome,
    ReapplyConflicted,
)
from autopack.core.issue import IssueReport, IssueSeverity, IssueSource
from autopack.core.policy import rules_for
from autopack.core.project import PolicySettings
from autopack.core.run import (
    Candidate,
    Evidence,
    Phase,
)
from autopack.core.spec import (
    CiProfile,
    Complexity,
    PhaseSpec,
    RunSpec,
)
from tests.repos import bare, commit_all, git, refs, user_repository, write

GOOD = b"""\
--- a/src/app.py
+++ b/src/app.py
@@ -1,2 +1,2 @@
 def one():
-    return 1
+    return 2
"""


def phase_spec(phase_id: str = "F1.1", deliver: tuple[str, ...] = ()) -> PhaseSpec:
    return PhaseSpec(
        phase_id=phase_id, tier_id="T1", phase_index=0, name="Answer\n two", task="do it",
        task_category="feature", complexity=Complexity.LOW, builder_mode="tweak_light",
        scope=("/src/",), needs=(), packs=(), deliver=deliver, ci_profile=CiProfile.NORMAL,
        auto_apply=True, auditor_profile="", builder_attempts_max=2, auditor_attempts_max=1,
        incident_token_cap=1000, files_max=5, changed_lines_max=50,
    )  # fmt: skip


class World:
    """A run on a prepared repository."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.base = user_repository(tmp_path / "user")
        self.repository: BareRepository = bare(tmp_path)
        self.repository.prepare(str(tmp_path / "user"), "main", self.base, "autonomous/r1")
        self.spec = RunSpec(
            run_id="r1", project_id="p", repository=str(tmp_path / "user"), base_ref="main",
            base_commit=self.base, tiers=(), phases=(phase_spec(), phase_spec("F1.2", ("src/n",))),
            builder="robot", auditor="judge", sandbox="none",
        )  # fmt: skip

    def attempt(
        self,
        files: dict[str, str | bytes] | None = None,
        *,
        patch: bytes | None = None,
        outcome: Outcome = Outcome.SUBMITTED,
        phase_id: str = "F1.1",
        issues: tuple[IssueReport, ...] = (),
    ) -> AttemptEnded:
        build = Build(phase_id, 1, self.base, 100)
        clone = self.repository.clone(self.base, self.tmp_path / "clone")
        write(clone.folder, files or {})
        built = Built(outcome, tokens=7, note="said", patch=patch, issues=issues)
        return capture_attempt(self.repository, self.spec, build, built, clone, 1_000, 1)

    def check(self, candidate: Candidate, phase_id: str = "F1.1") -> tuple[GateVerdict, set[str]]:
        rules = rules_for(self.spec.phase(phase_id), PolicySettings())
        phase = self.spec.phase(phase_id)
        checked = check_phase(self.repository, POLICY, self.spec, Phase(phase), rules, candidate)
        return checked.verdict, {finding.rule for finding in checked.findings}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_files_of_the_base_that_ci_names_are_protected(tmp_path: Path) -> None:
    world = World(tmp_path)
    write(world.tmp_path / "user", {
        "autopack.toml": '[ci.normal]\ncommands = [{ run = ["sh", "src/test.sh", "src", "new.sh"] }]\n'
        '[gate]\ncommands = [{ run = "python3 -m src.lint" }]\n',
        "src/test.sh": "exit 1\n", "src/lint.py": "", "tools/types": "", "tools/other": "",
        "Makefile": "types:\n\tsh tools/types\n",
    })  # fmt: skip
    world.base = commit_all(world.tmp_path / "user", "ci")
    world.spec = replace(world.spec, base_commit=world.base)
    world.repository.prepare(str(world.tmp_path / "user"), "main", world.base, "autonomous/r2")
    rules = rules_of(world.repository, world.spec, world.spec.phase("F1.1"))
    assert rules.protected == ("/src/test.sh", "/src/lint.py", "/tools/types")
    made = candidate_of(world.attempt({"src/test.sh": "exit 0\n"}))
    phase = world.spec.phase("F1.1")
    checked = check_phase(world.repository, POLICY, world.spec, Phase(phase), rules, made)
    assert checked.verdict is GateVerdict.NEEDS_AUDITOR


def candidate_of(ended: AttemptEnded) -> Candidate:
    assert ended.outcome is Outcome.SUBMITTED
    assert ended.candidate is not None
    return ended.candidate


def test_clone_and_patch_give_the_same_candidate(world: World) -> None:
    by_clone = candidate_of(world.attempt({"src/app.py": "def one():\n    return 2\n"}))
    git(world.repository.folder, "update-ref", "-d", "refs/autopack/r1/F1.1/1")
    by_patch = candidate_of(world.attempt(patch=GOOD))
    assert by_clone == by_patch
    assert by_patch.parent == world.base
    assert world.check(by_patch) == (GateVerdict.PASS, set())


def test_the_message_has_its_trailers(world: World) -> None:
    candidate = candidate_of(world.attempt(patch=GOOD))
    folder = world.repository.folder
    assert git(folder, "log", "-1", "--format=%s", candidate.commit) == (
        "[autopack] F1.1: Answer two"
    )
    trailers = git(folder, "log", "-1", "--format=%(trailers:only)", candidate.commit)
    for line in ("Run: r1", "Phase: F1.1", "Attempt: 1", "Agent: robot"):
        assert f"Autopack-{line}" in trailers


def test_a_crash_after_the_commit_finds_it_again(world: World) -> None:
    build = Build("F1.1", 1, world.base, 100)
    assert known_attempt(world.repository, world.spec, build, 1) is None
    ended = world.attempt(patch=GOOD)
    assert known_attempt(world.repository, world.spec, build, 1) == ended


@pytest.mark.parametrize("outcome", [Outcome.SUBMITTED, Outcome.FAILED, Outcome.PARKED])
def test_a_crash_after_the_commit_loses_no_issue(world: World, outcome: Outcome) -> None:
    text = "Autopack-Run: other\n\nCloses #1 @somebody \x7f"
    issues = (
        IssueReport("a", IssueSource.PROBE, "c", IssueSeverity.MAJOR, True, (text,), text),
        IssueReport("b", IssueSource.SELF_DOUBT),
    )
    ended = world.attempt(patch=GOOD, outcome=outcome, issues=issues)
    assert ended.issues == issues
    known = known_attempt(world.repository, world.spec, Build("F1.1", 1, world.base, 100), 1)
    assert known is not None
    assert (known.outcome, known.issues) == (outcome, issues)
    assert known.note == ended.note == ("said" if outcome is Outcome.SUBMITTED else "")
    assert ended.candidate
    said = git(world.repository.folder, "log", "-1", "--format=%B", ended.candidate.commit)
    assert "Closes" not in said
    assert said.count("Autopack-Run:") == 1


def test_a_patch_that_does_not_apply_is_kept_and_refused(world: World) -> None:
    patch = GOOD.replace(b"return 1", b"return 9")
    ended = world.attempt(patch=patch)
    assert ended.outcome is Outcome.REFUSED
    assert ended.evidence is not None
    assert [(f.rule, f.path) for f in ended.evidence.findings] == [
        ("patch-does-not-apply", "src/app.py")
    ]
    kept = refs(world.repository.folder)["refs/autopack/r1/F1.1/1"]
    assert world.repository.read(kept, "autopack-rejected.patch") == patch
    known = known_attempt(world.repository, world.spec, Build("F1.1", 1, world.base, 100), 1)
    assert known is not None
    assert (known.outcome, known.candidate) == (Outcome.REFUSED, ended.candidate)


def test_nothing_done_is_empty(world: World) -> None:
    assert world.attempt().outcome is Outcome.EMPTY
    assert world.attempt(patch=b"\n").outcome is Outcome.EMPTY


def test_the_work_of_a_failed_attempt_is_kept(world: World) -> None:
    ended = world.attempt({"src/half.py": "x\n"}, outcome=Outcome.TIMED_OUT)
    assert ended.outcome is Outcome.TIMED_OUT
    kept = refs(world.repository.folder)["refs/autopack/r1/F1.1/1"]
    assert world.repository.read(kept, "src/half.py") == b"x\n"


def test_the_gate_names_scope_and_deliverables(world: World) -> None:
    outside = candidate_of(world.attempt({"README.md": "x\n", "src/b": "x"}, phase_id="F1.2"))
    assert world.check(outside, "F1.2") == (GateVerdict.FAIL, {"scope", "deliverable-unchanged"})


def test_a_moved_branch_reapplies_or_conflicts(world: World) -> None:
    mine = candidate_of(world.attempt(patch=GOOD))
    other = candidate_of(world.attempt({"src/n": "new\n"}, phase_id="F1.2"))
    clean = reapply_candidate(
        world.repository, world.spec, Reapply("F1.2", other, mine.commit, "1.r1"), 2_000
    )
    assert isinstance(clean, CandidateReapplied)
    assert clean.candidate.parent == mine.commit
    assert world.check(clean.candidate, "F1.2") == (GateVerdict.PASS, set())
    assert refs(world.repository.folder)["refs/autopack/r1/F1.2/1.r1"] == clean.candidate.commit
    git(world.repository.folder, "update-ref", "-d", "refs/autopack/r1/F1.2/1")
    rival = candidate_of(
        world.attempt({"src/app.py": "def one():\n    return 3\n"}, phase_id="F1.2")
    )
    clash = reapply_candidate(
        world.repository, world.spec, Reapply("F1.2", rival, mine.commit, "1.r2"), 2_000
    )
    assert isinstance(clash, ReapplyConflicted)
    assert [f.path for f in clash.evidence.findings] == ["src/app.py"]


def test_an_auditors_patch_is_one_change_from_the_same_parent(world: World) -> None:
    candidate = candidate_of(world.attempt(patch=GOOD))
    audit = Audit("F1.1", 1, candidate, "why", 10)
    patch = GOOD.replace(b"return 2", b"return 3").replace(b"return 1", b"return 2")
    mended = apply_audit_patch(world.repository, world.spec, audit, patch, 3_000)
    assert isinstance(mended, Candidate)
    assert (mended.name, mended.parent) == ("1.a1", world.base)
    assert world.repository.read(mended.commit, "src/app.py") == b"def one():\n    return 3\n"
    refused = apply_audit_patch(world.repository, world.spec, audit, b"junk", 3_000)
    assert isinstance(refused, Evidence)
