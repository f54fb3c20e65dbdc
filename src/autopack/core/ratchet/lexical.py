"""The ratchet for tests in other languages: blocks of text from one test's head to the next.

A block is compared with what became of it: its name, or most of its lines. Counts assertions and
marks in code without comments, so that a test that is commented out is gone. Never parses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Final

from autopack.core.ratchet.changed import Changed, added, ask, lines_of
from autopack.core.ratchet.language import (
    LANGUAGES,
    LEAVES,
    LEAVING,
    SWALLOWS,
    VACUOUS,
    WEAK,
    Language,
)
from autopack.core.run import Finding

ALIKE: Final = 0.5
"""Share of the lines that a renamed or moved test keeps."""
PAIRS_MAX: Final = 20_000
"""Pairs of blocks that are compared for that; beyond, tests that are gone count as gone."""
TESTS_MAX: Final = 5_000
"""Tests of one file that are told apart; what follows belongs to the last."""
_REMARKS: Final = {
    "//": re.compile(r'("(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\'(?:\\.|[^\'\\\n])+\')'
                     r"|//[^\n]*|/\*(?:[\s\S]*?\*/|[\s\S]*\Z)"),
    "#": re.compile(r'("(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')|(?<![^\s;])#(?![{\[])[^\n]*'),
}  # fmt: skip
_LITERAL: Final = re.compile(
    r'"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\'(?:\\.|[^\'\\\n])*\'|:\w+'
    r"|\b(?:0x[\da-fA-F]+|\d[\d_.]*\w*|true|false|null|nil|None|undefined|True|False)\b"
)


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

    @property
    def leaves(self) -> tuple[str, ...]:
        """Lines that leave it before its end, but for those right behind a check that failed."""
        return tuple(line for above, line in pairwise(self.lines)
                     if LEAVES.search(line) and above not in self.asserts)  # fmt: skip


def language_of(change: Changed) -> Language | None:
    """The language of a file that holds tests by its path; None for any other file."""
    found = next((each for each in LANGUAGES if change.suffix in each.suffixes), None)
    return found if found is not None and found.paths.search(change.path) else None


def weakened(changes: Iterable[Changed]) -> Iterator[Finding]:
    """What a change takes from the tests of these files."""
    by_language: dict[str, list[tuple[Changed, Language]]] = {}
    for change in changes:
        if language := language_of(change):
            by_language.setdefault(language.name, []).append((change, language))
    for files in by_language.values():
        yield from _of_language(files)


def code_of(content: bytes | None, language: Language) -> str:
    """A file's text without its comments."""
    return _REMARKS[language.remark].sub(
        lambda match: match[1] or " ", "\n".join(lines_of(content))
    )


def _of_language(files: list[tuple[Changed, Language]]) -> Iterator[Finding]:
    old: dict[tuple[str, str], Block] = {}
    new: dict[tuple[str, str], Block] = {}
    for change, language in files:
        before, after = code_of(change.before, language), code_of(change.after, language)
        old |= {(each.path, each.name): each for each in _blocks(change.path, before, language)}
        new |= {(each.path, each.name): each for each in _blocks(change.path, after, language)}
        if change.after is not None:
            yield from _file(change.path, before, after, language)
    gone = {key: block for key, block in old.items() if key not in new}
    fresh = {key: block for key, block in new.items() if key not in old}
    for key, block in old.items():
        if key in new:
            yield from _compared(block, new[key])
    known = gone | fresh
    for key, match in _successors(gone, fresh):
        if match is None:
            yield ask("test-deleted", key[0], f"{key[1]} is gone")
        else:
            yield from _compared(known[key], match)
    for block in fresh.values():
        if block.vacuous and len(block.vacuous) == len(block.asserts):
            told = f"{block.name}: {block.vacuous[0]} cannot fail, and it checks nothing else"
            yield ask("assertion-vacuous", block.path, told)


