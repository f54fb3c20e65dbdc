"""One HTTP POST with a deadline for the whole of it: no redirect, no proxy, no cookie, no retry.

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

ANSWER_BYTES_MAX: Final = 4096
"""Of an answer that is no success, to tell what it says; of a success nothing is read."""
LOOK_SECONDS: Final = 0.1
PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Answer:
    """What a server said; `content` is empty for a success."""

    status: int
    content: bytes


def post(
    url: SplitResult,
    headers: Mapping[str, str],
    body: bytes,
    *,
    seconds_max: float,
    clock: Clock,
    cancel: Cancel,
    trust: ssl.SSLContext | None = None,
) -> Answer:
    """Send `body` and read the answer; TimeoutError, OSError or HTTPException when none comes."""
    deadline = clock.monotonic() + seconds_max

    def left() -> float:
        return deadline - clock.monotonic()

    with _connected(url, left) as plain, _cut(plain, left, cancel):
        try:
            if url.scheme != "https":
                return _exchange(plain, url, headers, body)
            with _secured(plain, url, trust) as secured:
                return _exchange(secured, url, headers, body)
        except (OSError, http.client.HTTPException) as fault:
            if left() <= 0:
                raise TimeoutError(f"no answer within {seconds_max:g} s") from fault
            raise


def _exchange(
    stream: socket.socket, url: SplitResult, headers: Mapping[str, str], body: bytes
) -> Answer:
    connection = http.client.HTTPConnection(url.hostname or "")
    connection.sock = stream
    connection.auto_open = 0
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    connection.request("POST", target, body, {"Host": url.netloc, "Connection": "close", **headers})
    with connection.getresponse() as response:
        content = b""
        if not 200 <= response.status < 300:
            with suppress(OSError, http.client.HTTPException):
                content = response.read(ANSWER_BYTES_MAX)
        return Answer(response.status, content)


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

    watcher = threading.Thread(target=watch, name="notify-deadline", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
