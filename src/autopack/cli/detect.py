"""What a repository looks like to `autopack init`: its language, tests, environment, agents.

Reads files and PATH; runs nothing, writes nothing.
"""

from __future__ import annotations

import configparser
import json
import re
import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

FILE_BYTES_MAX: Final = 1_000_000
STRICT_MARKERS: Final = ("e2e", "safety_critical", "slow", "network", "external", "online")
"""Names under which projects declare tests that only the strict profile runs; what has no marker,
`unit` and `integration` are in both."""
PYTHON_FILES: Final = ("pyproject.toml", "setup.py", "setup.cfg")
"""Where a Python project says what it needs; any of them decides what an environment holds."""
JUNIT: Final = "junit"
EXIT_CODE: Final = "exit-code"


@dataclass(frozen=True)
class Command:
    """A CI command as it would be written down; `rerun` runs some of its tests."""

    run: str
    report: str = EXIT_CODE
    rerun: str = ""


@dataclass(frozen=True)
class Kind:
    """What was found; `why` names the files that told."""

    language: str
    why: str
    normal: tuple[Command, ...] = ()
    strict: tuple[Command, ...] = ()
    """Empty: the same as normal."""
    prepare: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    cache: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
    lint: tuple[str, ...] = ()
    """Commands that look at the code without running it, where the project names some."""


def detect(top: Path, tracked: Sequence[str]) -> Kind:
    """The first kind that fits; a repository with none gets an empty one."""
    files = set(tracked)
    for look in (_python, _node, _go, _cargo, _make):
        if found := look(top, files):
            return replace(found, lint=_lint(found.language, top, files))
    return Kind("unknown", "no pyproject.toml, package.json, go.mod, Cargo.toml or Makefile")


def _python(top: Path, files: set[str]) -> Kind | None:
    signs = [n for n in ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt")
             if n in files]  # fmt: skip
    tests = [n for n in files if re.search(r"(^|/)(test_[^/]*|[^/]*_test)\.py$", n)]
    if not signs and not tests:
        return None
    project = _toml(top / "pyproject.toml")
    why = ", ".join([*signs, *sorted(tests)[:1]])
    prepare, inputs = _python_environment(project, files)
    if not _uses_pytest(top, files, project) and not tests:
        return Kind(
            "python", why, (), (), tuple(prepare), tuple(inputs), (".venv",) * bool(prepare)
        )
    plain = "python -m pytest -q --junitxml={report}"
    rerun = f"{plain} {{tests}}"
    left = _declared_markers(top, project)
    quick = plain + f' -m "{" and ".join(f"not {each}" for each in left)}"' if left else plain
    normal = (Command(quick, JUNIT, rerun),)
    strict = (Command(plain, JUNIT, rerun),) if left else ()
    return Kind("python", why, normal, strict, tuple(prepare), tuple(inputs), (".venv",))


def _python_environment(project: dict[str, Any], files: set[str]) -> tuple[list[str], list[str]]:
    """Commands that make `.venv`, and the files whose content decides what is in it."""
    if "uv.lock" in files:
        return ["uv sync --frozen --all-groups"], ["pyproject.toml", "uv.lock"]
    prepare = ["python -m venv {cache}"]
    requirements = sorted(
        n for n in files if re.fullmatch(r"(requirements/)?[\w.-]*requirements[\w.-]*\.txt", n)
        or re.fullmatch(r"requirements/[\w.-]+\.txt", n)
    )  # fmt: skip
    install = "{cache}/bin/python -m pip install --quiet"
    prepare += [f"{install} -r {name}" for name in requirements]
    inputs = [*requirements, *(name for name in PYTHON_FILES if name in files)]
    if "build-system" in project or "setup.py" in files:
        extras = project.get("project", {}).get("optional-dependencies", {})
        wanted = [name for name in ("test", "tests", "testing", "dev") if name in extras][:1]
        prepare.append(f"{install} -e .{f'[{wanted[0]}]' if wanted else ''}")
    return [*prepare, f"{install} pytest"], inputs


def _uses_pytest(top: Path, files: set[str], project: dict[str, Any]) -> bool:
    if "pytest" in project.get("tool", {}) or files & {"pytest.ini", "conftest.py"}:
        return True
    return any(
        "pytest" in _text(top / n) for n in files if n.endswith(("requirements.txt", "tox.ini"))
    )


def _declared_markers(top: Path, project: dict[str, Any]) -> list[str]:
    """Declared markers of tests that only the strict profile runs; others are not guessed at."""
    table = project.get("tool", {}).get("pytest", {})
    told = (table.get("ini_options", {}) if isinstance(table, dict) else {}).get("markers", [])
    lines = told.splitlines() if isinstance(told, str) else [str(each) for each in told]
    for name, section in (("pytest.ini", "pytest"), ("setup.cfg", "tool:pytest"),
                          ("tox.ini", "pytest")):  # fmt: skip
        ini = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            ini.read_string(_text(top / name))
        except configparser.Error:
            continue
        lines += ini.get(section, "markers", fallback="").splitlines()
    names = {re.split(r"[:(]", line.strip(), maxsplit=1)[0].strip() for line in lines}
    return [each for each in STRICT_MARKERS if each in names]


