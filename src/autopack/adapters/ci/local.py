"""CI on this machine: a candidate's clone, the base's commands, a fence without network.

What may count as green is decided here and nowhere in the clone: commands come from the base
commit, the report lies in a folder of ours, and a report that is missing, unreadable or tells of no
test is never green. Green is remembered by what was judged; nothing else is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

from autopack.adapters.ci.environment import (
    Environments,
    PrepareCancelled,
    PrepareFailed,
)
from autopack.adapters.ci.junit import Counts, ReportRefused, read_report
from autopack.app.ports import Cancel, Repository, Tested, TestTask
from autopack.core.errors import EnvironmentFault, OperatorFault, refusal
from autopack.core.event import CiVerdict
from autopack.core.project import (
    CiCommand,
    Project,
    Report,
    parse_project,
    profile_digest,
)
from autopack.core.reader import (
    FILE_NAME,
)
from autopack.core.run import (
    Evidence,
    Finding,
)
from autopack.core.spec import (
    RunSpec,
)
from autopack.core.words import plain
from autopack.process.folders import borrowed_objects, clear, write_log
from autopack.process.limits import Ended, Finished, Limits, ProgramMissing
from autopack.process.workbench import Job, PlaceTaken, Prepared, Workbench

EVIDENCE_CHARACTERS_MAX: Final = 4_000
PASSED_KEPT_MAX: Final = 5_000
"""Ids of green tests that a green result keeps; those that are watched come first."""


class GreenResults(Protocol):
    """The part of the store that remembers green results."""

    def green(self, key: str) -> str | None: ...

    def remember_green(self, key: str, result: str) -> None: ...


@dataclass(frozen=True)
class CiLimits:
    """What one CI command may use; its time is the project's to say."""

    output_bytes_max: int = 16 << 20
    memory_bytes_max: int | None = None
    processes_max: int | None = 4_096
    file_bytes_max: int | None = 8 << 30


@dataclass(frozen=True)
class Judged:
    """One command's result: green when `verdict` is PASS."""

    verdict: CiVerdict
    summary: str = ""
    tests_run: int = 0
    findings: tuple[Finding, ...] = ()
    passed: frozenset[str] = frozenset()
    """Ids of the tests that ran and were not red."""
    more: int = 0
    """Red tests that are not among the findings."""


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
            return self._test(task, cancel)
        except PrepareCancelled:
            return Tested(CiVerdict.CANCELLED)
        except PlaceTaken as fault:
            return _red(Judged(CiVerdict.FAIL, fault.what))
        except (EnvironmentFault, OperatorFault) as fault:
            return Tested(CiVerdict.INFRA, error=str(fault))
        except OSError as fault:
            return Tested(CiVerdict.INFRA, error=str(refusal(fault, task.folder)))

    def _test(self, task: TestTask, cancel: Cancel) -> Tested:
        repository = self.repository_of(task.run)
        project = self._project(repository, task.run)
        commands = project.profile(task.profile)
        spec = project.environment
        digest = self.environments.key(repository, spec, task.commit)
        key = self._green_key(task, commands, digest)
        if (known := self.greens.green(key)) is not None:
            return _cached(json.loads(known), task.watched)
        with self.environments.held(digest) if spec else nullcontext():
            own = digest != self.environments.key(repository, spec, task.run.base_commit)
            try:
                prepared = self.environments.build(
                    repository, spec, task.run.base_commit, cancel, task.commit if own else ""
                )
            except PrepareFailed as fault:
                if own:
                    return _red(
                        Judged(CiVerdict.FAIL, f"the candidate's environment: {fault.what}")
                    )
                raise
            tested = self._commands(task, repository, commands, prepared, cancel)
        if tested.verdict is CiVerdict.PASS:
            value = {"tests_run": tested.tests_run, "weak": tested.weak, "commit": task.commit}
            green = _watched(tested.passed, task.watched)
            others = [test for test in tested.passed if test not in green]
            value["passed"] = [*green, *others][:PASSED_KEPT_MAX]
            self.greens.remember_green(key, json.dumps(value))
            tested = replace(tested, passed=green)
        return tested

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

    def _green_key(self, task: TestTask, commands: tuple[CiCommand, ...], digest: str) -> str:
        fenced = "fenced" if self.workbench.sandbox.fenced else "unfenced"
        parts = (task.tree, task.profile.value, profile_digest(commands), digest, fenced)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _commands(
        self,
        task: TestTask,
        repository: Repository,
        commands: tuple[CiCommand, ...],
        prepared: Prepared,
        cancel: Cancel,
    ) -> Tested:
        """All commands in one clone, up to the first that is not green; `passed`: all green."""
        clone = task.folder / "clone"
        for leftover in (clone, task.folder / "reports", task.log_folder):
            clear(leftover)  # of a try that a crash cut short
        task.log_folder.mkdir(parents=True)
        repository.clone(task.commit, clone)
        objects = borrowed_objects(clone)
        self.workbench.lend(clone)
        tests_run, passed = 0, set[str]()
        for number, command in enumerate(commands):
            judged = self._command(task, clone, objects, number, command, prepared, cancel)
            tests_run += judged.tests_run
            passed |= judged.passed
            if judged.verdict is not CiVerdict.PASS:
                if judged.verdict is CiVerdict.CANCELLED:
                    return Tested(CiVerdict.CANCELLED)
                return _red(judged, tests_run)
        weak = all(command.report is Report.EXIT_CODE for command in commands)
        green = tuple(sorted(passed))
        return Tested(CiVerdict.PASS, tests_run=tests_run, weak=weak, passed=green)

    def _command(
        self,
        task: TestTask,
        clone: Path,
        objects: tuple[Path, ...],
        number: int,
        command: CiCommand,
        prepared: Prepared,
        cancel: Cancel,
    ) -> Judged:
        reports = task.folder / "reports" / str(number)
        reports.mkdir(parents=True)
        self.workbench.lend(reports)
        report = reports / "report.xml"
        argv = tuple(word.replace("{report}", str(report)) for word in command.argv)
        limits = Limits(
            command.seconds_max,
            output_bytes_max=self.limits.output_bytes_max,
            memory_bytes_max=self.limits.memory_bytes_max,
            processes_max=self.limits.processes_max,
            file_bytes_max=self.limits.file_bytes_max,
        )
        job = Job(argv, clone, limits, {"CI": "1"}, prepared, objects, (reports,))
        try:
            finished = self.workbench.run(job, cancel)
        except ProgramMissing:
            if "/" in argv[0] and not argv[0].startswith("/"):
                return Judged(CiVerdict.FAIL, f"{argv[0]} of the repository cannot be executed")
            raise
        write_log(task.log_folder / f"{number}.log", argv, finished)
        return judge(command, finished, report)


