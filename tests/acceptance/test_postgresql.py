"""Whole runs on PostgreSQL, through the command line; and a server that goes away in the middle."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from autopack.core.run import RunState
from tests.lab import Lab, phase, processes, until
from tests.postgres import Server
from tests.process.ground import alive, new_mark

ONE = phase("F1", "do: write src/one.txt one")
TWO = phase("F2", "do: write src/two.txt two")


@pytest.fixture
def lab(tmp_path: Path, database: str) -> Iterator[Lab]:
    made = Lab(tmp_path, DATABASE_URL=database)
    yield made
    made.close()


@pytest.mark.slow
def test_a_run_from_plan_to_branch(lab: Lab) -> None:
    done = lab.make().run(ONE, TWO)
    assert done.code == 0, done
    assert "r: DONE_SUCCESS" in done.out
    assert "r    DONE_SUCCESS" in lab.cli("run", "list").out
    assert lab.cli("run", "view", "r", "--json").data["run"]["state"] == "DONE_SUCCESS"
    assert lab.cli("run", "watch", "r").code == 0
    assert "landed" in lab.cli("events", "list", "r").out
    assert lab.cli("doctor", "--json").code == 0
    assert len(lab.delivered()) == 3
    lab.check_sound()
    lab.check_untouched()
    assert not list((lab.root / "data").glob("*.db*"))


@pytest.mark.slow
def test_cancelled_and_tried_again(lab: Lab) -> None:
    mark = new_mark()
    lab.make()
    begun = lab.run(ONE, phase("F2", "do: write src/two.txt two", f"do: hang {mark}"),
                    options=("--detach",))  # fmt: skip
    assert begun.code == 0, begun
    until(lambda: alive(mark), "the agent works")
    assert lab.cli("run", "cancel", "r").code == 0
    assert lab.cli("run", "watch", "r").code == 1
    assert lab.load().failure is not None
    (lab.tools / "go").touch()
    again = lab.cli("run", "retry", "r")
    assert again.code == 0, again
    assert lab.load("r-r1").state is RunState.DONE_SUCCESS
    lab.check_sound()


@pytest.mark.slow
def test_no_password_is_shown_or_given_to_programs(
    lab: Lab, database: str, postgres: Server
) -> None:
    name = database.partition("?")[0].rpartition("/")[2]
    lab.variables["DATABASE_URL"] = postgres.url(name, "postgres", "hush")
    mark = new_mark()
    lab.make().run(phase("F1", "do: write src/one.txt one", f"do: hang {mark}"),
                   options=("--detach",))  # fmt: skip
    until(lambda: alive(mark), "the agent works")
    told = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes(lab.root)]
    agents = [Path(f"/proc/{pid}/environ").read_bytes() for pid in alive(mark)]
    assert told
    assert agents
    assert not [each for each in told + agents if b"hush" in each]
    said = [lab.cli(*words) for words in (("config", "show"), ("config", "show", "--json"),
                                          ("doctor",), ("supervise",))]  # fmt: skip
    assert lab.cli("run", "cancel", "r").code == 0
    assert lab.cli("run", "watch", "r").code == 1
    written = [path.read_text() for path in (lab.root / "state" / "logs").rglob("*.log")]
    assert not [each for each in said if "hush" in each.out + each.err]
    assert not [text for text in written if "hush" in text]


@pytest.mark.slow
def test_one_supervisor_on_all_machines(lab: Lab, tmp_path: Path, database: str) -> None:
    mark = new_mark()
    lab.make().record(phase("F1", "do: write src/one.txt one", f"do: hang {mark}"))
    first = lab.start("supervise", "--until-idle")
    until(lambda: alive(mark), "the agent works")
    other = Lab(tmp_path / "other", DATABASE_URL=database)
    other.root.mkdir()
    refused = other.cli("supervise")
    assert refused.code == 3
    assert f"process {first.pid} on {os.uname().nodename}" in refused.err
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0
    (lab.tools / "go").touch()
    assert lab.cli("supervise", "--until-idle").code == 0
    assert lab.load().state is RunState.DONE_SUCCESS


@pytest.mark.slow
def test_who_loses_the_lock_stops_and_takes_it_anew(lab: Lab, postgres: Server) -> None:
    mark = new_mark()
    lab.make().record(phase("F1", "do: write src/one.txt one", f"do: hang {mark}"))
    supervisor = lab.start("supervise", "--until-idle")
    until(lambda: alive(mark), "the agent works")
    before = set(alive(mark))
    ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name"
    assert postgres.execute(f"{ending} LIKE 'autopack supervisor {supervisor.pid}@%'")
    until(lambda: not before & set(alive(mark)), "the agent is cut off")
    (lab.tools / "go").touch()
    assert supervisor.wait(40) == 0
    assert lab.load().state is RunState.DONE_SUCCESS
    assert lab.load().phase("F1").attempts_used == 1
    assert "the store is back" in (lab.root / "started.log").read_text()
    lab.check_sound()


@pytest.mark.slow
def test_a_server_that_goes_away_in_the_middle(tmp_path: Path, mortal_postgres: Server) -> None:
    mortal_postgres.execute("CREATE DATABASE runs")
    lab, mark = Lab(tmp_path, DATABASE_URL=mortal_postgres.url("runs")), new_mark()
    lab.make().record(ONE, phase("F2", "do: write src/two.txt two", f"do: hang {mark}"))
    supervisor = lab.start("supervise", "--until-idle")
    until(lambda: alive(mark), "the agent works")
    mortal_postgres.stop(signal.SIGQUIT)
    until(lambda: not alive(mark), "the agent is cut off")
    for words in (("run", "view", "r"), ("run", "watch", "r"), ("run", "cancel", "r")):
        away = lab.cli(*words)
        assert away.code == 3
        assert "start the server" in away.err
    (lab.tools / "go").touch()
    mortal_postgres.start()
    assert supervisor.wait(50) == 0
    assert lab.load().state is RunState.DONE_SUCCESS
    assert lab.load().phase("F2").attempts_used == 1
    assert lab.kinds().count("snapshot_landed") == 2
    lab.check_sound()
    lab.check_untouched()
    lab.close()


def test_a_supervisor_ends_when_told_while_the_server_is_away(
    tmp_path: Path, mortal_postgres: Server
) -> None:
    mortal_postgres.execute("CREATE DATABASE runs")
    lab, mark = Lab(tmp_path, DATABASE_URL=mortal_postgres.url("runs")), new_mark()
    lab.make().record(phase("F1", "do: write src/one.txt one", f"do: hang {mark}"))
    supervisor = lab.start("supervise", "--until-idle")
    until(lambda: alive(mark), "the agent works")
    mortal_postgres.stop()
    told = "cannot "
    until(lambda: told in (lab.root / "started.log").read_text(), "the loss is told", seconds=40)
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(20) in {0, -signal.SIGTERM}
    assert not alive(mark)
    lab.close()
