"""How a file of tests replaces what it is to test: a patch, a name of its own, a fake fixture.

Tells what is replaced; whether a check is about it, and whether it is new, is another's to say.
Never runs anything.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from autopack.core.ratchet.reach import FUNCTIONS, Function
from autopack.core.ratchet.strength import called

_TESTS: Final = frozenset({"tests", "test", "conftest", "fakes", "mocks"})


def in_case(node: Function) -> Iterator[str]:
    """The last names of what a test replaces: `total` of `setattr("shop.total", …)`."""
    for each in ast.walk(node):
        if not isinstance(each, ast.Call) or not each.args:
            continue
        owner = ast.unparse(each.func)
        if called(each) in {"setattr", "setitem"} or owner.endswith(("patch", "patch.object")):
            text = [a.value for a in each.args[:2] if isinstance(a, ast.Constant)]
            yield from (t.rpartition(".")[2] for t in text if isinstance(t, str))


def at_import(tree: ast.Module) -> Iterator[str]:
    """What is replaced in other modules for all tests, when a file is imported."""
    names = imported(tree)
    for node in _outside(tree):
        match node:
            case ast.Assign(targets=targets):
                yield from (ast.unparse(t) for t in targets
                            if isinstance(t, ast.Attribute) and _root(t) in names)  # fmt: skip
            case ast.Call(func=ast.Attribute(attr="start", value=ast.Call() as patch)):
                if "patch" in ast.unparse(patch.func):
                    yield ast.unparse(patch)
            case ast.Call(func=ast.Name(id="setattr"), args=[target, *_]):
                if _root(target) in names:
                    yield ast.unparse(node)
            case ast.Call(func=ast.Attribute(attr="setattr")):
                yield ast.unparse(node)
            case _:
                pass


def imported(tree: ast.Module) -> frozenset[str]:
    """Names that an import of the file gives, but for those from other tests."""
    found: set[str] = set()
    for node in _outside(tree):
        if isinstance(node, ast.Import):
            found |= {each.asname or each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and not _of_tests(node):
            found |= {each.asname or each.name for each in node.names}
    return frozenset(found)


def own(tree: ast.Module) -> frozenset[str]:
    """Names that the file takes for something of its own; a fallback of an import is none."""
    found: set[str] = set()
    for node in _outside(tree):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.ImportFrom) and _of_tests(node):
            found |= {each.asname or each.name for each in node.names}
    return frozenset(found)


def given_by(node: Function) -> str:
    """What a fixture calls for the value that it returns or yields; empty for other functions."""
    if not any(called(each) == "fixture" for each in node.decorator_list):
        return ""
    for each in ast.walk(node):
        if isinstance(each, ast.Return | ast.Yield) and isinstance(each.value, ast.Call):
            return called(each.value)
    return ""


def _of_tests(node: ast.ImportFrom) -> bool:
    return bool(_TESTS & set((node.module or "").split("."))) or node.level == 1


def _outside(tree: ast.AST) -> Iterator[ast.AST]:
    """What runs when the file is imported, but for what stands in for a failed import."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.Lambda, ast.ExceptHandler)):
            yield from _outside(node)


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
