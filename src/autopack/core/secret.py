"""What keys and passwords look like: where a text holds one, and of which kind.

Every pattern takes time in proportion to the text, because texts are hostile. What a real secret
is not (an example, a placeholder, a counted-up alphabet) is let be. Never shows what it found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Final

DISTINCT_MIN: Final = 10
"""Different characters of a key; what has fewer was typed by somebody who made one up."""
ORDERED_MAX: Final = 8
"""Neighbours in a row (`abcdefgh`, `12345678`) that a random key does not have."""
_PRETENDED: Final = re.compile(
    r"example|placeholder|redacted|change-?_?me|your[-_]|dummy|insert[-_]|fake[-_]?key|x{6}|\*{3}",
    re.IGNORECASE,
)
_WEAK: Final = frozenset({
    "admin", "bar", "changeme", "dbpass", "demo", "foo", "guest", "hunter", "letmein",
    "master", "mypass", "mypassword", "mysql", "pass", "passphrase", "passw", "passwd",
    "password", "postgres", "postgresql", "pwd", "qwerty", "root", "secret", "secretpassword",
    "sekret", "supersecret", "test", "testing", "token", "user", "username",
})  # fmt: skip
"""Passwords of documentation and of tests' own servers."""


@dataclass(frozen=True)
class Kind:
    """A kind of secret: how it is called, and its pattern.

    Its group `key` is the secret; without one all of it is, and no letter goes before it.
    """

    name: str
    says: str
    hints: tuple[str, ...]
    """One of them stands in each text that has such a secret."""
    pattern: str
    always: bool = False
    """Whatever its characters: nobody makes up one of these by hand."""


@dataclass(frozen=True)
class Secret:
    """A secret's place in a text, from `start` to `end`, and what it is."""

    kind: Kind
    start: int
    end: int


