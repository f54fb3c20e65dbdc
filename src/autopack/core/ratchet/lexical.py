"""The ratchet for tests in other languages: their blocks of text, before and after a change.

A block is compared with what became of it: its name, or most of its lines. Counts assertions and
marks in code without comments, so that a test that is commented out is gone. Never parses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from autopack.core.ratchet.blocks import OUTSIDE, Block, blocks_of, code_of, with_helpers
from autopack.core.ratchet.changed import Changed, added, ask, note
from autopack.core.ratchet.language import LANGUAGES, LEAVING, Language
from autopack.core.ratchet.wording import Wording, wording
from autopack.core.run import Finding, Severity

ALIKE: Final = 0.5
"""Share of the lines that a renamed or moved test keeps."""
WHOLE_LINES_MIN: Final = 3
"""Lines of a test that is known again when all of them stand in another one."""
PAIRS_MAX: Final = 20_000
"""Pairs of blocks that are compared for that; beyond, tests that are gone count as gone."""
_LITERAL: Final = re.compile(
    r'"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\'(?:\\.|[^\'\\\n])*\'|(?<![:\w]):\w+'
    r"|\b(?:0x[\da-fA-F]+|\d[\d_.]*\w*|true|false|null|nil|None|undefined|True|False)\b"
)
_NO_VALUE: Final = re.compile(
    r"^(?:context|describe|suite|import|use|from|#\s*include|source)\b|\brequire\s*\(|\bsleep\b"
)
RENAMED_MAX: Final = 200
"""New tests that are looked at for one whose name another took."""


def language_of(change: Changed) -> Language | None:
    """The language of a file that holds tests by its path; None for any other file."""
    found = next((each for each in LANGUAGES if change.suffix in each.suffixes), None)
    return found if found is not None and found.paths.search(change.path) else None


def weakened(changes: Sequence[Changed]) -> Iterator[Finding]:
    """What a change takes from the tests of these files."""
    by_language: dict[str, list[tuple[Changed, Language]]] = {}
    for change in changes:
        if language := language_of(change):
            by_language.setdefault(language.name, []).append((change, language))
    said = wording(changes)
    for files in by_language.values():
        yield from _of_language(files, said)


def _of_language(files: list[tuple[Changed, Language]], said: Wording) -> Iterator[Finding]:
    old: dict[tuple[str, str], Block] = {}
    new: dict[tuple[str, str], Block] = {}
    for change, language in files:
        before, after = code_of(change.before, language), code_of(change.after, language)
        old |= _full(change.path, before, language)
        new |= _full(change.path, after, language)
        if change.after is not None:
            yield from _file(change.path, before, after, language)
    tests = {key: block for key, block in new.items() if block.name != OUTSIDE}
    gone = {k: block for k, block in old.items() if k not in new and block.name != OUTSIDE}
    fresh = {key: block for key, block in tests.items() if key not in old}
    for key, block in old.items():
        if key in new:
            yield from _followed(block, new[key], fresh, said)
    known = gone | fresh
    for key, match in _successors(gone, fresh):
        if match is None:
            yield ask("test-deleted", key[0], f"{key[1]} is gone")
        else:
            yield from _compared(known[key], match, said)
    for block in fresh.values():
        if block.vacuous and len(block.vacuous) == len(block.asserts):
            told = f"{block.name}: {block.vacuous[0]} cannot fail, and it checks nothing else"
            yield ask("assertion-vacuous", block.path, told)


def _full(path: str, code: str, language: Language) -> dict[tuple[str, str], Block]:
    """A file's blocks by their names, tests with the checks of their helpers."""
    blocks = {(path, block.name): block for block in blocks_of(path, code, language)}
    outside = blocks.pop((path, OUTSIDE), None)
    if outside is None:
        return {}
    told = {key: with_helpers(block, outside) for key, block in blocks.items()}
    return {**told, (path, OUTSIDE): outside}


def _followed(
    old: Block, new: Block, fresh: Mapping[tuple[str, str], Block], said: Wording
) -> Iterator[Finding]:
    """What became of a test whose name is still there, maybe on another one: it got a new name."""
    found = list(_compared(old, new, said))
    asks = any(each.severity is Severity.ASK for each in found)
    if asks and old.name != OUTSIDE and len(fresh) <= RENAMED_MAX:
        for other in fresh.values():
            if old.lines[1:] and old.lines[1:] == other.lines[1:] and old.path == other.path:
                return iter(_compared(old, other, said))
    return iter(found)


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
                whole = len(wanted) >= WHOLE_LINES_MIN and wanted <= lines
                alike = 1.0 if whole else len(wanted & lines) / max(1, len(wanted | lines))
                if alike >= share:
                    best, share = other_key, alike
        yield key, left.pop(best) if best is not None else None


def _compared(old: Block, new: Block, said: Wording) -> Iterator[Finding]:
    where, name = new.path, new.name
    if more := added(old.skips, new.skips):
        yield ask("test-skipped", where, f"{name}: {more[0]}")
    before, after = len(old.asserts), len(new.asserts)
    if before and not after:
        yield ask("test-emptied", where, f"{name} checks nothing any more")
    elif empty := added(old.vacuous, new.vacuous):
        yield ask("assertion-vacuous", where, f"{name}: {empty[0]} cannot fail")
    elif (before or old.name == OUTSIDE) and (more := added(old.leaves, new.leaves)):
        yield ask("assertion-conditional", where, f"{name}: leaves before its end: {more[0]}")
    elif after < before:
        yield ask("assertion-removed", where, f"{name}: {before} checks before, {after} now")
    elif new.weak > old.weak and after - new.weak < before - old.weak:
        yield ask("assertion-weakened", where, f"{name}: {new.weak} checks demand hardly anything")
    elif changed := list(_rewritten(old, new)):
        bent = [each for each in changed if not said.explains(*each)]
        say, (was, now) = (ask, bent[0]) if bent else (note, changed[0])
        source = "" if bent else ", as in the source"
        yield say("expectation-changed", where, f"{name}: {was} became {now}{source}")


def _rewritten(old: Block, new: Block) -> Iterator[tuple[str, str]]:
    """Assertions that are the same but for a literal in them: what each was, and is now."""
    lost, gained = added(new.expects, old.expects), added(old.expects, new.expects)
    forms = {_LITERAL.sub("_", line): line for line in gained}
    told = [(line, forms[form]) for line in lost if (form := _LITERAL.sub("_", line)) in forms]
    yield from told
    before, after = _values(old), _values(new)
    if old.tables and old.asserts and before != after and _forms(before) == _forms(after):
        yield from ((was, now) for was, now in zip(before, after, strict=True) if was != now)


def _values(block: Block) -> list[str]:
    """The lines of a test that may hold a value: none that words a failure, imports or waits."""
    words = set(block.asserts) - set(block.expects)
    return [line for line in block.lines[1:] if line not in words and not _NO_VALUE.search(line)]


def _forms(lines: list[str]) -> list[str]:
    """Lines without their literals: two tests of one form differ in values only."""
    return [_LITERAL.sub("_", line) for line in lines]
