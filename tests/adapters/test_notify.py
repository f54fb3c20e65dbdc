"""Webhooks and command hooks against a real server and real programs."""

from __future__ import annotations

import os
import select
import shutil
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from autopack.adapters.clock import SystemClock
from autopack.adapters.notify import command
from autopack.adapters.notify.command import Command
from autopack.adapters.notify.secret import Secret, sign
from autopack.adapters.notify.webhook import Webhook
from autopack.app.notify import Told
from autopack.core.errors import OperatorFault
from autopack.process import runner
from autopack.process.limits import Limits
from autopack.testing import FakeClock
from tests.receiver import (
    OTHER_SECRET,
    SECRET,
    Receiver,
    free_port,
    listening,
    reply,
)

BODY = '{"specversion":"1.0","id":"msg_1"}'


@pytest.fixture
def server() -> Iterator[Receiver]:
    with listening() as made:
        yield made


def webhook(url: str, secret: str = SECRET, seconds_max: float = 30) -> Webhook:
    return Webhook(urlsplit(url), Secret("ops", secret), SystemClock(), seconds_max)


def tell(target: Webhook | Command, message_id: str = "msg_1") -> Told:
    return target.tell(message_id, BODY, threading.Event())


class TestSignature:
    def test_the_published_example_comes_out(self) -> None:
        # The example of the specification's reference implementations.
        key = Secret("x", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").read()[0]
        body = b'{"test": 2432232314}'
        signature = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
        assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    def test_a_receiver_can_verify_it(self, server: Receiver) -> None:
        assert tell(webhook(server.url)).delivered
        (got,) = server.received
        now = SystemClock().now()
        assert got.signed_by(SECRET, now)
        assert not got.signed_by(OTHER_SECRET, now)
        assert not got.signed_by(SECRET, now + 3600)
        assert got.message_id == "msg_1"
        assert got.path == "/hooks/a?token=t"
        assert got.headers["content-type"] == "application/cloudevents+json; charset=UTF-8"
        assert got.headers["host"] == f"127.0.0.1:{server.port}"

    def test_two_secrets_sign_side_by_side_while_one_is_replaced(self, server: Receiver) -> None:
        assert tell(webhook(server.url, f"{SECRET} {OTHER_SECRET}")).delivered
        (got,) = server.received
        now = SystemClock().now()
        assert got.signed_by(SECRET, now)
        assert got.signed_by(OTHER_SECRET, now)

    def test_each_attempt_is_dated_and_signed_anew_under_the_same_id(
        self, server: Receiver
    ) -> None:
        clock = FakeClock()
        target = Webhook(urlsplit(server.url), Secret("ops", SECRET), clock, 30)
        server.replies.append(reply(500))
        assert not tell(target).delivered
        clock.jump(3600)
        assert tell(target).delivered
        first, second = server.received
        assert first.message_id == second.message_id
        assert first.body == second.body
        assert first.signed_by(SECRET, clock.now() - 3600)
        assert second.signed_by(SECRET, clock.now())


class TestSecret:
    @pytest.mark.parametrize("given", ["whsec_%%%%%%%%", "whsec_c2hvcnQ=", "whsec_" + "A" * 100])
    def test_what_is_no_key_is_refused_and_not_repeated(self, given: str, server: Receiver) -> None:
        told = tell(webhook(server.url, given))
        assert not told.delivered
        assert "AUTOPACK_NOTIFY__OPS__SECRET" in told.said
        assert given.removeprefix("whsec_")[:6] not in told.said
        assert server.received == []

    def test_a_missing_secret_sends_nothing_unsigned(self, server: Receiver) -> None:
        target = webhook(server.url, "")
        assert not tell(target).delivered
        with pytest.raises(OperatorFault, match="no secret to sign with"):
            target.check()
        assert server.received == []

    def test_a_file_is_read_each_time_and_must_be_closed_to_others(
        self, tmp_path: Path, server: Receiver
    ) -> None:
        file = tmp_path / "secret"
        file.write_text(f"{SECRET}\n")
        file.chmod(0o640)
        target = Webhook(urlsplit(server.url), Secret("ops", file=file), SystemClock(), 30)
        with pytest.raises(OperatorFault, match=r"open to others \(mode 0640\)"):
            target.check()
        with pytest.raises(OperatorFault, match="is no file"):
            Secret("ops", file=tmp_path).read()
        assert not tell(target).delivered
        file.chmod(0o600)
        assert tell(target).delivered
        file.write_text(OTHER_SECRET)
        assert tell(target).delivered
        old, new = server.received
        assert old.signed_by(SECRET, SystemClock().now())
        assert new.signed_by(OTHER_SECRET, SystemClock().now())

    def test_a_file_that_is_none_is_told(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe", 0o600)
        (tmp_path / "long").write_text("x" * 5000)
        (tmp_path / "long").chmod(0o600)
        for name, why in (("absent", "cannot be read"), ("pipe", "no file"), ("long", "too long")):
            with pytest.raises(OperatorFault, match=why):
                Secret("ops", file=tmp_path / name).read()

    def test_it_is_in_no_representation(self) -> None:
        assert SECRET not in repr(webhook("http://127.0.0.1/"))


class TestAnswers:
    def test_a_server_error_is_no_delivery_and_stops_the_round(self, server: Receiver) -> None:
        server.replies.append(reply(503, b"come back later"))
        told = tell(webhook(server.url))
        assert told == Told(False, "HTTP 503 Service Unavailable: come back later", heard=False)

    @pytest.mark.parametrize(("status", "heard"), [(400, True), (410, True), (408, False),
                                                   (429, False), (500, False)])  # fmt: skip
    def test_only_a_refusal_of_this_notice_lets_the_next_one_be_tried(
        self, status: int, *, heard: bool, server: Receiver
    ) -> None:
        server.replies.append(reply(status))
        told = tell(webhook(server.url))
        assert (told.delivered, told.heard) == (False, heard)

    def test_a_redirect_is_not_followed(self, server: Receiver) -> None:
        with listening() as elsewhere:
            server.replies.append(reply(307, Location=elsewhere.url))
            told = tell(webhook(server.url))
            assert not told.delivered
            assert "redirects are not followed" in told.said
            assert elsewhere.received == []
        assert len(server.received) == 1

    def test_of_a_huge_answer_only_the_beginning_is_read(self, server: Receiver) -> None:
        sent: list[int] = []

        def flood(handler: BaseHTTPRequestHandler) -> None:
            stream = handler.wfile
            stream.write(b"HTTP/1.1 500 No\r\n\r\n")
            try:
                for _ in range(10_000):
                    stream.write(b"x" * 65536)
                    sent.append(65536)
            except OSError:
                server.closing.set()

        server.replies.append(flood)
        told = tell(webhook(server.url))
        assert not told.delivered
        assert len(told.said) < 300
        assert server.closing.wait(30), "the sender went on reading"
        assert sum(sent) < 100 << 20

    def test_a_huge_header_is_an_answer_like_no_answer(self, server: Receiver) -> None:
        def header(handler: BaseHTTPRequestHandler) -> None:
            stream = handler.wfile
            stream.write(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n")

        server.replies.append(header)
        assert not tell(webhook(server.url)).delivered

    def test_what_is_no_http_is_told(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]

            def nonsense() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(100)
                    connection.sendall(b"SSH-2.0-OpenSSH\x1b[31m\r\n")

            thread = threading.Thread(target=nonsense)
            thread.start()
            told = tell(webhook(f"http://127.0.0.1:{port}/"))
            thread.join()
        assert not told.delivered
        assert told.said.isprintable()


class TestTime:
    def test_silence_is_told(self, server: Receiver) -> None:
        server.replies.append(server.silent)
        told = tell(webhook(server.url, seconds_max=0.3))
        assert told == Told(False, "127.0.0.1: no answer within 0.3 s", heard=False)

    def test_who_answers_for_ever_does_not_stretch_the_deadline(self, server: Receiver) -> None:
        server.replies.append(server.dripping)
        told = tell(webhook(server.url, seconds_max=0.3))
        assert (told.delivered, told.heard) == (False, False)

    def test_who_is_told_to_end_hangs_up(self, server: Receiver) -> None:
        server.replies.append(server.silent)
        over = threading.Event()
        told: list[Told] = []
        target = webhook(server.url, seconds_max=3600)
        thread = threading.Thread(target=lambda: told.append(target.tell("m", BODY, over)))
        thread.start()
        server.wait_for(1)
        over.set()
        thread.join(30)
        assert [each.delivered for each in told] == [False]

    def test_nobody_there_is_told_without_the_path(self) -> None:
        told = tell(webhook(f"http://127.0.0.1:{free_port()}/hooks/secret-token"))
        assert not told.delivered
        assert not told.heard
        assert "secret-token" not in told.said

    def test_a_name_that_nobody_has_is_told(self) -> None:
        told = tell(webhook("http://nobody.invalid/"))
        assert not told.delivered
        assert told.said.startswith("nobody.invalid: ")


def test_https_is_never_spoken_in_the_clear(server: Receiver) -> None:
    told = tell(webhook(server.url.replace("http:", "https:"), seconds_max=5))
    assert not told.delivered
    assert server.received == []


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a certificate of its own for this machine, in one file."""
    if shutil.which("openssl") is None:
        why = "no openssl to make a certificate with"
        pytest.fail(f"CI needs it: {why}") if os.environ.get("CI") else pytest.skip(why)
    file = tmp_path / "both.pem"
    made = runner.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", "key", "-out", "certificate", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        env={"PATH": os.environ["PATH"]}, cwd=tmp_path, limits=Limits(30),
    )  # fmt: skip
    assert made.ok, made.stderr
    file.write_bytes((tmp_path / "key").read_bytes() + (tmp_path / "certificate").read_bytes())
    return file


def test_https_is_spoken_with_whom_the_certificate_names(
    server: Receiver, certificate: Path
) -> None:
    server.secure(certificate)
    url = f"https://localhost:{server.port}/x"
    unknown = tell(webhook(url))
    assert not unknown.delivered
    assert "certificate verify failed" in unknown.said
    trust = ssl.create_default_context(cafile=str(certificate))
    target = Webhook(urlsplit(url), Secret("ops", SECRET), SystemClock(), 30, trust)
    assert tell(target).delivered
    other = urlsplit(url.replace("localhost", "127.0.0.1"))
    assert not tell(replace(target, url=other)).delivered
    assert len(server.received) == 1
    server.replies.append(server.silent)
    late = tell(replace(target, seconds_max=0.5))
    assert late == Told(False, "localhost: no answer within 0.5 s", heard=False)


def program(tmp_path: Path, script: str, *pass_env: str, seconds_max: float = 30) -> Command:
    environ = {**os.environ, "AUTOPACK_NOTIFY__OPS__SECRET": SECRET, "WANTED": "yes"}
    return Command((sys.executable, "-c", script), environ, pass_env, tmp_path, seconds_max)


class TestCommand:
    def test_it_gets_the_notice_and_a_scrubbed_environment(self, tmp_path: Path) -> None:
        script = "import os, sys; open('got','w').write(sys.stdin.read() + repr(dict(os.environ)))"
        assert tell(program(tmp_path, script, "WANTED")).delivered
        got = (tmp_path / "got").read_text()
        assert got.startswith(BODY)
        assert "'WANTED': 'yes'" in got
        assert "SECRET" not in got
        assert not [name for name in os.environ if name not in command.PASSED
                    and name not in ("PWD", "_", "SHLVL") and f"'{name}'" in got]  # fmt: skip

    def test_one_that_hangs_is_ended(self, tmp_path: Path) -> None:
        told = tell(program(tmp_path, "import time; time.sleep(600)", seconds_max=0.3))
        assert told == Told(False, "timed out", heard=False)

    def test_at_our_end_it_is_ended_with_its_children(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pid")
        script = (
            "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c',"
            " 'import time; time.sleep(600)']); open('pid','w').write(str(p.pid)); time.sleep(600)"
        )
        over, told = threading.Event(), list[Told]()
        target = program(tmp_path, script, seconds_max=600)
        thread = threading.Thread(target=lambda: told.append(target.tell("m", BODY, over)))
        thread.start()
        child = os.pidfd_open(int((tmp_path / "pid").read_text()))
        over.set()
        thread.join(30)
        ended, _, _ = select.select([child], [], [], 30)
        os.close(child)
        assert ended
        assert told == [Told(False, "cancelled", heard=False)]

    def test_what_it_prints_is_bounded(self, tmp_path: Path) -> None:
        told = tell(program(tmp_path, "while True: print('x' * 1000)"))
        assert not told.delivered
        assert told.said.startswith("output limit")
        assert len(told.said) < 300

    def test_one_that_is_not_there_is_told(self, tmp_path: Path) -> None:
        missing = Command(("no-such-program",), os.environ, (), tmp_path, 5)
        told = tell(missing)
        assert not told.delivered
        assert "no-such-program" in told.said
        with pytest.raises(OperatorFault, match="no-such-program"):
            missing.check()

    def test_one_that_reads_nothing_may_still_succeed(self, tmp_path: Path) -> None:
        assert tell(program(tmp_path, "pass")).delivered
