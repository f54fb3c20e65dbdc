"""Texts of agents and tools without the secrets in them: what is kept, shown and sent is this.

Every event goes through here before it is recorded, every log before it is written. A candidate's
own git objects are its work and stay as they are: the gate refuses them.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, TypeVar

from autopack.core.secret import find

T = TypeVar("T")
KEPT: Final = frozenset(
    {"candidate", "origin", "spec", "phase_id", "tier_id", "run_id", "commit", "tree", "parent",
     "tag", "tip", "digest", "kind", "check"}
)  # fmt: skip
"""Fields that we, git or the operator named: a name that changed would name nothing any more."""


def redact(text: str) -> str:
    """The text, each secret in it replaced by its kind."""
    parts, at = [], 0
    for secret in find(text):
        parts += [text[at : secret.start], f"[redacted: {secret.kind.name}]"]
        at = secret.end
    return "".join((*parts, text[at:])) if parts else text


def redact_bytes(data: bytes) -> bytes:
    """The same of what a program said, whose other bytes stay as they are."""
    text = data.decode("utf-8", "surrogateescape")
    told = redact(text)
    return data if told is text else told.encode("utf-8", "surrogateescape")


def cleaned(record: T) -> T:
    """A record, an event above all, whose texts are redacted, at any depth."""
    found: T = _cleaned(record)
    return found


def _cleaned(value: Any) -> Any:  # noqa: ANN401 - whatever a record holds
    if isinstance(value, str) and type(value) is str:
        return redact(value)
    if isinstance(value, tuple):
        items = [_cleaned(item) for item in value]
        changed = any(new is not old for new, old in zip(items, value, strict=True))
        return tuple(items) if changed else value
    if is_dataclass(value) and not isinstance(value, type):
        told = {
            field.name: new
            for field in fields(value)
            if field.name not in KEPT
            and (new := _cleaned(old := getattr(value, field.name))) is not old
        }
        return replace(value, **told) if told else value
    return value
