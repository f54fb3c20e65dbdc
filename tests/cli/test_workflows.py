"""GitHub's workflows, ours and a user's: they parse, and what they call is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from autopack.cli.detect import Kind, detect
from autopack.cli.main import COMMANDS, perform
from autopack.cli.workflows import PATH, ci_workflow
from tests.repos import git, user_repository, write

ROOT = Path(__file__).parents[2]
JOBS = ["lint", "test", "preflight-normal", "preflight-strict"]
PYTHON = {
    "pyproject.toml": "[build-system]\n[tool.ruff]\n[tool.pytest.ini_options]\n",
    "tests/test_a.py": "",
    "requirements.txt": "pytest\n",
}


def jobs(text: str) -> dict[str, Any]:
    """The jobs of a workflow, each with a time limit and no more rights than reading."""
    flow = yaml.safe_load(text)
    assert set(flow[True]) == {"push", "pull_request"}  # YAML 1.1 reads `on` as true
    assert flow["permissions"] == {"contents": "read"}
    found: dict[str, Any] = flow["jobs"]
    assert all(0 < job["timeout-minutes"] <= 60 for job in found.values())
    return found


def commands(job: dict[str, Any]) -> list[str]:
    lines = [line for step in job["steps"] for line in step.get("run", "").splitlines()]
    return [line.strip() for line in lines if line.strip()]


def test_ours_calls_what_people_call() -> None:
    found = jobs((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert list(found) == JOBS
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    ours = [line for job in found.values() for line in commands(job) if "sudo" not in line]
    assert "make test" in ours
    for line in ours:
        program, *arguments = shlex.split(line)
        if program == "make":
            assert set(arguments) <= targets, line
        else:
            assert (ROOT / program).stat().st_mode & 0o111, line
    for profile in ("normal", "strict"):
        assert found[f"preflight-{profile}"]["env"]["CI_PROFILE"] == profile


def test_a_users_is_made_of_what_was_found(tmp_path: Path) -> None:
    write(tmp_path, PYTHON)
    found = jobs(ci_workflow(detect(tmp_path, [*PYTHON]), "it's main"))
    assert list(found) == JOBS
    tests = commands(found["test"])
    assert "python -m pytest -q --junitxml=test-report.xml" in tests
    assert 'echo "$PWD/.venv/bin" >> "$GITHUB_PATH"' in tests
    assert "{" not in "".join(tests)
    assert commands(found["preflight-strict"])[-1] == "autopack preflight"
    assert "preflight" in COMMANDS


@pytest.mark.parametrize(
    "kind", [Kind("unknown", ""), Kind("go", "", lint=("go vet ./...",))], ids=["none", "go"]
)
def test_jobs_without_commands_are_left_out(kind: Kind) -> None:
    found = list(jobs(ci_workflow(kind, "main")))
    assert found == [*(["lint"] if kind.lint else []), *JOBS[2:]]


def asked(*arguments: str) -> int:
    return perform(["init", "--workflows", *arguments])


def test_init_writes_both_then_only_what_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    project = tmp_path / "project"
    user_repository(project, PYTHON)
    monkeypatch.chdir(project)
    assert asked() == 0
    first = (project / "autopack.toml").read_text()
    assert list(jobs((project / PATH).read_text())) == JOBS
    assert asked() == 2
    assert "ci.yml exists and is left alone" in capsys.readouterr().err
    (project / PATH).unlink()
    assert asked() == 0
    assert (project / "autopack.toml").read_text() == first
    assert git(project, "rev-list", "--count", "main") == "1"


def test_a_folder_that_leads_elsewhere_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    user_repository(project, PYTHON)
    elsewhere.mkdir()
    (project / ".github").symlink_to(elsewhere)
    monkeypatch.chdir(project)
    assert asked() == 2
    assert "make it a folder" in capsys.readouterr().err
    assert not list(elsewhere.iterdir())
    assert not (project / "autopack.toml").exists()
