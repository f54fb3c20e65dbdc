"""An HTTP endpoint of a test: it answers as it is told to and checks signatures on its own.

The check follows the text of Standard Webhooks and shares nothing with what signs.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SECRET = "whsec_" + base64.b64encode(b"a key of a test, no secret").decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"another key of a test, too").decode()
TOLERANCE_SECONDS = 300


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]

    def signed_by(self, secret: str, now: int) -> bool:
        """Whether one of the signatures is right, and not too old."""
        stamp = self.headers["webhook-timestamp"]
        if abs(now - int(stamp)) > TOLERANCE_SECONDS:
            return False
        key = base64.b64decode(secret.split("_", 1)[1])
        text = b".".join([self.message_id.encode(), stamp.encode(), self.body])
        right = base64.b64encode(hmac.digest(key, text, hashlib.sha256)).decode()
        given = [each.split(",", 1) for each in self.headers["webhook-signature"].split(" ")]
        return any(version == "v1" and hmac.compare_digest(right, sig) for version, sig in given)


Reply = Callable[[BaseHTTPRequestHandler], None]


def reply(status: int, body: bytes = b"", **headers: str) -> Reply:
    """An ordinary answer."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


class Receiver:
    """Listens on a free port of this machine; answers 204 unless `replies` hold something else."""

    def __init__(self, port: int = 0) -> None:
        self.received: list[Received] = []
        self.replies: list[Reply] = []
        self.arrived = threading.Condition()
        self.closing = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                names = {name.lower(): value for name, value in self.headers.items()}
                with receiver.arrived:
                    receiver.received.append(Received(self.path, names, body))
                    answer = receiver.replies.pop(0) if receiver.replies else reply(204)
                    receiver.arrived.notify_all()
                with suppress(OSError):  # a sender may have hung up
                    answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/a?token=t"

    def wait_for(self, count: int, seconds_max: float = 60) -> list[Received]:
        """The requests, once there are so many."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.received) >= count, seconds_max), (
                f"{len(self.received)} of {count} requests came"
            )
            return [*self.received]

    def secure(self, certificate: Path) -> None:
        """Speak TLS from now on; who does not finish the handshake is dropped."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        plain = self._server.socket
        self._server.socket = context.wrap_socket(plain, server_side=True)

    def close(self) -> None:
        """Refuse connections from now on."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def silent(self, _handler: BaseHTTPRequestHandler) -> None:
        """Say nothing until the end."""
        self.closing.wait()

    def dripping(self, handler: BaseHTTPRequestHandler) -> None:
        """Say a little now and then, for ever."""
        handler.wfile.write(b"HTTP/1.1 500 No\r\nX-Long: ")
        while not self.closing.wait(0.02):
            handler.wfile.write(b"x")
            handler.wfile.flush()


@contextmanager
def listening(port: int = 0) -> Iterator[Receiver]:
    """A receiver that is closed afterwards."""
    receiver = Receiver(port)
    try:
        yield receiver
    finally:
        receiver.close()


def free_port() -> int:
    """A port of this machine where nobody listens now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
