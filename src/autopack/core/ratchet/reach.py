"""What the checks of a test are about: whether code is asked at all, and whose names it asks by.

A local name stands for what it was given. One that something else may have filled, as a list handed
to a callback, is taken as filled: doubt says that code is asked. Never runs anything.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from autopack.core.ratchet.strength import Check, is_constant, of_call

FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
Function = ast.FunctionDef | ast.AsyncFunctionDef
_PLAIN: Final = frozenset(
    {"int", "float", "str", "bytes", "bool", "list", "dict", "set", "frozenset", "tuple", "len",
     "sum", "sorted", "min", "max", "abs", "round", "range", "repr", "isinstance", "enumerate",
     "zip", "map", "reversed", "all", "any"}
)  # fmt: skip
"""Builtins that give nothing of the code's own."""
DEPTH_MAX: Final = 20
"""Names in a row that stand for one another."""


@dataclass
class Scope:
    """The names of one function: what each was given, and which may hold something else."""

    given: dict[str, list[ast.expr]] = field(default_factory=dict)
    filled: set[str] = field(default_factory=set)
    bound: set[str] = field(default_factory=set)
    """Names that the body itself takes."""


def scope_of(node: Function) -> Scope:
    """The names of a function, those of functions in it too."""
    scope = Scope()
    checks = {id(part) for each in ast.walk(node) if _is_check(each) for part in ast.walk(each)}
    for each in ast.walk(node):
        _bind(each, scope)
        if isinstance(each, ast.Assign | ast.AnnAssign) and not _calls(each.value):
            checks |= {id(part) for part in ast.walk(each.value)} if each.value else set()
    scope.filled |= {
        each.id
        for each in ast.walk(node)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load) and id(each) not in checks
    }
    return scope


def _is_check(node: ast.AST) -> bool:
    return isinstance(node, ast.Assert) or (isinstance(node, ast.Call) and bool(of_call(node)))


def _calls(value: ast.expr | None) -> bool:
    """Whether a value calls anything but plain builtins: what it is handed may be filled there."""
    return value is not None and any(
        isinstance(each, ast.Call)
        and not (isinstance(each.func, ast.Name) and each.func.id in _PLAIN)
        for each in ast.walk(value)
    )


def _bind(node: ast.AST, scope: Scope) -> None:
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                _give(target, value, scope)
        case ast.AnnAssign(target=target, value=value) | ast.For(target=target, iter=value):
            if value is not None:
                _give(target, value, scope)
        case ast.AugAssign(target=ast.Name(id=name), value=value):
            scope.given.setdefault(name, []).append(value)
        case ast.arg(arg=name):
            scope.filled.add(name)
        case ast.arguments(args=args, defaults=[_, *_] as defaults):
            scope.bound |= {each.arg for each in args[-len(defaults) :]}
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            scope.filled.add(name)
            scope.bound.add(name)
        case ast.Nonlocal(names=names) | ast.Global(names=names):
            scope.filled |= set(names)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
            scope.filled.add(name)
        case ast.withitem(optional_vars=ast.expr() as target) | ast.NamedExpr(target=target):
            scope.filled |= set(_names(target))
        case ast.comprehension(target=target) | ast.AsyncFor(target=target):
            scope.filled |= set(_names(target))
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            scope.filled |= {each.asname or each.name.partition(".")[0] for each in names}
        case _:
            pass


def _give(target: ast.expr, value: ast.expr, scope: Scope) -> None:
    for name in _names(target):
        scope.given.setdefault(name, []).append(value)
        scope.bound.add(name)


def _names(target: ast.AST) -> Iterator[str]:
    for each in ast.walk(target):
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            yield each.id


def literals(body: Iterable[ast.stmt]) -> dict[str, ast.expr]:
    """Names of a module that are given one literal, which nothing can fill."""
    found: dict[str, ast.expr] = {}
    seen: set[str] = set()
    for node in body:
        for each in ast.walk(node) if not isinstance(node, FUNCTIONS) else ():
            for name in _names(each) if isinstance(each, ast.stmt) else ():
                if name in seen:
                    found.pop(name, None)
                elif (value := _fixed(each)) is not None:
                    found[name] = value
                seen.add(name)
    return found


def _fixed(node: ast.AST) -> ast.expr | None:
    """The literal that a statement gives, if nothing can fill it."""
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    if value is None or isinstance(value, ast.List | ast.Dict | ast.Set):
        return None
    return value if is_constant(value) else None


def asks_code(check: Check, scope: Scope, module: Mapping[str, ast.expr]) -> bool:
    """Whether anything of a check comes from code, as far as names tell."""
    for text in (check.subject, check.expected):
        tree = _expression(text)
        if text and (tree is None or _reaches(tree, scope, module, DEPTH_MAX)):
            return True
    return False


def asked_names(checks: Iterable[Check]) -> frozenset[str]:
    """The names that checks ask by: `total` and `ITEMS` of `total(ITEMS) == 700`."""
    trees = filter(None, (_expression(each.subject) for each in checks))
    return (
        frozenset(
            each.id for tree in trees for each in ast.walk(tree) if isinstance(each, ast.Name)
        )
        - _PLAIN
    )


def _expression(text: str) -> ast.expr | None:
    """A check's text as a tree; None for words that are no expression, as `raises ValueError`."""
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _reaches(tree: ast.expr, scope: Scope, module: Mapping[str, ast.expr], depth: int) -> bool:
    if not depth:
        return True
    for each in ast.walk(tree):
        if isinstance(each, ast.Await | ast.Yield):
            return True
        if not isinstance(each, ast.Name) or not isinstance(each.ctx, ast.Load):
            continue
        if each.id in scope.filled:
            return True
        if each.id in scope.given:
            values = scope.given[each.id]
            if any(_reaches(value, scope, module, depth - 1) for value in values):
                return True
        elif each.id not in module and each.id not in _PLAIN:
            return True
    return False
