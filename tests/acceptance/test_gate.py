"""The gate through the command line: secrets, static commands, waivers, a stranger's check."""

from __future__ import annotations

import base64
import re
import zlib
from pathlib import Path

import pytest

from autopack.core.run import RunState
from tests.keys import planted
from tests.lab import Lab, phase
from tests.repos import git, write

JUDGE = 'auditor = "judge"\n[agents.judge]\ntype = "scripted"\npatches = "../tools/verdicts"\n'
LINT = '[gate]\ncommands = [{ run = ["python3", "lint.py"], seconds_max = 30 }]\n'
LINTER = """\
import pathlib, sys
bad = [path.name for path in pathlib.Path("src").iterdir() if "bad" in path.read_text()]
print("bad:", *bad)
sys.exit(bool(bad))
"""
STRANGER = """\
from autopack.core.run import Finding, Severity

def factory(context):
    def check(subject, cancel):
        if b"boom" in (subject.new(b"src/one.txt").data or b""):
            raise ValueError("its own mistake")
        for change in subject.diff.changes:
            for line in subject.added(change.path) or ():
                if "GPL" in line.text:
                    yield Finding("licence", "names the GPL", change.path.decode(), line.number,
                                  Severity.ASK)
    return check
"""


def kept_bytes(*folders: Path) -> dict[Path, bytes]:
    """Every file of ours, but for the objects of git."""
    return {
        path: path.read_bytes()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and "objects" not in path.relative_to(folder).parts
    }


def test_a_planted_secret_is_refused_and_stands_nowhere(lab: Lab) -> None:
    secret = planted()["anthropic"]
    said = "print(pathlib.Path('src/said.txt').read_text()[::-1])"
    lab.make(
        ci='commands = [{ run = "python3 say.py {report}", report = "junit", seconds_max = 30 }]',
        files={"say.py": f"import pathlib, runpy\n{said}\nrunpy.run_path('ci.py')\n"},
    )
    backwards = secret[::-1]
    done = lab.run(
        phase("F1", f"do 1: leak {backwards}", f"do 2: write src/said.txt {backwards}"),
        options=("--json",),
    )
    assert done.code == 0, done.out + done.err
    first, second = lab.of_kind("candidate_checked")
    assert (first.verdict.value, second.verdict.value) == ("fail", "pass")
    found = [each for each in first.findings if each.rule == "secret"]
    assert "src/key.txt" in {each.path for each in found}
    assert any("[redacted: anthropic-key]" in each.path for each in found)
    view, events = lab.cli("run", "view", "r"), lab.cli("events", "list", "r", "--json")
    issues = lab.cli("issues", "list", "--json")
    told = "".join(each.out + each.err for each in (done, view, events, issues))
    assert "[redacted: anthropic-key]" in told
    assert secret[:60] not in told
    ours = kept_bytes(lab.root / "data", lab.root / "state", lab.project / ".autonomous_runs")
    assert any(b"[redacted: anthropic-key]" in data for data in ours.values())
    assert not [path for path, data in ours.items() if secret[:60].encode() in data]
    said = git(lab.bare, "log", "--format=%B", lab.kept()["F1/1"])
    packed = next(line for line in said.splitlines() if line.startswith("Autopack-Issues: "))
    content = zlib.decompress(base64.b64decode(packed.partition(": ")[2]))
    assert (secret[:60].encode() in content, b"[redacted: " in content) == (False, True)
    # its work is as it made it, for whoever must revoke the key
    assert git(lab.bare, "show", f"{lab.kept()['F1/1']}:src/key.txt") == secret


