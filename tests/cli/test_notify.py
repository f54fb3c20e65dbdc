"""Notifications through the real program: told at the end, later if need be, never in the way."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import filelock
import pytest

from autopack.adapters.clock import SystemClock
from autopack.adapters.store.open import open_store
from tests import cloudevents
from tests.cli.world import SETTINGS, World
from tests.lab import kill
from tests.receiver import OTHER_SECRET, SECRET, Receiver, free_port, listening, reply


@pytest.fixture
def server() -> Iterator[Receiver]:
    with listening() as made:
        yield made


def tell(world: World, text: str) -> None:
    """The user's own settings."""
    place = world.home / ".config" / "autopack" / "autopack.toml"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def ops(world: World, url: str, **keys: object) -> None:
    more = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    tell(world, f'[notify.ops]\nurl = "{url}"\n{more}')
    world.env["AUTOPACK_NOTIFY__OPS__SECRET"] = SECRET


def run(world: World, *arguments: str) -> None:
    done = world.autopack("run", "../plan.md", "--run-id", "r", "--sandbox", "none", *arguments)
    assert done.ok, done.stderr.decode()


def rested(world: World) -> str:
    """The log of the supervisor in the background, once it has ended by itself."""
    with filelock.FileLock(world.lock, timeout=30):
        return (world.root / "state" / "logs" / "supervisor.log").read_text()


def supervise(world: World) -> None:
    """A supervisor that ends by itself."""
    rested(world)
    done = world.autopack("supervise", "--until-idle")
    assert done.ok, done.stderr.decode()


def owed(world: World) -> list[str]:
    store = open_store(world.root / "data" / "autopack.db")
    try:
        return [each.notice_id for each in store.outbox().owed("ops")]
    finally:
        store.close()


def test_the_end_of_a_run_is_told_signed_and_once(world: World, server: Receiver) -> None:
    world.toy()
    ops(world, server.url)
    run(world)
    (got,) = server.wait_for(1)
    assert got.signed_by(SECRET, SystemClock().now())
    assert not got.signed_by(OTHER_SECRET, SystemClock().now())
    event = cloudevents.read(got.body)
    assert (event["type"], event["subject"], event["id"]) == (
        "autopack.run.ended", "r", got.message_id,
    )  # fmt: skip
    assert event["data"]["state"] == "DONE_SUCCESS"
    assert str(world.root) not in got.body.decode()
    rested(world)
    assert owed(world) == []
    assert len(server.received) == 1


@pytest.mark.slow  # a supervisor stays some seconds for who is away
def test_what_was_not_delivered_is_sent_by_the_next_supervisor_under_the_same_id(
    world: World,
) -> None:
    world.toy()
    port = free_port()
    ops(world, f"http://127.0.0.1:{port}/")
    run(world)
    log = rested(world)
    (left,) = owed(world)
    assert "1 notices for ops are left: the next supervisor sends them" in log
    with listening(port) as server:
        server.replies.append(reply(500))
        assert owed(world) == [left]
        supervise(world)
        got = server.wait_for(2)
        assert [each.message_id for each in got] == [left, left]
        assert got[0].body == got[1].body
    assert owed(world) == []


def test_a_supervisor_that_is_killed_while_it_sends_loses_nothing(
    world: World, server: Receiver
) -> None:
    world.toy()
    ops(world, server.url, seconds_max=600)
    server.replies.append(server.silent)
    run(world, "--detach")
    (first,) = server.wait_for(1)
    kill(int(world.lock.read_text()))
    supervise(world)
    _, second = server.wait_for(2)
    assert first.message_id == second.message_id
    assert first.body == second.body
    assert second.signed_by(SECRET, SystemClock().now())
    assert owed(world) == []


@pytest.mark.slow  # a supervisor stays some seconds for who is away
def test_a_receiver_that_hangs_delays_no_run_and_no_end(world: World, server: Receiver) -> None:
    world.toy()
    ops(world, server.url, seconds_max=600)
    server.replies.append(server.silent)
    run(world)
    assert "are left" in rested(world)
    assert len(owed(world)) == 1


