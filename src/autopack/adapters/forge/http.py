"""Asking the API by HTTP, with a token that is read when it is needed and never shown."""

from __future__ import annotations

import http.client
import os
import re
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from autopack.adapters.exchange import Question, exchange
from autopack.adapters.forge.said import ANSWER_BYTES_MAX, NoAnswer, Said
from autopack.app.forge import ForgeRefused
from autopack.app.ports import Cancel, Clock
from autopack.core.errors import OperatorFault

API_VERSION: Final = "2022-11-28"
HEADERS: Final = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": API_VERSION,
}
FILE_BYTES_MAX: Final = 4096
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,1024}")
HINT: Final = (
    "set GITHUB_TOKEN (GH_ENTERPRISE_TOKEN for a server of your own), name a token_file in [forge],"
    " or install gh and `gh auth login`"
)


@dataclass(frozen=True)
class Token:
    """Where the token is: in `file`, else in the environment."""

    environ: Mapping[str, str] = field(repr=False)
    names: tuple[str, ...]
    file: Path | None = None

    def read(self) -> str:
        """The token; empty when there is none, OperatorFault when what is there cannot be one."""
        given, where = "", ""
        if self.file is not None:
            given, where = read_private(self.file), str(self.file)
        for name in self.names:
            if not given and self.environ.get(name):
                given, where = self.environ[name].strip(), name
        if given and not _TOKEN.fullmatch(given):
            raise OperatorFault(f"{where} holds something that is no token", HINT)
        return given


@dataclass(frozen=True)
class HttpTransport:
    """Implements Transport with HTTP requests to `api`."""

    api: str
    credential: Token
    clock: Clock
    cancel: Cancel
    seconds_max: float
    trust: ssl.SSLContext | None = None
    """Instead of the system's certificates."""

    @property
    def where(self) -> str:
        """The API's address."""
        return self.api

    def ask(self, method: str, path: str, body: bytes) -> Said:
        """One request."""
        token = self.token()
        if not token:
            raise ForgeRefused(f"there is no token for {self.api}", HINT)
        headers = {**HEADERS, "User-Agent": "autopack", "Authorization": f"Bearer {token}"}
        if body:
            headers["Content-Type"] = "application/json"
        try:
            answer = exchange(
                Question(method, urlsplit(self.api + path), headers, body),
                seconds_max=self.seconds_max,
                clock=self.clock,
                cancel=self.cancel,
                content_bytes_max=lambda _status: ANSWER_BYTES_MAX,
                trust=self.trust,
            )
        except (OSError, http.client.HTTPException, UnicodeError) as fault:
            raise NoAnswer(str(fault) or type(fault).__name__) from fault
        if answer.cut:
            raise NoAnswer(answer.cut)
        return Said(answer.status, answer.headers, answer.content)

    def token(self) -> str:
        """The token; empty when there is none."""
        return self.credential.read()


def read_private(path: Path) -> str:
    """The text of a file that only its owner may read, without blanks around it. OperatorFault."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as fault:
        what = f"the token_file {path} cannot be read: {fault.strerror}"
        raise OperatorFault(what, "make it, for its owner only (chmod 600)") from fault
    seen = os.fstat(handle)
    if not stat.S_ISREG(seen.st_mode):  # a folder cannot even be wrapped
        os.close(handle)
        raise OperatorFault(f"the token_file {path} is no file", "name one with the token")
    with os.fdopen(handle, "rb") as file:
        if seen.st_mode & 0o077:
            what = f"the token_file {path} is open to others (mode {seen.st_mode & 0o777:04o})"
            raise OperatorFault(what, f"chmod 600 {path}")
        text = file.read(FILE_BYTES_MAX + 1)
    if len(text) > FILE_BYTES_MAX:
        raise OperatorFault(f"the token_file {path} is too long", "it holds one token and no more")
    return text.decode("ascii", "replace").strip()
