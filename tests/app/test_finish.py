"""When a run ended, whatever was asked of it later."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from autopack.app.finish import TAIL, ended_at
from autopack.app.metrics import run_metrics
from autopack.core import machine
from autopack.core.event import Happened, IssueRecorded
from autopack.core.issue import IssueReport, IssueSource
from autopack.core.run import Run
from autopack.core.spec import RunSpec
from autopack.testing import MemoryStore
from tests.core.walk import specs, walk


def kept(log: list[Happened]) -> tuple[MemoryStore, Run, int | None]:
    """A store with the run of this log, an hour between two events, and when it first had ended."""
    store, ended, before = MemoryStore(), None, None
    dated = [replace(happened, at=3600 * hour) for hour, happened in enumerate(log, 1)]
    for happened, run in zip(dated, machine.walk(dated), strict=True):
        if before is None:
            store.create(run, happened)
        else:
            assert store.save(
                run, happened, expected_version=before.version, within=lambda _transaction: None
            )
        before = run
        ended = happened.at if ended is None and run.ended else ended
    assert before is not None
    return store, before, ended


@given(specs(), st.integers(0, 2**32), st.integers(0, TAIL + 2))
def test_a_run_ended_when_it_first_had_nothing_left_to_do(
    spec: RunSpec, seed: int, recordings: int
) -> None:
    log = walk(spec, seed).log
    for number in range(recordings):
        report = IssueReport(f"issue_{number}", IssueSource.PROBE)
        log.append(Happened(IssueRecorded(spec.phases[0].phase_id, report, "me"), 0))
    store, run, ended = kept(log)
    assert ended is not None
    assert ended_at(run, store) == run_metrics(run, store).completed_at == ended


@given(specs(), st.integers(0, 2**32))
def test_a_run_under_way_has_no_end(spec: RunSpec, seed: int) -> None:
    log = walk(spec, seed).log
    store, run, ended = kept(log[: len(log) // 2])
    if ended is None:
        assert ended_at(run, store) is None
