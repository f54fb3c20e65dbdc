"""What many runs cost to read: reports, forecast and backlog of a store with 1,000 runs.

Beside a Python that imports what they cannot do without and reads the same rows. Whole processes,
in turn. python -m bench.memory
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from autopack.adapters.store.open import open_store
from autopack.core import machine
from autopack.core.command import Build, Check, Deliver, Land, PrepareBase, PrepareEnvironment
from autopack.core.command import Test as CiTest
from autopack.core.event import (
    AttemptEnded,
    BasePrepared,
    CandidateChecked,
    CandidateTested,
    CiVerdict,
    Delivered,
    EnvironmentPrepared,
    Event,
    GateVerdict,
    Happened,
    Outcome,
    RunCreated,
    SnapshotLanded,
)
from autopack.core.issue import IssueReport, IssueSource
from autopack.core.run import Candidate, Run
from autopack.core.spec import RunSpec
from bench import samples
from bench.cli_reads import IMPORTS, spent
from bench.measure import progress, ratio, table, times
from bench.overhead import environment, plan

RUNS = 1_000
KEYS = 500
ISSUES_A_PHASE = 2
GOAL = 3.5
ROUNDS = 5
ROWS = "; ".join(
    f"list(c.execute('select * from autopack_{name}'))"  # noqa: S608  names of ours
    for name in ("runs", "tiers", "phases", "issues")
)
READ = f"{IMPORTS}, sqlite3, sys; c = sqlite3.connect(sys.argv[1]); {ROWS}"


def main() -> None:
    """Print the table."""
    with samples.folder(samples.MEMORY) as place:
        project = place / "project"
        samples.repository(project, samples.SIZES["small"], "echo x > src/x-$AUTOPACK_PHASE_ID")
        ours = [sys.executable, "-m", "autopack.cli.main"]
        env = environment(place)
        path = plan(place, 3)
        begin = [*ours, "run", str(path), "--json", "--run-id", "bench-0"]
        subprocess.run(begin, cwd=project, env=env, check=True, capture_output=True)
        database = next((place / "data").glob("**/*.db"))
        _fill(database)
        commands = {
            "report runs": ("report", "runs"),
            "report budget": ("report", "budget"),
            "report backlog": ("report", "backlog"),
            "report run": ("report", "run", "bench-7"),
            "report forecast": ("report", "forecast", str(path)),
            "issues list": ("issues", "list", "--json"),
            "run --dry-run": ("run", str(path), "--dry-run"),
        }
        rows = [
            _row(name, [*ours, *words], project, env, database) for name, words in commands.items()
        ]
    head = ("command", "wall (ms)", "imports and rows (ms)", "wall / imports and rows")
    print(table(head, rows))
    issues = RUNS * 3 * ISSUES_A_PHASE
    print(
        f"\n{RUNS:,} runs of three phases, {issues:,} issues with {KEYS} keys, in memory. Imports"
        " and rows: a Python that imports what `cli_reads` does and reads every row of runs, tiers,"
        " phases and issues through `sqlite3`."
    )


def _fill(database: Path) -> None:
    """RUNS runs as the first one was, each with issues, by the machine and through the store."""
    store = open_store(database)
    try:
        spec = store.load("bench-0").spec
        for number in range(1, RUNS + 1):
            if number % 100 == 0:
                progress(f"memory: run {number} of {RUNS}")
            created = machine.create(replace(spec, run_id=f"bench-{number}"))
            run, at = created.run, 1_700_000_000 + number * 600
            store.create(run, Happened(RunCreated(run.spec), at))
            while run.pending:
                asked = run.pending[0]
                event = _answer(run, asked.command, number)
                happened = Happened(event, at, asked.number, 1.0)
                answer = machine.advance(run, happened)
                assert isinstance(answer, machine.Advanced), answer
                store.save(answer.run, happened, expected_version=run.version, within=_nothing)
                run = answer.run
    finally:
        store.close()


def _answer(run: Run, command: object, number: int) -> Event:
    match command:
        case PrepareBase():
            return BasePrepared()
        case PrepareEnvironment():
            return EnvironmentPrepared("digest")
        case Build(phase_id=phase_id, attempt=attempt):
            made = Candidate(str(attempt), f"{number:040x}", f"{number:040x}", run.tip)
            told = _issues(run.spec, phase_id, number)
            return AttemptEnded(phase_id, attempt, Outcome.SUBMITTED, 1_000 + number, made,
                                issues=told)  # fmt: skip
        case Check(phase_id=phase_id):
            return CandidateChecked(phase_id, GateVerdict.PASS)
        case CiTest(phase_id=phase_id):
            return CandidateTested(phase_id, CiVerdict.PASS, tests_run=1)
        case Land(phase_id=phase_id, candidate=candidate, tag=tag):
            return SnapshotLanded(phase_id, candidate.commit, tag)
        case Deliver(tip=tip):
            return Delivered(tip)
        case _:
            raise AssertionError(command)


def _issues(spec: RunSpec, phase_id: str, number: int) -> tuple[IssueReport, ...]:
    place = [phase.phase_id for phase in spec.phases].index(phase_id)
    keys = {(number * 7 + place * 13 + each * 101) % KEYS for each in range(ISSUES_A_PHASE)}
    return tuple(
        IssueReport(f"issue_{key}", IssueSource.PROBE, evidence_refs=(f"path:src/{key}.py",),
                    description="what is wrong " * 5)
        for key in sorted(keys)
    )  # fmt: skip


def _nothing(_transaction: object) -> None:
    """Nothing more is written with the event."""


def _row(
    name: str, argv: list[str], cwd: Path, env: dict[str, str], database: Path
) -> tuple[str, ...]:
    """Medians of both and of their ratios, pair by pair."""
    progress(f"memory: {name}")
    base = [sys.executable, "-c", READ, str(database)]
    pairs = [(spent(argv, cwd, env)[1], spent(base, cwd, env)[1]) for _ in range(ROUNDS + 1)][1:]
    mine, theirs = ([pair[who] for pair in pairs] for who in (0, 1))
    medians = (f"{1000 * sorted(each)[ROUNDS // 2]:.0f}" for each in (mine, theirs))
    return (f"`{name}`", *medians, times(ratio(mine, theirs), GOAL))


if __name__ == "__main__":
    main()
