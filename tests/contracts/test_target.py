"""The Target port: what holds for a webhook, a command and the fake alike."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from autopack.adapters.clock import SystemClock
from autopack.adapters.notify.command import Command
from autopack.adapters.notify.secret import Secret
from autopack.adapters.notify.webhook import Webhook
from autopack.app.notify import Target, Told
from autopack.testing.notify import FakeTarget
from tests import receiver

BODY = '{"specversion":"1.0","id":"msg_1"}'
RECORD = """
import pathlib, sys
here = pathlib.Path(sys.argv[1])
place = here / f"heard-{len(list(here.glob('heard-*')))}"
place.write_text(sys.stdin.read())
if (here / "refuse").exists():
    sys.stderr.write("no \\x1b[31m" + "x" * 1000)
    sys.exit(3)
"""


@dataclass
class Case:
    """A target, and a way to make it refuse and to see what it heard."""

    target: Target
    folder: Path
    server: receiver.Receiver | None = None

    def refuse_once(self) -> None:
        if isinstance(self.target, FakeTarget):
            self.target.answers.append(Told(delivered=False, said="no", heard=True))
        elif self.server:
            self.server.replies.append(receiver.reply(400, b"no \x1b[31m" + b"x" * 1000))
        else:
            (self.folder / "refuse").touch()

    def heard(self) -> list[str]:
        if isinstance(self.target, FakeTarget):
            return [body for _name, body in self.target.heard]
        if self.server:
            return [each.body.decode() for each in self.server.received]
        return [path.read_text() for path in sorted(self.folder.glob("heard-*"))]


@pytest.fixture(params=["fake", "webhook", "command"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    if request.param == "fake":
        yield Case(FakeTarget(), tmp_path)
    elif request.param == "command":
        argv = (sys.executable, "-c", RECORD, str(tmp_path))
        yield Case(Command(argv, os.environ, (), tmp_path, 30), tmp_path)
    else:
        with receiver.listening() as server:
            secret = Secret("ops", receiver.SECRET)
            target = Webhook(urlsplit(server.url), secret, SystemClock(), 30)
            yield Case(target, tmp_path, server)


def test_a_notice_is_delivered_as_it_is(case: Case) -> None:
    told = case.target.tell("msg_1", BODY, threading.Event())
    assert told.delivered
    assert told.heard
    assert case.heard() == [BODY]


def test_a_refusal_is_told_in_short_and_plain_words(case: Case) -> None:
    case.refuse_once()
    told = case.target.tell("msg_1", BODY, threading.Event())
    assert not told.delivered
    assert told.heard
    assert told.said.isprintable()
    assert 0 < len(told.said) < 300


def test_one_call_is_one_attempt(case: Case) -> None:
    case.refuse_once()
    case.target.tell("msg_1", BODY, threading.Event())
    assert case.heard() == [BODY]


def test_who_was_told_to_end_is_not_delivered(case: Case) -> None:
    over = threading.Event()
    over.set()
    told = case.target.tell("msg_1", BODY, over)
    assert not told.delivered or case.heard() == [BODY]
    if not told.delivered:
        assert not told.heard


def test_a_target_that_is_configured_passes_its_check(case: Case) -> None:
    case.target.check()
