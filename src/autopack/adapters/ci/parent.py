"""A green candidate beside its parent: tests that went, tests that prove the change, and not.

The parent's tests are known from when it was tested, or it is run once for them. New tests are run
on the parent with the candidate's test files laid over it: green there, they prove nothing. Only
says so; whether that is accepted, others decide.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autopack.adapters.ci.blaming import Side
from autopack.adapters.ci.execution import Judged
from autopack.adapters.ci.records import ids_of, remember_ids
from autopack.app.greens import GreenResults
from autopack.app.ports import Repository
from autopack.core import idset
from autopack.core.blame import Red
from autopack.core.errors import refusal
from autopack.core.event import CiVerdict
from autopack.core.idset import PROVED_MAX, UNKNOWN, Comparison, IdSet
from autopack.core.patch import EXECUTABLE, FILE, TreeDiff
from autopack.core.project import CiCommand, Report
from autopack.core.run import Finding, Severity
from autopack.core.said import Result, agreed
from autopack.core.selection import selected
from autopack.core.spec import NewTests
from autopack.core.test_file import is_test_file

LAID_FILES_MAX: Final = 500
LAID_BYTES_MAX: Final = 4 << 20
"""Of one test file that is laid over the parent."""
FRESH_MAX: Final = 500
"""New tests that are run on the parent."""


class Cancelled(Exception):
    """It was told to end."""


@dataclass(frozen=True)
class Shown:
    """What its tests say of a green candidate beside its parent."""

    findings: tuple[Finding, ...] = ()
    proved: tuple[str, ...] = ()
    """Red on the parent, green now; the first of them."""


@dataclass(frozen=True)
class Beside:
    """The candidate and the commit that its tests are compared with."""

    repository: Repository
    candidate: Side
    parent: Callable[[], Side]
    greens: GreenResults
    commands: tuple[CiCommand, ...]
    diff: TreeDiff
    """What the candidate changes, against its own parent."""
    new_tests: NewTests

    def shown(self, now: IdSet, by_command: Sequence[frozenset[str]]) -> Shown:
        """What is to be said; `by_command`: the tests that each command ran. Cancelled."""
        if not any(command.report is Report.JUNIT for command in self.commands):
            return Shown()
        before = self._before()
        if not (before.whole and now.whole):
            whose = "parent commit's" if not before.whole else "candidate's"
            said = f"the {whose} tests are not all told by reports that can be believed"
            return Shown((Finding(UNKNOWN, said, severity=Severity.NOTE),))
        found = idset.compared(before, now)
        unproven, proved = self._fresh(found, by_command)
        told = tuple(sorted({*found.turned, *proved}))
        asks = self._asks(unproven, told)
        return Shown(idset.findings(found, unproven, asks=asks), told[:PROVED_MAX])

    def _asks(self, unproven: Sequence[str], proved: Sequence[str]) -> bool:
        if self.new_tests is NewTests.ALL_RED:
            return bool(unproven)
        return self.new_tests is NewTests.SOME_RED and bool(unproven) and not proved

    def _before(self) -> IdSet:
        """The parent's tests, known or found out by one run of all commands."""
        side = self.parent()
        known = ids_of(self.greens, side.judging)
        if known is not None:
            return known
        place, ids = side.clones.fresh(side.commit, "clone-base"), IdSet()
        try:
            place.lend()
            for number, command in enumerate(self.commands):
                judged = place.run(command, f"{number}.parent")
                if judged.verdict is CiVerdict.CANCELLED:
                    raise Cancelled
                if command.report is Report.JUNIT:
                    ids = ids.with_result(self._twice(side, number, command, judged))
        finally:
            place.discard()
        remember_ids(self.greens, side.judging, ids)
        return ids

    def _twice(self, side: Side, number: int, command: CiCommand, first: Judged) -> Result:
        """What a command says of the parent; its red tests once more, for one may be a flake."""
        if not first.reds:
            return first.result
        place = side.clones.fresh(side.commit, "clone-base-again")
        try:
            place.lend()
            argv = selected(command.rerun, first.reds, side.paths) if command.rerun else None
            again = place.run(command, f"{number}.parent-again", argv or ())
        finally:
            place.discard()
        if again.verdict is CiVerdict.CANCELLED:
            raise Cancelled
        return agreed((first.result, again.result if again.told else Result()))

    def _fresh(
        self, found: Comparison, by_command: Sequence[frozenset[str]]
    ) -> tuple[list[str], list[str]]:
        """New tests that are green on the parent, with the candidate's tests, and those not."""
        files = dict(self._files())
        if not found.fresh or not files or len(found.fresh) > FRESH_MAX:
            return [], []
        side = self.parent()
        unproven: list[str] = []
        proved: list[str] = []
        for number, (command, ran) in enumerate(zip(self.commands, by_command, strict=True)):
            mine = [test for test in found.fresh if test in ran]
            if not mine or {*mine} <= {*unproven, *proved}:
                continue
            judged = self._laid_over(side, files, number, command, mine)
            if judged.verdict is CiVerdict.CANCELLED:
                raise Cancelled
            if not judged.ended:
                continue  # of a command that was killed or ran out of time nothing is known
            unproven += [test for test in mine if test in judged.passed]
            proved += [test for test in mine if test not in judged.passed]
        return unproven, proved

    def _laid_over(
        self,
        side: Side,
        files: Mapping[str, tuple[bytes, bool]],
        number: int,
        command: CiCommand,
        tests: Sequence[str],
    ) -> Judged:
        place = side.clones.fresh(side.commit, "clone-laid")
        try:
            for path, (content, executable) in files.items():
                _lay(place.clone, path, content, executable=executable)
            place.lend()
            argv = selected(command.rerun, _named(tests), side.paths | files.keys())
            return place.run(command, f"{number}.laid", argv or ())
        finally:
            place.discard()

    def _files(self) -> Iterator[tuple[str, tuple[bytes, bool]]]:
        """The test files that the candidate adds or changes, with whether each is executable."""
        taken = 0
        for change in self.diff.changes:
            path = change.path.decode(errors="replace")
            if change.new_mode not in {FILE, EXECUTABLE} or not is_test_file(path):
                continue
            if taken >= LAID_FILES_MAX or change.size > LAID_BYTES_MAX:
                continue
            content = self.repository.read(self.candidate.commit, path)
            if content is not None:
                taken += 1
                yield path, (content, change.new_mode == EXECUTABLE)


def _named(tests: Sequence[str]) -> list[Red]:
    """Tests as a selection needs them, taken from their ids."""
    made = []
    for test in tests:
        classname, _, name = test.partition("::")
        made.append(Red(test, "", "", classname if name else "", name or classname))
    return made


def _lay(clone: Path, path: str, content: bytes, *, executable: bool) -> None:
    """Write a file into a clone that nobody works in yet; never through a link of the commit."""
    target = clone
    try:
        for part in Path(path).parts[:-1]:
            target /= part
            if target.is_symlink() or (target.exists() and not target.is_dir()):
                target.unlink()
            target.mkdir(exist_ok=True)
        target /= Path(path).name
        if target.is_dir() and not target.is_symlink():
            return  # a folder of the parent: the file has no place there
        with suppress(FileNotFoundError):
            target.unlink()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        mode = stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH
        execute = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH
        descriptor = os.open(target, flags, mode | (execute if executable else 0))
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError as fault:
        raise refusal(fault, target) from fault
