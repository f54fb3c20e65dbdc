"""The import contracts and the ban list bite: planted offences in a copy of the source are seen."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent

# module of the copy, its text, the broken contract's number and what its report must name
OFFENCES = [
    ("core/planted_os.py", "import os", "2", "autopack.core.planted_os -> os"),
    ("core/planted_lazy.py", "def f() -> None:\n    import time", "2", "autopack.core.planted_lazy -> time"),
    ("core/planted_sql.py", "import sqlalchemy.orm", "2", "autopack.core.planted_sql -> sqlalchemy"),
    ("core/planted_up.py", "import autopack.app.ports", "1", "autopack.core.planted_up -> autopack.app.ports"),
    (
        "core/planted_typing.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import autopack.app.ports",
        "1",
        "autopack.core.planted_typing -> autopack.app.ports",
    ),
    ("app/planted_adapter.py", "import autopack.adapters.planted_a", "1", "autopack.app.planted_adapter -> autopack.adapters.planted_a"),
    ("app/planted_process.py", "import autopack.process", "1", "autopack.app.planted_process -> autopack.process"),
    ("app/planted_web.py", "import pydantic", "6", "autopack.app.planted_web -> pydantic"),
    ("adapters/planted_run.py", "import subprocess", "3", "autopack.adapters.planted_run"),
    ("adapters/planted_a.py", "import autopack.adapters.planted_b", "4", "autopack.adapters.planted_a -> autopack.adapters.planted_b"),
    ("adapters/planted_b.py", "", "", ""),
    ("process/planted_up.py", "import autopack.adapters.planted_b", "1", "autopack.process.planted_up -> autopack.adapters.planted_b"),
    ("core/planted_one.py", "import autopack.core.planted_two", "5", ".planted_"),
    ("core/planted_two.py", "import autopack.core.planted_one", "5", ".planted_"),
]  # fmt: skip


def lint_imports(folder: Path) -> str:
    done = subprocess.run(
        [str(BIN / "lint-imports"), "--no-logo", "--no-cache", "--config", "../pyproject.toml"],
        cwd=folder / "src", capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(folder / "src"), "PATH": str(BIN), "COLUMNS": "200"},
    )  # fmt: skip
    return f"exit {done.returncode}\n{done.stdout}{done.stderr}"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(
        ROOT / "src" / "autopack",
        tmp_path / "src" / "autopack",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return tmp_path


def broken(report: str) -> dict[str, str]:
    """Contract number to what the report says of it."""
    body = report.split("Broken contracts", 1)[-1]
    parts = re.split(r"(?m)^(\d)\. .*\n-+$", body)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_planted_import_breaks_its_contract(copy: Path) -> None:
    for name, code, _contract, _shown in OFFENCES:
        (copy / "src" / "autopack" / name).write_text(f'"""Planted."""\n{code}\n')
    report = lint_imports(copy)
    assert report.startswith("exit 1"), report
    said = broken(report)
    missed = [
        (name, contract)
        for name, _code, contract, shown in OFFENCES
        if contract and shown not in said.get(contract, "")
    ]
    assert not missed, report


def test_a_module_outside_the_layers_is_refused(copy: Path) -> None:
    (copy / "src" / "autopack" / "utils.py").write_text('"""Planted."""\n')
    report = lint_imports(copy)
    assert report.startswith("exit 1"), report
    assert "utils" in broken(report).get("1", report.partition("KEPT")[0])


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("core/a.py", "import datetime\nprint(datetime.datetime.now(tz=datetime.UTC))"),
        ("core/a.py", "from datetime import datetime, UTC\nNOW = datetime.now(UTC)"),
        ("app/a.py", "import time\nNOW = time.monotonic()"),
        ("app/a.py", "from time import time\nNOW = time()"),
        ("adapters/a.py", "import os\nos.system('true')"),
        ("adapters/a.py", "import os\nos.execv('/bin/true', [])"),
        ("adapters/a.py", "import asyncio\nMAKE = asyncio.create_subprocess_exec"),
        ("cli/a.py", "import uuid\nID = uuid.uuid4()"),
        ("wiring.py", "import random\nN = random.random()"),
    ],
    ids=[
        "datetime-attribute", "datetime-name", "monotonic", "time-name", "system", "exec", "asyncio",
        "uuid", "random",
    ],
)  # fmt: skip
def test_the_ban_list_bites(place: str, code: str) -> None:
    done = subprocess.run(
        [str(BIN / "ruff"), "check", "--no-cache", "--output-format", "concise",
         "--stdin-filename", f"src/autopack/{place}", "-"],
        cwd=ROOT, input=code, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "TID251" in done.stdout, done.stdout + done.stderr
