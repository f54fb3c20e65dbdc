"""The test-strength ratchet for Python: what a change takes from the tests, as questions.

Compares the test files of a change with those of its parent. What honest work does, too, is what
a cheat looks like: nothing here refuses, an auditor decides. Never reads a repository.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from autopack.core.ratchet.case import Case, TestFile, is_test_path, read_tests, with_helpers
from autopack.core.ratchet.changed import Changed, added, ask, note
from autopack.core.ratchet.strength import Strength
from autopack.core.ratchet.wording import Wording, wording
from autopack.core.run import Finding

ALIKE: Final = 0.5
"""Share of the checks that a renamed test keeps."""
_FAKE: Final = re.compile(r"fake|mock|stub|dummy", re.IGNORECASE)
_LITERAL: Final = re.compile(
    r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|\b\d[\w.]*|\b(?:True|False|None)\b"""
)
_CONDITIONAL: Final = re.compile(r"skipif|skipIf|skipUnless|importorskip|SkipTest|^(?!.*mark)")
"""Marks of a new test that leave it out somewhere only; a call may stand behind an `if`."""


def weakened(changes: Sequence[Changed]) -> Iterator[Finding]:
    """What a change takes from the tests."""
    tests = [each for each in changes if each.suffix in {".py", ".pyi"} and is_test_path(each.path)]
    old = {c.path: read_tests(c.path, c.before) for c in tests if c.before is not None}
    new = {c.path: read_tests(c.path, c.after) for c in tests if c.after is not None}
    for path, file in new.items():
        if not file.readable and (path not in old or old[path].readable):
            yield ask("test-unreadable", path, "is no Python that can be read here")
    yield from _cases(old, new, wording(changes))
    for path, file in new.items():
        yield from _file(old.get(path, TestFile(path)), file)


def _cases(
    old: Mapping[str, TestFile], new: Mapping[str, TestFile], said: Wording
) -> Iterator[Finding]:
    skip = {p for p, f in (*old.items(), *new.items()) if not f.readable}
    before = {(c.path, c.name): c for f in old.values() for c in _full(f) if f.path not in skip}
    after = {(c.path, c.name): c for f in new.values() for c in _full(f) if f.path not in skip}
    gone = {key: case for key, case in before.items() if key not in after}
    fresh = {key: case for key, case in after.items() if key not in before}
    for key, case in before.items():
        if key in after:
            yield from _compared(case, after[key], said)
    for case in gone.values():
        match = _successor(case, fresh)
        if match is not None:
            del fresh[match.path, match.name]
            yield from _compared(case, match, said)
        elif case.collected:
            yield ask("test-deleted", case.path, f"{case.name} is gone")
        elif case.checks:
            yield ask("assertion-removed", case.path, f"{case.name}, which checked, is gone")
    for case in fresh.values():
        yield from _born(case)


def _full(file: TestFile) -> Iterator[Case]:
    helpers = {c.name.rpartition(".")[2]: c for c in file.cases if not c.collected and c.checks}
    for case in file.cases:
        yield with_helpers(case, helpers) if case.collected else case


def _successor(case: Case, fresh: Mapping[tuple[str, str], Case]) -> Case | None:
    """What a case became: moved under its name, or renamed with its body or half of its checks."""
    last = case.name.rpartition(".")[2]
    others = list(fresh.values())
    for other in others:
        if other.name.rpartition(".")[2] == last or (case.body and other.body == case.body):
            return other
    wanted = {check.text for check in case.checks}
    best, share = None, ALIKE
    for other in others:
        texts = {check.text for check in other.checks}
        alike = len(wanted & texts) / len(wanted | texts) if wanted | texts else 0.0
        if alike >= share and other.path == case.path:
            best, share = other, alike
    return best


def _compared(old: Case, new: Case, said: Wording) -> Iterator[Finding]:
    where, name = new.path, new.name
    if old.collected and not new.collected:
        yield ask("test-uncollected", where, f"{old.name} is now {name}, which no runner finds")
    if added := [mark for mark in new.skips if mark not in old.skips]:
        yield ask("test-skipped", where, f"{name}: {added[0]}")
    if hidden := [each for each in new.patched if each not in old.patched and _asked(new, each)]:
        yield ask("test-patched", where, f"{name} replaces {hidden[0]}, which it is to test")
    if shadowed := sorted((old.asked - old.bound) & new.asked & (new.bound - old.bound)):
        told = f"{name} gives {shadowed[0]}, which its checks are about, a meaning of its own"
        yield ask("test-patched", where, told)
    if _FAKE.search(new.gives) and old.gives and not _FAKE.search(old.gives):
        yield ask("test-patched", where, f"{name} gives {new.gives}, gave {old.gives}")
    if new.parameters < old.parameters:
        counts = f"{old.parameters} sets of values before, {new.parameters} now"
        yield ask("test-cases-removed", where, f"{name}: {counts}")
    yield from _checks(old, new, said)


