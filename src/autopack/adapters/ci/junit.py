"""A JUnit report as counts and findings, read as what it is: a file that hostile code wrote.

Follows no link, waits on no pipe, expands no entity, and bounds size, depth and text.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.parsers import expat

import junitparser

from autopack.core.blame import SUSPECTS_MAX, Red
from autopack.core.errors import EnvironmentFault, refusal
from autopack.core.fingerprint import MESSAGE_CHARACTERS_MAX as PRINTED_CHARACTERS_MAX
from autopack.core.fingerprint import fingerprint
from autopack.core.redact import redact_bytes
from autopack.core.run import Finding
from autopack.core.words import plain
from autopack.process.folders import Unreadable, read_left

REPORT_BYTES_MAX: Final = 32 << 20
KEPT_BYTES_MAX: Final = 4 << 20
"""Bytes of a report that is kept beside its log; a larger one is only read."""
DEPTH_MAX: Final = 64
ELEMENTS_MAX: Final = 1_000_000
FINDINGS_MAX: Final = 20
MESSAGE_CHARACTERS_MAX: Final = 2_000
NAME_CHARACTERS_MAX: Final = 300
DIGEST_CHARACTERS: Final = 12
SPELLING_CHARACTERS_MAX: Final = 2_000
"""Of a test's own class and name: a longer one cannot be asked for alone."""
TIMED_OUT: Final = re.compile(r"\b(?:timeout|timed[ -]out)\b", re.IGNORECASE)
UNCOLLECTED: Final = re.compile(r"\A(?:collection failure|collection error)", re.IGNORECASE)
PLACE: Final = re.compile(r"^(?P<path>[^\s:][^:\n]{0,300}):(?P<line>\d{1,7}):", re.MULTILINE)


class ReportRefused(ValueError):
    """There is no report that can be believed, and why."""


@dataclass(frozen=True)
class Counts:
    """What a report says: tests that ran (skipped ones did not), failures, the first ones.

    `passed`: ids of the tests that ran and were never red.
    """

    run: int
    failed: int
    skipped: int
    findings: tuple[Finding, ...]
    passed: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    """Ids of the tests that were skipped, or failed as they were expected to."""
    reds: tuple[Red, ...] = ()
    """The first red tests, one more than are looked into."""
    unnamed: int = 0
    """Failures that a suite tells of and no test shows."""


def read_report(path: Path, kept: Path | None = None) -> Counts:
    """Counts of the report at `path`; ReportRefused when missing, oversized or not JUnit.

    A copy without secrets goes to `kept`, unless it is larger than `KEPT_BYTES_MAX`.
    EnvironmentFault when the machine does not let us read or write.
    """
    content = redact_bytes(_content(path))
    if kept is not None and len(content) <= KEPT_BYTES_MAX:
        try:
            kept.write_bytes(content)
        except OSError as fault:
            raise refusal(fault, kept) from fault
    _survey(content)
    try:
        return _counts(_suites(junitparser.JUnitXml.fromstring(content)))
    # whatever the parser says of hostile input, it is no report
    except Exception as fault:
        raise ReportRefused(f"the report is not JUnit: {plain(str(fault), 200)}") from fault


def _content(path: Path) -> bytes:
    try:
        content = read_left(path, REPORT_BYTES_MAX)
    except Unreadable as fault:
        if fault.machine:
            raise EnvironmentFault(f"{path}: the report is {fault}", "look at the disk") from fault
        raise ReportRefused(f"the declared report is {fault}") from fault
    if not content.strip():
        raise ReportRefused("the declared report is empty")
    return content


def _survey(content: bytes) -> None:
    """One pass that builds nothing: no document type, so no entities; bounded depth and number."""
    parser = expat.ParserCreate()
    depth = elements = 0

    def start(_name: str, _attributes: object) -> None:
        nonlocal depth, elements
        depth, elements = depth + 1, elements + 1
        if depth > DEPTH_MAX or elements > ELEMENTS_MAX:
            raise ReportRefused("the report is nested too deep or has too many elements")

    def end(_name: str) -> None:
        nonlocal depth
        depth -= 1

    def doctype(*_: object) -> None:
        raise ReportRefused("the report declares a document type")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(content, True)
    except expat.ExpatError as fault:
        raise ReportRefused(f"the report is not XML: {fault}") from fault


def _suites(parsed: object) -> list[junitparser.TestSuite]:
    if isinstance(parsed, junitparser.TestSuite):
        return [parsed]
    return list(parsed) if isinstance(parsed, junitparser.JUnitXml) else []


