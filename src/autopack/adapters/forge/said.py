"""What a REST API is asked with and answers, and how an answer is judged. Sends nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final, Protocol

from autopack.app.forge import ForgeAway, ForgeRefused
from autopack.core.words import visible

ANSWER_BYTES_MAX: Final = 16 << 20
"""A page of a hundred pull requests with the longest texts has a bit more than 6 MB."""
SAID_CHARACTERS_MAX: Final = 300
SECONDARY_SECONDS: Final = 60.0
"""How long to stay away after GitHub's secondary limit when it does not say."""
RETRY_SECONDS_MAX: Final = 24 * 3600.0
PASSING: Final = frozenset({408, 425, 500, 502, 503, 504})


@dataclass(frozen=True)
class Said:
    """An answer, whole; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class NoAnswer(Exception):
    """None came, or not the whole of it: what was asked for may have been done."""


class Transport(Protocol):
    """One way of asking the API. `where`: its address, for people."""

    @property
    def where(self) -> str: ...

    def ask(self, method: str, path: str, body: bytes) -> Said:
        """One request, sent once; NoAnswer, ForgeRefused when it cannot even be asked."""
        ...

    def token(self) -> str:
        """The token that git may use, too; empty when there is none."""
        ...


class Invalid(ForgeRefused):
    """The API understood and will not: a draft that cannot be, or one that is there already."""

    code = "forge_invalid"


class Missing(ForgeRefused):
    """What was asked for is not there, or not for this token."""

    code = "forge_missing"


def parsed(said: Said) -> object:
    """The JSON of an answer; NoAnswer when it is none."""
    try:
        value: object = json.loads(said.content)
    except (ValueError, RecursionError) as fault:
        raise NoAnswer(f"status {said.status} with something that is no JSON") from fault
    return value


def judge(said: Said, what: str, now: float) -> None:
    """Nothing for a success; ForgeRefused, ForgeAway, or NoAnswer when the server failed.

    `now`: Unix seconds, for a limit's end.
    """
    status = said.status
    if 200 <= status < 300:
        return
    told = f"{what}: HTTP {status}{_message(said)}"
    if status in PASSING or 500 <= status < 600:
        raise NoAnswer(told)
    if (wait := _limited(said, now)) is not None:
        raise ForgeAway(told, f"a limit of the forge: try again in {wait:.0f} s", wait)
    if status == 401:
        raise ForgeRefused(told, "give a token that is valid: GITHUB_TOKEN, or `gh auth login`")
    if status in (403, 404):
        hint = "check that the repository is there and that your token may push to it"
        raise (Missing if status == 404 else ForgeRefused)(told, hint)
    if 300 <= status < 400:
        place = visible(said.headers.get("location", "elsewhere"))[:SAID_CHARACTERS_MAX]
        raise ForgeRefused(f"{told}: it moved to {place}", "name it by its new address")
    if status in (409, 422):
        raise Invalid(told, "see what the forge says")
    raise ForgeRefused(told, "see what the forge says")


def _limited(said: Said, now: float) -> float | None:
    """Seconds to stay away; None when the answer is about no limit."""
    if said.status not in (403, 429):
        return None
    if (after := _number(said.headers.get("retry-after", ""))) is not None:
        return min(after, RETRY_SECONDS_MAX)
    if said.headers.get("x-ratelimit-remaining") == "0":
        reset = _number(said.headers.get("x-ratelimit-reset", ""))
        if reset is not None:  # on the server's clock, which the answer tells
            return min(max(0.0, reset - _date(said, now)), RETRY_SECONDS_MAX)
    if said.status == 429 or b"rate limit" in said.content[:4096].lower():
        return SECONDARY_SECONDS
    return None


def _date(said: Said, now: float) -> float:
    try:
        return parsedate_to_datetime(said.headers.get("date", "")).timestamp()
    except (ValueError, OverflowError, TypeError):
        return now


def _number(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _message(said: Said) -> str:
    """What the API says of it, on one line that drives no terminal."""
    try:
        value = json.loads(said.content)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(value, dict):
        return ""
    words = [str(value.get("message") or "")]
    errors = value.get("errors")
    for error in errors[:5] if isinstance(errors, list) else ():
        if isinstance(error, dict):
            keys = ("resource", "field", "code", "message")
            words.append(" ".join(str(error[key]) for key in keys if error.get(key)))
        else:
            words.append(str(error))
    text = "; ".join(word for word in words if word)
    return f": {visible(' '.join(text.split()))[:SAID_CHARACTERS_MAX]}" if text else ""
