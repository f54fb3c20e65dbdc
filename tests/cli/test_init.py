"""`init` on toy repositories of each kind; what it writes must be readable by both readers."""

from __future__ import annotations

from pathlib import Path

import pytest

from autopack.cli.detect import InstalledAgent, detect, installed_agents
from autopack.cli.init import text
from autopack.core.project import Project, Report, parse_project
from autopack.settings import load
from tests.cli.world import World, contents

MARKERS = '[tool.pytest.ini_options]\nmarkers = ["slow: minutes", "unit: quick"]\n'
PYTHON = '[build-system]\nrequires = ["hatchling"]\n[project.optional-dependencies]\ntest = []\n'
KINDS: dict[str, tuple[dict[str, str], str, list[str], list[str], tuple[str, ...]]] = {
    "pytest": (
        {"pyproject.toml": PYTHON + "[tool.pytest]\n", "tests/test_a.py": ""},
        "python",
        ["python -m pytest -q --junitxml={report}"],
        ["python -m venv {cache}", "pip install --quiet -e .[test]"],
        ("pyproject.toml",),
    ),
    "pytest with markers": (
        {"pyproject.toml": MARKERS, "test_a.py": "", "requirements.txt": "pytest\n"},
        "python",
        ['python -m pytest -q --junitxml={report} -m "not slow"'],
        ["pip install --quiet -r requirements.txt"],
        ("requirements.txt", "pyproject.toml"),
    ),
    "markers of both profiles": (
        {"pytest.ini": "[pytest]\nmarkers =\n    unit: u\n    integration: i\n    e2e: e\n"
                       "    safety_critical: s\n", "test_a.py": ""},
        "python",
        ['python -m pytest -q --junitxml={report} -m "not e2e and not safety_critical"'],
        ["pip install --quiet pytest"],
        (),
    ),
    "markers in pytest.ini": (
        {"pytest.ini": "[pytest]\nmarkers =\n    network: online\n", "test_a.py": ""},
        "python",
        ['python -m pytest -q --junitxml={report} -m "not network"'],
        ["pip install --quiet pytest"],
        (),
    ),
    "a pyproject that builds nothing, requirements beside": (
        {"pyproject.toml": "[tool.pytest.ini_options]\n", "dev-requirements.txt": "",
         "requirements/test.txt": "", "setup.cfg": "", "test_a.py": ""},
        "python",
        ["python -m pytest -q --junitxml={report}"],
        ["-r dev-requirements.txt", "-r requirements/test.txt"],
        ("dev-requirements.txt", "requirements/test.txt", "pyproject.toml", "setup.cfg"),
    ),
    "uv": (
        {"pyproject.toml": PYTHON, "uv.lock": "", "test_a.py": ""},
        "python",
        ["python -m pytest -q --junitxml={report}"],
        ["uv sync --frozen"],
        ("pyproject.toml", "uv.lock"),
    ),
    "npm": (
        {"package.json": '{"scripts": {"test": "vitest run"}}', "package-lock.json": "{}"},
        "node", ["npm test"], ["npm ci"], ("package.json", "package-lock.json"),
    ),
    "npm without tests": (
        {"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'},
        "node", [], [], (),
    ),
    "go": (
        {"go.mod": "module x\n", "go.sum": ""}, "go", ["go test ./..."], ["go mod vendor"],
        ("go.mod", "go.sum"),
    ),
    "cargo": ({"Cargo.toml": "[package]\n"}, "rust", ["cargo test --offline"], [], ()),
    "make": ({"Makefile": "all:\n\ncheck: all\n\ttrue\n"}, "make", ["make check"], [], ()),
    "make without tests": ({"Makefile": "TEST := a\nall:\n"}, "unknown", [], [], ()),
    "nothing": ({"README": "hello"}, "unknown", [], [], ()),
    "broken files": (
        {"pyproject.toml": "not = = toml", "package.json": "{", "pytest.ini": "[[["},
        "python", ["python -m pytest -q --junitxml={report}"], ["pytest"], ("pyproject.toml",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_detects_and_writes_what_both_readers_take(tmp_path: Path, kind: str) -> None:
    files, language, tests, prepare, inputs = KINDS[kind]
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    found = detect(tmp_path, list(files))
    assert found.language == language
    assert [command.run for command in found.normal] == tests
    assert found.inputs == inputs
    for words in prepare:
        assert any(words in each for each in found.prepare), found.prepare
    written = text("My Toy!", found, [], {})
    read = parse_project(written, "x")
    if tests:
        assert isinstance(read, Project), read
        assert read.project_id == "My-Toy"
        reruns = {command.rerun[-1:] for command in (*read.normal, *read.strict)}
        assert reruns == ({("{tests}",)} if language == "python" else {()})
        reports = {Report.JUNIT} if language == "python" else {Report.EXIT_CODE}
        assert {command.report for command in read.normal} == reports
        filtered = "not " in tests[0]
        assert (read.strict != read.normal) == filtered
    else:
        assert isinstance(read, tuple)
        assert [problem.key for problem in read] == ["ci.normal.commands"]


def test_agents_are_written_for_the_machine_reader(tmp_path: Path) -> None:
    program = tmp_path / "bin" / 'od"d' / "claude"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    agents = installed_agents(str(program.parent))
    assert [(agent.name, agent.program) for agent in agents] == [("claude", str(program))]
    repo = tmp_path / "repo"
    (repo / ".git").mkdir(parents=True)
    environ = {"HOME": str(tmp_path), "ANTHROPIC_API_KEY": "secret"}
    (repo / "autopack.toml").write_text(text("x", detect(repo, []), agents, environ))
    settings = load(repo, environ).settings
    assert settings.builder == "claude"
    agent = settings.agents["claude"]
    assert agent.command[0] == str(program)
    assert agent.pass_env == ("ANTHROPIC_API_KEY",)
    assert agent.read_only == (str(program.parent),)
    assert "secret" not in (repo / "autopack.toml").read_text()
    assert isinstance(agents[0], InstalledAgent)


def test_writes_one_file_and_never_overwrites(world: World) -> None:
    world.commit({"test_a.py": "", "pytest.ini": "[pytest]\n"})
    world.env["PATH"] = world.path_with("git")
    before = contents(world.repo)
    done = world.autopack("init")
    assert done.ok, done.stderr.decode()
    after = contents(world.repo)
    target = str(world.repo / "autopack.toml")
    assert set(after) - set(before) == {target}
    assert "git add autopack.toml" in done.stderr.decode()
    assert "no coding agent" in done.stderr.decode()
    again = world.autopack("init")
    assert again.exit_code == 2
    assert contents(world.repo) == after
    Path(target).unlink()
    for name in [word for word in after[target].decode().split() if "/" in word]:  # type: ignore[union-attr]  # a file
        assert not name.endswith(".md"), f"{name} is none of this repository's files"
    told = world.read("init")
    assert told["language"] == "python"
    assert told["default_branch"] == "main"
    assert not (world.root / "data").exists()


def test_files_that_are_not_committed_yet_are_seen_and_ignored_ones_are_not(world: World) -> None:
    world.git("init", "--quiet", "--initial-branch=main")
    (world.repo / ".gitignore").write_text("go.mod\n")
    for name in ("go.mod", "Cargo.toml"):
        (world.repo / name).write_text("")
    done = world.autopack("init")
    assert done.ok, done.stderr.decode()
    assert "Cargo.toml" in done.stdout.decode()
    assert "rust" in done.stdout.decode()
    said = done.stderr.decode()
    assert "there is no commit yet, and a run starts from one" in said
    assert "git add --all && git commit" in said


def test_without_a_language_the_plainest_command_is_shown() -> None:
    kind = detect(Path("/nowhere"), [])
    assert '{ run = ["sh", "test.sh"] }' in text("x", kind, [], {})


def test_outside_a_repository(world: World) -> None:
    done = world.autopack("init")
    assert done.exit_code == 2
    assert list(world.repo.iterdir()) == []