def test_red_commands_are_the_candidates_only_when_the_parent_is_green(lab: Lab) -> None:
    made = lab.make(project=LINT, files={"lint.py": LINTER})
    done = made.run(
        phase("F1", "do 1: write src/one.txt bad", "do 2: write src/one.txt good"),
    )
    assert done.code == 0, done.err
    first, second = lab.of_kind("candidate_checked")
    assert [(each.verdict.value) for each in (first, second)] == ["fail", "pass"]
    (red,) = first.findings
    assert red.rule == "command-red"
    assert "bad: one.txt" in red.message
    assert (lab.load().phase("F1").attempts_used, lab.load().spec.gate_commands) == (2, True)
    logs = list((lab.root / "state" / "logs").rglob("gate-1-0/0.log"))
    assert [b"bad: one.txt" in log.read_bytes() for log in logs] == [True]


@pytest.mark.slow
def test_what_was_red_before_lands_with_an_issue(lab: Lab) -> None:
    made = lab.make(project=LINT, files={"lint.py": LINTER, "src/old.txt": "bad\n"})
    done = made.run(phase("F1", "do: write src/one.txt good"), phase("F2", "do: write src/b good"))
    assert done.code == 0, done.err
    run = lab.load()
    assert run.state is RunState.DONE_SUCCESS
    keys = {issue.issue_key for each in run.phases for issue in each.issues}
    assert len(keys) == 1
    assert next(iter(keys)).startswith("static_check__")
    assert "static_check__" in lab.cli("issues", "list").out


def stranger(lab: Lab, name: str = "licences") -> Lab:
    """A lab with somebody's package of checks installed."""
    tools = lab.root / "packages"
    write(tools, {
        "strange_checks.py": STRANGER,
        "strange_checks-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: strange-checks\nVersion: 1\n",
        "strange_checks-1.dist-info/entry_points.txt": f"[autopack.checks]\n{name} = strange_checks:factory\n",
    })  # fmt: skip
    return Lab(lab.root, PYTHONPATH=str(tools))


@pytest.mark.slow
def test_a_strangers_check_asks_and_a_waiver_is_kept_and_shown(lab: Lab) -> None:
    made = stranger(lab)
    verdict = 'recommendation = "approve"\nnotes = "it is quoted only"\n'
    write(made.tools, {"verdicts/F1/1.toml": verdict})
    made.make(machine=JUDGE, project='[gate]\nchecks = ["licences"]\n')
    done = made.run(phase("F1", "do: write src/one.txt GPL"))
    assert done.code == 0, done.err
    (checked,) = made.of_kind("candidate_checked")
    asked = {each.check: each.verdict.value for each in checked.checks}
    assert asked == {
        "structure": "pass", "scope": "pass", "protected": "pass", "secrets": "pass",
        "licences": "needs_auditor", "deliverables": "pass",
    }  # fmt: skip
    view = made.cli("run", "view", "r")
    assert "waived by an auditor" in view.out
    assert "it is quoted only" in view.out
    told = made.cli("run", "view", "r", "--json").data["run"]["tiers"][0]["phases"][0]["checks"]
    assert [(e["check"], e["reason"]) for e in told if e["verdict"] == "waived"] == [
        ("licences", "it is quoted only")
    ]
    report = made.cli("report", "run", "r").out
    assert re.search(r"F1 +licences +waived +1 +it is quoted only", report), report
    (page,) = (made.project / ".autonomous_runs" / "r" / "phases").glob("*.md")
    assert "| licences | waived | licence | it is quoted only |" in page.read_text()


@pytest.mark.slow
def test_a_check_that_breaks_is_no_pass_and_one_that_is_missing_starts_nothing(lab: Lab) -> None:
    made = stranger(lab)
    made.make(project='[gate]\nchecks = ["licences"]\n')
    done = made.run(phase("F1", "do: write src/one.txt boom"))
    assert done.code == 1, done.err
    run = made.load()
    assert run.state is RunState.DONE_FAILED_ENVIRONMENT
    assert run.failure
    assert "check 'licences' failed" in run.failure.reason
    without = Lab(made.root).cli(
        "run", made.plan(phase("F1", "do: write src/a x")), "--run-id", "s"
    )
    assert without.code == 2
    assert "no autopack.checks entry point 'licences'" in without.err
