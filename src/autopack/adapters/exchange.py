"""One HTTP exchange with a deadline for all of it: no redirect, no proxy, no cookie, no retry.

On `http.client` and a socket of our own: a deadline that a slow server cannot stretch byte by byte
is not to be had from a library that only limits each read.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult

if TYPE_CHECKING:
    from autopack.app.ports import Cancel, Clock

LOOK_SECONDS: Final = 0.1
PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Question:
    """What is sent: a method and the target's URL, headers, the whole body."""

    method: str
    url: SplitResult
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What a server said; header names are in lower case. `cut`: why the content is not whole."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    cut: str = ""


def exchange(
    question: Question,
    *,
    seconds_max: float,
    clock: Clock,
    cancel: Cancel,
    content_bytes_max: Callable[[int], int],
    trust: ssl.SSLContext | None = None,
) -> Answer:
    """Ask and read the answer; TimeoutError, OSError or HTTPException when none comes.

    `content_bytes_max`: by status, the most that is read of the content.
    """
    deadline = clock.monotonic() + seconds_max

    def left() -> float:
        return deadline - clock.monotonic()

    url = question.url
    with _connected(url, left) as plain, _cut(plain, left, cancel):
        try:
            if url.scheme != "https":
                answer = _exchange(plain, question, content_bytes_max)
            else:
                with _secured(plain, url, trust) as secured:
                    answer = _exchange(secured, question, content_bytes_max)
        except (OSError, http.client.HTTPException) as fault:
            if left() <= 0:
                raise TimeoutError(f"no answer within {seconds_max:g} s") from fault
            raise
    if not answer.cut and content_bytes_max(answer.status) and (left() <= 0 or cancel.is_set()):
        # We may have ended it ourselves, which looks like an end.
        return Answer(answer.status, answer.headers, answer.content, "no end in time")
    return answer


def _exchange(
    stream: socket.socket, question: Question, content_bytes_max: Callable[[int], int]
) -> Answer:
    url = question.url
    connection = http.client.HTTPConnection(url.hostname or "")
    connection.sock = stream
    connection.auto_open = 0
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    headers = {"Host": url.netloc, "Connection": "close", **question.headers}
    connection.request(question.method, target, question.body, headers)
    with connection.getresponse() as response:
        content, cut, most = b"", "", content_bytes_max(response.status)
        if most:
            try:
                content = response.read(most + 1)
                if len(content) <= most and response.length:
                    cut = "the connection ended before its content"
            except (OSError, http.client.HTTPException) as fault:
                cut = str(fault) or type(fault).__name__
        if len(content) > most:
            content, cut = content[:most], f"longer than {most:,} bytes"
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, content, cut)


@contextmanager
def _connected(url: SplitResult, left: Callable[[], float]) -> Iterator[socket.socket]:
    """A connection to the first address that answers; each has its share of the time."""
    port = url.port or PORTS[url.scheme]
    places = socket.getaddrinfo(url.hostname, port, type=socket.SOCK_STREAM)
    refused: OSError = TimeoutError("no time was left to connect")
    for index, (family, kind, protocol, _name, address) in enumerate(places):
        share = left() / (len(places) - index)
        if share <= 0:
            break
        with socket.socket(family, kind, protocol) as made:
            made.settimeout(share)
            try:
                made.connect(address)
            except OSError as fault:
                refused = fault
                continue
            made.settimeout(max(left(), LOOK_SECONDS))
            yield made
            return
    raise refused


def _secured(plain: socket.socket, url: SplitResult, trust: ssl.SSLContext | None) -> ssl.SSLSocket:
    context = trust or ssl.create_default_context()
    # A second descriptor: the first stays ours to cut.
    return context.wrap_socket(plain.dup(), server_hostname=url.hostname)


@contextmanager
def _cut(plain: socket.socket, left: Callable[[], float], cancel: Cancel) -> Iterator[None]:
    """End the connection, whoever uses it, at the deadline or when told to."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(LOOK_SECONDS):
            if cancel.is_set() or left() <= 0:
                with suppress(OSError):
                    plain.shutdown(socket.SHUT_RDWR)
                return

    watcher = threading.Thread(target=watch, name="exchange-deadline", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
