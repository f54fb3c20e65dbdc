"""What the statements of a test demand: its checks, and those that cannot fail.

What never runs demands nothing: behind a `return`, inside `if False`, over an empty list, or in a
`try` that swallows failures. What runs only sometimes is told apart. Never runs anything.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from autopack.core.ratchet.strength import (
    Check,
    Strength,
    called,
    catches_failures,
    of_assert,
    of_call,
)

SKIPPING: Final = frozenset({"skip", "skipif", "xfail", "skipIf", "skipUnless", "expectedFailure",
                              "skipTest", "SkipTest", "importorskip"})  # fmt: skip
"""Marks and calls by which a test is not run, or expected to fail."""


@dataclass
class Walk:
    """Collects what the statements of a body demand, statement by statement."""

    checks: list[Check] = field(default_factory=list)
    vacuous: list[str] = field(default_factory=list)
    skips: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    conditions: int = 0
    """That have to hold for what is read now to run."""

    def block(self, body: Sequence[ast.stmt], *, dead: bool = False) -> None:
        """A sequence of statements; what follows one that always leaves never runs."""
        before = self.conditions
        for node in body:
            self._statement(node, dead=dead)
            self.conditions += not dead and _may_leave(node)
            dead = dead or isinstance(node, ast.Return | ast.Raise | ast.Continue | ast.Break)
        self.conditions = before

    def _only_if(self, holds: bool, body: Sequence[ast.stmt], *, dead: bool) -> None:  # noqa: FBT001 - of one condition
        """A block that runs only sometimes, if `holds`."""
        self.conditions += holds
        self.block(body, dead=dead)
        self.conditions -= holds

    def _statement(self, node: ast.stmt, *, dead: bool) -> None:
        match node:
            case ast.Assert(test=test):
                self._add(of_assert(node), dead=dead)
                self._expressions([test], dead=dead)
            case ast.If(test=test) | ast.While(test=test):
                self._expressions([test], dead=dead)
                never, always = _is_false(test), _is_true(test)
                no_else = always and isinstance(node, ast.If)
                self._only_if(not always, node.body, dead=dead or never)
                self._only_if(not never, node.orelse, dead=dead or no_else)
            case ast.For() | ast.AsyncFor():
                self._expressions([node.iter], dead=dead)
                empty = _is_empty(node.iter)
                self._only_if(_chooses(node.iter), node.body, dead=dead or empty)
                self.block(node.orelse, dead=dead)
            case ast.With() | ast.AsyncWith():
                around = [item.context_expr for item in node.items]
                self._expressions(around, dead=dead)
                self.block(node.body, dead=dead or any(map(_suppresses, around)))
            case ast.Try():
                self._try(node, dead=dead)
            case ast.Match():
                self._expressions([node.subject], dead=dead)
                for case in node.cases:
                    self._only_if(True, case.body, dead=dead)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                self.block(node.body, dead=dead)
            case ast.Raise(exc=exc) if exc is not None and called(exc) in SKIPPING:
                self.skips.append(ast.unparse(exc))
            case ast.Raise(exc=exc) if exc is not None and called(exc) == "AssertionError":
                self._add((Check(Strength.PARTIAL, ast.unparse(exc)),), dead=dead)
            case _:
                self._expressions([n for n in ast.iter_child_nodes(node) if _is_expr(n)], dead=dead)

    def _try(self, node: ast.Try, *, dead: bool) -> None:
        swallowed = any(_swallows(handler) for handler in node.handlers)
        self.block(node.body, dead=dead or swallowed)
        self.block(node.orelse, dead=dead)
        self.block(node.finalbody, dead=dead)
        for handler in node.handlers:
            self._only_if(True, handler.body, dead=dead)

    def _add(self, checks: tuple[Check, ...], *, dead: bool) -> None:
        for check in checks:
            if dead or check.strength is Strength.VACUOUS:
                self.vacuous.append(check.text)
            else:
                self.checks.append(replace(check, conditional=self.conditions > 0))

    def _expressions(self, nodes: Iterable[ast.AST], *, dead: bool) -> None:
        for each in (inner for node in nodes for inner in ast.walk(node)):
            if not isinstance(each, ast.Call):
                continue
            name = called(each)
            if name in SKIPPING:
                self.skips.append(ast.unparse(each))
            else:
                self._add(of_call(each), dead=dead)
                if not dead:
                    self.calls.append(name)


def _is_expr(node: ast.AST) -> bool:
    return isinstance(node, ast.expr)


def _may_leave(node: ast.AST) -> bool:
    """Whether what follows a statement runs only sometimes: a `return` or `continue` below it."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return False
    if not isinstance(node, ast.If | ast.Try | ast.For | ast.While | ast.With | ast.ExceptHandler):
        return False
    loop = isinstance(node, ast.For | ast.While)
    return any(
        isinstance(each, ast.Return)
        or (isinstance(each, ast.Continue | ast.Break) and not loop)
        or _may_leave(each)
        for each in ast.iter_child_nodes(node)
    )


def _chooses(values: ast.expr) -> bool:
    """Whether a loop's values are there only sometimes, by a condition that stands in it."""
    return any(
        isinstance(each, ast.IfExp)
        or (isinstance(each, ast.comprehension) and each.ifs)
        or (isinstance(each, ast.Call) and called(each) == "filter")
        for each in ast.walk(values)
    )


def _is_false(test: ast.expr) -> bool:
    return isinstance(test, ast.Constant) and not test.value


def _is_true(test: ast.expr) -> bool:
    return isinstance(test, ast.Constant) and bool(test.value)


def _is_empty(values: ast.expr) -> bool:
    match values:
        case ast.List(elts=[]) | ast.Tuple(elts=[]) | ast.Dict(keys=[]):
            return True
        case ast.Call(func=ast.Name(id="range"), args=[ast.Constant(value=0)]):
            return True
        case _:
            return False


def _suppresses(around: ast.expr) -> bool:
    """A `with` inside which a failed assertion is no failure."""
    if not isinstance(around, ast.Call):
        return False
    if called(around) == "suppress":
        return any(catches_failures(kind) for kind in around.args)
    expecting = called(around) in {"raises", "assertRaises"}
    return expecting and any(catches_failures(kind) for kind in around.args[:1])


def _swallows(handler: ast.ExceptHandler) -> bool:
    """Whether a failed assertion ends here: caught, and not raised again or told."""
    if not catches_failures(handler.type):
        return False
    for node in ast.walk(handler):
        if isinstance(node, ast.Raise | ast.Assert):
            return False
        if isinstance(node, ast.Call) and (called(node) == "fail" or of_call(node)):
            return False
    return True
