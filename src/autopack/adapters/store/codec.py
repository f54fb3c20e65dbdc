"""Runs and events as JSON and back, exactly; and the digest that chains events.

JSON is canonical (sorted keys, no spaces, ASCII), so equal values have equal texts, and text from
git or an agent that is no valid Unicode survives. Never touches a database.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from autopack.core.command import Pending
from autopack.core.event import Event
from autopack.core.run import Run

GENESIS = "0" * 64
"""The digest before a run's first event."""


@cache
def _runs() -> TypeAdapter[Run]:
    adapter = TypeAdapter(Run)
    # `core.run` names Pending for type checkers only, as `core.command` imports it.
    adapter.rebuild(_types_namespace={"Pending": Pending})
    return adapter


@cache
def _events() -> TypeAdapter[Any]:
    return TypeAdapter(Annotated[Event, Field(discriminator="kind")])


def canonical(value: object) -> str:
    """One text for each JSON value; ValueError for NaN and infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def encode_event(event: Event) -> str:
    """The event as canonical JSON."""
    return canonical(_events().dump_python(event, mode="json"))


def decode_event(text: str) -> Event:
    """The event of a canonical JSON; ValueError when it is none."""
    event: Event = _events().validate_python(json.loads(text))
    return event


def encode_run(run: Run) -> str:
    """The run as canonical JSON; a phase names its spec by index instead of repeating it."""
    record = _runs().dump_python(run, mode="json")
    specs = {spec["phase_id"]: (i, spec) for i, spec in enumerate(record["spec"]["phases"])}
    for phase in record["phases"]:
        index, spec = specs.get(phase["spec"]["phase_id"], (0, None))
        if spec == phase["spec"]:
            phase["spec"] = index
    return canonical(record)


def decode_run(text: str) -> Run:
    """The run of a canonical JSON; ValueError when it is none."""
    record = json.loads(text)
    try:
        for phase in record["phases"]:
            if isinstance(phase["spec"], int):
                phase["spec"] = record["spec"]["phases"][phase["spec"]]
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"not the record of a run: {error!r}") from error
    return _runs().validate_python(record)


def digest(previous: str, row: Mapping[str, object]) -> str:
    """The digest of an event's row (all columns but the two digests) after `previous`."""
    return hashlib.sha256((previous + canonical(dict(row))).encode()).hexdigest()
