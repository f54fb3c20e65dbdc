"""The ratchet for tests in other languages: their blocks of text, before and after a change.

A block is compared with what became of it: its name, or most of its lines. Counts assertions and
marks in code without comments, so that a test that is commented out is gone. Never parses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from autopack.core.ratchet.blocks import Block, blocks_of, code_of
from autopack.core.ratchet.changed import Changed, added, ask, note
from autopack.core.ratchet.language import LEAVING, STRING, Language, language_at
from autopack.core.ratchet.wording import Wording, wording
from autopack.core.run import Finding

ALIKE: Final = 0.5
"""Share of the lines that a renamed or moved test keeps."""
PAIRS_MAX: Final = 20_000
"""Pairs of blocks that are compared for that; beyond, tests that are gone count as gone."""
_TEXT: Final = (
    STRING + r"|\b(?:0x[\da-fA-F]+|\d[\d_.]*\w*|true|false|null|nil|None|undefined|True|False)\b"
)
_LITERAL: Final = re.compile(rf"{_TEXT}|:\w+")
"""In a line that demands something: also Ruby's `:name`, and the last part of `Kind::Name`."""
_PLAIN: Final = re.compile(rf"{_TEXT}|(?<![:\w]):\w+")
"""In any other line, where `Kind::Name` chooses what is tested."""
_NO_VALUE: Final = re.compile(
    r"^(?:context|describe|suite)\s*[(\"'`]|^(?:import|use|from|#\s*include)\s+[\w\"'<{*]"
    r"|\brequire\s*\(\s*[\"'][^./\"']|^(?:await\s+)?(?:\w+(?:::|\.))*sleep\w*\s*[(\d]",
    re.IGNORECASE,
)
"""A title, an import, a wait."""
_CALLED: Final = re.compile(r"\b(\w+)\s*\(")


def weakened(changes: Sequence[Changed]) -> Iterator[Finding]:
    """What a change takes from the tests of these files."""
    by_language: dict[str, list[tuple[Changed, Language]]] = {}
    for change in changes:
        if language := language_at(change.path):
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
    _drop_equal(old, new)
    gone = {key: block for key, block in old.items() if key not in new}
    fresh = {key: block for key, block in new.items() if key not in old}
    yield from _kept(old, new, fresh, said)
    for block, match in _successors(gone, fresh):
        if match is not None:
            yield from _compared(block, match, said)
        elif block.test:
            yield ask("test-deleted", block.path, f"{block.name} is gone")
        elif block.asserts:
            yield ask("assertion-removed", block.path, f"{block.name}, which checked, is gone")
    for block in fresh.values():
        yield from _born(block)


def _full(path: str, code: str, language: Language) -> dict[tuple[str, str], Block]:
    return {(path, block.name): block for block in blocks_of(path, code, language)}


_Blocks = dict[tuple[str, str], Block]


def _drop_equal(old: _Blocks, new: _Blocks) -> None:
    """Leave out pieces between tests that are in a file before and after, wherever they stand."""
    keys: dict[tuple[str, tuple[str, ...]], list[tuple[str, str]]] = {}
    for key, block in new.items():
        if not block.test:
            keys.setdefault((block.path, block.lines), []).append(key)
    for key, block in list(old.items()):
        if not block.test and (same := keys.get((block.path, block.lines))):
            del old[key], new[same.pop(0)]


def _kept(old: _Blocks, new: _Blocks, fresh: _Blocks, said: Wording) -> Iterator[Finding]:
    """What became of the tests whose name is still there.

    Where another took the name, a new test with all the lines of the old one is what it became;
    each new one stands for one.
    """
    bodies = {_body(block): key for key, block in fresh.items() if block.test}
    for key, block in old.items():
        if key not in new:
            continue
        found = list(_compared(block, new[key], said))
        renamed = bodies.pop(_body(block), None) if found and block.test else None
        if renamed is not None and set(block.asserts) <= set(block.lines[1:]):
            yield from _compared(block, fresh.pop(renamed), said)
            continue
        moved = _split_off(block, new[key], fresh) if found else False
        for each in found:
            told = moved and each.rule in {"assertion-removed", "test-emptied"}
            yield note(each.rule, each.path, f"{each.message}: a new helper does") if told else each


def _split_off(old: Block, new: Block, fresh: _Blocks) -> bool:
    """Whether a test calls a new helper with all the checks that it had and has not."""
    lost = set(added(new.asserts, old.asserts))
    called = set(_CALLED.findall("\n".join(new.lines[1:])))
    return bool(lost) and any(
        not piece.test and piece.path == new.path and lost <= set(piece.lines)
        and called & set(_CALLED.findall(piece.lines[0]))
        for piece in fresh.values() if piece.lines
    )  # fmt: skip


