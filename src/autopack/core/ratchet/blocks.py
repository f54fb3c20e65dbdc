"""Tests in other languages than Python as blocks of text: from a test's head to its end.

A test ends where the next begins, or where something else does at its level or above; what stands
outside of all tests is a block of its own, for helpers check, too. Never parses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, pairwise
from typing import Final

from autopack.core.ratchet.changed import lines_of
from autopack.core.ratchet.language import LEAVES, SWALLOWS, VACUOUS, WEAK, Language

TESTS_MAX: Final = 5_000
"""Tests of one file that are told apart; what follows belongs to the last."""
OUTSIDE: Final = "what is outside of its tests"
_REMARKS: Final = {
    "//": re.compile(r'("(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\'(?:\\.|[^\'\\\n])+\')'
                     r"|//[^\n]*|/\*(?:[\s\S]*?\*/|[\s\S]*\Z)"),
    "#": re.compile(r'("(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')|(?<![^\s;])#(?![{\[])[^\n]*'),
}  # fmt: skip
_CLOSES: Final = re.compile(r"[})\]]|end\b")
_BEGINS: Final = re.compile(
    r"(?:func|proc|fn|def|class|function|impl|mod|struct|enum|interface|namespace|module|describe"
    r"|context|suite|start_server|start_cluster|foreach|setup|teardown|before\w*|after\w*|public"
    r"|private|protected|internal|static|export|pub)\b|@\w|#\[|\w+\s*\(\)\s*\{"
)
"""What is no part of the test above it, where it stands at its level."""
_DEFINES: Final = re.compile(
    r"(?:[\w<>\[\],]+ )*?(?:(?:func|proc|fn|def|function|void|let|const|fun) )"
    r"(?:\([^)]*\) )?(?P<name>\w+)"
)
_NAME: Final = re.compile(r"\b[A-Za-z_]\w*")


@dataclass(frozen=True)
class Block:
    """One test: its name, its lines in order, and which of them demand something."""

    path: str
    name: str
    lines: tuple[str, ...]
    asserts: tuple[str, ...]
    skips: tuple[str, ...]
    expects: tuple[str, ...]
    """Lines that name a value that is demanded."""
    tables: bool = True
    """As in its language."""

    @property
    def weak(self) -> int:
        return sum(WEAK.search(line) is not None for line in self.asserts)

    @property
    def vacuous(self) -> tuple[str, ...]:
        told = dict.fromkeys((*self.asserts, *self.expects))
        swallowed = (match[0] for match in SWALLOWS.finditer("\n".join(self.lines)))
        return (*(line for line in told if VACUOUS.search(line)), *swallowed)

    @cached_property
    def helpers(self) -> dict[str, list[str]]:
        """The checks below each name that its lines define, up to the next."""
        found: dict[str, list[str]] = {}
        below: list[str] = []
        checks = set(self.asserts)
        for line in self.lines:
            if head := _DEFINES.match(line):
                below = found.setdefault(head["name"], [])
            elif line in checks:
                below.append(line)
        return {name: lines for name, lines in found.items() if lines}

    @property
    def leaves(self) -> tuple[str, ...]:
        """Lines that leave it before its end, but for those right behind a check that failed."""
        return tuple(line for above, line in pairwise(self.lines)
                     if LEAVES.search(line) and above not in self.asserts)  # fmt: skip


def code_of(content: bytes | None, language: Language) -> str:
    """A file's text without its comments."""
    return _REMARKS[language.remark].sub(
        lambda match: match[1] or " ", "\n".join(lines_of(content))
    )


def blocks_of(path: str, code: str, language: Language) -> Iterator[Block]:
    """Each test of a file, a number behind a name that stands twice; then what is between them."""
    heads = list(islice(language.tests.finditer(code), TESTS_MAX))
    seen: dict[str, int] = {}
    outside = []
    above = 0
    for number, head in enumerate(heads):
        end = heads[number + 1].start() if number + 1 < len(heads) else len(code)
        start = max(above, code.rfind("\n", above, head.start()) + 1)
        above = head.end()
        stop = _end(code, head, end)
        outside.append(code[stop:end])
        name = next((told for told in head.groupdict().values() if told), "a test")[:120]
        seen[name] = seen.get(name, 0) + 1
        told = name if seen[name] == 1 else f"{name} ({seen[name]})"
        yield _block(path, told, code[start:stop], language)
    if heads:
        yield _block(path, OUTSIDE, "\n".join(outside), replace(language, tables=False))


def with_helpers(test: Block, outside: Block) -> Block:
    """The test with the checks of the helpers of its file that it names, one level deep."""
    named = set(_NAME.findall("\n".join(test.lines[1:]))) & outside.helpers.keys()
    more = [line for name in sorted(named) for line in outside.helpers[name]]
    return replace(test, asserts=(*test.asserts, *more)) if more else test


def _end(code: str, head: re.Match[str], end: int) -> int:
    """Where a test is over: where its block closes, or something else of its level begins."""
    first = head.end() - len(head[0].lstrip())
    level = _indent(code[code.rfind("\n", 0, first) + 1 : first + 1])
    at = code.find("\n", head.end(), end)
    while 0 <= at < end:
        after = code.find("\n", at + 1, end)
        line = code[at + 1 : after if after >= 0 else end]
        indent = _indent(line)
        if indent < level and _CLOSES.match(line, indent):
            return at + 1
        if indent <= level and _BEGINS.match(line, indent):
            return at + 1
        at = after
    return end


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _block(path: str, name: str, text: str, language: Language) -> Block:
    lines = tuple(" ".join(line.split()) for line in text.splitlines() if line.strip())
    return Block(
        path,
        name,
        lines,
        tuple(line for line in lines if language.asserts.search(line)),
        tuple(match[0].strip() for match in language.skips.finditer(text)),
        tuple(line for line in lines if _expects(line, language)),
        language.tables,
    )


def _expects(line: str, language: Language) -> bool:
    if language.expects.pattern:
        return language.expects.search(line) is not None
    return language.asserts.search(line) is not None