def _counts(suites: list[junitparser.TestSuite]) -> Counts:
    run = skipped = 0
    failed = []
    green, silent = set(), set()
    for case in (case for suite in suites for case in suite):
        if case.is_failure or case.is_error:
            failed.append(case)
        elif case.is_skipped:
            skipped += 1
            silent.add(id_of_test(case.classname, case.name))
            continue
        else:
            green.add(id_of_test(case.classname, case.name))
        run += 1
    # a suite may fail in its set-up, with no test to show for it
    claimed = sum(_claimed(suite, key) for suite in suites for key in ("failures", "errors"))
    findings = tuple(_finding(case) for case in failed[:FINDINGS_MAX])
    red = {id_of_test(case.classname, case.name) for case in failed}
    reds = {each.test: each for each in map(_red, reversed(failed[: SUSPECTS_MAX + 1]))}
    return Counts(
        run,
        max(len(failed), claimed),
        skipped,
        findings,
        frozenset(green - red - {""}),
        frozenset(silent - green - red - {""}),
        tuple(reversed(reds.values())),
        max(0, claimed - len(failed)),
    )


def id_of_test(classname: str | None, name: str | None) -> str:
    """`classname::name` as a report gives them, as one plain line; empty when it names no test.

    One too long for a reference ends in a digest, so that no two tests share an id.
    """
    given = "::".join(filter(None, (classname, name)))
    line = " ".join(plain(given, len(given) + 4).split())
    if len(line) <= NAME_CHARACTERS_MAX:
        return line
    digest = hashlib.sha256(line.encode()).hexdigest()[:DIGEST_CHARACTERS]
    return f"{line[: NAME_CHARACTERS_MAX - DIGEST_CHARACTERS - 1]}~{digest}"


def _claimed(suite: junitparser.TestSuite, key: str) -> int:
    """A suite's own count, as written: junitparser's properties count again and forget it."""
    value = suite._elem.attrib.get(key, "")  # noqa: SLF001 - see above
    return _number(value)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0


def _finding(case: junitparser.TestCase) -> Finding:
    told, text, _ = _said(case)
    name = "::".join(filter(None, (case.classname, case.name))) or "a test without name"
    path, line = _place(case, text)
    message = f"{plain(name, NAME_CHARACTERS_MAX)}: {plain(told or text, MESSAGE_CHARACTERS_MAX)}"
    test = id_of_test(case.classname, case.name)
    return Finding("test", message, path, line, test=test)


def _red(case: junitparser.TestCase) -> Red:
    told, text, kind = _said(case)
    message = plain((told or text)[: 2 * PRINTED_CHARACTERS_MAX], PRINTED_CHARACTERS_MAX)
    test = id_of_test(case.classname, case.name)
    path, line = _place(case, text)
    erred = any(isinstance(each, junitparser.Error) for each in case.result)
    return Red(
        test,
        plain(message, MESSAGE_CHARACTERS_MAX),
        fingerprint(test, message),
        _spelling(case.classname),
        _spelling(case.name),
        _spelling(_file(case)),
        path,
        line,
        uncollected=erred and (not case.classname or bool(UNCOLLECTED.search(told))),
        timed_out=bool(TIMED_OUT.search(f"{kind}\n{told}"[:PRINTED_CHARACTERS_MAX])),
    )


def _spelling(given: str | None) -> str:
    return given if given and len(given) <= SPELLING_CHARACTERS_MAX else ""


def _said(case: junitparser.TestCase) -> tuple[str, str, str]:
    """Message, text and type of a red test's first result."""
    for each in case.result:
        if isinstance(each, (junitparser.Failure, junitparser.Error)):
            return each.message or "", each.text or "", each.type or ""
    return "", "", ""


def _file(case: junitparser.TestCase) -> str:
    return str(case._elem.attrib.get("file", ""))  # noqa: SLF001 - junitparser hides `file`


def _place(case: junitparser.TestCase, text: str) -> tuple[str, int]:
    """Path and line of a failure: the last that its text names, else those of the test."""
    path, line = _file(case), str(case._elem.attrib.get("line", ""))  # noqa: SLF001 - as above
    places = list(PLACE.finditer(text[-65_536:]))
    if places:
        path, line = places[-1]["path"], places[-1]["line"]
    return plain(path, NAME_CHARACTERS_MAX), _number(line)
