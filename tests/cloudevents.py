"""The rules of CloudEvents 1.0 in JSON, as its published schema and text say them.

Written by hand from the specification, so that it shares nothing with what makes the events.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

TEXTS = ("id", "source", "specversion", "type")
OPTIONAL_TEXTS = ("datacontenttype", "dataschema", "subject", "time")
URI_REFERENCE = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
INT32 = range(-(2**31), 2**31)


def read(body: bytes | str) -> dict[str, Any]:
    """The event of a structured-mode body; AssertionError when a rule is broken."""
    event = json.loads(body, parse_constant=no_constant)
    assert isinstance(event, dict)
    for name in TEXTS:
        assert isinstance(event.get(name), str), f"{name} is required"
        assert event[name], f"{name} is empty"
    for name in OPTIONAL_TEXTS:
        assert name not in event or (isinstance(event[name], str) and event[name]), name
    assert event["specversion"] == "1.0"
    assert URI_REFERENCE.fullmatch(event["source"]), "source is no URI reference"
    if "time" in event:
        assert TIME.fullmatch(event["time"]), "time is not RFC 3339"
        datetime.fromisoformat(event["time"])
    assert not ("data" in event and "data_base64" in event)
    for name, value in event.items():
        if name in ("data", "data_base64"):
            continue
        assert re.fullmatch("[a-z0-9]+", name), f"{name}: lower-case letters and digits only"
        assert isinstance(value, str | bool) or (isinstance(value, int) and value in INT32), name
    return event


def no_constant(constant: str) -> None:
    """NaN and infinities are no JSON."""
    raise AssertionError(f"{constant} is no JSON")
