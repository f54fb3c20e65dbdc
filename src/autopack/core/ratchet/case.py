"""The tests that a Python file holds, as its syntax tree shows them: checks, marks, ways out.

Every function of a test file is a case, helpers too: a helper that checks less weakens every test
that calls it. What cannot fail does not count: code behind a `return`, inside `if False`, or in a
`try` that swallows failures. Never runs or imports anything.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from autopack.core.ratchet import replacing
from autopack.core.ratchet.changed import FILE_BYTES_MAX
from autopack.core.ratchet.reach import (
    FUNCTIONS,
    Function,
    asked_names,
    asks_code,
    literals,
    scope_of,
)
from autopack.core.ratchet.strength import Check, Strength, called, is_constant
from autopack.core.ratchet.walk import SKIPPING, Walk
from autopack.core.test_file import is_test_file

_LEAVING: Final = frozenset({"exit", "_exit", "abort", "kill", "quit"})
_ENDING: Final = frozenset({"exit", "quit", "sys.exit", "os._exit", "os.abort", "os.kill",
                            "pytest.exit", "_exit"})  # fmt: skip
_COLLECTION: Final = frozenset({"collect_ignore", "collect_ignore_glob", "__test__",
                                "pytest_plugins", "load_tests"})  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One function of a test file."""

    path: str
    name: str
    """With its classes, as `TestUser.test_name`."""
    collected: bool
    """A runner of tests would find it by its name."""
    checks: tuple[Check, ...] = ()
    vacuous: tuple[str, ...] = ()
    """Checks that cannot fail, or whose failure is swallowed."""
    skips: tuple[str, ...] = ()
    """Marks and calls that skip it or expect it to fail."""
    calls: frozenset[str] = frozenset()
    parameters: int = 1
    """Of a parametrised one: sets of values, where they are written out."""
    values: tuple[str, ...] = ()
    """Those sets, as text."""
    patched: tuple[str, ...] = ()
    """Names that it replaces by something else while it runs."""
    asked: frozenset[str] = frozenset()
    """Names that its checks are about."""
    bound: frozenset[str] = frozenset()
    """Names that its body takes for itself."""
    gives: str = ""
    """Of a fixture: what it calls for the value that it gives."""
    body: str = ""
    """Its code without its name: two cases of one body are the same."""

    @property
    def strengths(self) -> tuple[Strength, ...]:
        """Of every value that is demanded, the strongest first."""
        each = (check.strength for check in self.checks for _ in range(check.elements))
        return tuple(sorted(each, reverse=True))


@dataclass(frozen=True)
class TestFile:
    """What a test file holds; `readable` is False for one that is no Python known here."""

    __test__ = False

    path: str
    cases: tuple[Case, ...] = ()
    skips: tuple[str, ...] = ()
    """Marks and calls outside of any case."""
    hooks: tuple[str, ...] = ()
    """Of the runner: name and body of each `pytest_…` function and automatic fixture."""
    ways_out: tuple[str, ...] = ()
    """Calls that end the process, and names that change what is collected."""
    shadowed: tuple[str, ...] = ()
    """Cases whose name is taken again below: only the last one runs."""
    patched: tuple[str, ...] = ()
    """What is replaced for all tests when the file is imported."""
    imported: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    """Names that the file takes for something of its own."""
    readable: bool = True


def is_test_path(path: str) -> bool:
    """Whether a Python file belongs to the tests, by its name or folder."""
    return path.endswith((".py", ".pyi")) and is_test_file(path)


def read_tests(path: str, source: bytes) -> TestFile:
    """The cases of a test file."""
    tree = parsed(source)
    if tree is None:
        return TestFile(path, readable=False)
    try:
        return _read(path, tree)
    except RecursionError:  # nested deeper than any test that somebody wrote
        return TestFile(path, readable=False)


def parsed(source: bytes) -> ast.Module | None:
    """The syntax tree of a file; None when it is too large, or no Python known here."""
    if len(source) > FILE_BYTES_MAX:
        return None
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _read(path: str, tree: ast.Module) -> TestFile:
    cases: dict[str, Case] = {}
    known, fixed = _constants(tree.body), literals(tree.body)
    shadowed: list[str] = []
    hooks: list[str] = []
    for scope, node in _functions(tree.body, ()):
        name = ".".join((*scope, node.name))
        case = _case(path, name, node, _inherited(tree, scope), known, fixed)
        if name in cases and case.collected and not _conditional(node):
            shadowed.append(name)
        cases[name] = case
        if node.name.startswith("pytest_") and not scope:
            hooks.append(f"{node.name}: {case.body}")
        elif any(_automatic(each) for each in node.decorator_list):
            hooks.append(f"the automatic fixture {node.name}: {case.body}")
    outside = Walk()
    outside.block([each for each in tree.body if not isinstance(each, _DEFINITIONS)])
    return TestFile(
        path,
        tuple(cases.values()),
        skips=(*outside.skips, *_module_marks(tree)),
        hooks=tuple(hooks),
        ways_out=tuple(_ways_out(tree)),
        shadowed=tuple(shadowed),
        patched=tuple(replacing.at_import(tree)),
        imported=replacing.imported(tree),
        own=replacing.own(tree),
    )


_DEFINITIONS = (*FUNCTIONS, ast.ClassDef)


