"""The check `secrets`: keys and passwords on the lines that a candidate adds.

Our own rules refuse; what only detect-secrets knows, or what only a name beside it gives away, asks
the auditor. detect-secrets is asked for patterns alone: it verifies nothing and sees no network. No
finding repeats what it found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from autopack.app.checks import Line, Subject
from autopack.core import secret
from autopack.core.names import printable
from autopack.core.patch import SYMLINK
from autopack.core.redact import redact
from autopack.core.run import Finding, Severity

if TYPE_CHECKING:
    from autopack.adapters.gate.registry import CheckContext
    from autopack.app.checks import Check
    from autopack.app.ports import Cancel

DETECTORS: Final = {
    "artifactory": "ArtifactoryDetector",
    "cloudant": "CloudantDetector",
    "discord": "DiscordBotTokenDetector",
    "gitlab_token": "GitLabTokenDetector",
    "ibm_cloud_iam": "IbmCloudIamDetector",
    "ibm_cos_hmac": "IbmCosHmacDetector",
    "jwt": "JwtTokenDetector",
    "private_key": "PrivateKeyDetector",
    "softlayer": "SoftlayerDetector",
    "azure_storage_key": "AzureStorageKeyDetector",
}
"""Modules of detect-secrets and their classes: those with a form, and without the ones of ours."""
LINE_CHARACTERS_MAX: Final = 1_000
"""That detect-secrets looks at once: some of its patterns take the square of a line's length."""
OVERLAP_CHARACTERS: Final = 500
"""Of a longer line that two looks share: most secrets are shorter."""
_TOKEN: Final = re.compile(r"(?<![\w.-])eyJ[\w-]+\.[\w-]+\.[\w-]*")
"""What may be a token of JSON, of any length."""
LINES_MAX: Final = 200_000
"""Lines of one change that detect-secrets looks at; our own rules look at all of them."""
PASSWORD_CHARACTERS_MIN: Final = 12
"""Of a value with a telling name: shorter ones are words of tests and of documentation."""


def factory(context: CheckContext) -> Check:
    """The factory of `secrets`."""
    del context
    return check


def check(subject: Subject, cancel: Cancel) -> Iterator[Finding]:
    """Secrets among the added lines, names and link targets of a change."""
    del cancel  # a change of the largest size takes seconds
    looked = 0
    for change in subject.diff.changes:
        path = printable(change.path)
        told = redact(path)
        if told != path:
            yield Finding("secret", "the path itself holds a secret: rename it", told)
        if change.new_mode == SYMLINK and redact(change.target) != change.target:
            yield Finding("secret", "the link's target holds a secret: undo it", told)
        added = subject.added(change.path)
        if added is None:
            message = "is too large to be searched for secrets: an auditor decides"
            yield Finding("secret-unread", message, told, severity=Severity.ASK)
            continue
        certain = set()
        for finding in _own(added, told):
            certain.add(finding.line)
            yield finding
        rest = [line for line in added[: LINES_MAX - looked] if line.number not in certain]
        looked += len(rest)
        yield from _others(rest, told)


def _own(added: Sequence[Line], path: str) -> Iterator[Finding]:
    """What our own rules know; a private key goes over several lines."""
    text, starts = _joined(added)
    at = 0
    for found in secret.find(text):
        while at + 1 < len(starts) and starts[at + 1] <= found.start:
            at += 1
        message = f"{found.kind.says} ({found.kind.name}): take it out, and have it revoked"
        yield Finding("secret", message, path, added[at].number)


def _joined(added: Sequence[Line]) -> tuple[str, list[int]]:
    """The lines as one text, and where each begins in it; a gap between them stays one."""
    parts: list[str] = []
    starts: list[int] = []
    at, before = 0, 0
    for line in added:
        gap = "\n" if line.number == before + 1 else "\n\0\n"
        parts += [gap, line.text]
        at += len(gap)
        starts.append(at)
        at += len(line.text)
        before = line.number
    return "".join(parts), starts


def _others(added: Iterable[Line], path: str) -> Iterator[Finding]:
    detectors, keyword = _detectors()
    for line in added:
        told = (_likely(text, detectors, keyword) for text in _looks(line.text))
        if message := next(filter(None, told), ""):
            yield Finding("secret-likely", message, path, line.number, Severity.ASK)


def _likely(text: str, detectors: Iterable[tuple[str, Any]], keyword: Any) -> str:  # noqa: ANN401 - the library is untyped
    for name, detector in detectors:
        if any(found and not secret.made_up(found) for found in detector.analyze_string(text)):
            return f"looks like a secret ({name}): an auditor decides"
    if any(_strong(found) for found in keyword.analyze_string(text)):
        return "a value that is named as a secret: an auditor decides"
    return ""


def _looks(line: str) -> Iterator[str]:
    """A line in parts that overlap, and the tokens that are longer than what two parts share."""
    step = LINE_CHARACTERS_MAX - OVERLAP_CHARACTERS
    for start in range(0, max(1, len(line) - OVERLAP_CHARACTERS), step):
        yield line[start : start + LINE_CHARACTERS_MAX]
    if len(line) > LINE_CHARACTERS_MAX:
        yield from (match[0] for match in _TOKEN.finditer(line)
                    if len(match[0]) > OVERLAP_CHARACTERS)  # fmt: skip


def _strong(value: str) -> bool:
    return len(value) >= PASSWORD_CHARACTERS_MIN and not secret.weak(value)


@cache
def _detectors() -> tuple[tuple[tuple[str, Any], ...], Any]:
    """Those of detect-secrets, loaded when the first candidate is looked at: it takes 0.3 s."""

    def made(module: str, name: str) -> Any:  # noqa: ANN401 - the library is untyped
        return getattr(import_module(f"detect_secrets.plugins.{module}"), name)()

    found = tuple((module, made(module, name)) for module, name in DETECTORS.items())
    return found, made("keyword", "KeywordDetector")
