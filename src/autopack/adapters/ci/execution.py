"""One CI command in one clone: run in the fence, its report kept, its result judged.

A report lies in a folder of ours and is taken once; what it says counts only when the command
ended by itself. Never decides what a candidate's verdict is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from autopack.adapters.ci.junit import Counts, ReportRefused, read_report
from autopack.app.ports import Cancel, Repository
from autopack.core.blame import Red
from autopack.core.event import CiVerdict
from autopack.core.project import CiCommand, Report
from autopack.core.run import Finding
from autopack.core.said import Ending, Result
from autopack.core.selection import Runner, runner_of
from autopack.core.words import plain
from autopack.process.folders import borrowed_objects, clear, write_log
from autopack.process.limits import Ended, Finished, Limits, ProgramMissing
from autopack.process.workbench import Job, Prepared, Workbench

EVIDENCE_CHARACTERS_MAX: Final = 4_000
PYTEST_BROKEN: Final = frozenset({2, 3, 4})
"""Exit codes of pytest that tell of more than red tests: interrupted, its own error, its use."""


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
    skipped: frozenset[str] = frozenset()
    reds: tuple[Red, ...] = ()
    """Its red tests, when nothing but them speaks against the command; else empty."""
    told: bool = False
    """It has a report of each test that can be believed."""
    ended: bool = False
    """It ended by itself, and in time."""
    seconds: float = 0.0
    exit_code: int = 0

    @property
    def ending(self) -> Ending:
        """How it ended, beside its red tests."""
        return Ending(self.exit_code, len(self.reds))

    @property
    def result(self) -> Result:
        """What it says of each test."""
        red = {each.test: each.fingerprint for each in self.reds}
        return Result(self.passed, self.skipped, red, self.told, self.ending)


@dataclass(frozen=True)
class Clones:
    """Where commands of one environment run: each clone fresh, at a place of its own."""

    repository: Repository
    workbench: Workbench
    limits: CiLimits
    prepared: Prepared
    folder: Path
    """Clones and reports go below it."""
    logs: Path
    cancel: Cancel = field(compare=False)

    def fresh(self, commit: str, name: str) -> Place:
        """A clone of a commit; one of that name is thrown away."""
        clone, reports = self.folder / name, self.folder / f"{name}-reports"
        for leftover in (clone, reports):
            clear(leftover)  # of a try that a crash cut short
        self.logs.mkdir(parents=True, exist_ok=True)
        self.repository.clone(commit, clone)
        return Place(self, clone, reports, borrowed_objects(clone))


@dataclass(frozen=True)
class Place:
    """A clone in which one command after another runs."""

    clones: Clones
    clone: Path
    reports: Path
    objects: tuple[Path, ...]

    def lend(self) -> None:
        """Hand it to who runs there: from now on it is not to be believed."""
        self.clones.workbench.lend(self.clone)

    def discard(self) -> None:
        """Throw it away: a blamed command may take several clones, and each is as large as one."""
        self.clones.repository.discard(self.clone)

    def run(self, command: CiCommand, label: str, argv: Sequence[str] = ()) -> Judged:
        """Run a command, or `argv` in its place; `label` names its log and its report."""
        it = self.clones
        reports = self.reports / label
        reports.mkdir(parents=True)
        it.workbench.lend(reports)
        report = reports / "report.xml"
        argv = tuple(word.replace("{report}", str(report)) for word in argv or command.argv)
        limits = Limits(
            command.seconds_max,
            output_bytes_max=it.limits.output_bytes_max,
            memory_bytes_max=it.limits.memory_bytes_max,
            processes_max=it.limits.processes_max,
            file_bytes_max=it.limits.file_bytes_max,
        )
        env = {"CI": "1"}
        job = Job(argv, self.clone, limits, env, it.prepared, self.objects, (reports,))
        try:
            finished = it.workbench.run(job, it.cancel)
        except ProgramMissing:
            if "/" in argv[0] and not argv[0].startswith("/"):
                said = f"{argv[0]} of the repository cannot be executed"
                return Judged(CiVerdict.FAIL, said)
            raise
        write_log(it.logs / f"{label}.log", argv, finished)
        judged = judge(command, finished, report, it.logs / f"{label}.xml")
        return replace(
            judged,
            ended=finished.ended is Ended.EXITED,
            seconds=finished.seconds,
            exit_code=finished.exit_code or 0,
        )


def judge(command: CiCommand, finished: Finished, report: Path, kept: Path) -> Judged:
    """The verdict on one command that has run; its report is kept at `kept`."""
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
        counts = read_report(report, kept)
    except ReportRefused as fault:
        summary = f"{_exit(name, finished)}; {fault}\n{_tail(finished)}"
        return Judged(CiVerdict.INVALID, summary)
    return _judge_counts(name, finished, counts, runner_of(command.argv))


def _judge_counts(name: str, finished: Finished, counts: Counts, runner: Runner) -> Judged:
    broken = runner is Runner.PYTEST and finished.exit_code in PYTEST_BROKEN
    if counts.failed:
        summary = f"{name}: {counts.failed} of {max(counts.run, counts.failed)} tests failed"
        if not counts.findings:
            summary += f"\n{_tail(finished)}"
        more = counts.failed - len(counts.findings) if counts.findings else 0
        named = not counts.unnamed and not broken
        return Judged(
            CiVerdict.FAIL,
            summary,
            counts.run,
            counts.findings,
            counts.passed,
            more,
            counts.silent,
            counts.reds if named else (),
            told=named,
        )
    if not counts.run:
        skipped = f" ({counts.skipped} skipped)" if counts.skipped else ""
        summary = f"{_exit(name, finished)}; no test ran{skipped}\n{_tail(finished)}"
        return Judged(CiVerdict.INVALID, summary, skipped=counts.silent, told=not broken)
    if not finished.ok:
        summary = f"{_exit(name, finished)}, though its report shows no failure\n{_tail(finished)}"
        return Judged(CiVerdict.FAIL, summary, counts.run)
    return Judged(
        CiVerdict.PASS,
        tests_run=counts.run,
        passed=counts.passed,
        skipped=counts.silent,
        told=True,
    )


def _exit(name: str, finished: Finished) -> str:
    return f"{name}: exit code {finished.exit_code}"


def _tail(finished: Finished) -> str:
    """The end of what a command said, for the builder's next attempt."""
    said = [part.decode(errors="replace") for part in (finished.stdout, finished.stderr)]
    half = EVIDENCE_CHARACTERS_MAX // 2
    return "\n".join(plain(part[-half:], half) for part in said if part.strip())
