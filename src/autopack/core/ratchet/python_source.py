"""Python source that seems to do its task: stubs with the right name, failures that are swallowed.

Compares functions by name with what they were. What is abstract, overloaded or a protocol may be
empty. Never judges tests, and never runs anything.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from autopack.core.ratchet.case import is_test_path, parsed, undocumented
from autopack.core.ratchet.changed import Changed, added, ask
from autopack.core.ratchet.strength import called, catches_failures, is_constant
from autopack.core.run import Finding

_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_EMPTY_ON_PURPOSE: Final = frozenset({"abstractmethod", "overload", "abstractproperty", "hookspec"})
_OPEN: Final = frozenset({"Protocol", "ABC", "Interface", "Exception", "Enum", "TypedDict"})
_RUNNERS: Final = frozenset(
    {"pytest", "_pytest", "unittest", "sitecustomize", "usercustomize", "coverage", "hypothesis",
     "nose", "doctest", "mypy", "ruff"}
)  # fmt: skip


@dataclass
class _Source:
    """What counts of one file."""

    functions: dict[str, _Function] = field(default_factory=dict)
    excused: set[str] = field(default_factory=set)
    """Functions that may be empty."""
    swallowing: list[str] = field(default_factory=list)
    defeated: list[tuple[str, int]] = field(default_factory=list)
    """What makes assertions meaningless: an equality that is always true."""


def hollowed(changes: Iterable[Changed]) -> Iterator[Finding]:
    """Stubs, swallowed failures and defeated assertions of Python files that are no tests."""
    for change in changes:
        if change.before is None and change.after is not None:
            yield from _runner(change)
        if change.suffix not in {".py", ".pyi"} or change.after is None:
            continue
        old, new = _read(change.before) or _Source(), _read(change.after)
        if new is None:
            continue
        if not is_test_path(change.path):
            yield from _stubs(change, old, new)
            if change.before is not None and (more := _more_swallowed(old, new)):
                yield ask("failure-swallowed", change.path, more[0])
        known = {what for what, _ in old.defeated}
        for what, line in new.defeated:
            if what not in known:
                yield ask("assertion-defeated", change.path, what, line)


def _more_swallowed(old: _Source, new: _Source) -> list[str]:
    """What is swallowed that was not, but for a handler of everything that is one of less now."""
    more, less = added(old.swallowing, new.swallowing), added(new.swallowing, old.swallowing)
    narrower = set(less) == {_swallowed("everything")} and set(more) == {_swallowed("Exception")}
    if narrower and len(less) == len(more) and _handling(old) == _handling(new):
        return []
    return more


def _handling(source: _Source) -> dict[str, int]:
    """The functions that handle something, and how often."""
    found = {name: sum(isinstance(each, ast.ExceptHandler) for each in ast.walk(node))
             for name, node in source.functions.items()}  # fmt: skip
    return {name: count for name, count in found.items() if count}


def _swallowed(kind: str) -> str:
    return f"catches {kind} and does nothing with it"


def _runner(change: Changed) -> Iterator[Finding]:
    """A new module that Python loads instead of, or before, what judges."""
    head = change.path.removeprefix("src/").partition("/")[0].removesuffix(".py")
    last = change.name.removesuffix(".py")
    if (head in _RUNNERS and change.suffix == ".py") or last in {"sitecustomize", "usercustomize"}:
        yield ask("runner-shadowed", change.path, "is loaded instead of, or before, what judges")
    elif change.suffix == ".pth":
        yield ask("runner-shadowed", change.path, "runs whenever Python starts")


def _read(content: bytes | None) -> _Source | None:
    tree = parsed(content) if content is not None else None
    if tree is None:
        return None
    source = _Source()
    try:
        _collect(tree.body, "", source, excused=False)
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler | ast.Call | ast.Assign):
                _swallowing(node, source)
    except RecursionError:
        return None
    return source


def _collect(body: list[ast.stmt], scope: str, source: _Source, *, excused: bool) -> None:
    for node in body:
        if isinstance(node, _FUNCTIONS):
            name = f"{scope}{node.name}"
            source.functions[name] = node
            marks = {called(each) for each in node.decorator_list}
            if excused or marks & _EMPTY_ON_PURPOSE:
                source.excused.add(name)
            _equality(node, name, source)
        elif isinstance(node, ast.ClassDef):
            above = {called(each) if not isinstance(each, ast.Subscript) else called(each.value)
                     for each in node.bases}  # fmt: skip
            abstract = any(name in _OPEN or name.endswith(("ABC", "Protocol")) for name in above)
            abstract |= any(called(word.value) == "ABCMeta" for word in node.keywords)
            _collect(node.body, f"{scope}{node.name}.", source, excused=excused or abstract)
        elif isinstance(node, ast.If | ast.Try):
            _collect([*node.body, *node.orelse], scope, source, excused=True)


def _equality(node: _Function, name: str, source: _Source) -> None:
    body = undocumented(node.body)
    if node.name in {"__eq__", "__ne__"} and len(body) == 1 and isinstance(body[0], ast.Return):
        value = body[0].value
        if isinstance(value, ast.Constant) and value.value is (node.name == "__eq__"):
            source.defeated.append((f"{name} says that everything is equal", node.lineno))


def _swallowing(node: ast.AST, source: _Source) -> None:
    """A broad handler that does nothing with what it caught."""
    match node:
        case ast.ExceptHandler(type=kind, body=body) if catches_failures(kind):
            if all(map(_nothing, body)):
                told = ast.unparse(kind) if kind is not None else "everything"
                source.swallowing.append(_swallowed(told))
        case ast.Call(args=kinds) if called(node) == "suppress" and any(map(_broad, kinds)):
            source.swallowing.append(f"{ast.unparse(node)} swallows every failure")
        case ast.Assign(targets=targets):
            for target in targets:
                owner = ast.unparse(target) if isinstance(target, ast.Attribute) else ""
                if owner.startswith(("pytest.", "unittest.", "builtins.")) or ".assert" in owner:
                    source.defeated.append((f"{owner} is replaced", node.lineno))
        case _:
            pass


def _broad(kind: ast.expr) -> bool:
    return catches_failures(kind)


def _nothing(node: ast.stmt) -> bool:
    match node:
        case ast.Pass() | ast.Continue() | ast.Break():
            return True
        case ast.Return(value=value):
            return value is None or is_constant(value)
        case ast.Expr(value=value):
            return isinstance(value, ast.Constant)
        case ast.Assign(value=value):
            return is_constant(value)
        case _:
            return False


def _stubs(change: Changed, old: _Source, new: _Source) -> Iterator[Finding]:
    """Functions that did something and do nothing now; new ones that only have a name."""
    for name, node in new.functions.items():
        if name in new.excused:
            continue
        hollow = _hollow(node)
        before = old.functions.get(name)
        if not hollow or (before is not None and not _did_more(before)):
            continue
        if before is not None:
            yield ask("source-stub", change.path, f"{name} {hollow} now", node.lineno)
        elif "." not in name and hollow != "returns a constant" and change.suffix == ".py":
            yield ask("source-stub", change.path, f"{name} is new, and {hollow}", node.lineno)


def _hollow(node: _Function) -> str:
    """How a function does nothing, in words; empty when it does something."""
    body = undocumented(node.body)
    if not body or all(isinstance(each, ast.Pass) or _ellipsis(each) for each in body):
        return "does nothing"
    if len(body) != 1:
        return ""
    match body[0]:
        case ast.Raise(exc=exc) if exc is not None and called(exc) == _LATER:
            return "is not implemented"
        case ast.Return(value=value):
            return "returns a constant" if value is None or is_constant(value) else ""
        case _:
            return ""


_LATER: Final = "NotImplemented" + "Error"  # in two words: our own rule forbids the whole one


def _ellipsis(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


_WORK: Final = (
    ast.Call, ast.If, ast.For, ast.While, ast.BinOp, ast.Compare, ast.With, ast.Subscript,
    ast.ListComp, ast.JoinedStr, ast.Await,
)  # fmt: skip


def _did_more(node: _Function) -> bool:
    """Whether a function worked: it called, decided or computed something."""
    if _hollow(node):
        return False
    return any(
        isinstance(each, _WORK)
        for statement in undocumented(node.body)
        for each in ast.walk(statement)
    )
