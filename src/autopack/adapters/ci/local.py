"""CI on this machine: a candidate's clone, the base's commands, a fence without network.

What may count as green is decided here and nowhere in the clone: commands come from the base
commit, the report lies in a folder of ours, and a report that is missing, unreadable or tells of no
test is never green. Green is remembered by what was judged, unless a test of it was flaky.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final

from autopack.adapters.ci.blaming import Blame, Inquiry, Side, blamed
from autopack.adapters.ci.environment import (
    Environments,
    PrepareCancelled,
    PrepareFailed,
)
from autopack.adapters.ci.execution import CiLimits, Clones, Judged
from autopack.adapters.ci.parent import Beside, Cancelled
from autopack.adapters.ci.records import Judging, ids_of, remember_ids
from autopack.app.greens import GreenResults
from autopack.app.ports import Cancel, Repository, Tested, TestTask
from autopack.core.blame import Blamed, Exoneration
from autopack.core.errors import EnvironmentFault, OperatorFault, refusal
from autopack.core.event import CiVerdict
from autopack.core.idset import IdSet
from autopack.core.patch import TreeDiff
from autopack.core.project import (
    CiCommand,
    Project,
    Report,
    parse_project,
)
from autopack.core.reader import (
    FILE_NAME,
)
from autopack.core.run import (
    Evidence,
)
from autopack.core.spec import (
    RunSpec,
)
from autopack.process.folders import clear
from autopack.process.workbench import PlaceTaken, Prepared, Workbench

PASSED_KEPT_MAX: Final = 5_000
"""Ids of green tests that a green result keeps; those that are watched come first."""


@dataclass(frozen=True)
class LocalVerifier:
    """The Verifier port on this machine; `repository_of` gives a run's own bare repository."""

    repository_of: Callable[[RunSpec], Repository]
    greens: GreenResults
    workbench: Workbench
    environments: Environments
    limits: CiLimits = field(default_factory=CiLimits)
    project: Project | None = None
    """Says how to test, instead of each run's base: for judging history by today's profile."""

    def prepare(self, run: RunSpec, cancel: Cancel) -> str:
        """Build or find the base's environment; its digest. EnvironmentFault when it fails."""
        repository = self.repository_of(run)
        spec = self._project(repository, run).environment
        commit = run.base_commit
        return self.environments.build(repository, spec, commit, cancel).digest

    def test(self, task: TestTask, cancel: Cancel) -> Tested:
        """The verdict on a candidate; our own trouble is INFRA, never the candidate's red."""
        try:
            repository = self.repository_of(task.run)
            project = self._project(repository, task.run)
            return _Trial(self, task, repository, project, cancel).tested()
        except (PrepareCancelled, Cancelled):
            return Tested(CiVerdict.CANCELLED)
        except PlaceTaken as fault:
            return _red(Judged(CiVerdict.FAIL, fault.what))
        except (EnvironmentFault, OperatorFault) as fault:
            return Tested(CiVerdict.INFRA, error=str(fault))
        except OSError as fault:
            return Tested(CiVerdict.INFRA, error=str(refusal(fault, task.folder)))

    def _project(self, repository: Repository, run: RunSpec) -> Project:
        if self.project is not None:
            return self.project
        content = repository.read(run.base_commit, FILE_NAME)
        if content is None:
            what = f"the base commit {run.base_commit[:12]} has no {FILE_NAME}"
            raise OperatorFault(what, "write one with `autopack init` and commit it")
        parsed = parse_project(content.decode(errors="replace"), run.project_id)
        if isinstance(parsed, Project):
            return parsed
        raise OperatorFault("\n".join(map(str, parsed)), f"mend {FILE_NAME} and commit it")