def _functions(
    body: Sequence[ast.stmt], scope: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Function]]:
    """Functions of a module and its classes, also below an `if` or `try` at their level."""
    for node in body:
        if isinstance(node, FUNCTIONS):
            yield scope, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, (*scope, node.name))
        elif isinstance(node, ast.If | ast.Try | ast.With):
            parts = [node.body, getattr(node, "orelse", []), getattr(node, "finalbody", [])]
            parts += [handler.body for handler in getattr(node, "handlers", [])]
            for part in parts:
                yield from _functions(part, scope)


def _conditional(node: Function) -> bool:
    """One of several of a name on purpose: a property's setter, an overload."""
    return any(called(each) in {"overload", "setter", "deleter", "register"} for each in
               node.decorator_list)  # fmt: skip


def _inherited(tree: ast.Module, scope: tuple[str, ...]) -> list[ast.expr]:
    """The decorators of the classes around a function."""
    found: list[ast.expr] = []
    body: Sequence[ast.stmt] = tree.body
    for name in scope:
        around = next((n for n in body if isinstance(n, ast.ClassDef) and n.name == name), None)
        if around is None:
            return found
        found += around.decorator_list
        body = around.body
    return found


def _case(
    path: str,
    name: str,
    node: Function,
    inherited: list[ast.expr],
    known: Mapping[str, str],
    fixed: Mapping[str, ast.expr],
) -> Case:
    walk, scope = Walk(), scope_of(node)
    walk.block(node.body)
    known = {**{k: v for k, v in known.items() if k not in scope.given}, **_constants(node.body)}
    asking = {check: asks_code(check, scope, fixed) for check in walk.checks}
    decorators = [*node.decorator_list, *inherited]
    marks = tuple(ast.unparse(each) for each in decorators if called(each) in SKIPPING)
    return Case(
        path,
        name,
        collected=_collected(name),
        checks=tuple(_resolved(check, known) for check in walk.checks if asking[check]),
        vacuous=(*walk.vacuous, *(check.text for check in walk.checks if not asking[check])),
        skips=(*marks, *walk.skips),
        calls=frozenset(walk.calls),
        parameters=_parameters(node.decorator_list),
        values=tuple(_values(node.decorator_list)),
        patched=tuple(replacing.in_case(node)),
        asked=asked_names(walk.checks),
        bound=frozenset(scope.bound),
        gives=replacing.given_by(node),
        body="\n".join(ast.unparse(each) for each in undocumented(node.body)),
    )


def _constants(body: Sequence[ast.stmt]) -> dict[str, str]:
    """Names that are given a literal once, and its text: what a check is compared with."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    for node in body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Name):
                twice |= {target.id} & found.keys()
                found[target.id] = ast.unparse(node.value) if _stays(node.value) else ""
    return {name: text for name, text in found.items() if text and name not in twice}


def _stays(value: ast.expr) -> bool:
    """Whether a value is a literal that a test does not fill: an empty list is there for that."""
    return is_constant(value) and ast.unparse(value) not in {"[]", "{}"}


def _resolved(check: Check, known: Mapping[str, str]) -> Check:
    """A check that names a literal, with the literal."""
    if check.expected in known:
        return replace(check, expected=known[check.expected])
    if check.subject in known and check.expected:
        return replace(check, subject=check.expected, expected=known[check.subject])
    return check


def _values(decorators: Iterable[ast.expr]) -> Iterator[str]:
    for each in decorators:
        if isinstance(each, ast.Call) and called(each) == "parametrize" and len(each.args) > 1:
            values = each.args[1]
            if isinstance(values, ast.List | ast.Tuple | ast.Set):
                yield from map(ast.unparse, values.elts)


def _collected(name: str) -> bool:
    *classes, last = name.split(".")
    return last.startswith("test") and all("test" in each.lower() for each in classes)


def undocumented(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements of a function without its docstring."""
    match body[0]:
        case ast.Expr(value=ast.Constant(value=str())):
            return body[1:]
        case _:
            return body


def _parameters(decorators: Iterable[ast.expr]) -> int:
    """How many times a test runs, as far as its decorators write it out."""
    count = 1
    for each in decorators:
        if not isinstance(each, ast.Call) or called(each) != "parametrize":
            continue
        values = each.args[1] if len(each.args) > 1 else None
        if isinstance(values, ast.List | ast.Tuple | ast.Set):
            count *= max(1, len(values.elts))
    return count


def _automatic(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and called(decorator) == "fixture" and any(
        word.arg == "autouse" and not _is_constant(word.value, False) for word in decorator.keywords
    )  # fmt: skip


def _is_constant(node: ast.expr, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _module_marks(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in targets):
                marks = node.value.elts if isinstance(node.value, ast.List) else [node.value]
                yield from (ast.unparse(each) for each in marks if called(each) in SKIPPING)


def _ways_out(tree: ast.Module) -> Iterator[str]:
    """Calls that end the process before a failure is told; names that change what is collected."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) in _LEAVING:
            owner = ast.unparse(node.func)
            if owner in _ENDING:
                yield ast.unparse(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(called(target) in _COLLECTION for target in targets):
                yield ast.unparse(node)
        elif isinstance(node, ast.Delete):
            if any(called(target).startswith("test") for target in node.targets):
                yield ast.unparse(node)
        elif isinstance(node, FUNCTIONS) and node.name in _COLLECTION:
            yield f"def {node.name}"


def with_helpers(case: Case, helpers: dict[str, Case]) -> Case:
    """The case with the checks of the helpers of its file that it calls, one level deep."""
    more = [check for name in sorted(case.calls) if name in helpers
            for check in helpers[name].checks]  # fmt: skip
    return replace(case, checks=(*case.checks, *more)) if more else case
