"""The double on the wire: REST over TCP and over a unix socket, git by `git http-backend`."""

from __future__ import annotations

import base64
import gzip
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

import pytest

from tests.double import rules, schema
from tests.double.hub import Fault, Hub
from tests.repos import ENVIRONMENT

LIMITS = {"limit": 403, "secondary": 403, "429": 429}


class Handler(BaseHTTPRequestHandler):
    """One connection; `hub` is set by who makes the class."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815  the library's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name
        """Quiet."""

    def address_string(self) -> str:
        return "somebody"

    def _serve(self) -> None:
        body = self._body()
        path = self.path.partition("?")[0]
        self.hub.requests.append((self.command, self.path))
        self.hub.credentials.add(self.headers.get("Authorization", ""))
        if fault := self.hub.fault(self.command, self.path):
            self.hub.struck()
        if self.hub.elsewhere:
            self._send(302, b"{}", {"Location": self.hub.elsewhere + self.path})
            return
        with suppress(ConnectionError):
            if fault and fault.kind in ("500", "502", "dropped", "elsewhere", *LIMITS):
                self._fail(fault)
            elif ".git/" in path:
                self._git(body, fault)
            else:
                self._rest(body, fault)

    def _rest(self, body: bytes, fault: Fault | None) -> None:
        try:
            given = json.loads(body) if body else {}
        except ValueError:
            return self._json(400, {"message": "Problems parsing JSON"}, {})
        with self.hub.lock:
            one = rules.asked(
                self.hub, self.command, self.path, self.headers.get("Authorization", ""), given
            )
            reply = rules.answer(self.hub, one)
            self.hub.answers.append((reply.schema, reply.value))
        value: Any = reply.value
        if fault and fault.kind == "other-sha":
            text = json.dumps(value)
            for sha in one.path.split("/"):
                if len(sha) == 40:
                    text = text.replace(sha, "0" * 40)
            value = json.loads(text)
        self._json(reply.status, value, reply.headers, fault)
        return None

    def _json(
        self, status: int, value: object, headers: dict[str, str], fault: Fault | None = None
    ) -> None:
        content = json.dumps(value).encode()
        if fault and fault.kind == "lost":
            return self._hang_up()
        if fault and fault.kind == "garbage":
            content = b"<html>it is down</html>"
        known = {
            "Content-Type": "application/json; charset=utf-8", "X-RateLimit-Limit": "5000",
            "X-RateLimit-Remaining": "4999", "X-RateLimit-Reset": str(int(time.time()) + 3600),
        }  # fmt: skip
        self._send(status, content, {**known, **headers}, cut=bool(fault and fault.kind == "cut"))
        return None

    def _send(
        self, status: int, content: bytes, headers: dict[str, str], *, cut: bool = False
    ) -> None:
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _fail(self, fault: Fault) -> None:
        if fault.kind == "dropped":
            return self._hang_up()
        if fault.kind == "elsewhere":
            return self._send(301, b"{}", {"Location": "http://elsewhere.example/"})
        if fault.kind not in LIMITS:
            return self._send(int(fault.kind), b"<html>no</html>", {"Content-Type": "text/html"})
        headers = {"Content-Type": "application/json", "Retry-After": str(fault.seconds)}
        message = "You have exceeded a secondary rate limit. Please wait."
        if fault.kind == "limit":
            del headers["Retry-After"]
            reset = str(int(time.time()) + fault.seconds)
            headers |= {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
            message = "API rate limit exceeded for user ID 1."
        value = json.dumps({"message": message, "documentation_url": "https://docs.example"})
        return self._send(LIMITS[fault.kind], value.encode(), headers)

    # --- git ------------------------------------------------------------------------------------

    def _git(self, body: bytes, fault: Fault | None) -> None:
        path, _, query = self.path.partition("?")
        repo = self.hub.repos.get(path[1:].partition(".git/")[0])
        right = self._right()
        pushing = "git-receive-pack" in self.path
        if not right:
            headers = {"WWW-Authenticate": 'Basic realm="GitHub"'}
            return self._send(401, b"Authentication is needed", headers)
        if repo is None:
            return self._send(404, b"Repository not found.", {})
        if pushing and right != "push":
            return self._send(403, b"Permission to it denied.", {})
        env = {
            **ENVIRONMENT, "GIT_PROJECT_ROOT": str(self.hub.root), "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "REMOTE_USER": "somebody",
            "CONTENT_LENGTH": str(len(body)), "REMOTE_ADDR": "127.0.0.1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }  # fmt: skip
        before = repo.branches()
        done = subprocess.run(
            ["git", "http-backend"], env=env, input=body, capture_output=True, check=False
        )
        if pushing and self.command == "POST":
            with self.hub.lock:
                repo.received(before)
        if fault and fault.kind == "lost":
            return self._hang_up()
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
        status = int(headers.pop("Status", "200 OK").split(" ", 1)[0])
        return self._send(status, content, headers)

    def _right(self) -> str:
        scheme, _, word = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return ""
        return self.hub.rights.get(base64.b64decode(word).decode().partition(":")[2], "")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            body = b"".join(parts)
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body


class UnixServer(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


class Double:
    """The hub where it is reached: `url` over TCP, `socket` for gh."""

    def __init__(self, hub: Hub, url: str, place: Path) -> None:
        self.hub = hub
        self.url = url
        self.socket = place / "s"

    def send_away(self, url: str) -> None:
        """Answer everything with a redirect to there."""
        self.hub.elsewhere = url

    def remote(self, full_name: str) -> str:
        """The address of a repository for git."""
        return f"{self.url}/{full_name}.git"

    def gh(self, token: str = "") -> dict[str, str]:
        """Variables for a gh that comes here, logged in with the token."""
        folder = self.socket.parent / "gh"
        folder.mkdir(exist_ok=True)
        (folder / "config.yml").write_text(f"http_unix_socket: {self.socket}\n")
        login = f"github.com:\n  user: somebody\n  oauth_token: {token}\n  git_protocol: https\n"
        (folder / "hosts.yml").write_text(login if token else "")
        (folder / "hosts.yml").chmod(0o600)
        return {"GH_CONFIG_DIR": str(folder)}


@contextmanager
def serving(root: Path) -> Iterator[Double]:
    """A double whose every answer is held against GitHub's schema in the end."""
    root.mkdir(parents=True, exist_ok=True)
    hub = Hub(root)
    handler = type("OneHub", (Handler,), {"hub": hub})
    place = Path(tempfile.mkdtemp(prefix="hub-"))  # a socket's path is short
    servers = [
        ThreadingHTTPServer(("127.0.0.1", 0), handler), UnixServer(str(place / "s"), handler)
    ]  # fmt: skip
    threads = [threading.Thread(target=each.serve_forever, args=(0.01,)) for each in servers]
    for thread in threads:
        thread.start()
    try:
        yield Double(hub, f"http://127.0.0.1:{servers[0].server_address[1]}", place)
    finally:
        for each in servers:
            each.shutdown()
            each.server_close()
        for thread in threads:
            thread.join()
        shutil.rmtree(place)
    schema.check(hub.answers)


def gh_required() -> None:
    """The real gh; where it is missing a test is skipped with the reason, in CI it fails."""
    if shutil.which("gh", path=os.environ.get("PATH")) is None:
        why = "no gh: `make setup` installs it, or says how"
        if os.environ.get("CI"):
            pytest.fail(f"CI needs it: {why}")
        pytest.skip(why)