def _node(top: Path, files: set[str]) -> Kind | None:
    if "package.json" not in files:
        return None
    try:
        package = json.loads(_text(top / "package.json") or "{}")
    except ValueError:
        package = {}
    script = package.get("scripts", {}).get("test", "") if isinstance(package, dict) else ""
    normal = (Command("npm test"),) if script and "no test specified" not in script else ()
    tools = (
        ("pnpm-lock.yaml", "pnpm install --frozen-lockfile"),
        ("yarn.lock", "yarn install --frozen-lockfile"),
        ("package-lock.json", "npm ci"),
    )
    lock, install = next(((n, run) for n, run in tools if n in files), ("", ""))
    if not lock:
        return Kind("node", "package.json", normal,
                    notes=("no lock file: without one, no environment is prepared",))  # fmt: skip
    return Kind("node", f"package.json, {lock}", normal, (), (install,),
                ("package.json", lock), ("node_modules",))  # fmt: skip


def _go(_top: Path, files: set[str]) -> Kind | None:
    if "go.mod" not in files:
        return None
    normal = (Command("go test ./..."),)
    if "go.sum" not in files or "vendor/modules.txt" in files:
        return Kind("go", "go.mod", normal)
    return Kind("go", "go.mod, go.sum", normal, (), ("go mod vendor",), ("go.mod", "go.sum"),
                ("vendor",))  # fmt: skip


def _cargo(_top: Path, files: set[str]) -> Kind | None:
    if "Cargo.toml" not in files:
        return None
    note = "CI has no network: crates from a registry must be vendored (`cargo vendor`)"
    return Kind("rust", "Cargo.toml", (Command("cargo test --offline"),), notes=(note,))


def _make(top: Path, files: set[str]) -> Kind | None:
    name = next((n for n in ("GNUmakefile", "makefile", "Makefile") if n in files), "")
    targets = re.findall(r"^(test|check)\s*:(?!=)", _text(top / name), re.MULTILINE) if name else []
    if not targets:
        return None
    target = "test" if "test" in targets else "check"
    return Kind("make", name, (Command(f"make {target}"),))


def _lint(language: str, top: Path, files: set[str]) -> tuple[str, ...]:
    """What the project has its code looked at by; languages' own tools where it names none."""
    if language == "python":
        ruff = "ruff" in _toml(top / "pyproject.toml").get("tool", {})
        return ("pipx run ruff check .",) if ruff or {"ruff.toml", ".ruff.toml"} & files else ()
    if language == "node":
        try:
            package = json.loads(_text(top / "package.json") or "{}")
        except (ValueError, RecursionError):
            return ()
        scripts = package.get("scripts") if isinstance(package, dict) else None
        return ("npm run lint",) if isinstance(scripts, dict) and scripts.get("lint") else ()
    if language == "make":
        found = re.search(r"^lint\s*:(?!=)", _text(top / "Makefile"), re.MULTILINE)
        return ("make lint",) if found else ()
    return {"go": ("go vet ./...",), "rust": ("cargo fmt --check",)}.get(language, ())


@dataclass(frozen=True)
class InstalledAgent:
    """A coding agent that was found on PATH, with how it takes a prompt unattended."""

    name: str
    program: str
    arguments: tuple[str, ...]
    prompt: str
    keys: tuple[str, ...]
    """Variables of the environment that authorise it."""


AGENTS: Final = (
    ("claude", ("-p", "--dangerously-skip-permissions"), "stdin", ("ANTHROPIC_API_KEY",)),
    ("codex", ("exec", "--full-auto", "-"), "stdin", ("OPENAI_API_KEY", "CODEX_API_KEY")),
    ("gemini", ("--yolo",), "stdin", ("GEMINI_API_KEY", "GOOGLE_API_KEY")),
    ("aider", ("--yes-always", "--no-auto-commits", "--message-file", "{prompt_file}"), "file",
     ("ANTHROPIC_API_KEY", "OPENAI_API_KEY")),
)  # fmt: skip
"""Unattended modes as the programs' manuals give them; inside our fence they may do anything."""


def installed_agents(path: str) -> list[InstalledAgent]:
    """The known coding agents on a PATH."""
    found = []
    for name, arguments, prompt, keys in AGENTS:
        if program := shutil.which(name, path=path):
            found.append(InstalledAgent(name, program, arguments, prompt, keys))
    return found


def _text(path: Path) -> str:
    """A file's head, or nothing: what cannot be read tells nothing."""
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX).decode(errors="replace")
    except OSError:
        return ""


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(path))
    except (ValueError, RecursionError):
        return {}
