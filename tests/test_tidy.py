"""House rules that no linter knows, held against every tracked file."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
FUNCTION_LINES_MAX = 70  # design/style rule 10: a function fits a screen
MODULE_LINES_MAX = 400  # design/style rule 11: past that it hides two nouns
BLOB_BYTES_MAX = 300_000  # the hash-locked requirement files are the largest honest ones
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}

CORE_ALLOWED = {
    "__future__", "ast", "collections", "configparser", "dataclasses", "datetime", "enum", "functools", "hashlib",
    "itertools", "json", "math", "pathspec", "re", "tomllib", "typing", "unicodedata",
}  # fmt: skip

# Which room may use which of pyproject's banned names (ruff can only lift them all at once).
PROGRAM_NAMES = {
    "subprocess", "multiprocessing", "pty", "os.system", "os.popen", "os.fork", "os.forkpty",
    "os.execv", "os.execve", "os.execvp", "os.execvpe", "os.posix_spawn", "os.posix_spawnp",
}  # fmt: skip
CLOCK_NAMES = {
    "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter",
    "datetime.now", "datetime.datetime.now", "datetime.today", "datetime.utcnow", "date.today",
}  # fmt: skip
CHANCE_NAMES = {"random", "secrets", "uuid.uuid1", "uuid.uuid4", "os.urandom"}
ROOMS_ALLOWED: dict[str, set[str]] = {
    # It starts programs, watches their limits and never uses a shell.
    "src/autopack/process/": {
        "subprocess", "os.fork", "os.execv", "os.execve", "os.posix_spawn", "time.monotonic",
    },
    # An unguessable name for the listener that a fence must not reach.
    "src/autopack/process/network.py": {"secrets"},
    # How long to wait, a little more or less.
    "src/autopack/adapters/chance.py": {"random"},
    # The real clock.
    "src/autopack/adapters/clock.py": {"time.time", "time.monotonic"},
}  # fmt: skip

# Loaded by name from outside our imports: Alembic's scripts, and what `python -m` starts.
# What is there for tests, ours and other people's.
LOADED_BY_NAME = re.compile(r"\.migrations(\.|$)|\.__main__$|^autopack\.testing(\.|$)")


class Unit(NamedTuple):
    """A function with its place."""

    path: str
    name: str
    line: int
    lines: int


@cache
def tracked() -> tuple[str, ...]:
    """Paths under version control; without a repository (an unpacked archive) all source files."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    names = listed.stdout.split("\0") if listed.returncode == 0 else []
    if not any(names):
        names = [
            str(path.relative_to(ROOT))
            for room in ("src", "tests", "docs", "requirements", "tools", "bench")
            for path in (ROOT / room).rglob("*")
            if "__pycache__" not in path.parts
        ]
    return tuple(sorted(name for name in names if name and (ROOT / name).is_file()))


@cache
def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def tree(path: str) -> ast.Module:
    return ast.parse(text(path), path)


def python(*rooms: str) -> list[str]:
    """Our modules below `rooms`; the demo's toy project is somebody else's code."""
    ours = (path for path in tracked() if not path.startswith("src/autopack/demo/repository/"))
    return [path for path in ours if path.endswith(".py") and path.startswith(rooms)]


def textual() -> list[str]:
    return [path for path in tracked() if b"\0" not in (ROOT / path).read_bytes()[:8000]]


