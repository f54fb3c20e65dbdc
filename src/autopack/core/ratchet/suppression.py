"""Lines of source and tests that silence a check, or find out whether a test is looking.

Counts what a change adds over all its files, so that moved lines say nothing. Reads lines only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from autopack.core.ratchet.changed import Changed, added, ask, lines_of, note
from autopack.core.run import Finding

CODE: Final = frozenset({
    ".py", ".pyi", ".bats", ".phpt", ".t", ".pyx", ".js", ".jsx", ".ts", ".tsx", ".mjs",
    ".cjs", ".mts", ".cts", ".vue", ".svelte", ".go", ".rs", ".java", ".kt", ".kts", ".scala",
    ".groovy", ".cs", ".fs", ".vb", ".rb", ".php", ".c", ".h", ".cc", ".cpp", ".cxx", ".hpp",
    ".hh", ".m", ".mm", ".swift", ".dart", ".ex", ".exs", ".lua", ".pl", ".pm", ".sh",
    ".bash", ".zsh", ".fish", ".tcl", ".r", ".jl", ".hs", ".ml", ".clj", ".erl", ".zig",
    ".nim",
})  # fmt: skip
"""Suffixes of files that are code."""
_SILENT: Final = re.compile(
    r"#\s*(?:type:\s*ignore|noqa\b|pragma:\s*no\s*(?:cover|branch)|pylint:\s*disable|mypy:\s*ignore"
    r"|pyright:\s*(?:ignore|basic|strict=false)|ruff:\s*noqa|flake8:\s*noqa|nosec\b"
    r"|pytype:\s*disable|rubocop:\s*(?:disable|todo)|:nocov:|shellcheck\s+disable|ty:\s*ignore)"
    r"|(?://|/\*|\*|\{/\*)\s*(?:eslint-disable|@ts-(?:ignore|nocheck|expect-error)"
    r"|(?:istanbul|c8|v8)\s+ignore|tslint:disable|biome-ignore|nolint\b|NOLINT|NOSONAR|LCOV_EXCL"
    r"|@?phpstan-ignore|@psalm-suppress|@codeCoverageIgnore|phpcs:(?:ignore|disable)|noinspection)"
    r"|\B#!?\[allow\(|@SuppressWarnings\b|@Suppress\(|#pragma\s+warning\s+disable"
    r"|\[(?:SuppressMessage|ExcludeFromCodeCoverage)|@SuppressFBWarnings|#pragma\s+GCC\s+diagnostic"
    r"\s+ignored|#\[(?:coverage\(off\)|cfg_attr\([^)]*allow)"
)
LINE_CHARACTERS_MAX: Final = 2_000
"""Of a line that is looked at: longer ones nobody wrote."""
RULE_CHARACTERS_MAX: Final = 40
"""Of what follows a mark: the rules that it names."""
_COVERAGE: Final = re.compile(r"#\s*pragma:\s*no\s*(?:cover|branch)")
_WHOLE: Final = re.compile(r"(?:async\s+)?(?:def|class)\b|@")
"""Begins a line that stands for a whole function or class."""
_NARROW: Final = re.compile(
    r"^one line uncovered$"
    r"|^#(?:type:ignore\[|noqa:|pylint:disable=|pyright:ignore\[|ty:ignore\[|nosecB\d)"
    r"|eslint-disable-(?:next-)?line\S|nolint:|#\[allow\(|rubocop:disable\S|shellcheckdisable=SC"
    r"|@SuppressWarnings\(\S|pragmawarningdisable\S|@phpstan-ignore\S|biome-ignore\S"
)
"""Silences one named rule at one place."""
_UNTYPED: Final = re.compile(r"#(?:type|pyright|ty):ignore")
"""Names no rule: narrow where the line is new, not where it silences one that was checked."""
_GOSEC: Final = re.compile(r"#nosecG\d{3}")
NARROW_MAX: Final = 2
"""Of a change that are told and do not ask: typed code needs one now and then."""
_LOOKING: Final = re.compile(
    r"""["'](?:pytest|_pytest|unittest|nose2?|doctest)["']\s+(?:not\s+)?in\s+sys\.modules"""
    r"""|sys\.modules\.get\(\s*["'](?:_?pytest|unittest)|PYTEST_(?:CURRENT_TEST|VERSION|XDIST)"""
    r"|_called_from_test|JEST_WORKER_ID|process\.env\.(?:VITEST|MOCHA)\b"
    r"""|NODE_ENV\s*={2,3}\s*["']test["']|["']test["']\s*={2,3}\s*process\.env\.NODE_ENV"""
    r"""|\btesting\.Testing\(\)|flag\.Lookup\(["']test\.|HasSuffix\(os\.Args\[0\],\s*["']\.test"""
    r"|\bcfg!\(test\)|PHPUNIT_(?:COMPOSER|TESTSUITE|RUNNING)|RSPEC_RUNNING|defined\?\(RSpec\)"
    r"""|sys\.argv\[0\][^\n]{0,40}pytest|["']pytest["']\s+in\s+sys\.argv|GITHUB_ACTIONS"""
)


