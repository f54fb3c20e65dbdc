"""A target behind HTTP: Standard Webhooks headers around a CloudEvents body.

Delivered means an answer of 2xx. What the endpoint says is told cut and made visible, and decides
nothing else. Never names the whole URL: its path may be a password.
"""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult

from autopack.adapters.exchange import Answer, Question, exchange
from autopack.adapters.notify.secret import Secret, sign
from autopack.app.notify import Told
from autopack.app.ports import Cancel, Clock
from autopack.core.errors import OperatorFault
from autopack.core.words import visible

ANSWER_BYTES_MAX: Final = 4096
"""Of an answer that is no success, to tell what it says."""
SAID_CHARACTERS_MAX: Final = 200
LATER: Final = frozenset({408, 425, 429})
"""Client errors that mean: not now. The others are about this one message."""


@dataclass(frozen=True)
class Webhook:
    """Posts notices to a URL, signed. `clock`: the real one, since receivers refuse old dates."""

    url: SplitResult
    secret: Secret
    clock: Clock
    seconds_max: float
    trust: ssl.SSLContext | None = None
    """Instead of the system's certificates."""

    def tell(self, notice_id: str, body: str, cancel: Cancel) -> Told:
        """Post one notice, once."""
        content = body.encode()
        try:
            headers = self._headers(notice_id, content)
            answer = exchange(
                Question("POST", self.url, headers, content),
                seconds_max=self.seconds_max,
                clock=self.clock,
                cancel=cancel,
                content_bytes_max=_told_bytes_max,
                trust=self.trust,
            )
        except OperatorFault as fault:
            return Told(delivered=False, said=fault.what, heard=False)
        except (OSError, http.client.HTTPException, UnicodeError) as fault:
            said = f"{self.url.hostname}: {str(fault) or type(fault).__name__}"
            return Told(delivered=False, said=_short(said), heard=False)
        return _told(answer)

    def check(self) -> None:
        """OperatorFault when there is no key to sign with; sends nothing."""
        self.secret.read()

    def _headers(self, notice_id: str, content: bytes) -> dict[str, str]:
        timestamp = self.clock.now()
        signatures = [sign(key, notice_id, timestamp, content) for key in self.secret.read()]
        return {
            "Content-Type": "application/cloudevents+json; charset=UTF-8",
            "User-Agent": "autopack",
            "webhook-id": notice_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": " ".join(signatures),
        }


def _told_bytes_max(status: int) -> int:
    """Of a success nothing is read."""
    return 0 if 200 <= status < 300 else ANSWER_BYTES_MAX


def _told(answer: Answer) -> Told:
    status = answer.status
    said = f"HTTP {status} {http.client.responses.get(status, '')}".rstrip()
    if 200 <= status < 300:
        return Told(delivered=True, said=said, heard=True)
    if 300 <= status < 400:
        said += ": redirects are not followed, name the last address"
    elif answer.content:
        said += f": {_short(answer.content.decode('utf-8', 'replace'))}"
    about_this_one = 400 <= status < 500 and status not in LATER
    return Told(delivered=False, said=said, heard=about_this_one)


def _short(text: str) -> str:
    return visible(" ".join(text[:SAID_CHARACTERS_MAX].split()))