def imported(path: str) -> set[str]:
    """Dotted names that a module imports, `from a import b` as `a.b`."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def functions() -> list[Unit]:
    return [
        Unit(path, node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1)
        for path in python("src/", "tests/", "bench/", "docs/")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def module_name(path: str) -> str:
    dotted = path.removeprefix("src/").removesuffix(".py").replace("/", ".")
    return dotted.removesuffix(".__init__")


def test_functions_fit_a_screen() -> None:
    long = [unit for unit in functions() if unit.lines > FUNCTION_LINES_MAX]
    assert not long, f"longer than {FUNCTION_LINES_MAX} lines: {long}"


def test_modules_hide_one_noun() -> None:
    sizes = {path: text(path).count("\n") for path in python("src/")}
    long = {path: lines for path, lines in sizes.items() if lines > MODULE_LINES_MAX}
    assert not long, f"longer than {MODULE_LINES_MAX} lines: {long}"


def test_names_say_something() -> None:
    bad = [
        path
        for path in python("src/", "bench/")
        if set(Path(path).with_suffix("").parts) & FORBIDDEN_NAMES
    ]
    assert not bad, f"name the idea instead: {bad}"


def test_modules_open_with_what_they_are_for() -> None:
    silent = [path for path in python("src/", "bench/") if not ast.get_docstring(tree(path))]
    assert not silent, f"no module docstring: {silent}"


def test_core_imports_its_allow_list_only() -> None:
    bad = {
        path: strange
        for path in python("src/autopack/core/")
        if (
            strange := {
                name
                for name in imported(path)
                if name.split(".")[0] not in CORE_ALLOWED and not name.startswith("autopack.core")
            }
        )
    }
    assert not bad, f"core waits for nothing and guesses nothing: {bad}"


def uses(path: str) -> set[str]:
    """Dotted names that a module mentions: imports, `a.b` and `a.b.c` attribute chains."""
    found = imported(path) | {name.split(".")[0] for name in imported(path)}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute):
            found.add(ast.unparse(node))
    return found


def test_rooms_use_what_they_may() -> None:
    limited = PROGRAM_NAMES | CLOCK_NAMES | CHANCE_NAMES
    bad = {}
    for path in python("src/"):
        allowed = {
            n for room, names in ROOMS_ALLOWED.items() if path.startswith(room) for n in names
        }
        if extra := (uses(path) & limited) - allowed:
            bad[path] = extra
    assert not bad, f"time, ids and chance are arguments; programs start in process: {bad}"


def test_every_module_is_imported_by_another() -> None:
    entry_points = text("pyproject.toml")
    modules = {
        module_name(path): path for path in python("src/") if not path.endswith("__init__.py")
    }
    wanted: set[str] = set()
    for path in python("src/"):
        wanted |= {n for n in imported(path) if module_name(path) != n}
        strings = {
            n.value
            for n in ast.walk(tree(path))
            if isinstance(n, ast.Constant) and isinstance(n.value, str)
        }
        wanted |= {s.split(":")[0] for s in strings if s.startswith("autopack.")}
    parents = {name.rpartition(".")[0] for name in wanted}
    dead = [
        name
        for name in modules
        if name not in wanted | parents
        and name not in entry_points
        and not LOADED_BY_NAME.search(name)
    ]
    assert not dead, f"nobody imports {dead}"


def definitions(path: str) -> list[str]:
    """Functions, classes, methods and constants that nothing forces: no override, no decorated one."""
    module = tree(path)
    forced = {
        method
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef) and node.bases
        for method in node.body
    }
    names: list[str] = []
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names += [node.name] if node not in forced and not node.decorator_list else []
        elif isinstance(node, ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign) and node in module.body:
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return [name for name in names if not name.startswith("__")]


def test_nothing_is_defined_for_nobody() -> None:
    """A name that stands once in the whole source is its own definition and nothing else."""
    words: Counter[str] = Counter()
    for path in tracked():
        if path.startswith(("src/", "docs/", "pyproject.toml")) and path.endswith(
            (".py", ".toml", ".ini", ".mako")
        ):
            words.update(re.findall(r"\w+", text(path)))
    dead = {
        path: alone
        for path in python("src/")
        if not LOADED_BY_NAME.search(module_name(path))
        and (alone := [name for name in definitions(path) if words[name] == 1])
    }
    assert not dead, f"defined and never mentioned again: {dead}"


def test_no_large_blobs() -> None:
    large = {
        path: size for path in tracked() if (size := (ROOT / path).stat().st_size) > BLOB_BYTES_MAX
    }
    assert not large, f"more than {BLOB_BYTES_MAX} bytes: {large}"


def test_nothing_is_left_for_later() -> None:
    later = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b|NotImplemented" r"Error")
    found = [
        f"{path}:{number}"
        for path in python("src/", "tests/", "bench/", "docs/")
        for number, line in enumerate(text(path).splitlines(), 1)
        if later.search(line)
    ]
    assert not found, f"finish it or write an issue: {found}"


def test_silenced_checks_say_why() -> None:
    bare = re.compile(
        r"#\s*noqa(?!:\s*[A-Z]+\d+(?:\s*,\s*[A-Z]+\d+)*\s+\S)"
        r"|#\s*type:\s*ignore(?!\[[\w, -]+\]\s+#?\s*\S)"
        r"|#\s*pragma: no cover(?!\s+\S)"
    )
    found = [
        f"{path}:{number}: {line.strip()}"
        for path in python("src/", "tests/", "bench/", "docs/")
        for number, line in enumerate(text(path).splitlines(), 1)
        if bare.search(line) and path != "tests/test_tidy.py"
    ]
    assert not found, f"say which check and why: {found}"


def test_own_code_is_not_patched() -> None:
    patching = re.compile(r"unittest\.mock|mock" r"\.patch|Magic" r"Mock|monkeypatch\.set" r"attr")
    found = [
        path
        for path in python("tests/", "src/")
        if patching.search(text(path)) and path != "tests/test_tidy.py"
    ]
    assert not found, f"use a fake at a port: {found}"


def test_no_machine_paths_or_registry_hosts() -> None:
    traces = re.compile(
        r"/work/(?:main|shared)|/opt/(?:pypi|wheels)|/root/\.|/home/\w+/(?:src|git)\b"
        r"|pythonhosted\.org|pypi\.org/simple|registry\.npmjs|deb\.debian\.org|--(?:extra-)?index-url"
    )
    found = [
        f"{path}:{number}"
        for path in textual()
        if path not in {"tests/test_tidy.py", "Makefile"}
        for number, line in enumerate(text(path).splitlines(), 1)
        if traces.search(line)
    ]
    assert not found, f"true on one machine only: {found}"


def test_locked_requirements_carry_hashes() -> None:
    for name in ("build", "dev", "runtime"):
        pins = re.findall(
            r"(?m)^([\w.-]+(?:\[[\w, -]+\])?==\S+)(.*(?:\n    .*)*)",
            text(f"requirements/{name}.txt"),
        )
        assert pins, name
        unhashed = [pin for pin, rest in pins if "--hash=sha256:" not in rest]
        assert not unhashed, f"requirements/{name}.txt: {unhashed}; run `make lock`"


def test_lock_files_agree_with_each_other() -> None:
    pinned: dict[str, set[str]] = {}
    for name in ("build", "dev", "runtime"):
        for package, version in re.findall(
            r"(?m)^([\w.-]+)(?:\[[\w, -]+\])?==(\S+)", text(f"requirements/{name}.txt")
        ):
            pinned.setdefault(package, set()).add(version)
    split = {package: versions for package, versions in pinned.items() if len(versions) > 1}
    assert not split, f"two versions of one package: {split}; run `make lock`"


def test_declared_dependencies_are_locked() -> None:
    declared = set(
        re.findall(
            r'(?m)^    "([a-z0-9-]+)(?:\[\w+\])?[<>=!~]',
            text("pyproject.toml").split("[project.scripts]")[0],
        )
    )
    wanted = set(re.findall(r"(?m)^[a-z0-9-]+", text("requirements/runtime.in")))
    locked = set(re.findall(r"(?m)^([\w.-]+)(?:\[[\w, -]+\])?==", text("requirements/runtime.txt")))
    assert declared
    assert declared == wanted, "pyproject.toml and requirements/runtime.in name different packages"
    assert declared <= locked


def test_changelog_keeps_its_form() -> None:
    lines = text("CHANGELOG.md").splitlines()
    releases = [line for line in lines if line.startswith("## ")]
    groups = {line for line in lines if line.startswith("### ")}
    assert lines[0] == "# Changelog"
    assert releases[0] == "## [Unreleased]"
    assert all(
        re.fullmatch(r"## \[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", line) for line in releases[1:]
    )
    assert groups <= {
        f"### {name}" for name in ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
    }


def test_python_test_files_are_found_by_pytest() -> None:
    hidden = [
        path
        for path in python("tests/")
        if not Path(path).name.startswith("test_")
        and any(
            isinstance(n, ast.FunctionDef) and n.name.startswith("test_") for n in tree(path).body
        )
    ]
    assert not hidden, f"pytest does not collect these: {hidden}"


def test_test_ids_are_stable(collected: list[str]) -> None:
    """Workers and reruns compare tests by id: no addresses, no temporary paths, no essays."""
    assert collected
    twice = [name for name, count in Counter(collected).items() if count > 1]
    odd = [
        name for name in collected if re.search(r"0x[0-9a-f]{6,}|/tmp/", name) or len(name) > 250
    ]
    assert not twice
    assert not odd, f"give these parameters ids: {odd}"
