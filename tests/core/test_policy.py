"""The path policy: each rule once, and the honest neighbour that it must let pass."""

from __future__ import annotations

import json

import pytest

from autopack.core.event import GateVerdict
from autopack.core.gate import FINDINGS_MAX
from autopack.core.names import folded, look_alike, name_problem, printable
from autopack.core.patch import ABSENT, EXECUTABLE, FILE, GITLINK, SYMLINK, Change, TreeDiff
from autopack.core.plan import CompiledPlan, compile_plan
from autopack.core.plan_draft import PhaseDraft, PlanDraft, TierDraft
from autopack.core.policy import (
    FILES_MAX,
    Rules,
    rules_for,
)
from autopack.core.project import PolicySettings
from autopack.core.run import Severity
from tests.judging import judged

ALL = Rules(scope=("**",))
PHASE = PhaseDraft("F1", "f", category="tests", complexity="low", scope=("**",), task="it")
REFUSE, ASK = Severity.REFUSE, Severity.ASK


def added(
    path: str | bytes, mode: str = FILE, *, size: int = 0, lines: int = 0, target: str = ""
) -> Change:
    raw = path if isinstance(path, bytes) else path.encode()
    return Change(raw, ABSENT, mode, size, lines, target)


def changed(path: str, old: str = FILE, new: str = FILE) -> Change:
    return Change(path.encode(), old, new, size=1, lines=1)


def diff(*changes: Change, clashes: tuple[tuple[bytes, bytes], ...] = ()) -> TreeDiff:
    return TreeDiff("p", "t", changes, clashes)


def told(*changes: Change, rules: Rules = ALL) -> set[tuple[str, Severity]]:
    return {(f.rule, f.severity) for f in judged(diff(*changes), rules).findings}


@pytest.mark.parametrize(
    ("change", "rule", "severity"),
    [
        (added("a.sh", EXECUTABLE), "executable-bit", ASK),
        (changed("a.sh", FILE, EXECUTABLE), "executable-bit", ASK),
        (added("l", SYMLINK, target="a.py"), "symlink", ASK),
        (added("d/l", SYMLINK, target="../a.py"), "symlink", ASK),
        (added("l", SYMLINK, target="/etc/passwd"), "symlink-outside", REFUSE),
        (added("d/l", SYMLINK, target="../../x"), "symlink-outside", REFUSE),
        (added("l", SYMLINK, target="d/../../x"), "symlink-outside", REFUSE),
        (added("l", SYMLINK, target="d/../x"), "symlink-outside", REFUSE),
        (added("l", SYMLINK, target=".git/config"), "symlink-outside", REFUSE),
        (added("l", SYMLINK), "symlink-outside", REFUSE),
        (changed("l", SYMLINK, FILE), "kind-change", ASK),
        (added("sub", GITLINK), "submodule", REFUSE),
        (changed("sub", FILE, GITLINK), "submodule", REFUSE),
        (changed("sub", GITLINK, GITLINK), "submodule-moved", ASK),
        (added("old", "100664"), "file-mode", REFUSE),
        (added(".gitmodules"), "submodule", REFUSE),
        (changed(".gitmodules"), "submodule", REFUSE),
        (added("GITMOD~1"), "submodule", REFUSE),
        (added(".gitattributes"), "gitattributes", ASK),
        (added("d/.gitattributes"), "gitattributes", ASK),
        (added("d/.GIT/config"), "dot-git", REFUSE),
        (added("d/.g\u200cit/config"), "dot-git", REFUSE),
        (added("git~1/config"), "dot-git", REFUSE),
        (added(".git. /config"), "dot-git", REFUSE),
        (added(".git::$INDEX_ALLOCATION/config"), "dot-git", REFUSE),
        (added(b"caf\xe9"), "file-name", REFUSE),
        (added("a\nb"), "file-name", REFUSE),
        (added("a\u202eb"), "file-name", REFUSE),
        (added("a\u200bb"), "file-name", REFUSE),
        (added("a\\b"), "file-name", REFUSE),
        (added("d/-rf"), "file-name", REFUSE),
        (added("d/aux.txt"), "file-name", REFUSE),
        (added("COM1"), "file-name", REFUSE),
        (added("d./x"), "file-name", REFUSE),
        (added("x "), "file-name", REFUSE),
        (added("n" * 256), "file-name", REFUSE),
        (added("d/" * 600 + "x"), "path-length", REFUSE),
        (added("big", size=(10 << 20) + 1), "file-size", REFUSE),
        (changed("autopack.toml"), "protected-path", ASK),
        (added(".github/workflows/x.yml"), "protected-path", ASK),
        (added(".GitHub/workflows/x.yml"), "protected-path", ASK),
        (added(".github/actions/issue_template/action.yml"), "protected-path", ASK),
        (added(".github/copilot-instructions.md"), "protected-path", ASK),
        (added("pkg/AGENTS.md"), "protected-path", ASK),
        (added(".mcp.json"), "protected-path", ASK),
        (added(".claude/settings.json"), "protected-path", ASK),
    ],
)
def test_a_shape_meets_its_rule(change: Change, rule: str, severity: Severity) -> None:
    assert (rule, severity) in told(change)


@pytest.mark.parametrize(
    "change",
    [
        changed("src/a.py"),
        changed("run.sh", EXECUTABLE, EXECUTABLE),
        changed("run.sh", EXECUTABLE, FILE),
        changed("aux.txt"),  # it is there already; only new names are judged
        Change(b"-gone", FILE, ABSENT),
        added("docs/naïve café.md"),
        added("日本語.txt"),
        added("console.py"),
        added(".gitignore"),
        added("git.py"),
        added("a-b"),
        added("docs/agents.rst"),
        added("x.github"),
        added(".github/ISSUE_TEMPLATE/config.yml"),
        changed(".github/PULL_REQUEST_TEMPLATE.md"),
    ],
)
def test_honest_work_passes(change: Change) -> None:
    assert told(change) == set()