def judge(command: CiCommand, finished: Finished, report: Path) -> Judged:
    """The verdict on one command that has run."""
    name = " ".join(command.argv)[:200]
    if finished.ended is Ended.CANCELLED:
        return Judged(CiVerdict.CANCELLED)
    if finished.ended in (Ended.TIMED_OUT, Ended.IDLE):
        what = f"{name}: not done after {command.seconds_max} s"
        return Judged(CiVerdict.FAIL, f"{what}\n{_tail(finished)}")
    if finished.ended is not Ended.EXITED:
        return Judged(CiVerdict.INVALID, f"{name}: killed ({finished.ended})\n{_tail(finished)}")
    if command.report is Report.EXIT_CODE:
        verdict = CiVerdict.PASS if finished.ok else CiVerdict.FAIL
        return Judged(verdict, "" if finished.ok else f"{_exit(name, finished)}\n{_tail(finished)}")
    try:
        counts = read_report(report)
    except ReportRefused as fault:
        summary = f"{_exit(name, finished)}; {fault}\n{_tail(finished)}"
        return Judged(CiVerdict.INVALID, summary)
    return _judge_counts(name, finished, counts)


def _judge_counts(name: str, finished: Finished, counts: Counts) -> Judged:
    if counts.failed:
        summary = f"{name}: {counts.failed} of {max(counts.run, counts.failed)} tests failed"
        if not counts.findings:
            summary += f"\n{_tail(finished)}"
        more = counts.failed - len(counts.findings) if counts.findings else 0
        return Judged(CiVerdict.FAIL, summary, counts.run, counts.findings, more=more)
    if not counts.run:
        skipped = f" ({counts.skipped} skipped)" if counts.skipped else ""
        summary = f"{_exit(name, finished)}; no test ran{skipped}\n{_tail(finished)}"
        return Judged(CiVerdict.INVALID, summary)
    if not finished.ok:
        summary = f"{_exit(name, finished)}, though its report shows no failure\n{_tail(finished)}"
        return Judged(CiVerdict.FAIL, summary, counts.run)
    return Judged(CiVerdict.PASS, tests_run=counts.run, passed=counts.passed)


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


def _exit(name: str, finished: Finished) -> str:
    return f"{name}: exit code {finished.exit_code}"


def _tail(finished: Finished) -> str:
    """The end of what a command said, for the builder's next attempt."""
    said = [part.decode(errors="replace") for part in (finished.stdout, finished.stderr)]
    half = EVIDENCE_CHARACTERS_MAX // 2
    return "\n".join(plain(part[-half:], half) for part in said if part.strip())


def _red(judged: Judged, tests_run: int = 0) -> Tested:
    evidence = Evidence("ci", judged.summary.strip(), judged.findings, judged.more)
    return Tested(judged.verdict, evidence, tests_run)
