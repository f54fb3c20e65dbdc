"""Source that ends the process of its tests, acts when that ends, or looks for what was reported.

Whoever controls the last words of a process can make red tests green. Compares what a file does of
this with what it did; a program's own `if __name__ == "__main__"` may end it. Never runs anything.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import Final

from autopack.core.ratchet.case import is_test_path, parsed
from autopack.core.ratchet.changed import Changed, added, ask, lines_of
from autopack.core.ratchet.language import language_at
from autopack.core.run import Finding

RULE: Final = "process-ended"
"""The one rule of this module."""
_LAST_WORDS: Final = frozenset({"os._exit", "os.abort", "atexit.register",
                                "threading._register_atexit", "signal.raise_signal"})  # fmt: skip
"""Ends the process at once, or acts when it ends: wherever it stands."""
_LOOKS: Final = frozenset({"sys.argv", "sys.orig_argv"})
"""Tells where a report goes."""
_LEAVES: Final = frozenset({"sys.exit", "exit", "quit", "SystemExit"})
"""Ends the process, where it runs when the file is imported."""
_NAMES: Final = re.compile(r"^(?:_exit|atexit)$|/proc/self/cmdline")
"""Texts by which the same is reached."""
_REPORT: Final = re.compile(r"junit", re.IGNORECASE)
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_PROGRAMS: Final = frozenset({"__main__.py", "setup.py", "noxfile.py", "conftest.py"})
"""Files that are run, not imported."""
_REMARK: Final = re.compile(r"(?:#|//) [\w\s,.`'!-]*")
"""A line that is a comment whatever stands above it, and nothing besides."""
_ELSEWHERE: Final = re.compile(
    r"\bprocess\.(?:on|once|addListener)\(\s*[\"'](?:exit|beforeExit)|\bprocess\.exitCode\s*=\s*0"
    r"|\bprocess\.reallyExit\b|\bat_exit\b|\bexit!|\batexit\s*\(|\b_exit\s*\(\s*0|\bquick_exit\b"
    r"|\baddShutdownHook\b|\bRuntime\.getRuntime\(\)\.halt|\bregister_shutdown_function\b"
    r"|\bfunc\s+init\(\)\s*\{[^}\n]*\bos\.Exit|\bProcessExit\s*\+="
)
"""The same in other languages, line by line."""


def ended(changes: Iterable[Changed]) -> Iterator[Finding]:
    """What a change does to the end of the process that its tests run in."""
    for change in changes:
        if change.after is None:
            continue
        if change.suffix in {".py", ".pyi"}:
            before, after = (list(_ways(change, side)) for side in (change.before, change.after))
            known = [what for what, _ in before]
            for what in added(known, [each for each, _ in after])[:1]:
                line = [number for told, number in after if told == what][-1]
                told = f"{what}: ends the tests' process, acts when it ends, or seeks their report"
                yield ask(RULE, change.path, told, line)
        elif language_at(change.path) is None or change.suffix == ".rs":
            yield from _by_lines(change)


def _by_lines(change: Changed) -> Iterator[Finding]:
    known = frozenset(map(str.strip, lines_of(change.before)))
    for number, line in enumerate(map(str.strip, lines_of(change.after)), 1):
        remark = _REMARK.fullmatch(line) is not None
        if line not in known and len(line) < 2_000 and not remark and _ELSEWHERE.search(line):
            told = f"{line}: ends the tests' process, or acts when it ends"
            yield ask(RULE, change.path, told, number)
            return


def _ways(change: Changed, content: bytes | None) -> Iterator[tuple[str, int]]:
    """What the file does of it, and the line."""
    tree = parsed(content) if content is not None else None
    if tree is None:
        return
    try:
        yield from _found(change, tree)
    except RecursionError:
        return


def _found(change: Changed, tree: ast.Module) -> Iterator[tuple[str, int]]:
    known = _imported(tree)
    source = not is_test_path(change.path)
    program = change.name in _PROGRAMS or any(map(_is_guard, tree.body))
    for node in ast.walk(tree):
        match node:
            case ast.Attribute() | ast.Name():
                name = _dotted(node, known)
                if name in _LAST_WORDS or (name in _LOOKS and source and not program):
                    yield name, node.lineno
            case ast.Constant(value=str() as text):
                if _NAMES.search(text) or (source and _is_report(text)):
                    yield repr(text[:60]), node.lineno
            case _:
                pass
    if source and change.name not in _PROGRAMS:
        for node in _at_import(tree.body):
            name = _dotted(node, known) if isinstance(node, ast.Attribute | ast.Name) else ""
            if name in _LEAVES:
                yield f"{name} at import", getattr(node, "lineno", 0)


def _is_report(text: str) -> bool:
    return len(text) < 60 and _REPORT.search(text) is not None


def _imported(tree: ast.Module) -> dict[str, str]:
    """What a name of the file stands for, where an import gave it."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {each.asname: each.name for each in node.names if each.asname}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    return found


def _dotted(node: ast.expr, known: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{known.get(node.value.id, node.value.id)}.{node.attr}"
    return known.get(node.id, node.id) if isinstance(node, ast.Name) else ""


def _is_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)


def _at_import(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """What runs when the file is imported: not in functions, not in a program's own part.

    A handler that names SystemExit ends nothing.
    """
    for node in body:
        if isinstance(node, _FUNCTIONS) or (isinstance(node, ast.stmt) and _is_guard(node)):
            continue
        yield node
        if isinstance(node, ast.ExceptHandler):
            yield from _at_import(node.body)
        else:
            yield from _at_import(ast.iter_child_nodes(node))