def _body(block: Block) -> tuple[str, ...]:
    """A test's place, the end of its head, and its other lines."""
    return (block.path, block.lines[0][-1:], *block.lines[1:]) if block.lines else (block.path,)


def _born(block: Block) -> Iterator[Finding]:
    """What can never be red, or leaves others out."""
    if block.vacuous and len(block.vacuous) == len(block.asserts):
        told = f"{block.name}: {block.vacuous[0]} cannot fail, and it checks nothing else"
        yield ask("assertion-vacuous", block.path, told)
    if block.skips and not block.test:
        yield ask("test-skipped", block.path, f"{block.name}: {block.skips[0]}")


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


def _successors(gone: _Blocks, fresh: _Blocks) -> Iterator[tuple[Block, Block | None]]:
    """What each block that is gone became: moved under its name, or the likest of the new ones.

    Takes those out of `fresh`.
    """
    pairs = 0
    for key, block in gone.items():
        kin = {k: other for k, other in fresh.items() if other.test == block.test}
        same = next((k for k in kin if k[1] == key[1]), None)
        best, share = same, ALIKE
        wanted = set(block.lines[1:])
        pairs += len(kin)
        if same is None and pairs <= PAIRS_MAX:
            for other_key, other in kin.items():
                lines = set(other.lines[1:])
                alike = len(wanted & lines) / max(1, len(wanted | lines))
                alike += _one_head(block, other)
                if alike >= share:
                    best, share = other_key, alike
        yield block, fresh.pop(best) if best is not None else None


def _one_head(old: Block, new: Block) -> bool:
    """Whether two pieces between tests, where nothing is skipped, begin alike but for values."""
    if old.test or old.skips or new.skips or not (old.lines and new.lines):
        return False
    return _PLAIN.sub("_", old.lines[0]) == _PLAIN.sub("_", new.lines[0])


def _compared(old: Block, new: Block, said: Wording) -> Iterator[Finding]:
    where, name = new.path, new.name
    if more := added(old.skips, new.skips):
        yield ask("test-skipped", where, f"{name}: {more[0]}")
    before, after = len(old.asserts), len(new.asserts)
    if before and not after:
        yield ask("test-emptied", where, f"{name} checks nothing any more")
    elif empty := added(old.vacuous, new.vacuous):
        yield ask("assertion-vacuous", where, f"{name}: {empty[0]} cannot fail")
    elif (before or not old.test) and (more := added(old.leaves, new.leaves)):
        yield ask("assertion-conditional", where, f"{name}: leaves before its end: {more[0]}")
    elif after < before:
        yield ask("assertion-removed", where, f"{name}: {before} checks before, {after} now")
    elif new.weak > old.weak and after - new.weak < before - old.weak:
        yield ask("assertion-weakened", where, f"{name}: {new.weak} checks demand hardly anything")
    elif changed := list(_rewritten(old, new)):
        bent = [(was, now) for was, now, demands in changed
                if not (demands and said.explains(was, now))]  # fmt: skip
        say, (was, now) = (ask, bent[0]) if bent else (note, changed[0][:2])
        source = "" if bent else ", as in the source"
        yield say("expectation-changed", where, f"{name}: {was} became {now}{source}")


def _rewritten(old: Block, new: Block) -> Iterator[tuple[str, str, bool]]:
    """Lines that are the same but for a literal in them: what each was, is now, if it demands."""
    lost, gained = added(new.expects, old.expects), added(old.expects, new.expects)
    forms: dict[str, list[str]] = {}
    for line in gained:
        forms.setdefault(_LITERAL.sub("_", line), []).append(line)
    for line in lost:
        if others := forms.get(_LITERAL.sub("_", line)):
            yield line, others.pop(0), True
    before, after = _values(old), _values(new)
    demands = old.asserts or not old.test
    if old.tables and demands and before != after and _forms(before) == _forms(after):
        known = set(old.expects)
        for was, now in zip(before, after, strict=True):
            if was != now and was not in known:
                yield was, now, False


def _values(block: Block) -> list[str]:
    """The lines of a test that may hold a value: none that words a failure, imports or waits."""
    words = set(block.asserts) - set(block.expects)
    lines = block.lines[1:] if block.test else block.lines
    return [line for line in lines if line not in words and not _NO_VALUE.search(line)]


def _forms(lines: list[str]) -> list[str]:
    """Lines without their literals: two tests of one form differ in values only."""
    return [_PLAIN.sub("_", line) for line in lines]