def _file(path: str, before: str, after: str, language: Language) -> Iterator[Finding]:
    """What is not of one test: the whole file is left out, or ends early."""
    for rule, pattern, what in (
        ("test-focused", language.focus, "leaves all other tests out"),
        ("test-collection", LEAVING, "ends the tests as if all were well"),
    ):
        was = [match[0] for match in pattern.finditer(before)]
        if more := added(was, [match[0] for match in pattern.finditer(after)]):
            yield ask(rule, path, f"{more[0].strip()} {what}")
    head = [m.start() for m in language.tests.finditer(after)][:1]
    above = after[: head[0]] if head else after
    was = [match[0] for match in language.skips.finditer(before)]
    more = added(was, [match[0] for match in language.skips.finditer(above)])
    if more and before:
        yield ask("test-skipped", path, f"{more[0].strip()} outside of any test")


def _blocks(path: str, code: str, language: Language) -> Iterator[Block]:
    """Each test with what follows it, up to the next; a name that stands twice gets a number."""
    heads = list(islice(language.tests.finditer(code), TESTS_MAX))
    seen: dict[str, int] = {}
    above = 0
    for number, head in enumerate(heads):
        end = heads[number + 1].start() if number + 1 < len(heads) else len(code)
        start = max(above, code.rfind("\n", above, head.start()) + 1)
        above = head.end()
        text = code[start:end]
        name = next((told for told in head.groupdict().values() if told), "a test")[:120]
        seen[name] = seen.get(name, 0) + 1
        lines = tuple(" ".join(line.split()) for line in text.splitlines() if line.strip())
        yield Block(
            path,
            name if seen[name] == 1 else f"{name} ({seen[name]})",
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


def _successors(
    gone: Mapping[tuple[str, str], Block], fresh: Mapping[tuple[str, str], Block]
) -> Iterator[tuple[tuple[str, str], Block | None]]:
    """What each test that is gone became: moved under its name, or the likest of the new ones."""
    left = dict(fresh)
    pairs = 0
    for key, block in gone.items():
        same = next((k for k in left if k[1] == key[1]), None)
        best, share = same, ALIKE
        wanted = set(block.lines[1:])
        pairs += len(left)
        if same is None and pairs <= PAIRS_MAX:
            for other_key, other in left.items():
                lines = set(other.lines[1:])
                alike = len(wanted & lines) / max(1, len(wanted | lines))
                if alike >= share:
                    best, share = other_key, alike
        yield key, left.pop(best) if best is not None else None


def _compared(old: Block, new: Block) -> Iterator[Finding]:
    where, name = new.path, new.name
    if more := added(old.skips, new.skips):
        yield ask("test-skipped", where, f"{name}: {more[0]}")
    before, after = len(old.asserts), len(new.asserts)
    if before and not after:
        yield ask("test-emptied", where, f"{name} checks nothing any more")
    elif empty := added(old.vacuous, new.vacuous):
        yield ask("assertion-vacuous", where, f"{name}: {empty[0]} cannot fail")
    elif before and (more := added(old.leaves, new.leaves)):
        yield ask("assertion-conditional", where, f"{name}: leaves before its end: {more[0]}")
    elif after < before:
        yield ask("assertion-removed", where, f"{name}: {before} checks before, {after} now")
    elif new.weak > old.weak and after - new.weak < before - old.weak:
        yield ask("assertion-weakened", where, f"{name}: {new.weak} checks demand hardly anything")
    elif told := _rewritten(old, new):
        yield ask("expectation-changed", where, f"{name}: {told}")


def _rewritten(old: Block, new: Block) -> str:
    """An assertion that is the same but for a literal in it."""
    lost, gained = added(new.expects, old.expects), added(old.expects, new.expects)
    forms = {_LITERAL.sub("_", line): line for line in gained}
    for line in lost:
        form = _LITERAL.sub("_", line)
        if form in forms:
            return f"{line} became {forms[form]}"
    before, after = _values(old), _values(new)
    if old.tables and old.asserts and before != after and _forms(before) == _forms(after):
        return f"{added(after, before)[0]} became {added(before, after)[0]}"
    return ""


def _values(block: Block) -> list[str]:
    """The lines of a test below its head, but for those that only word a failure."""
    words = set(block.asserts) - set(block.expects)
    return [line for line in block.lines[1:] if line not in words]


def _forms(lines: list[str]) -> list[str]:
    """Lines without their literals: two tests of one form differ in values only."""
    return [_LITERAL.sub("_", line) for line in lines]
