"""`doctor`: one line per check with its fix; it changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from autopack.cli import exits
from autopack.process.sandbox import SandboxMissing, probe
from tests.cli.world import SETTINGS, World, contents


def checks(world: World, *arguments: str, exit_code: int) -> dict[str, Any]:
    import json

    done = world.autopack("doctor", "--json", *arguments)
    assert done.exit_code == exit_code, done.stderr.decode()
    told = json.loads(done.stdout)
    assert told["ok"] == (exit_code == 0)
    return {check["check"]: check for check in told["checks"]}


@pytest.fixture
def _sandbox() -> None:
    try:
        probe()
    except SandboxMissing as fault:
        if os.environ.get("CI"):
            pytest.fail(str(fault))
        pytest.skip(f"no working sandbox: {fault}")


@pytest.mark.usefixtures("_sandbox")
def test_all_well(world: World) -> None:
    world.toy()
    before = contents(world.root)
    found = checks(world, exit_code=0)
    assert {check["status"] for check in found.values()} == {"ok"}
    assert list(found) == [
        "python", "settings", "git", "sandbox", "store", "disk", "agents", "repository",
        "forge", "gate", "ruleset",
    ]  # fmt: skip
    assert contents(world.root) == before


def test_each_failure_has_a_fix(world: World) -> None:
    world.commit({"autopack.toml": SETTINGS.replace('builder = "recorded"', "")})
    world.git("branch", "autonomous")
    world.env["PATH"] = world.path_with("git")
    found = checks(world, exit_code=3)
    for name in ("sandbox", "agents", "repository"):
        assert found[name]["status"] == "fail"
        assert found[name]["fix"]
    assert "bubblewrap" in found["sandbox"]["message"]
    lines = world.autopack("doctor").stdout.decode().splitlines()
    assert sum(line.startswith("FAIL") for line in lines) == 3
    assert sum("fix: " in line for line in lines) == 3


def test_an_agent_that_is_not_installed(world: World) -> None:
    world.toy(SETTINGS.replace('type = "scripted"\npatches = "../patches"',
                               'command = ["no-such-agent", "x"]'))  # fmt: skip
    agents = checks(world, exit_code=3)["agents"]
    assert "agents.recorded.command: no-such-agent is not found" in agents["message"]


def rule(world: World, text: str) -> None:
    folder = world.repo / ".autonomous_runs"
    folder.mkdir(exist_ok=True)
    (folder / "project_ruleset_toy.json").write_text(text)


@pytest.mark.usefixtures("_sandbox")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("{}", "version: missing"),
        ('{"version": 1, "run_token_cup": 1}', "did you mean 'run_token_cap'?"),
        ('{"version": 1, "agents": {"docs": {"builder": "recordd"}}}',
         "agents.docs.builder 'recordd': no [agents.recordd]; did you mean 'recorded'?"),
    ],
)  # fmt: skip
def test_a_ruleset_with_which_runs_would_be_refused(world: World, text: str, said: str) -> None:
    world.toy()
    rule(world, text)
    found = checks(world, exit_code=2)
    assert found["ruleset"]["status"] == "fail"
    assert said in found["ruleset"]["message"]
    assert found["ruleset"]["fix"]
    assert {found[name]["status"] for name in found.keys() - {"ruleset"}} <= {"ok", "warn"}


@pytest.mark.usefixtures("_sandbox")
def test_a_ruleset_that_holds(world: World) -> None:
    world.toy()
    rule(world, '{"version": 4}')
    assert checks(world, exit_code=0)["ruleset"]["message"].startswith("4@")


@pytest.mark.usefixtures("_sandbox")
@pytest.mark.usefixtures("_sandbox")
def test_a_program_of_the_gate_that_is_not_installed(world: World) -> None:
    world.toy(
        SETTINGS + '\n[gate]\ncommands = [{ run = ["no-such-lint", "."], seconds_max = 9 }]\n'
    )
    found = checks(world, exit_code=0)["gate"]
    assert found["status"] == "warn"
    assert "not on PATH: no-such-lint" in found["message"]
    assert "install it" in found["fix"]


def test_a_check_of_the_gate_that_nobody_brings(world: World) -> None:
    world.toy(SETTINGS + '\n[gate]\nchecks = ["ratchett"]\n')
    found = checks(world, exit_code=2)["gate"]
    assert found["status"] == "fail"
    assert "ratchett" in found["message"]
    assert "did you mean 'ratchet'?" in found["fix"]


@pytest.mark.slow
def test_an_agent_that_nobody_chose_is_a_warning(world: World) -> None:
    world.toy(SETTINGS + '[agents.other]\ncommand = ["no-such-agent"]\n')
    found = checks(world, exit_code=0)
    assert found["agents"]["status"] == "ok"
    assert found["agent other"]["status"] == "warn"
    assert "no-such-agent" in found["agent other"]["message"]
    chosen = world.autopack("doctor", "--json", cwd=world.repo)
    assert chosen.exit_code == 0
    world.env["AUTOPACK_AUDITOR"] = "other"
    assert checks(world, exit_code=3)["agents"]["status"] == "fail"


@pytest.mark.slow
@pytest.mark.parametrize("role", ["builder", "none"])
def test_an_agent_that_only_an_environment_may_bring_is_a_warning(world: World, role: str) -> None:
    other = '[agents.other]\ncommand = ["no-such-agent"]\n'
    prepared = '[environment]\nprepare = ["true"]\ncache = [".venv"]\n'
    settings = SETTINGS.replace('"recorded"', '"other"') if role == "builder" else SETTINGS
    world.toy(settings + other + prepared)
    found = checks(world, exit_code=0)["agents" if role == "builder" else "agent other"]
    assert found["status"] == "warn"
    assert "not found on this machine; it must come from [environment]" in found["message"]
    dry = world.autopack("run", str(world.plan), "--dry-run")
    assert (b"must come from [environment]" in dry.stderr) == (role == "builder")


@pytest.mark.usefixtures("_sandbox")
def test_wrong_settings_hide_nothing_else(world: World) -> None:
    world.toy()
    (world.repo / "autopack.toml").write_text("bulider = 'x'\nsandbox = 'docker'\n")
    world.git("branch", "autonomous")
    found = checks(world, exit_code=2)
    assert "autopack.toml:1: bulider" in found["settings"]["message"]
    assert "autopack.toml:2: sandbox" in found["settings"]["message"]
    assert found["sandbox"]["status"] == "ok"
    assert "a ref named 'autonomous'" in found["repository"]["message"]
    assert "agents" not in found


def a_setting(world: World) -> None:
    world.toy('bulider = "x"\n' + SETTINGS)


def no_builder(world: World) -> None:
    world.toy(SETTINGS.replace('builder = "recorded"', ""))


def no_repository(world: World) -> None:
    (world.repo / "a.py").write_text("")


def a_base_without_settings(world: World) -> None:
    world.commit({"a.py": ""})
    (world.repo / "autopack.toml").write_text(SETTINGS)


def a_folder_inside(world: World) -> None:
    world.toy()
    world.env["AUTOPACK_DATA_DIR"] = str(world.repo / "data")


def no_sandbox(world: World) -> None:
    world.toy()
    world.env["PATH"] = world.path_with("git")


def no_sandbox_and_no_builder(world: World) -> None:
    no_builder(world)
    world.env["PATH"] = world.path_with("git")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (a_setting, exits.USAGE),
        (no_builder, exits.USAGE),
        (no_repository, exits.USAGE),
        (a_base_without_settings, exits.USAGE),
        (a_folder_inside, exits.USAGE),
        (no_sandbox, exits.ENVIRONMENT),
        (no_sandbox_and_no_builder, exits.ENVIRONMENT),
    ],
)
@pytest.mark.usefixtures("_sandbox")
def test_its_exit_code_is_that_of_the_table_and_of_a_run(
    world: World, spoil: Callable[[World], None], code: int
) -> None:
    assert code in exits.COMMANDS["doctor"]
    spoil(world)
    checks(world, exit_code=code)
    if spoil is not no_sandbox_and_no_builder:  # a run stops at the first of the two
        assert world.autopack("run", str(world.plan), "--dry-run").exit_code == code


@pytest.mark.usefixtures("_sandbox")
def test_the_bases_own_tests(world: World) -> None:
    world.toy()
    red = checks(world, "--tests", exit_code=1)["tests"]
    assert red["status"] == "fail"
    assert "AssertionError" in red["message"]
    world.commit({"a.py": "def add(a, b):\n    return a + b\n"})
    green = checks(world, "--tests", exit_code=0)["tests"]
    assert green["status"] == "warn"
    assert "green by exit code alone: tests not counted" in green["message"]
    assert "junit" in green["fix"]
    assert list((world.root / "state" / "clones").iterdir()) == []
    assert world.git("for-each-ref", "refs/heads/autonomous") == ""