_ESCAPES: Final = re.compile(r"(?:\\[nrt]|%[0-9A-Fa-f]{2}|[\[;][0-9]{1,3}m)\Z")
"""No letter goes before a key but one of these: of JSON, of a URL, of a terminal's colours."""
_ESCAPE_CHARACTERS: Final = 5
_BLOCK: Final = (
    r"(?P<key>-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:\s{0,4}[A-Za-z-]{1,20}: [^\n]{0,100}\n){0,6}+"
    r"(?:@){0,24}+[A-Za-z0-9+/=]{40,}+(?:(?:@){0,24}+[A-Za-z0-9+/=]{16,}+){0,2000}+"
    r"(?:(?:@){0,24}+[A-Za-z0-9+/=]{0,15}+(?:@){0,24}+-----END [A-Z0-9 ]{0,30}-----)?+)"
).replace("@", r"[\s\"'+,|]|\\[nr]|&#(?:10|13|xA|xD);")
_URL: Final = (
    r"://[^\s:/@\"'<>]{0,100}:"
    r"(?P<key>[^\s/@\"'<>]{6,200})@(?P<host>[A-Za-z0-9.\[-]{1,100})"
)
KINDS: Final = (
    Kind("private-key", "a private key", ("PRIVATE KEY",), _BLOCK, always=True),
    Kind("anthropic-key", "an Anthropic key", ("sk-ant-",), r"sk-ant-[A-Za-z0-9_-]{24,200}"),
    Kind("openai-key", "an OpenAI key", ("sk-",),
         r"sk-(?:(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{20,200}|(?:or-v1-)?[A-Za-z0-9]{32,200})"),
    Kind("github-token", "a GitHub token", ("gh",), r"gh[pousr]_[A-Za-z0-9]{36,255}"),
    Kind("github-token", "a GitHub token", ("github_pat_",), r"github_pat_[A-Za-z0-9_]{36,255}"),
    Kind("gitlab-token", "a GitLab token", ("gl",),
         r"gl(?:pat|dt|ptt|rt|ft|soat|agent|cbt)-[A-Za-z0-9_-]{20,100}"),
    Kind("npm-token", "an npm token", ("npm_",), r"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
    Kind("npm-token", "an npm token", (":_authToken",),
         r":_authToken\s{0,4}=\s{0,4}[\"']?"
         r"(?P<key>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"),
    Kind("google-key", "a Google key", ("AIza",), r"AIza[A-Za-z0-9_-]{35}"),
    Kind("google-key", "a Google secret", ("GOCSPX-",), r"GOCSPX-[A-Za-z0-9_-]{28}"),
    Kind("aws-key", "an AWS access key", ("AKIA", "ASIA", "ABIA", "ACCA"),
         r"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    Kind("aws-key", "an AWS secret key", ("aws", "AWS", "Aws"),
         r"(?i:aws)[^\n]{0,20}?(?i:secret|key|token|password)[^\n]{0,20}?[\"'\s=:]"
         r"(?P<key>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"),
    Kind("slack-token", "a Slack token", ("xox",),
         r"xox[abeoprs]-(?:\d{1,20}-){1,4}[A-Za-z0-9-]{10,200}"),
    Kind("slack-token", "a Slack token", ("xapp-",), r"xapp-\d-[A-Za-z0-9-]{30,200}"),
    Kind("slack-token", "a Slack webhook", ("hooks.slack.com",),
         r"hooks\.slack\.com/services/"
         r"(?P<key>T[A-Za-z0-9_]{6,20}/B[A-Za-z0-9_]{6,20}/[A-Za-z0-9_]{16,40})"),
    Kind("stripe-key", "a Stripe key", ("k_live_",), r"[rs]k_live_[A-Za-z0-9]{24,200}"),
    Kind("pypi-token", "a PyPI token", ("pypi-AgE",), r"pypi-AgE[A-Za-z0-9_-]{50,400}"),
    Kind("sendgrid-key", "a SendGrid key", ("SG.",),
         r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    Kind("huggingface-token", "a Hugging Face token", ("hf_",),
         r"hf_[A-Za-z]{34}(?![A-Za-z0-9])"),
    Kind("digitalocean-token", "a DigitalOcean token", ("_v1_",), r"do[opr]_v1_[a-f0-9]{64}"),
    Kind("telegram-token", "a Telegram token", (":AA",), r"\d{8,10}:AA[A-Za-z0-9_-]{33}"),
    Kind("azure-key", "an Azure key", ("AccountKey=",),
         r"AccountKey=(?P<key>[A-Za-z0-9+/]{80,90}={0,2})"),
    Kind("age-key", "an age key", ("AGE-SECRET-KEY-1",), r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    Kind("square-key", "a Square key", ("sq0",), r"sq0(?:csp|atp)-[A-Za-z0-9_-]{22,43}"),
    Kind("twilio-key", "a Twilio key", ("SK",), r"SK[0-9a-f]{32}(?![A-Za-z0-9])"),
    Kind("mailchimp-key", "a Mailchimp key", ("-us",), r"[0-9a-f]{32}-us\d{1,2}(?!\d)"),
    Kind("url-password", "a password in a URL", ("://",), _URL),
)  # fmt: skip


def find(text: str) -> Iterator[Secret]:
    """The secrets in a text, by their place; none lies in another."""
    kinds = [kind for kind in KINDS if any(hint in text for hint in kind.hints)]
    found = sorted(
        (
            Secret(kind, *match.span("key" if "key" in match.re.groupindex else 0))
            for kind in kinds
            for match in _pattern(kind).finditer(text)
            if kind.always or not _harmless(kind, match)
        ),
        key=lambda each: (each.start, -each.end),
    )
    end = 0
    for each in found:
        if each.start >= end:
            end = each.end
            yield each


@cache
def _pattern(kind: Kind) -> re.Pattern[str]:
    return re.compile(kind.pattern)


def _harmless(kind: Kind, match: re.Match[str]) -> bool:
    """Whether what has a kind's form is none of it: part of a word, an example, a placeholder."""
    if kind.name == "url-password":
        return weak(match["key"]) or _PRETENDED.search(match["host"]) is not None
    if "key" in match.re.groupindex:
        return made_up(match["key"])
    before = match.string[max(0, match.start() - _ESCAPE_CHARACTERS) : match.start()]
    inside = before[-1:].isalnum() and not _ESCAPES.search(before)
    return inside or made_up(match[0])


def made_up(key: str) -> bool:
    """Whether a key is an example or a placeholder: too few characters, or too much in order."""
    few = len(set(key)) < DISTINCT_MIN
    return few or _PRETENDED.search(key) is not None or _ordered(key)


def weak(password: str) -> bool:
    """Whether a password is a placeholder, a word of documentation, or keeps nobody out."""
    if set(password) & set("{}$%<>()[]") or _PRETENDED.search(password):
        return True
    letters = re.sub(r"[^a-z]", "", password.lower())
    mixed = re.search(r"\d", password) and letters
    plain = not mixed and len(password) < 16
    return letters in _WEAK or plain or len(set(password)) < 6 or _ordered(password)


def _ordered(key: str) -> bool:
    """Whether a run of neighbours, or of one character, is too long for chance."""
    run = same = 1
    for before, now in pairwise(key):
        run = run + 1 if ord(now) == ord(before) + 1 else 1
        same = same + 1 if now == before else 1
        if run >= ORDERED_MAX or same >= ORDERED_MAX:
            return True
    return False