def _asked(case: Case, name: str) -> bool:
    """Whether a check is about a name."""
    return any(name in re.findall(r"\w+", check.subject) for check in case.checks)


def _checks(old: Case, new: Case, said: Wording) -> Iterator[Finding]:
    where, name = new.path, new.name
    before, after = old.strengths, new.strengths
    swallowed = [text for text in new.vacuous if text not in old.vacuous]
    if before and not after:
        yield ask("test-emptied", where, f"{name} checks nothing any more")
    elif swallowed:
        yield ask("assertion-vacuous", where, f"{name}: {swallowed[0]} cannot fail")
    elif len(after) < len(before):
        counts = f"{len(before)} checks before, {len(after)} now"
        yield ask("assertion-removed", where, f"{name}: {counts}")
    elif _always(new) < _always(old) and len(after) - _always(new) > len(before) - _always(old):
        told = f"{_always(old)} checks were always made before, {_always(new)} now"
        yield ask("assertion-conditional", where, f"{name}: {told}")
    elif lost := _weaker(before, after):
        yield ask("assertion-weakened", where, f"{name}: {lost}")
    elif changed := list(_rewritten(old, new)):
        bent = [told for was, now, told in changed if not said.explains(was, now)]
        say, told = (ask, bent[0]) if bent else (note, f"{changed[0][2]}, as in the source")
        yield say("expectation-changed", where, f"{name}: {told}")


def _always(case: Case) -> int:
    """Values that are demanded whatever happens."""
    return sum(check.elements for check in case.checks if not check.conditional)


def _weaker(before: tuple[Strength, ...], after: tuple[Strength, ...]) -> str:
    for strength in (Strength.EXACT, Strength.PARTIAL):
        was, now = (sum(each >= strength for each in side) for side in (before, after))
        if now < was:
            return f"{was} checks demanded something {strength.name.lower()} before, {now} now"
    return ""


def _rewritten(old: Case, new: Case) -> Iterator[tuple[str, str, str]]:
    """Checks that demand another value of the same thing: what it was, is now, and both told."""
    known, kept = ({check.text for check in side.checks} for side in (old, new))
    now = {check.subject: check.expected for check in new.checks if check.expected}
    others: dict[str, list[str]] = {}
    for check in new.checks:
        if check.expected and check.text not in known:
            others.setdefault(check.subject, []).append(check.expected)
    for check in old.checks:
        if check.expected and check.text not in kept and check.subject in now:
            left = others.get(check.subject)
            value = left.pop(0) if left else now[check.subject]
            yield check.expected, value, f"{check.subject} must be {value}, was {check.expected}"
    fresh = {(_LITERAL.sub("_", c.subject), c.expected): c.subject for c in new.checks
             if c.text not in known}  # fmt: skip
    for check in old.checks:
        form = _LITERAL.sub("_", check.subject), check.expected
        if check.expected and check.text not in kept and form in fresh:
            told = f"{check.expected} is demanded of {fresh[form]}, was of {check.subject}"
            yield "", "", told
    lost, gained = added(new.values, old.values), added(old.values, new.values)
    if lost and gained and new.parameters == old.parameters:
        yield "", "", f"tries {gained[0]}, no more {lost[0]}"


def _born(case: Case) -> Iterator[Finding]:
    """A new test that can never be red."""
    if not case.collected:
        return
    if always := [mark for mark in case.skips if not _CONDITIONAL.search(mark)]:
        yield ask("test-skipped", case.path, f"{case.name} is new, and not run: {always[0]}")
    if case.vacuous and not case.checks:
        message = f"{case.name}: {case.vacuous[0]} cannot fail, and it checks nothing else"
        yield ask("assertion-vacuous", case.path, message)


def _file(old: TestFile, new: TestFile) -> Iterator[Finding]:
    rows = (
        ("test-skipped", old.skips, new.skips, ""),
        ("test-hook", old.hooks, new.hooks, "changes how tests are run or reported: "),
        ("test-collection", old.ways_out, new.ways_out, "ends or hides tests: "),
        ("test-patched", old.patched, new.patched, "replaces for all tests: "),
        ("test-shadowed", old.shadowed, new.shadowed, "a second test of the name hides "),
    )
    for rule, before, after, what in rows:
        more = [each for each in after if each not in before]
        if more:
            yield ask(rule, new.path, f"{what}{more[0]}")
    asked = {name for case in new.cases for name in case.asked}
    taken = sorted(old.imported & asked & new.own - (old.own & old.imported))
    if taken:
        told = f"{taken[0]} was imported, and is the file's own now: its tests are about it"
        yield ask("test-patched", new.path, told)
