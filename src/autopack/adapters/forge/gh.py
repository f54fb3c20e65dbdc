"""Asking the API through `gh api`, which knows who the operator is.

gh runs as the operator, without a terminal, with the few variables that it needs; arguments are a
list, bodies go to its standard input. Never `gh pr`: its answers are prose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from autopack.adapters.forge.http import HEADERS, Token
from autopack.adapters.forge.said import ANSWER_BYTES_MAX, NoAnswer, Said
from autopack.app.forge import ForgeRefused
from autopack.app.ports import Cancel
from autopack.core.words import visible
from autopack.process import runner
from autopack.process.limits import Ended, Finished, Limits, ProgramMissing

if TYPE_CHECKING:
    import threading

PASSED: Final = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"),
        *("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "GH_CONFIG_DIR"),
        *("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR"),
    }
)
SET: Final = {
    "LC_ALL": "C", "NO_COLOR": "1", "CLICOLOR": "0", "GH_PAGER": "cat", "GH_PROMPT_DISABLED": "1",
    "GH_NO_UPDATE_NOTIFIER": "1",
}  # fmt: skip
NO_LOGIN: Final = 4
"""gh's exit code when it knows nobody for the host."""
SAID_CHARACTERS_MAX: Final = 300
_STATUS: Final = re.compile(rb"HTTP/[0-9.]+ ([0-9]{3})\b")


@dataclass(frozen=True)
class GhTransport:
    """Implements Transport with the program gh. `credential`: its own when that has no token."""

    host: str
    credential: Token
    environ: Mapping[str, str] = field(repr=False)
    folder: Path
    cancel: Cancel
    seconds_max: float

    @property
    def where(self) -> str:
        """The host, and that gh asks it."""
        return f"{self.host} (by gh)"

    def ask(self, method: str, path: str, body: bytes) -> Said:
        """One request."""
        argv = ["gh", "api", "-i", "--hostname", self.host, "--method", method]
        for name, value in HEADERS.items():
            argv += ["-H", f"{name}: {value}"]
        if body:
            argv += ["--input", "-"]
        said = self._run([*argv, path.removeprefix("/")], body)
        answer = _answer(said.stdout)
        if answer is not None and not said.truncated and said.ended is Ended.EXITED:
            return answer
        words = visible(" ".join(said.stderr.decode("utf-8", "replace").split()))
        if said.exit_code == NO_LOGIN:
            raise ForgeRefused(f"gh knows nobody for {self.host}: {words[:SAID_CHARACTERS_MAX]}",
                               "`gh auth login`, or set GITHUB_TOKEN")  # fmt: skip
        ended = f"gh ended ({said.ended})" if said.exit_code is None else "gh told no answer"
        raise NoAnswer(words[:SAID_CHARACTERS_MAX] or ended)

    def token(self) -> str:
        """The token given, else gh's own; empty when it has none."""
        if given := self.credential.read():
            return given
        said = self._run(["gh", "auth", "token", "--hostname", self.host], b"")
        return said.stdout.decode("ascii", "replace").strip() if said.ok else ""

    def _run(self, argv: list[str], stdin: bytes) -> Finished:
        env = {name: value for name, value in self.environ.items() if name in PASSED} | SET
        if token := self.credential.read():
            known = self.host == "github.com" or self.host.endswith(".ghe.com")
            env["GH_TOKEN" if known else "GH_ENTERPRISE_TOKEN"] = token
        try:
            return runner.run(
                argv, env=env, cwd=self.folder, stdin=stdin,
                limits=Limits(self.seconds_max, output_bytes_max=ANSWER_BYTES_MAX),
                cancel=cast("threading.Event", self.cancel),  # all it does is ask `is_set`
            )  # fmt: skip
        except ProgramMissing as fault:
            hint = "install gh and `gh auth login`, or set GITHUB_TOKEN"
            raise ForgeRefused(f"the program gh is not there: {fault.what}", hint) from fault


def _answer(stdout: bytes) -> Said | None:
    """Status line, headers, an empty line and the content, as `gh api -i` prints them."""
    head, apart, content = stdout.replace(b"\r\n", b"\n", _lines(stdout)).partition(b"\n\n")
    lines = head.split(b"\n")
    status = _STATUS.match(lines[0])
    if status is None or not apart:
        return None
    pairs = (line.partition(b":") for line in lines[1:])
    headers = {
        name.decode("ascii", "replace").strip().lower(): value.decode("ascii", "replace").strip()
        for name, _, value in pairs
    }
    return Said(int(status[1]), headers, content)


def _lines(stdout: bytes) -> int:
    """How many lines have an end of two characters before the content begins."""
    end = stdout.find(b"\r\n\r\n")
    return stdout.count(b"\r\n", 0, end) + 2 if end >= 0 else 0
