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

from autopack.core.errors import EnvironmentFault
from autopack.core.redact import redact_bytes
from autopack.core.run import Finding
from autopack.core.words import plain
from autopack.process.folders import Unreadable, read_left

REPORT_BYTES_MAX: Final = 32 << 20
DEPTH_MAX: Final = 64
ELEMENTS_MAX: Final = 1_000_000
FINDINGS_MAX: Final = 20
MESSAGE_CHARACTERS_MAX: Final = 2_000
NAME_CHARACTERS_MAX: Final = 300
DIGEST_CHARACTERS: Final = 12
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


def read_report(path: Path) -> Counts:
    """Counts of the report at `path`; ReportRefused when missing, oversized or not JUnit.

    EnvironmentFault when the machine does not let us read it.
    """
    content = redact_bytes(_content(path))
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
    green = set()
    for case in (case for suite in suites for case in suite):
        if case.is_failure or case.is_error:
            failed.append(case)
        elif case.is_skipped:
            skipped += 1
            continue
        else:
            green.add(id_of_test(case.classname, case.name))
        run += 1
    # a suite may fail in its set-up, with no test to show for it
    claimed = sum(_claimed(suite, key) for suite in suites for key in ("failures", "errors"))
    findings = tuple(_finding(case) for case in failed[:FINDINGS_MAX])
    red = {id_of_test(case.classname, case.name) for case in failed}
    return Counts(run, max(len(failed), claimed), skipped, findings, frozenset(green - red - {""}))


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
    results = [r for r in case.result if isinstance(r, (junitparser.Failure, junitparser.Error))]
    told, text = "", ""
    if results:
        told, text = results[0].message or "", results[0].text or ""
    name = "::".join(filter(None, (case.classname, case.name))) or "a test without name"
    attributes = case._elem.attrib  # noqa: SLF001 - junitparser offers no other way to `file`
    path, line = attributes.get("file", ""), attributes.get("line", "")
    places = list(PLACE.finditer(text[-65_536:]))
    if places:
        path, line = places[-1]["path"], places[-1]["line"]
    message = f"{plain(name, NAME_CHARACTERS_MAX)}: {plain(told or text, MESSAGE_CHARACTERS_MAX)}"
    test = id_of_test(case.classname, case.name)
    return Finding("test", message, plain(path, NAME_CHARACTERS_MAX), _number(line), test=test)
