"""Setting up a fresh machine: what is missing is said clearly, with what to do and exit code 3."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHELL_TOOLS = ("sh", "grep", "dirname", "pwd")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder of programs as on a machine that has next to nothing, and where we are not root."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in SHELL_TOOLS:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    program(folder / "id", "echo 1000")
    return folder


def program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def run(script: str, *arguments: str, path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(path / "sh"), str(ROOT / "tools" / script), *arguments],
        cwd=path.parent, env={"PATH": str(path), **env}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_missing_programs_are_named_with_their_packages(bare: Path) -> None:
    done = run("require", "bwrap=bubblewrap", "strace=strace", "sh=dash", path=bare)
    assert done.returncode == 3
    assert "missing: bubblewrap strace" in done.stderr
    assert "apt-get install bubblewrap strace" in done.stderr


def test_nothing_is_said_when_nothing_is_missing(bare: Path) -> None:
    program(bare / "bwrap", "true")
    done = run("require", "bwrap=bubblewrap", path=bare)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_root_installs_what_is_missing_and_only_that(bare: Path) -> None:
    program(bare / "id", "echo 0")
    program(bare / "strace", "true")
    log = bare.parent / "log"
    program(bare / "apt-get", f'echo "$@" >> {log}')
    done = run("require", "bwrap=bubblewrap", "strace=strace", path=bare)
    assert done.returncode == 0, done.stderr
    update, install = log.read_text().splitlines()
    assert update.startswith("update")
    assert install.startswith("install")
    assert install.endswith(" bubblewrap")


def test_a_failed_installation_is_a_clear_failure(bare: Path) -> None:
    program(bare / "id", "echo 0")
    program(bare / "apt-get", "exit 100")
    done = run("require", "bwrap=bubblewrap", path=bare)
    assert done.returncode == 3
    assert "missing: bubblewrap" in done.stderr


def test_an_old_python_is_refused_with_advice(bare: Path) -> None:
    program(bare / "python3", "exit 1")
    done = run("venv", ".venv", path=bare)
    assert done.returncode == 3
    assert "Python 3.11 or newer" in done.stderr
    assert "make PYTHON=" in done.stderr


def test_a_newer_python_beside_an_old_one_is_found(bare: Path) -> None:
    log = bare.parent / "log"
    program(bare / "python3", "exit 1")
    program(bare / "python3.12", f'echo "$@" >> {log}')
    done = run("venv", ".venv", path=bare)
    assert done.returncode == 0, done.stderr
    assert "-m venv --clear .venv" in log.read_text()


def test_an_environment_made_elsewhere_is_made_again(bare: Path) -> None:
    """A moved folder has scripts that name their old place."""
    venv = bare.parent / ".venv"
    (venv / "bin").mkdir(parents=True)
    program(venv / "bin" / "python", "exit 0")
    log = bare.parent / "log"
    program(bare / "python3", f'echo "$@" >> {log}')
    (venv / "pyvenv.cfg").write_text("command = python3 -m venv /elsewhere/.venv\n")
    assert run("venv", ".venv", path=bare).returncode == 0
    assert "-m venv" in log.read_text()
    log.unlink()
    (venv / "pyvenv.cfg").write_text(f"command = python3 -m venv {venv}\n")
    assert run("venv", ".venv", path=bare).returncode == 0
    assert not log.exists()


def test_continuous_integration_runs_both_test_targets() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert script.index("make test\n") < script.index("make test-full\n")
    assert "set -euo pipefail" in script
