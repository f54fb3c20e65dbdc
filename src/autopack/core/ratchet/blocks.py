"""Tests in other languages than Python as blocks of text, and what stands behind each.

A test ends where its block closes, or where something else begins at its level: that is a block of
its own, named by its first line and that test, for helpers check, too. Nothing behind the first
test is left out, and lines of marks right above a test are its own. Never parses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Final

from autopack.core.ratchet.changed import lines_of
from autopack.core.ratchet.language import LEAVES, SWALLOWS, VACUOUS, WEAK, Language

TESTS_MAX: Final = 5_000
"""Tests of one file that are told apart; what follows belongs to the last."""
_REMARKS: Final = {
    "//": re.compile(r'("(?:\\.|[^"\\\n])*+"|`(?:\\.|[^`\\])*+`|\'(?:\\.|[^\'\\\n])++\')'
                     r"|//[^\n]*|/\*(?:[\s\S]*?\*/|[\s\S]*\Z)"),
    "#": re.compile(r'("(?:\\.|[^"\\\n])*+"|\'(?:\\.|[^\'\\\n])*+\')|(?<![^\s;])#(?![{\[])[^\n]*'),
}  # fmt: skip
_CLOSES: Final = re.compile(r"[})\]]|end\b")
_BEGINS: Final = re.compile(
    r"(?:func|proc|fn|def|class|function|impl|mod|struct|enum|interface|namespace|module|describe"
    r"|context|suite|start_server|start_cluster|foreach|setup|teardown|public"
    r"|private|protected|internal|static|export|pub|const|var)\b"
    r"|(?:before|after)(?:_?[eE]ach|_?[aA]ll)?\s*(?:[({:]|do\b)|\w+\s*\(\)\s*\{"
)
"""What is no part of the test above it, where it stands at its level."""
_MARK: Final = re.compile(r"\s*(?:@\w|#\[|\[\w)")
"""A line that says something of the test below it."""


@dataclass(frozen=True)
class Block:
    """One test or piece between tests: its lines in order, and which of them demand something."""

    path: str
    name: str
    lines: tuple[str, ...]
    asserts: tuple[str, ...]
    skips: tuple[str, ...]
    expects: tuple[str, ...]
    """Lines that name a value that is demanded."""
    tables: bool = True
    """As in its language."""
    test: bool = True
    """False: what stands between tests."""

    @property
    def weak(self) -> int:
        return sum(WEAK.search(line) is not None for line in self.asserts)

    @property
    def vacuous(self) -> tuple[str, ...]:
        told = dict.fromkeys((*self.asserts, *self.expects))
        swallowed = (match[0] for match in SWALLOWS.finditer("\n".join(self.lines)))
        return (*(line for line in told if VACUOUS.search(line)), *swallowed)

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
    """Each test of a file and what stands behind it; a name that stands twice gets a number."""
    heads = list(islice(language.tests.finditer(code), TESTS_MAX))
    starts = [_start(code, head, above) for above, head in pairwise([None, *heads]) if head]
    seen: dict[str, int] = {}
    ends = [*starts[1:], len(code)]
    for head, start, end in zip(heads, starts, ends, strict=False):
        told = next((told for told in head.groupdict().values() if told), "a test")[:120]
        first, *more = _pieces(code, start, head, end)
        yield _block(path, _numbered(told, seen), first, language)
        for text in more:
            line = " ".join(text.strip().partition("\n")[0].split())[:120]
            name = f"what follows {told}" if _CLOSES.match(line) else f"{line} behind {told}"
            yield replace(_block(path, _numbered(name, seen), text, language), test=False)


def _numbered(name: str, seen: dict[str, int]) -> str:
    seen[name] = seen.get(name, 0) + 1
    return name if seen[name] == 1 else f"{name} ({seen[name]})"


def _start(code: str, head: re.Match[str], above: re.Match[str] | None) -> int:
    """Where a test's lines begin: its head's, or the marks right above it."""
    least = above.end() if above else 0
    start = max(least, code.rfind("\n", least, _first(head)) + 1)
    while start > least:
        line = max(least, code.rfind("\n", least, start - 1) + 1)
        if not _MARK.match(code, line, start):
            break
        start = line
    return min(start, head.start())


def _first(head: re.Match[str]) -> int:
    return head.end() - len(head[0].lstrip())


def _pieces(code: str, start: int, head: re.Match[str], end: int) -> Iterator[str]:
    """A test's text, then each piece behind it that begins at its level or above."""
    first = _first(head)
    level = _indent(code[code.rfind("\n", 0, first) + 1 : first + 1])
    at, closed = code.find("\n", head.end(), end), False
    while 0 <= at < end:
        after = code.find("\n", at + 1, end)
        line = code[at + 1 : after if after >= 0 else end]
        indent = _indent(line)
        closes = not closed and indent < level and _CLOSES.match(line, indent) is not None
        if closes or (indent <= level and _BEGINS.match(line, indent)):
            closed = True
            yield code[start : at + 1]
            start = at + 1
        at = after
    yield code[start:end]


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