@dataclass
class _Said:
    """What all commands said so far."""

    tests_run: int = 0
    seconds: float = 0.0
    passed: set[str] = field(default_factory=set)
    by_command: list[frozenset[str]] = field(default_factory=list)
    ids: IdSet = field(default_factory=IdSet)
    exonerated: list[Exoneration] = field(default_factory=list)

    def add(self, command: CiCommand, judged: Judged, found: Blame) -> None:
        """One command more, with what was found out about its red tests."""
        self.tests_run += judged.tests_run
        self.seconds += judged.seconds + found.seconds
        self.passed |= judged.passed
        self.by_command.append(judged.passed)
        self.exonerated += found.exonerated
        if command.report is Report.JUNIT:
            self.ids = self.ids.with_result(judged.result)


class _Trial:
    """One candidate under test."""

    def __init__(
        self,
        verifier: LocalVerifier,
        task: TestTask,
        repository: Repository,
        project: Project,
        cancel: Cancel,
    ) -> None:
        self.it = verifier
        self.task = task
        self.repository = repository
        self.spec = project.environment
        self.commands = project.profile(task.profile)
        self.cancel = cancel
        self.held = ExitStack()
        """Environments of the parent, kept while they are used."""
        self.parent = cache(self._parent)
        self.diff = cache(self._diff)

    def tested(self) -> Tested:
        """The verdict, with what the parent's tests say beside it."""
        with ExitStack() as self.held:
            return self._tested()

    def _tested(self) -> Tested:
        task = self.task
        judging = self._judging(task.tree, task.commit)
        known, ids = self.it.greens.green(judging.key()), ids_of(self.it.greens, judging)
        if known is not None and (ids is not None or not task.parent):
            tested = _cached(json.loads(known), task.watched)
            if not task.parent or ids is None:
                return tested
            # which command ran what is not kept: a new test is looked for in the first that has it
            return self._beside(tested, judging, ids, [ids.passed] * len(self.commands))
        with self._environment(judging.digest) as prepared:
            if isinstance(prepared, Tested):
                return prepared
            return self._commands(judging, prepared)

    @contextmanager
    def _environment(self, digest: str) -> Iterator[Prepared | Tested]:
        """The candidate's environment; a verdict when what it changed cannot be built."""
        it, base = self.it.environments, self.task.run.base_commit
        with it.held(digest) if self.spec else nullcontext():
            own = digest != it.key(self.repository, self.spec, base)
            changed_by = self.task.commit if own else ""
            made: Prepared | Tested
            try:
                made = it.build(self.repository, self.spec, base, self.cancel, changed_by)
            except PrepareFailed as fault:
                if not own:
                    raise
                what = f"the candidate's environment: {fault.what}"
                made = _red(Judged(CiVerdict.FAIL, what))
            yield made

    def _judging(self, tree: str, commit: str) -> Judging:
        digest = self.it.environments.key(self.repository, self.spec, commit)
        fenced = self.it.workbench.sandbox.fenced
        return Judging(tree, self.task.profile, self.commands, digest, fenced)

    def _side(self, commit: str, judging: Judging, prepared: Prepared) -> Side:
        it, task = self.it, self.task
        clones = Clones(
            self.repository, it.workbench, it.limits, prepared, task.folder, task.log_folder,
            self.cancel,
        )  # fmt: skip
        return Side(commit, clones, judging)

    def _commands(self, judging: Judging, prepared: Prepared) -> Tested:
        """All commands in one clone, up to the first that is not green; `passed`: all green."""
        task, said = self.task, _Said()
        clear(task.log_folder)  # of a try that a crash cut short
        side = self._side(task.commit, judging, prepared)
        place = side.clones.fresh(task.commit, "clone")
        place.lend()
        for number, command in enumerate(self.commands):
            judged = place.run(command, str(number))
            found = self._blamed(side, number, command, judged, said)
            said.add(command, judged, found)
            if found.judged.verdict is CiVerdict.CANCELLED:
                raise Cancelled
            if found.judged.verdict is not CiVerdict.PASS:
                red = _red(found.judged, said.tests_run)
                return replace(red, exonerated=tuple(said.exonerated))
        place.discard()
        return self._green(judging, said)

    def _blamed(
        self, side: Side, number: int, command: CiCommand, judged: Judged, said: _Said
    ) -> Blame:
        if not self.task.parent or judged.verdict is not CiVerdict.FAIL or not judged.reds:
            return Blame(judged)
        inquiry = Inquiry(
            side,
            self.parent,
            frozenset(each.path.decode(errors="replace") for each in self.diff().changes),
            frozenset(self.task.quarantined),
            ids_of(self.it.greens, self._parent_judging(self.task.parent)),
            len(said.ids.ends),
            self.it.greens,
            self.task.seconds_left,
        )
        return blamed(inquiry, number, command, judged, said.seconds + judged.seconds)

    def _green(self, judging: Judging, said: _Said) -> Tested:
        task = self.task
        watched = _watched(said.passed, task.watched)
        tested = Tested(
            CiVerdict.PASS,
            tests_run=said.tests_run,
            weak=all(command.report is Report.EXIT_CODE for command in self.commands),
            passed=watched,
            exonerated=tuple(said.exonerated),
        )
        if not said.exonerated:  # a test of it is red, on this parent or now and then
            self._remember(judging, tested, said.passed)
        if not task.parent:
            return tested
        flaky = [each for each in said.exonerated if each.kind is Blamed.FLAKY]
        ids = said.ids.with_flakes({each.test: each.fingerprint for each in flaky})
        remember_ids(self.it.greens, judging, ids)
        return self._beside(tested, judging, ids, said.by_command)

    def _remember(self, judging: Judging, tested: Tested, passed: Iterable[str]) -> None:
        value = {"tests_run": tested.tests_run, "weak": tested.weak, "commit": self.task.commit}
        others = [test for test in sorted(passed) if test not in tested.passed]
        value["passed"] = [*tested.passed, *others][:PASSED_KEPT_MAX]
        self.it.greens.remember_green(judging.key(), json.dumps(value))

    # --- beside the parent ------------------------------------------------------------------------

    def _beside(
        self, tested: Tested, judging: Judging, ids: IdSet, by_command: Sequence[frozenset[str]]
    ) -> Tested:
        nowhere = Prepared(judging.digest)  # the candidate itself does not run again
        shown = Beside(
            self.repository, self._side(self.task.commit, judging, nowhere), self._compared,
            self.it.greens, self.commands, self.diff(), self.task.phase.new_tests,
        ).shown(ids, by_command)  # fmt: skip
        return replace(tested, findings=shown.findings, proved=shown.proved)

    def _compared(self) -> Side:
        """The parent; while it is itself being tested ahead of the branch, the branch's tip."""
        task = self.task
        if task.tip in ("", task.parent):
            return self.parent()
        if ids_of(self.it.greens, self._parent_judging(task.parent)) is not None:
            return self.parent()
        return self._built(task.tip)

    def _parent(self) -> Side:
        return self._built(self.task.parent)

    def _parent_judging(self, commit: str) -> Judging:
        return self._judging(self.repository.tree(commit), commit)

    def _built(self, commit: str) -> Side:
        judging, base = self._parent_judging(commit), self.task.run.base_commit
        it = self.it.environments
        own = judging.digest != it.key(self.repository, self.spec, base)
        changed_by = commit if own else ""
        if self.spec:
            self.held.enter_context(it.held(judging.digest))
        prepared = it.build(self.repository, self.spec, base, self.cancel, changed_by)
        return self._side(commit, judging, prepared)

    def _diff(self) -> TreeDiff:
        return self.repository.diff(self.task.parent, self.task.tree)


def _cached(value: Mapping[str, Any], watched: Sequence[str]) -> Tested:
    """A result of before; one that kept no tests shows none to be green."""
    green = _watched(value.get("passed", ()), watched)
    return Tested(
        CiVerdict.PASS,
        tests_run=value["tests_run"],
        weak=value["weak"],
        cached=True,
        passed=green,
    )


def _watched(passed: Iterable[str], watched: Sequence[str]) -> tuple[str, ...]:
    green = frozenset(passed)
    return tuple(test for test in watched if test in green)


def _red(judged: Judged, tests_run: int = 0) -> Tested:
    evidence = Evidence("ci", judged.summary.strip(), judged.findings, judged.more)
    return Tested(judged.verdict, evidence, tests_run)
