"""One HTTP exchange: what is read of an answer, and what of it is not whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

import pytest

from autopack.adapters.clock import SystemClock
from autopack.adapters.exchange import Answer, Question, exchange
from tests.receiver import Receiver, listening, reply

MOST = 1000


@pytest.fixture
def server() -> Iterator[Receiver]:
    with listening() as receiver:
        yield receiver


def ask(server: Receiver, seconds_max: float = 30) -> Answer:
    return exchange(
        Question("POST", urlsplit(server.url), {"X-Mine": "yes"}, b"{}"),
        seconds_max=seconds_max, clock=SystemClock(), cancel=threading.Event(),
        content_bytes_max=lambda status: 0 if status == 204 else MOST,
    )  # fmt: skip


def test_an_answer_has_its_status_headers_and_content(server: Receiver) -> None:
    server.replies.append(reply(201, b"made", **{"X-Limit": "7"}))
    answer = ask(server)
    assert (answer.status, answer.content, answer.cut) == (201, b"made", "")
    assert answer.headers["x-limit"] == "7"
    assert server.received[0].headers["x-mine"] == "yes"


def test_a_long_answer_is_cut_and_said_to_be(server: Receiver) -> None:
    server.replies += [reply(500, b"x" * 100_000), reply(200, b"x" * MOST)]
    assert (len((cut := ask(server)).content), cut.cut) == (MOST, f"longer than {MOST:,} bytes")
    assert (len((whole := ask(server)).content), whole.cut) == (MOST, "")


def test_an_answer_that_breaks_off_is_not_whole(server: Receiver) -> None:
    def breaks_off(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"only this")

    server.replies.append(breaks_off)
    answer = ask(server)
    assert (answer.content, answer.cut) == (b"only this", "the connection ended before its content")


def test_an_answer_without_an_end_is_not_whole(server: Receiver) -> None:
    def never_ends(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"{}")
        handler.wfile.flush()
        server.closing.wait()

    server.replies.append(never_ends)
    answer = ask(server, seconds_max=0.3)
    assert answer.cut


def test_who_never_answers_is_a_timeout(server: Receiver) -> None:
    server.replies.append(server.silent)
    with pytest.raises(TimeoutError):
        ask(server, seconds_max=0.2)
