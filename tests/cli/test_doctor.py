"""`doctor`: one line per check with its fix; it changes nothing."""

from __future__ import annotations

import os
from typing import Any

import pytest

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
    assert "no-such-agent" in agents["message"]


@pytest.mark.usefixtures("_sandbox")
def test_the_bases_own_tests(world: World) -> None:
    world.toy()
    red = checks(world, "--tests", exit_code=3)["tests"]
    assert red["status"] == "fail"
    assert "AssertionError" in red["message"]
    world.commit({"a.py": "def add(a, b):\n    return a + b\n"})
    green = checks(world, "--tests", exit_code=0)["tests"]
    assert "green" in green["message"]
    assert "exit code" in green["message"]
    assert list((world.root / "state" / "clones").iterdir()) == []
    assert world.git("for-each-ref", "refs/heads/autonomous") == ""
