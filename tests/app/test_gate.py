"""The gate over its checks: which of them look, what is kept of what they say, what a fault is."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from typing import Any

import pytest

from autopack.app.checks import FILE_BYTES_MAX, POLICY, Line, NamedCheck, Subject
from autopack.app.gate import judge
from autopack.app.ports import Cancel
from autopack.core import gate
from autopack.core.errors import EnvironmentFault
from autopack.core.event import GateVerdict
from autopack.core.policy import Rules
from autopack.core.run import Candidate, CheckVerdict, Finding, Severity
from autopack.testing import FakeClock, MemoryRepository, Objects, UserRepository
from tests.core.walk import phase_spec, run_spec
from tests.keys import planted

BEFORE = {b"src/a.txt": b"one\ntwo\n", b"AGENTS.md": b"be good\n"}


def subject(after: dict[bytes, bytes], before: dict[bytes, bytes] | None = None) -> Subject:
    user = UserRepository(Objects())
    base = user.commit(before or BEFORE)
    repository = MemoryRepository({"user": user})
    repository.prepare("user", "main", base, "autonomous/r")
    tree = repository.objects.add_tree(after)
    commit = repository.commit(tree, base, "work", 1, "refs/autopack/r/P1/1")
    spec = run_spec(phase_spec("P1"))
    rules = Rules(scope=("/src/", "/AGENTS.md"))
    candidate = Candidate("1", commit, tree, base)
    diff = repository.diff(base, tree)
    return Subject(spec, spec.phases[0], rules, candidate, diff, repository)


class Stub:
    """A check of a stranger: says what it was told to say, and counts how often."""

    def __init__(self, *says: Any, fault: Exception | None = None) -> None:
        self.says, self.fault, self.looks = says, fault, 0

    def __call__(self, subject: Subject, cancel: Cancel) -> Iterable[Finding]:
        self.looks += 1
        if self.fault is not None:
            raise self.fault
        yield from self.says


def odd(**fields: Any) -> Finding:
    """A finding whose fields are not what they are declared to be."""
    return Finding(**{"rule": "rule", "message": "x", **fields})


def checks(**others: Stub) -> list[NamedCheck]:
    return [*POLICY[:-1], *(NamedCheck(name, stub) for name, stub in others.items()), POLICY[-1]]


def test_all_pass_and_each_is_told() -> None:
    mine = Stub()
    found = judge(subject({**BEFORE, b"src/a.txt": b"one\n"}), checks(mine=mine))
    assert found.verdict is GateVerdict.PASS
    assert [each.check for each in found.checks] == [
        "structure", "scope", "protected", "mine", "deliverables",
    ]  # fmt: skip
    assert {each.verdict for each in found.checks} == {CheckVerdict.PASS}
    assert (found.not_run, mine.looks) == ((), 1)


def test_a_cheap_failure_spares_the_dear_ones_and_says_so() -> None:
    mine, other = Stub(), Stub()
    found = judge(
        subject({**BEFORE, b"out.txt": b"x\n", b"AGENTS.md": b"be bad\n"}),
        checks(commands=mine, other=other),
    )
    assert found.verdict is GateVerdict.FAIL
    verdicts = {each.check: each.verdict for each in found.checks}
    assert verdicts == {
        "structure": CheckVerdict.PASS,
        "scope": CheckVerdict.FAIL,
        "protected": CheckVerdict.NEEDS_AUDITOR,  # the builder is told of all that is cheap
        "deliverables": CheckVerdict.PASS,
    }
    assert found.not_run == ("commands", "other")
    assert (mine.looks, other.looks) == (0, 0)
    assert {finding.rule for finding in found.findings} == {"scope", "protected-path"}


def test_a_dear_failure_spares_those_after_it() -> None:
    first, second = Stub(Finding("lint", "is red")), Stub()
    found = judge(subject({**BEFORE, b"src/b.txt": b"x\n"}), checks(first=first, second=second))
    assert (found.verdict, found.not_run) == (GateVerdict.FAIL, ("second",))
    assert second.looks == 0


def test_waived_questions_are_no_findings_any_more_but_stay_told() -> None:
    changed = subject({**BEFORE, b"AGENTS.md": b"be better\n"})
    asked = judge(changed, POLICY)
    assert asked.verdict is GateVerdict.NEEDS_AUDITOR
    waiver = gate.waiver(asked.checks, "it must be so", 1)
    assert waiver
    again = judge(changed, POLICY, (waiver,))
    assert (again.verdict, again.findings) == (GateVerdict.PASS, ())
    (waived,) = (each for each in again.checks if each.verdict is CheckVerdict.WAIVED)
    assert (waived.check, waived.reason) == ("protected", "it must be so")
    assert [found.path for found in waived.findings] == ["AGENTS.md"]


@pytest.mark.parametrize(
    "stub",
    [
        Stub(fault=ValueError("its own mistake")),
        Stub(fault=RecursionError()),
        Stub("no finding"),
        Stub(odd(message=5)),
        Stub(odd(severity="sometimes")),
        Stub(odd(line="first")),
    ],
)
def test_a_check_that_cannot_do_its_work_is_the_environments_failure(stub: Stub) -> None:
    with pytest.raises(EnvironmentFault, match="check 'mine'"):
        judge(subject({**BEFORE, b"src/b.txt": b"x\n"}), checks(mine=stub))


def test_a_system_that_refuses_a_check_is_told_as_such() -> None:
    stub = Stub(fault=OSError(errno.EIO, os.strerror(errno.EIO), "lint.cfg"))
    with pytest.raises(EnvironmentFault, match=r"'mine' failed: lint\.cfg: Input/") as told:
        judge(subject({**BEFORE, b"src/b.txt": b"x\n"}), checks(mine=stub))
    assert "Error(" not in str(told.value)


def test_a_fault_of_a_check_is_told_as_it_is() -> None:
    stub = Stub(fault=EnvironmentFault("no room"))
    with pytest.raises(EnvironmentFault, match="no room"):
        judge(subject({**BEFORE, b"src/b.txt": b"x\n"}), checks(mine=stub))


def test_what_a_check_says_is_bounded_plain_and_without_secrets() -> None:
    secret = planted()["github"]
    stub = Stub(
        Finding(
            "rule", f"\x1b[31m{secret} " + "x" * 100_000, f"src/{secret}", severity=Severity.ASK
        )
    )
    found = judge(subject({**BEFORE, b"src/b.txt": b"x\n"}), checks(mine=stub))
    (finding,) = found.findings
    assert len(finding.message) <= 8_000
    assert "\x1b" not in finding.message
    assert secret not in repr(found)


def test_a_check_that_never_ends_its_findings_is_stopped() -> None:
    def endless(subject: Subject, cancel: Cancel) -> Iterable[Finding]:
        while True:
            yield Finding("rule", "again")

    with pytest.raises(EnvironmentFault, match="more than"):
        judge(subject({**BEFORE, b"src/b.txt": b"x\n"}), [NamedCheck("mine", endless)])


def test_it_tells_how_long_each_took() -> None:
    clock = FakeClock()

    def slow(subject: Subject, cancel: Cancel) -> Iterable[Finding]:
        clock.advance(2.5)
        return ()

    looked = judge(subject(dict(BEFORE)), [NamedCheck("mine", slow)], clock=clock)
    assert [each.seconds for each in looked.checks] == [2.5]


# --- what a check sees ----------------------------------------------------------------------------


def test_added_lines_are_those_that_the_file_had_not_or_less_often() -> None:
    seen = subject({**BEFORE, b"src/a.txt": b"two\nthree\none\ntwo\n"})
    assert seen.added(b"src/a.txt") == (Line(2, "three"), Line(4, "two"))
    assert seen.added(b"src/none") == ()


def test_lines_are_read_whatever_the_encoding() -> None:
    seen = subject({**BEFORE, b"src/w": "ä\nb\n".encode("utf-16"), b"src/l": b"\xe4\n\0b"})
    assert [line.text for line in seen.added(b"src/w") or ()] == ["ä", "b"]
    assert [line.text for line in seen.added(b"src/l") or ()] == ["\ufffd", "\0b"]


def test_old_and_new_are_told_and_what_is_too_large_is_told_as_that() -> None:
    large = b"x" * (FILE_BYTES_MAX + 1)
    seen = subject({b"src/a.txt": b"one\n", b"src/large": large})
    old, new = seen.old(b"src/a.txt"), seen.new(b"src/a.txt")
    assert old
    assert new
    assert (old.data, new.data) == (b"one\ntwo\n", b"one\n")
    assert seen.new(b"AGENTS.md") is None
    unread = seen.new(b"src/large")
    assert unread
    assert (unread.size, unread.data) == (len(large), None)
    assert seen.added(b"src/large") is None
