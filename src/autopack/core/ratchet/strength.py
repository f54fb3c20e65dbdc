"""How much an assertion of a Python test demands: exactly, partly, hardly, or nothing at all.

A syntax tree is all that is read: what a name stands for at run time is not known here, so that a
strength is a guess for comparing a test with what it was before. Never runs anything.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Strength(IntEnum):
    """What a check demands, in order."""

    VACUOUS = 0
    """It cannot fail: a constant, a thing compared with itself, a tuple."""
    WEAK = 1
    """Something is there: truthy, not None, an instance, any exception."""
    PARTIAL = 2
    """A bound, a member, a kind of exception."""
    EXACT = 3
    """A value, or an exception with its message."""


ELEMENTS_MAX: Final = 20
"""Elements of a literal that count as a check each: `(a, b) == (1, 2)` demands two values."""
BROAD: Final = frozenset({"Exception", "BaseException"})
_METHODS: Final = {
    "assertTrue": Strength.WEAK,
    "assertFalse": Strength.WEAK,
    "assertIsNotNone": Strength.WEAK,
    "assertIsInstance": Strength.WEAK,
    "assertIn": Strength.PARTIAL,
    "assertNotIn": Strength.PARTIAL,
    "assertNotEqual": Strength.PARTIAL,
    "assertIsNot": Strength.PARTIAL,
    "assertGreater": Strength.PARTIAL,
    "assertGreaterEqual": Strength.PARTIAL,
    "assertLess": Strength.PARTIAL,
    "assertLessEqual": Strength.PARTIAL,
    "assertRegex": Strength.PARTIAL,
    "assertNotRegex": Strength.PARTIAL,
    "assertEqual": Strength.EXACT,
    "assertEquals": Strength.EXACT,
    "assertIs": Strength.EXACT,
    "assertIsNone": Strength.EXACT,
    "assertAlmostEqual": Strength.EXACT,
    "assertCountEqual": Strength.EXACT,
    "assertDictEqual": Strength.EXACT,
    "assertListEqual": Strength.EXACT,
    "assertMultiLineEqual": Strength.EXACT,
    "assertSequenceEqual": Strength.EXACT,
    "assertSetEqual": Strength.EXACT,
    "assertTupleEqual": Strength.EXACT,
    "assert_called": Strength.WEAK,
    "assert_called_once": Strength.PARTIAL,
    "assert_not_called": Strength.EXACT,
    "assert_called_with": Strength.EXACT,
    "assert_called_once_with": Strength.EXACT,
    "assert_any_call": Strength.PARTIAL,
    "assert_has_calls": Strength.EXACT,
}
_RAISING: Final = frozenset(
    {"raises", "warns", "assertRaises", "assertRaisesRegex", "assertWarns", "assertWarnsRegex",
     "deprecated_call"}
)  # fmt: skip
_TRUTHS: Final = frozenset({"assertTrue", "assertFalse", "assert_"})


@dataclass(frozen=True)
class Check:
    """One assertion: what it demands of what. `expected` is empty where none is compared with."""

    strength: Strength
    subject: str
    expected: str = ""
    elements: int = 1
    conditional: bool = False
    """It is looked at only if something holds."""

    @property
    def text(self) -> str:
        return f"{self.subject} == {self.expected}" if self.expected else self.subject


def of_assert(node: ast.Assert) -> tuple[Check, ...]:
    """The checks of an `assert` statement."""
    return _of_test(node.test)


def of_call(node: ast.Call) -> tuple[Check, ...]:
    """The checks that a call makes: of unittest, of mocks, of a function named so."""
    name = called(node)
    if name in _RAISING:
        return (_raising(node, name),)
    if name in _TRUTHS and node.args:
        told = _of_test(node.args[0])
        return told or (Check(Strength.WEAK, ast.unparse(node.args[0])),)
    if name in _METHODS:
        return (_of_method(node, name),)
    if name.startswith("assert") or name == "fail":
        return (Check(Strength.PARTIAL, ast.unparse(node)),)
    return ()


def called(node: ast.expr) -> str:
    """The last name of what is called or decorates: `skip` of `@pytest.mark.skip(…)`."""
    while isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def catches_failures(kind: ast.expr | None) -> bool:
    """Whether an `except` or `suppress` of this catches a failed assertion."""
    if kind is None:
        return True
    parts = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(called(part) in BROAD | {"AssertionError"} for part in parts)


def _of_method(node: ast.Call, name: str) -> Check:
    strength, args = _METHODS[name], node.args
    if not args:
        return Check(strength, ast.unparse(node))
    if name.startswith("assert_"):
        return Check(strength, ast.unparse(node.func), ", ".join(map(ast.unparse, args)))
    if len(args) < 2:
        return Check(strength, ast.unparse(args[0]))
    if strength is Strength.EXACT:
        return _equal(args[0], args[1], strength)
    return Check(strength, ast.unparse(args[0]), ast.unparse(args[1]))


def _raising(node: ast.Call, name: str) -> Check:
    kind = node.args[0] if node.args else None
    told = ast.unparse(kind) if kind is not None else name
    matched = any(word.arg == "match" for word in node.keywords) or name.endswith("Regex")
    if kind is None or any(called(each) in BROAD for each in _parts(kind)):
        return Check(Strength.PARTIAL if matched else Strength.WEAK, f"{name} {told}")
    return Check(Strength.EXACT if matched else Strength.PARTIAL, f"{name} {told}")


def _parts(kind: ast.expr) -> list[ast.expr]:
    return kind.elts if isinstance(kind, ast.Tuple) else [kind]


def _of_test(test: ast.expr) -> tuple[Check, ...]:
    match test:
        case ast.BoolOp(op=ast.And(), values=values):
            return tuple(check for value in values for check in _of_test(value))
        case ast.BoolOp(values=values):
            weakest = min(_strength(value) for value in values)
            return (Check(min(weakest, Strength.PARTIAL), ast.unparse(test)),)
        case ast.Compare(left=left, ops=[ast.Eq() | ast.Is()], comparators=[right]):
            return (_equal(left, right, Strength.EXACT),)
        case _:
            return (Check(_strength(test), ast.unparse(test)),)


def _equal(left: ast.expr, right: ast.expr, strength: Strength) -> Check:
    ours, theirs = ast.unparse(left), ast.unparse(right)
    if ours == theirs or (is_constant(left) and is_constant(right)):
        return Check(Strength.VACUOUS, ours, theirs)
    if is_constant(left) and not is_constant(right):
        left, right, ours, theirs = right, left, theirs, ours
    return Check(strength, ours, theirs, max(_elements(left), _elements(right)))


def _elements(node: ast.expr) -> int:
    """How many values a literal names; 1 for what is no literal of several."""
    match node:
        case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
            return max(1, min(ELEMENTS_MAX, sum(map(_elements, elements))))
        case ast.Dict(values=values):
            return max(1, min(ELEMENTS_MAX, sum(map(_elements, values))))
        case _:
            return 1


def _strength(test: ast.expr) -> Strength:
    match test:
        case ast.Constant() | ast.Tuple() | ast.Lambda() | ast.JoinedStr():
            return Strength.VACUOUS
        case ast.List() | ast.Dict() | ast.Set():
            return Strength.VACUOUS
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return Strength.VACUOUS if is_constant(operand) else Strength.PARTIAL
        case ast.BoolOp(op=ast.And(), values=values):
            return max(_strength(value) for value in values)
        case ast.BoolOp(values=values):
            return min(_strength(value) for value in values)
        case ast.Compare():
            return _compared(test)
        case _:
            return Strength.WEAK


def _compared(test: ast.Compare) -> Strength:
    sides = [test.left, *test.comparators]
    if all(map(is_constant, sides)) or len({ast.dump(side) for side in sides}) == 1:
        return Strength.VACUOUS
    none = any(isinstance(side, ast.Constant) and side.value is None for side in sides)
    match test.ops[0]:
        case ast.Eq() | ast.Is():
            return Strength.EXACT
        case ast.IsNot() | ast.NotEq() if none:
            return Strength.WEAK
        case ast.Gt() | ast.GtE() if _nothing(test.comparators[0]):
            return Strength.WEAK
        case _:
            return Strength.PARTIAL


def _nothing(node: ast.expr) -> bool:
    """A bound that nearly everything exceeds: 0, -1."""
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    return isinstance(node, ast.Constant) and node.value in (0, 1)


def is_constant(node: ast.expr) -> bool:
    """Whether an expression is a literal through and through."""
    match node:
        case ast.Constant():
            return True
        case ast.UnaryOp(operand=operand):
            return is_constant(operand)
        case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
            return all(map(is_constant, elements))
        case ast.Dict(keys=keys, values=values):
            return all(key is not None and is_constant(key) for key in keys) and all(
                map(is_constant, values)
            )
        case ast.BinOp(left=left, right=right):
            return is_constant(left) and is_constant(right)
        case _:
            return False
