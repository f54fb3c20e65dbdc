"""The backlog from the command line: recorded, listed, shown, resolved, back again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autopack.core.run import RunState
from tests.lab import Lab, phase

ONE = phase("F1", "do: write src/one.txt one")


def landed(lab: Lab, *names: str) -> Lab:
    """A project in which runs of these names have landed."""
    lab.make()
    for name in names:
        done = lab.cli("run", lab.plan(ONE), "--run-id", name)
        assert done.code == 0, done.err
    return lab


def record(lab: Lab, run: str, key: str, *options: str) -> dict[str, object]:
    done = lab.cli("issues", "record", run, "F1", key, *options, "--json")
    assert done.code == 0, done.err
    return dict(done.data)


def backlog(lab: Lab, *options: str) -> dict[str, dict[str, object]]:
    listed = lab.cli("issues", "list", *options, "--json")
    assert listed.code == 0, listed.err
    return dict(listed.data["issues_by_key"])


def file_of(lab: Lab) -> dict[str, dict[str, object]]:
    path = lab.project / ".autonomous_runs" / "project_issue_backlog.json"
    return dict(json.loads(path.read_text())["issues_by_key"])


@pytest.mark.slow
def test_recorded_aged_resolved_and_back_again(lab: Lab) -> None:
    landed(lab, "r", "r2", "r3")
    key = "slow__parser"
    told = (
        "--description",
        "it is slow",
        "--evidence",
        "path:src/one.txt:1",
        "--category",
        "speed",
    )
    assert record(lab, "r", key, *told)["occurrence_count"] == 1
    assert record(lab, "r", key, *told)["occurrence_count"] == 2
    assert lab.load().state is RunState.DONE_SUCCESS, "a run that ended is not opened again"
    assert backlog(lab)[key]["status"] == "open"
    record(lab, "r2", key, *told)
    entry = backlog(lab)[key]
    assert (entry["status"], entry["age_in_runs"], entry["occurrence_count"]) == (
        "needs_cleanup", 2, 3
    )  # fmt: skip
    assert (entry["base_severity"], entry["effective_severity"]) == ("minor", "major")
    assert file_of(lab)[key] == entry

    done = lab.cli("issues", "resolve", key, "--reason", "rewritten")
    assert done.code == 0, done.err
    assert backlog(lab) == {}
    assert backlog(lab, "--all")[key]["resolved_by"] == "tester"
    assert file_of(lab)[key]["status"] == "resolved"
    again = lab.cli("issues", "resolve", key)
    assert (again.code, "was resolved already" in again.err) == (2, True)

    record(lab, "r3", key)
    back = backlog(lab)[key]
    assert (back["status"], back["age_in_runs"], back["resolved_before"]) == ("needs_cleanup", 3, 1)
    shown = lab.cli("issues", "show", key)
    assert shown.code == 0, shown.err
    for word in (
        "needs_cleanup",
        "path:src/one.txt:1",
        "it is slow",
        "r/T1/F1",
        "resolved by tester",
    ):
        assert word in shown.out
    lab.check_sound()


@pytest.mark.slow
def test_file_and_commands_age_by_the_thresholds_of_the_project(lab: Lab) -> None:
    """Not by the safety profile of the run that ended last."""
    landed(lab, "r")
    path = lab.project / ".autonomous_runs" / "project_ruleset_lab.json"
    rules = {"version": 1, "safety_profiles": {"normal": {"aging_runs": 4, "aging_tiers": 5}}}
    path.write_text(json.dumps(rules))
    done = lab.cli("run", lab.plan(phase("F1", "do: write src/c.txt c")), "--run-id", "careful",
                   "--safety-profile", "safety_critical")  # fmt: skip
    assert done.code == 0, done.err
    for run in ("r", "careful"):
        record(lab, run, "slow__parser")
    held = json.loads((path.parent / "project_issue_backlog.json").read_text())
    assert held["aging_thresholds"] == {"runs": 4, "tiers": 5}
    assert held["issues_by_key"]["slow__parser"]["status"] == "open"
    assert held["issues_by_key"] == backlog(lab)


@pytest.mark.slow
def test_a_recording_with_a_key_counts_once(lab: Lab) -> None:
    landed(lab, "r")
    for _ in range(2):
        told = record(lab, "r", "twice", "--idempotency-key", "k1", "--severity", "major")
        assert (told["occurrence_count"], told["effective_severity"]) == (1, "major")
    again = ("r", "F1", "twice", "--idempotency-key", "k1")
    shown = lab.cli("issues", "record", *again, "--severity", "major").out
    assert "recorded before under this key" in shown
    assert record(lab, "r", "twice", "--idempotency-key", "k2")["occurrence_count"] == 2
    before = lab.kinds()
    for other in (("other",), ("twice", "--description", "more")):
        done = lab.cli("issues", "record", "r", "F1", *other, "--idempotency-key", "k1")
        assert (done.code, "k1 names another recording: twice of F1" in done.err) == (2, True), done
    assert lab.kinds() == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("record", "r", "F1", "../../etc"), "issue_key"),
        (("record", "r", "F1", "k" * 129), "issue_key"),
        (("record", "r", "F9", "k"), "no phase F9"),
        (("record", "nobody", "F1", "k"), "no run nobody"),
        (("record", "r", "F1", "k", "--severity", "awful"), "severity"),
        (("record", "r", "F1", "k", "--source", "rumour"), "source"),
        (("record", "r", "F1", "k", "--description", "x" * 4_001), "description"),
        (("record", "r", "F1", "k", "--idempotency-key", "#1"), "the recording's key"),
        (("show", "k"), "has no issue k"),
        (("resolve", "k"), "has no issue k"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    known: Lab, arguments: tuple[str, ...], told: str
) -> None:
    before = known.kinds()
    done = known.cli("issues", *arguments)
    assert (done.code, told in done.err) == (2, True), done
    assert known.kinds() == before
    assert backlog(known) == {}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return landed(Lab(tmp_path_factory.mktemp("known")), "r")


def test_without_any_run_there_is_nothing(lab: Lab) -> None:
    lab.make()
    done = lab.cli("issues", "list")
    assert (done.code, "has no open issue" in done.err) == (0, True)
    assert not Path(lab.root / "data").exists()