def is_code(change: Changed) -> bool:
    """Whether a file is code, by its suffix."""
    return change.suffix in CODE


def silenced(changes: Iterable[Changed]) -> Iterator[Finding]:
    """Marks that silence a check, where the change adds more of them than it takes away."""
    balance: Counter[str] = Counter()
    appended: set[str] = set()
    where: dict[str, tuple[str, int, str]] = {}
    for change in changes:
        if not is_code(change):
            continue
        before, after = (list(_stripped(side)) for side in (change.before, change.after))
        balance.subtract(mark for line in added(after, before) for mark in _marks(line))
        fresh, known = Counter(added(before, after)), frozenset(before)
        for number, line in enumerate(after, 1):
            if fresh[line] > 0:
                fresh[line] -= 1
                for mark in _marks(line):
                    balance[mark] += 1
                    if line.rpartition("#")[0].strip() in known:
                        appended.add(mark)
                    where.setdefault(mark, (change.path, number, line))
    more = {mark: place for mark, place in where.items() if balance[mark] > 0}
    small = {mark for mark, (path, _, _) in more.items() if _is_narrow(mark, path)}
    small |= {mark for mark in more if _UNTYPED.fullmatch(mark) and mark not in appended}
    narrow = sum(balance[mark] for mark in small)
    for mark, (path, number, line) in more.items():
        say = note if mark in small and narrow <= NARROW_MAX else ask
        yield say("suppression-added", path, f"silences a check: {line}", number)


def _is_narrow(mark: str, path: str) -> bool:
    of_gosec = path.endswith(".go") and _GOSEC.match(mark) is not None
    return of_gosec or _NARROW.search(mark) is not None


def detected(changes: Iterable[Changed]) -> Iterator[Finding]:
    """Code that asks whether a test runs it."""
    for change in changes:
        if not is_code(change):
            continue
        known = frozenset(_stripped(change.before))
        for number, line in enumerate(_stripped(change.after), 1):
            if line not in known and _LOOKING.search(line):
                yield ask("test-detected", change.path, f"behaves as tests look: {line}", number)
                break


def _stripped(content: bytes | None) -> Iterator[str]:
    """The lines of a text as far as they are looked at, without what is around them."""
    return (line.strip()[:LINE_CHARACTERS_MAX] for line in lines_of(content))


def _marks(line: str) -> Iterator[str]:
    """Each mark of a line with the rules that it names, without blanks."""
    for match in _SILENT.finditer(line):
        if _COVERAGE.match(match[0]) and not _WHOLE.match(line):
            yield "one line uncovered"
            continue
        rest = line[match.end() : match.end() + RULE_CHARACTERS_MAX]
        yield "".join((match[0] + rest).split())