def test_scope_are_gitignore_patterns_and_the_hint_names_them() -> None:
    rules = Rules(scope=("/src/", "!/src/secret/", "*.md"))
    found = judged(
        diff(changed("src/a.py"), changed("b/README.md"), changed("src/secret/k"), changed("x.py")),
        rules,
    )
    assert [(f.rule, f.path) for f in found.findings] == [
        ("scope", "src/secret/k"),
        ("scope", "x.py"),
    ]
    assert "/src/" in found.findings[0].message
    assert "`scope`" in found.findings[0].message
    assert found.verdict is GateVerdict.FAIL


def test_an_empty_change_is_refused() -> None:
    assert told() == {("empty-change", REFUSE)}


def test_a_protected_path_asks_even_when_scope_names_it() -> None:
    found = judged(diff(changed("autopack.toml")), Rules(scope=("/autopack.toml",)))
    assert [f.rule for f in found.findings] == ["protected-path"]
    assert found.verdict is GateVerdict.NEEDS_AUDITOR


def test_the_project_may_protect_more() -> None:
    rules = Rules(scope=("**",), protected=("Migrations/**",))
    assert told(changed("migrations/1.sql"), rules=rules) == {("protected-path", ASK)}


def test_files_that_ci_names_are_protected_and_no_folder_of_that_name() -> None:
    plan = compile_plan(PlanDraft("p", (TierDraft("T1", "t", (PHASE,)),)))
    assert isinstance(plan, CompiledPlan)
    rules = rules_for(plan.phases[0], PolicySettings(), ("ci [1].sh",))
    assert ("protected-path", ASK) in told(changed("ci [1].sh"), rules=rules)
    assert ("protected-path", ASK) not in told(changed("src/ci [1].sh"), rules=rules)
    assert ("protected-path", ASK) not in told(changed("ci 1.sh"), rules=rules)


def test_deliverables_must_be_touched_and_stay() -> None:
    rules = Rules(scope=("**",), deliver=("a.py", "docs/", "b.py", "c.py"))
    found = judged(diff(changed("a.py"), added("docs/x.md"), Change(b"b.py", FILE, ABSENT)), rules)
    assert [(f.rule, f.path) for f in found.findings] == [
        ("deliverable-missing", "b.py"),
        ("deliverable-unchanged", "c.py"),
    ]


def test_caps_on_files_and_lines() -> None:
    rules = Rules(scope=("**",), files_max=2, changed_lines_max=10)
    assert told(changed("a"), changed("b"), rules=rules) == set()
    assert told(changed("a"), changed("b"), changed("c"), rules=rules) == {
        ("too-many-files", REFUSE)
    }
    assert told(added("a", lines=11), rules=rules) == {("too-many-lines", REFUSE)}
    assert told(added("a", lines=-1), rules=rules) == set()


def test_over_a_size_limit_the_gate_asks_to_split() -> None:
    rules = Rules(scope=("**",), files_max=1, changed_lines_max=1)
    found = judged(diff(added("a", lines=2), added("b", lines=2)), rules)
    assert [f.message for f in found.findings] == [
        "2 files changed; at most 1: do less in this phase, or split it into several",
        "4 lines changed; at most 1: do less in this phase, or split it into several",
    ]


def test_limits_of_zero_are_none() -> None:
    rules = Rules(("**",), files_max=0, changed_lines_max=0, file_bytes_max=0)
    many = [added(f"f{n}", lines=9_999, size=1 << 30) for n in range(FILES_MAX + 1)]
    assert told(*many, rules=rules) == set()


def test_a_file_that_becomes_a_folder_asks() -> None:
    assert told(Change(b"a", FILE, ABSENT), added("a/b")) == {("kind-change", ASK)}
    assert told(Change(b"a/b", FILE, ABSENT), added("a")) == {("kind-change", ASK)}


def test_clashes_are_refused() -> None:
    found = judged(diff(added("A.py"), clashes=((b"A.py", b"a.py"),)), ALL)
    assert [(f.rule, f.path) for f in found.findings] == [("name-clash", "A.py")]


def test_a_flood_of_findings_is_cut_but_counted_and_still_fails() -> None:
    rules = Rules(scope=("/src/",), files_max=0)
    found = judged(diff(*[added(f"x{n}") for n in range(500)]), rules)
    assert len(found.findings) == FINDINGS_MAX + 1
    assert "480 more" in found.findings[-1].message
    assert found.verdict is GateVerdict.FAIL


def test_verdicts() -> None:
    assert judged(diff(changed("a")), ALL).verdict is GateVerdict.PASS
    assert judged(diff(added("a.sh", EXECUTABLE)), ALL).verdict is GateVerdict.NEEDS_AUDITOR


def test_findings_are_printable_whatever_the_name() -> None:
    for finding in judged(diff(added(b"\xff\x1b[2J\n.git"), added("\u202e")), ALL).findings:
        assert finding.path.isprintable()
        json.dumps(finding.path).encode("utf-8")


def test_names() -> None:
    assert printable(b"a\xffb\x1b") == "a\\xffb\\x1b"
    assert folded("É".encode()) == folded("e\u0301".encode())
    assert folded(b"ABC") == b"abc"
    assert look_alike(".gIt") == ".git"
    assert look_alike("git") == ""
    assert name_problem(b"src/ok.py") == ""
    assert "dash" in name_problem(b"-x")