def test_a_command_gets_the_notice_and_its_failure_fails_no_run(world: World) -> None:
    world.toy()
    script = world.root / "hook"
    script.write_text(f'#!/bin/sh\ncat >> "{world.root}/told"\nenv >> "{world.root}/env"\nexit 7\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    tell(world, f'[notify.hook]\ncommand = ["{script}"]\nattempts_max = 1\n')
    world.env["A_SECRET"] = SECRET
    run(world)
    assert "exit 7; given up" in rested(world)
    event = cloudevents.read((world.root / "told").read_text())
    assert event["type"] == "autopack.run.ended"
    assert "SECRET" not in (world.root / "env").read_text()


def test_trying_tells_the_answer_of_each_and_no_secret(world: World, server: Receiver) -> None:
    world.toy()
    ops(world, server.url)
    world.env["AUTOPACK_NOTIFY__GONE__URL"] = f"http://127.0.0.1:{free_port()}/hush"
    world.env["AUTOPACK_NOTIFY__GONE__SECRET"] = OTHER_SECRET
    done = world.autopack("notify", "test")
    assert done.exit_code == 1
    said = done.stdout.decode()
    assert "ok   ops: HTTP 204 No Content" in said
    assert "FAIL gone: 127.0.0.1: " in said
    assert "hush" not in said + done.stderr.decode()
    (got,) = server.received
    assert cloudevents.read(got.body)["type"] == "autopack.test"
    server.replies.append(reply(401, b"bad signature"))
    one = world.autopack("notify", "test", "ops", "--json")
    assert one.exit_code == 1
    assert json.loads(one.stdout)["targets"] == [
        {"target": "ops", "delivered": False, "answer": "HTTP 401 Unauthorized: bad signature"}
    ]
    wrong = world.autopack("notify", "test", "opps")
    assert wrong.exit_code == 2
    assert b"did you mean ops" in wrong.stderr


def test_doctor_names_who_cannot_be_told_and_sends_nothing(world: World, server: Receiver) -> None:
    world.toy()
    tell(
        world,
        f'[notify.ops]\nurl = "{server.url}"\n[notify.phone]\ncommand = ["no-such-program"]\n'
        '[notify.fine]\ncommand = ["true"]\n',
    )
    checks = json.loads(world.autopack("doctor", "--json").stdout)["checks"]
    found = {row["check"]: row for row in checks if row["check"].startswith("notify")}
    assert {name: row["status"] for name, row in found.items()} == {
        "notify ops": "fail", "notify phone": "fail", "notify fine": "ok",
    }  # fmt: skip
    assert "no secret" in found["notify ops"]["message"]
    assert server.received == []


def test_nobody_to_tell_is_told(world: World) -> None:
    world.toy()
    done = world.autopack("notify", "test")
    assert done.exit_code == 2
    assert b"[notify.NAME]" in done.stderr


@pytest.mark.slow  # a supervisor stays some seconds for who is away
def test_no_secret_in_what_is_shown_logged_or_stored(world: World, server: Receiver) -> None:
    world.toy()
    ops(world, server.url)
    server.replies += [reply(500), reply(400)]
    run(world)
    rested(world)
    shown = world.autopack("config", "show").stdout
    key = SECRET.removeprefix("whsec_").encode()
    assert key not in shown
    assert b"token=t" not in shown
    files = [path for path in (world.root / "state", world.root / "data") for path in _files(path)]
    assert len(files) > 3
    assert not [path for path in files if key in path.read_bytes()]


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def test_a_repository_says_nothing_of_who_is_told(world: World, server: Receiver) -> None:
    world.toy(f'{SETTINGS}[notify.evil]\nurl = "{server.url}"\nsecret_file = "/etc/hostname"\n')
    done = world.autopack("run", "../plan.md", "--sandbox", "none")
    assert done.exit_code == 2
    assert b"notify" in done.stderr
    assert server.received == []
