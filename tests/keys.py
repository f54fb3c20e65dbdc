"""Secrets for tests, made of parts and chance: none stands in this repository as a text."""

from __future__ import annotations

import random
import string
from typing import Final

_ALNUM: Final = string.ascii_letters + string.digits
_HEX: Final = "0123456789abcdef"
_UPPER: Final = string.ascii_uppercase + string.digits
_WORD: Final = _ALNUM + "-_"


def planted(seed: int = 1) -> dict[str, str]:
    """A secret of each kind that our own rules know, by a name; other seeds give others."""
    rng = random.Random(seed)

    def some(count: int, among: str = _ALNUM) -> str:
        return "".join(rng.choice(among) for _ in range(count))

    body = "\n".join(some(64, _ALNUM + "+/") for _ in range(12))
    uuid = "-".join(some(count, _HEX) for count in (8, 4, 4, 4, 12))
    return {
        "anthropic": "sk-" + "ant-api03-" + some(93, _WORD) + "AA",
        "openai": "sk-" + "proj-" + some(74, _WORD),
        "openai-old": "sk-" + some(20) + "T3Blbk" + "FJ" + some(20),
        "github": "gh" + "p_" + some(36),
        "github-fine": "github" + "_pat_" + some(22) + "_" + some(59),
        "gitlab": "gl" + "pat-" + some(20, _WORD),
        "npm": "npm" + "_" + some(36),
        "npm-old": "//registry.corp.io/:_auth" + "Token=" + uuid,
        "google": "AI" + "za" + some(35, _WORD),
        "google-oauth": "GOC" + "SPX-" + some(28, _WORD),
        "aws": "AK" + "IA" + some(16, _UPPER),
        "aws-secret": "aws_secret_access_key = '" + some(40, _ALNUM + "/+") + "'",
        "slack": "xox" + f"b-{rng.randrange(10**11, 10**12)}-" + some(24),
        "slack-hook": "https://hooks.slack" + ".com/services/T" + some(10, _UPPER) + "/B"
        + some(10, _UPPER) + "/" + some(24),
        "stripe": "sk" + "_live_" + some(24),
        "pypi": "pypi" + "-AgEIcHlwaS5vcmc" + some(80, _WORD),
        "sendgrid": "SG" + "." + some(22, _WORD) + "." + some(43, _WORD),
        "hugging": "hf" + "_" + some(34, string.ascii_letters),
        "digitalocean": "dop" + "_v1_" + some(64, _HEX),
        "telegram": str(rng.randrange(10**9, 10**10)) + ":AA" + some(33, _WORD),
        "azure": "Account" + "Key=" + some(86, _ALNUM + "+/") + "==",
        "age": "AGE-" + "SECRET-KEY-1" + some(58, _UPPER),
        "square": "sq0" + "csp-" + some(43, _WORD),
        "twilio": "S" + "K" + some(32, _HEX),
        "mailchimp": some(32, _HEX) + "-us" + "12",
        "url": "postgres" + "://svc:" + some(20) + "@db.corp.io/x",
        "private-key": "-----BEGIN " + f"RSA PRIVATE KEY-----\n{body}\n{some(30)}==\n-----END "
        + "RSA PRIVATE KEY-----",
    }  # fmt: skip
